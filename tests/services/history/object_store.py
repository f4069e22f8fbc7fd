"""A server that speaks S3, over a folder: rclone, as a wheel brings it, behind ``whole_puts``."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from tests.services.history.whole_puts import BUSY

KEY, SECRET = "septet", "only-for-tests"
BUCKET = "memory"
ROOT = Path(__file__).resolve().parents[3]
_RCLONE = r"Starting s3 server on \[(http://[^\]/]+)/?\]"
_DOOR = r"(http://127\.0\.0\.1:\d+)"


def rclone() -> Path | None:
    """Give the program, where its wheel is installed."""
    found = find_spec("rclone_api")
    return (
        None if found is None or found.origin is None else Path(found.origin).parent / "bin/rclone"
    )


@dataclass(frozen=True)
class Server:
    """One that runs.

    Parameters
    ----------
    endpoint
        Its address.
    bucket
        Folder in which the objects stand.
    process
        Of its door.
    """

    endpoint: str
    bucket: Path
    process: psutil.Process

    def clients(self) -> set[int]:
        """Give the ports of those it has not finished with, dead ones among them."""
        port = urlsplit(self.endpoint).port
        found = self.process.net_connections("tcp")
        return {
            one.raddr.port
            for one in found
            if one.status != psutil.CONN_LISTEN and one.laddr.port == port
        }

    def settle(self, before: set[int]) -> None:
        """Wait until all is done that was asked by others than the clients that it had before."""
        deadline_s = time.monotonic() + 30
        while self.clients() - before or self._is_busy():
            assert time.monotonic() < deadline_s, self.clients()
            time.sleep(0.001)

    def _is_busy(self) -> bool:
        with urlopen(self.endpoint + BUSY) as answer:  # noqa: S310 - an address of our own
            return bool(answer.read() != b"0")


@contextmanager
def serve(program: Path, folder: Path) -> Iterator[Server]:
    """Serve a folder with one bucket until the end of the block."""
    (folder / BUCKET).mkdir(parents=True)
    command = [
        str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}",
        "--config", "/dev/null", str(folder),
    ]  # fmt: skip
    with _running(command, folder.parent / "rclone.log", _RCLONE) as (_, target):
        door = [sys.executable, "-m", "tests.services.history.whole_puts", target]
        with _running(door, folder.parent / "door.log", _DOOR) as (process, endpoint):
            yield Server(endpoint, folder / BUCKET, psutil.Process(process.pid))


@contextmanager
def _running(
    command: Sequence[str], log: Path, said: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server until the end of the block; give its address, as it says it."""
    with log.open("wb") as file, subprocess.Popen(
        command, stdout=file, stderr=file, cwd=ROOT
    ) as server:  # fmt: skip
        try:
            yield server, _address(server, log, said)
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes], log: Path, said: str) -> str:
    while server.poll() is None:
        found = re.search(said, log.read_text())
        if found:
            return found[1]
        time.sleep(0.01)
    raise AssertionError(log.read_text())
