"""The two sides that are asked: the historian over HTTP, and DuckDB with hand-written SQL."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from core.settings import Settings
from services.history.token import history_token

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Historian:
    """The historian of a home folder, asked as the platform asks it.

    Parameters
    ----------
    connection
        Kept open.
    token
        What the platform shows.
    """

    connection: http.client.HTTPConnection
    token: str

    def ask(self, question: str, content: dict[str, Any]) -> tuple[float, Any]:
        """Ask a question; give the milliseconds until its answer was there, and the answer.

        Raises
        ------
        RuntimeError
            It is refused.
        """
        body = orjson.dumps(content)
        began = time.perf_counter()
        self.connection.request(
            "POST", f"/{question}", body, {"Authorization": f"Bearer {self.token}"}
        )
        answer = self.connection.getresponse()
        said = answer.read()
        took_ms = 1000 * (time.perf_counter() - began)
        if answer.status != http.client.OK:
            raise RuntimeError(f"{question}: {answer.status} {said[:300]!r}")
        return took_ms, orjson.loads(said)


@dataclass(frozen=True)
class Rival:
    """DuckDB in a process of its own.

    Parameters
    ----------
    lines
        To it and from it.
    """

    lines: tuple[IO[bytes], IO[bytes]]

    def ask(self, sql: str, params: list[Any]) -> tuple[float, list[Any]]:
        """Run a query; give the milliseconds until its rows were there, and the rows."""
        to, back = self.lines
        to.write(orjson.dumps({"sql": sql, "params": params}) + b"\n")
        to.flush()
        told = orjson.loads(back.readline())
        return told["ms"], told["rows"]


@contextmanager
def historian(home: Path) -> Iterator[Historian]:
    """Start a historian and end it.

    Parameters
    ----------
    home
        Holds the log.
    """
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "SEPTET_HOME": str(home), "SEPTET_HISTORY_PORT": str(port)}
    with (home / "historian.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.history.historian"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait(process, port)
            connection = http.client.HTTPConnection(HOST, port)
            yield Historian(connection, history_token(Settings(home=home)))
            connection.close()
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()


@contextmanager
def rival() -> Iterator[Rival]:
    """Start DuckDB and end it."""
    command = [sys.executable, "-m", "benchmarks.history.rival"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own command
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("it has no pipes")
        yield Rival((process.stdin, process.stdout))
        process.stdin.close()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the historian listens."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError("the historian ended; its log says why")
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError("the historian does not answer")
