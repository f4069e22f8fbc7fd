"""A server that speaks S3, over a folder: rclone, as a wheel brings it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

KEY, SECRET = "septet", "only-for-tests"
BUCKET = "memory"


def rclone() -> Path | None:
    """Give the program, where its wheel is installed."""
    found = find_spec("rclone_api")
    return (
        None if found is None or found.origin is None else Path(found.origin).parent / "bin/rclone"
    )


@contextmanager
def serve(program: Path, folder: Path) -> Iterator[str]:
    """Serve a folder with one bucket until the end of the block; give the endpoint."""
    (folder / BUCKET).mkdir(parents=True)
    command = [
        str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}",
        "--config", "/dev/null", str(folder),
    ]  # fmt: skip
    log = folder.parent / "rclone.log"
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as server:
        try:
            yield _address(server, log)
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    while server.poll() is None:
        found = re.search(r"Starting s3 server on \[(http://[^\]/]+)/?\]", log.read_text())
        if found:
            return found[1]
    raise AssertionError(log.read_text())
