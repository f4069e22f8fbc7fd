"""An environment for each rival, made from its pinned list and kept between runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from core.settings import ROOT

RIVALS = Path(__file__).with_name("rivals")
UV = ROOT / ".venv" / "uv" / "bin" / "uv"


class NotInstalledError(RuntimeError):
    """A rival cannot be installed here; the message is uv's own last line."""


def python_of(rival: str, folder: Path) -> Path:
    """Give the Python of a rival's environment, made when its pins changed.

    Parameters
    ----------
    rival
        Name of the list in ``rivals/``.
    folder
        Holds the environments.

    Raises
    ------
    NotInstalledError
        uv could not make it.
    """
    pins = RIVALS / f"{rival}.txt"
    home = folder / rival
    stamp, python = home / "installed.txt", home / "bin" / "python"
    if python.exists() and stamp.exists() and stamp.read_text() == pins.read_text():
        return python
    shutil.rmtree(home, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    _run([str(UV), "venv", "--quiet", "--python", version, str(home)])
    _run([str(UV), "pip", "install", "--quiet", "--python", str(python), "-r", str(pins)])
    stamp.write_text(pins.read_text())
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["uv said nothing"]
        raise NotInstalledError(" ".join(line.strip() for line in lines[-3:])[:300])
