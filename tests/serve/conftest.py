"""Real servers in their own processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from services.access.first_key import create_admin_key

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Parameters
    ----------
    process
        The supervisor that ``bentoml serve`` starts.
    url
        Where it listens.
    log
        What it wrote.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path


@contextmanager
def running(
    target: str,
    *,
    home: Path | None,
    scratch: Path,
    cwd: Path = ROOT,
    wait_for: str = "/readyz",
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run ``bentoml serve`` until the block ends, then ask it to stop as an operator would."""
    port = free_port()
    log = scratch / f"serve-{port}.log"
    command = [str(BIN / "bentoml"), "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as sink:
        surroundings = environment(home, scratch) | dict(more or {})
        process = subprocess.Popen(command, cwd=cwd, env=surroundings, stdout=sink, stderr=sink)
    server = Server(process=process, url=f"http://127.0.0.1:{port}", log=log)
    try:
        wait_until_up(server, path=wait_for)
        yield server
    finally:
        stop(process)


def environment(home: Path | None, scratch: Path) -> dict[str, str]:
    """Give a server's environment: everything it writes stays in the test's folders."""
    plain: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("SEPTET_")}
    return {
        **plain,
        **({} if home is None else {"SEPTET_HOME": str(home)}),
        "BENTOML_HOME": str(scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
    }


def wait_until_up(server: Server, *, path: str) -> None:
    """Wait until a path answers with 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            if httpx.get(server.url + path, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{path} never answered with 200; the log says:\n{server.log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to stop, and give what it ended with."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for logs and for what BentoML writes."""
    return tmp_path_factory.mktemp("serve")


@dataclass(frozen=True)
class Home:
    """A platform's home with its releases and one key."""

    path: Path
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What opens the platform."""
        return {"X-API-Key": self.key}


@pytest.fixture(scope="session")
def home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Give a copy of the trained home that the servers may have to themselves."""
    path = tmp_path_factory.mktemp("home") / "septet"
    shutil.copytree(tiny_home / "releases", path / "releases")
    return Home(path=path, key=create_admin_key(path))
