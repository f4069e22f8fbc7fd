"""A server that is up, checked against the model, and ready to be asked."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.front.model import Bench
from benchmarks.front.open_loop import Order, Outcome, run
from benchmarks.front.processes import Running, free_port, running
from benchmarks.front.ready import Ready
from benchmarks.front.servers import Server
from benchmarks.front.wrk import Load, load

SAME = 1e-9
CHECKED_ROWS = 8


class WrongAnswerError(RuntimeError):
    """A server does not say what the model says."""


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Parameters
    ----------
    server
        What it is.
    ready
        How it was started.
    up
        Its processes.
    bodies
        File of the bodies that it is sent, one a line.
    """

    server: Server
    ready: Ready
    up: Running
    bodies: Path

    def closed(self, connections: int, seconds: float, *, keys: Path | None = None) -> Load:
        """Ask by wrk, each connection again as soon as it was answered."""
        return load(
            self.up, path=self.server.path, bodies=self.bodies, keys=keys or self._keys,
            connections=connections, seconds=seconds,
        )  # fmt: skip

    def open(self, per_second: float, seconds: float, *, connections: int = 512) -> Outcome:
        """Ask on a fixed schedule."""
        key = self.ready.key
        return run(
            Order(
                port=self.up.port, path=self.server.path, bodies=str(self.bodies),
                per_second=per_second, seconds=seconds, keys=() if key is None else (key,),
                connections=connections,
            )
        )  # fmt: skip

    @property
    def _keys(self) -> Path | None:
        if self.ready.key is None:
            return None
        path = self.bodies.with_name("keys.txt")
        path.write_text(self.ready.key + "\n", encoding="utf-8")
        return path


@contextmanager
def serving(bench: Bench, server: Server, ready: Ready, *, folder: Path) -> Iterator[Serving]:
    """Run a server, and check what it says before anything is measured.

    Parameters
    ----------
    bench
        The model.
    server, ready
        What is started.
    folder
        Where it runs.

    Raises
    ------
    DidNotStartError
        It ended, or did not answer in time.
    WrongAnswerError
        It does not say what the model says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bodies = folder / "bodies.txt"
    lines = [json.dumps(server.body(row)) for row in bench.rows.tolist()]
    bodies.write_text("\n".join(lines) + "\n", encoding="utf-8")
    port = free_port()
    command, variables = ready.at(port)
    with running(
        command, port=port, environment=variables, folder=folder,
        ready=lambda: _answers(port, server, ready, lines[0]),
    ) as up:  # fmt: skip
        _check(bench, server, ready, port=port, lines=lines)
        yield Serving(server, ready, up, bodies)


def _post(port: int, server: Server, ready: Ready, body: str) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    if ready.key is not None:
        headers["X-API-Key"] = ready.key
    try:
        link.request("POST", server.path, body.encode(), headers)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def _answers(port: int, server: Server, ready: Ready, body: str) -> bool:
    try:
        status, _ = _post(port, server, ready, body)
    except (OSError, http.client.HTTPException):
        return False
    return status == http.client.OK


def _check(bench: Bench, server: Server, ready: Ready, *, port: int, lines: list[str]) -> None:
    """Hold a server's answers against the model's own."""
    for i in range(CHECKED_ROWS):
        status, content = _post(port, server, ready, lines[i])
        if status != http.client.OK:
            raise WrongAnswerError(f"it answered {status}: {content[:200]!r}")
        number = server.read(json.loads(content))
        if server.model == "booster" and abs(number - float(bench.expected[i])) > SAME:
            raise WrongAnswerError(f"it said {number!r} where the model says {bench.expected[i]!r}")
