"""Servers as process trees: started, waited for, weighed, and always ended."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 120.0
STOP_SECONDS = 10.0
QUIET = 0.15  # processors
MARK = "SEPTET_BENCH_MARK"


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Parameters
    ----------
    process
        The one that was started; the rest of the tree hangs under it.
    port
        Where it listens on the loopback address.
    log
        What it wrote.
    mark
        Stands in the environment of its processes, so that they are found again.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    mark: str

    def tree(self) -> list[psutil.Process]:
        """Give every process of the server, also those that left its session or lost a parent."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                if self._owns(process):
                    found[process.pid] = process
                    found |= {child.pid: child for child in process.children(recursive=True)}
            except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                continue  # it has just ended, or is somebody else's
        return list(found.values())

    def _owns(self, process: psutil.Process) -> bool:
        if process.pid == self.process.pid or os.getsid(process.pid) == self.process.pid:
            return True
        return process.environ().get(MARK) == self.mark

    def cpu_seconds(self) -> float:
        """Give the processor time that the tree has used."""
        total = 0.0
        for process in self.tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def rss_mib(self) -> float:
        """Give the resident memory of the tree; shared pages count once a process."""
        total = 0.0
        for process in self.tree():
            try:
                total += process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue
        return total


class DidNotStartError(RuntimeError):
    """A server ended, or did not answer in time.

    Parameters
    ----------
    command
        What was run.
    log
        What it wrote.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        last = log.read_text(errors="replace").strip().splitlines()[-12:]
        super().__init__("\n".join([f"did not start: {' '.join(command)}", *last]))
        self.reason = last[-1][:200] if last else "it wrote nothing"


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    environment: Mapping[str, str],
    folder: Path,
    ready: Callable[[], bool],
) -> Iterator[Running]:
    """Run a server until the block ends.

    Parameters
    ----------
    command
        What to run.
    port
        Where it is told to listen.
    environment
        Added to this process's own.
    folder
        Where it runs and writes its log.
    ready
        Whether it answers rightly.

    Raises
    ------
    DidNotStartError
        It ended, or did not answer in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, mark = folder / "server.log", secrets.token_hex(8)
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=folder, env={**os.environ, **environment, MARK: mark},
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
        )  # fmt: skip
    server = Running(process=process, port=port, log=log, mark=mark)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DidNotStartError(command, log)
            time.sleep(0.1)
        # A server may have put its processes into sessions of their own.
        for each in server.tree():
            _share_priority(each.pid)
        yield server
    finally:
        _stop(server)


def _stop(server: Running) -> None:
    """Ask the tree to stop, then end what is left of it."""
    tree = server.tree()
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    psutil.wait_procs(tree, timeout=STOP_SECONDS)
    for process in tree:
        if process.is_running():
            process.kill()
    psutil.wait_procs(tree, timeout=STOP_SECONDS)
    server.process.wait(timeout=STOP_SECONDS)


def free_port() -> int:
    """Give a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def busy_seconds() -> float:
    """Give the processor time that everything on this machine has used."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def wait_for_quiet(patience_seconds: float) -> None:
    """Wait until hardly anything runs on this machine, but no longer than asked."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(1.0)
        if busy_seconds() - before < QUIET:
            return


def go_before_others(nice: int) -> None:
    """Give this process, wrk and every server another priority than what else runs here.

    Parameters
    ----------
    nice
        Added to the niceness of this process: below zero goes first, and asks for root.
    """
    os.nice(nice)
    _share_priority(os.getpid())


def _share_priority(pid: int) -> None:
    """Give a session the niceness of this process: Linux shares out processors by session."""
    group = Path(f"/proc/{pid}/autogroup")
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice and group.exists():
        group.write_text(str(nice))
