"""A pickle whose reading makes a folder, and the ways to offer it to whatever listens."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import zmq

from cli.ports import reachable

PICKLE = "application/vnd.bentoml+pickle"
SPELLINGS: tuple[tuple[str, ...], ...] = (
    (PICKLE,),
    (f"{PICKLE}; version=5",),
    (f"{PICKLE};charset=utf-8",),
    ("Application/VND.BentoML+Pickle",),
    (PICKLE.upper(),),
    (f"  {PICKLE}  ",),
    ("application/x-pickle",),
    ("application/octet-stream",),
    ("application/json",),
    ("multipart/form-data; boundary=x",),
    (),
    # Of a header that comes twice one layer may read the first, another the last.
    (PICKLE, "application/json"),
    ("application/json", PICKLE),
    (f"{PICKLE}, application/json",),
    (f"application/json, {PICKLE}",),
)
SECONDS = 3.0
_STATUS_LINE = b"HTTP/1.1 400"


@dataclass(frozen=True)
class Canary:
    """A folder that appears when a pickle is read.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Have the reader make the folder."""
        return os.mkdir, (str(self.path),)

    @property
    def sang(self) -> bool:
        """Whether a pickle was read."""
        return self.path.exists()

    def bodies(self) -> Iterator[tuple[bytes, Mapping[str, str]]]:
        """Give the pickle in every form that BentoML reads, with the headers it goes with."""
        yield pickle.dumps(self, protocol=0), {}
        body = pickle.dumps(self, protocol=5)
        yield body, {"buffer-lengths": str(len(body)), "Payload-Container": "DefaultContainer"}


@dataclass(frozen=True)
class Listener:
    """A socket that somebody of a process tree listens on.

    Parameters
    ----------
    place
        Host and port, or the path of a Unix socket.
    """

    place: tuple[str, int] | str

    def connect(self) -> socket.socket:
        """Open a connection."""
        if isinstance(self.place, str):
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(SECONDS)
            line.connect(self.place)
            return line
        return socket.create_connection(self.place, timeout=SECONDS)

    def speaks_http(self) -> bool:
        """Tell whether HTTP is answered; the supervisor of BentoML listens for ZeroMQ as well."""
        with self.connect() as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            try:
                return line.recv(5) == b"HTTP/"
            except TimeoutError:
                return False

    def send_message(self, body: bytes) -> bytes | None:
        """Send a ZeroMQ message, as the supervisor's own client does; give what is answered."""
        assert not isinstance(self.place, str)
        host, port = self.place
        with zmq.Context() as context, context.socket(zmq.DEALER) as line:
            line.linger = 0
            line.connect(f"tcp://{host}:{port}")
            line.send(body)
            return line.recv() if line.poll(1000) else None

    def post(
        self, path: str, body: bytes, types: Sequence[str], headers: Mapping[str, str]
    ) -> int | None:
        """Post a body; give the HTTP status, or nothing where no HTTP is spoken."""
        named = [*((("Content-Type", kind)) for kind in types), *headers.items()]
        lines = "".join(f"{name}: {value}\r\n" for name, value in named)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n{lines}\r\n"
        )
        with self.connect() as line:
            line.sendall(head.encode() + body)
            answer = b""
            with suppress(TimeoutError, ConnectionResetError):
                while len(answer) < len(_STATUS_LINE) and (part := line.recv(65536)):
                    answer += part
        if not answer.startswith(b"HTTP/1.1 "):
            return None
        return int(answer[9:12])


def listeners(tops: Sequence[int]) -> set[Listener]:
    """Find every socket that processes, or anything they started, listen on.

    Parameters
    ----------
    tops
        Process ids.
    """
    found: set[Listener] = set()
    for top in tops:
        process = psutil.Process(top)
        for one in (process, *process.children(recursive=True)):
            for line in one.net_connections(kind="all"):
                if line.family == socket.AF_UNIX:
                    path = str(line.laddr)
                    if path and _listens(path):
                        found.add(Listener(path))
                elif line.status == psutil.CONN_LISTEN:
                    found.add(Listener((reachable(line.laddr.ip), line.laddr.port)))
    return found


def _listens(path: str) -> bool:
    """Tell whether a Unix socket takes connections."""
    name = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(SECONDS)
        try:
            probe.connect(name)
        except OSError:
            return False
    return True
