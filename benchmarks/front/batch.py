"""A batch of 1,000 rows through the platform, beside the bare model in this process, by turns."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.front.model import NAMES, Bench
from core.encoding import FloatArray

ROWS = 1_000
WARM_UP, TURNS = 5, 40
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
SAME = 1e-9


@dataclass(frozen=True)
class Batch:
    """What a batch took in one form.

    Parameters
    ----------
    media_type
        Of the body.
    served_ms
        Median from the first byte sent to the last received.
    model_ms
        Median of ``booster.predict`` on the ready matrix, one thread, by turns with it.
    bytes_sent
        Size of the body.
    refused
        Status with which the platform refuses the form; nothing when it answers.
    """

    media_type: str
    served_ms: float = 0.0
    model_ms: float = 0.0
    bytes_sent: int = 0
    refused: int | None = None

    @property
    def ratio(self) -> float:
        """How many times as long as the bare model; zero when it was refused."""
        return self.served_ms / self.model_ms if self.model_ms else 0.0


def batches(bench: Bench, *, port: int, key: str) -> list[Batch]:
    """Measure every form of body.

    Parameters
    ----------
    bench
        The model.
    port, key
        Of the platform.
    """
    matrix = np.random.default_rng(5).normal(size=(ROWS, len(NAMES))).round(4)
    booster = lightgbm.Booster(model_file=str(bench.booster_file))
    table = pa.table(
        {"client_id": [f"c{i}" for i in range(ROWS)]}
        | {name: matrix[:, i] for i, name in enumerate(NAMES)}
    )
    rows = table.to_pylist()
    forms = {JSON: json.dumps({"rows": rows}).encode(), ARROW: _arrow(table)}
    forms[PARQUET] = _parquet(table)
    return [_one(media, body, booster, matrix, port=port, key=key) for media, body in forms.items()]


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _one(
    media: str, body: bytes, booster: lightgbm.Booster, matrix: FloatArray, *, port: int, key: str
) -> Batch:
    head = (
        f"POST /api/churn/batch HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {media}\r\n"
        f"X-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    served: list[float] = []
    model: list[float] = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for turn in range(WARM_UP + TURNS):
            began = time.perf_counter()
            link.sendall(head + body)
            status, content = _answer(link)
            middle = time.perf_counter()
            expected = booster.predict(matrix, num_threads=1)
            end = time.perf_counter()
            if status != http.client.OK:
                return Batch(media, bytes_sent=len(body), refused=status)
            if turn == 0 and media == JSON:
                _check(content, np.asarray(expected))
            if turn >= WARM_UP:
                served.append(1e3 * (middle - began))
                model.append(1e3 * (end - middle))
    return Batch(media, float(np.median(served)), float(np.median(model)), len(body))


def _answer(link: socket.socket) -> tuple[int, bytes]:
    """Read one answer: the library's client would be half a millisecond of what is measured."""
    held = bytearray()
    while (end := held.find(b"\r\n\r\n")) < 0:
        held += _some(link)
    length = int(held[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(held) < end + 4 + length:
        held += _some(link)
    return int(held[9:12]), bytes(held[end + 4 :])


def _some(link: socket.socket) -> bytes:
    part = link.recv(1 << 20)
    if not part:
        raise ConnectionError("the platform hung up within an answer")
    return part


def _check(content: bytes, expected: FloatArray) -> None:
    rows = json.loads(content)["rows"]
    said = np.array([row["answer"]["result"]["prediction"] for row in rows])
    if not np.allclose(said, expected, rtol=0, atol=SAME):
        raise RuntimeError("the batch is not what the model says")
