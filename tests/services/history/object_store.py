"""A server that speaks S3, over a folder: rclone, as a wheel brings it.

Here a put is not one step: when its client dies amid it, the server deletes what stands under the
key by then, were it the put of another client. What stands in for S3 must have noticed the death
of a client, then, before another one goes on: ``Server.settle``.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

KEY, SECRET = "septet", "only-for-tests"
BUCKET = "memory"


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
        Of the server.
    """

    endpoint: str
    bucket: Path
    process: psutil.Process

    def clients(self) -> set[int]:
        """Give the ports of those it has not finished with, dead ones among them."""
        found = self.process.net_connections("tcp")
        return {one.raddr.port for one in found if one.status != psutil.CONN_LISTEN}

    def settle(self, before: set[int]) -> None:
        """Wait until it has finished with all clients but those that it had before."""
        deadline_s = time.monotonic() + 30
        while self.clients() - before:
            assert time.monotonic() < deadline_s, self.clients()
            time.sleep(0.001)


@contextmanager
def serve(program: Path, folder: Path) -> Iterator[Server]:
    """Serve a folder with one bucket until the end of the block."""
    (folder / BUCKET).mkdir(parents=True)
    command = [
        str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}",
        "--config", "/dev/null", str(folder),
    ]  # fmt: skip
    log = folder.parent / "rclone.log"
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as server:
        try:
            yield Server(_address(server, log), folder / BUCKET, psutil.Process(server.pid))
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    while server.poll() is None:
        found = re.search(r"Starting s3 server on \[(http://[^\]/]+)/?\]", log.read_text())
        if found:
            return found[1]
    raise AssertionError(log.read_text())
