"""Bentos of the tiny model on real ports of this process: what the distributed topology asks."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bentos.connection import Connection
from bentos.front import Front
from bentos.lone import Lone
from bentos.predictor import Predictor
from core.settings import Settings


class CountingLone(Lone):
    """Counts the rows of each hop that it answered."""

    def __init__(self, model: str, *, kind_of: Callable[[str], type[Predictor]]) -> None:
        super().__init__(model, kind_of=kind_of)
        self.hops: list[int] = []

    def answer_body(self, body: bytes, *, explain: bool = False) -> bytes:
        """Answer, and count."""
        content = super().answer_body(body, explain=explain)
        self.hops.append(len(orjson.loads(content)))
        return content


class TinyBento:
    """A bento in a thread: our own parts of it whole, without BentoML's queue between them.

    Parameters
    ----------
    model
        Name of the model.
    settings
        Where its releases lie.
    kind_of
        Gives the predictor class.
    """

    def __init__(
        self, model: str, settings: Settings, *, kind_of: Callable[[str], type[Predictor]]
    ) -> None:
        self.lone = CountingLone(model, kind_of=kind_of)
        self.lone.start(settings)
        self.hops = self.lone.hops
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.serve()

    def serve(self) -> None:
        """Answer, again if need be, on the port it has."""
        routes = [
            Route("/predict", self._predict, methods=["POST"]),
            Route("/explain", self._explain, methods=["POST"]),
        ]
        app = Front(Starlette(routes=routes), lone=self.lone)
        if self._socket.fileno() < 0:
            port = int(self.address.rpartition(":")[2])
            self._socket = socket.create_server(("127.0.0.1", port))
        config = uvicorn.Config(app, http=Connection, log_config=None, lifespan="off")
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[self._socket])), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop answering: connections are dropped, and new ones refused."""
        if self._server is not None and self._thread is not None:
            self._server.force_exit = self._server.should_exit = True
            self._thread.join(timeout=10)
        self._socket.close()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self.lone.stop()

    async def _predict(self, request: Request) -> JSONResponse:
        return await self._answer(request, explain=False)

    async def _explain(self, request: Request) -> JSONResponse:
        return await self._answer(request, explain=True)

    async def _answer(self, request: Request, *, explain: bool) -> JSONResponse:
        rows: Sequence[object] = (await request.json())["rows"]
        self.hops.append(len(rows))
        answers = await asyncio.to_thread(self.lone.answer, rows, explain=explain)
        return JSONResponse(answers)


def addresses(bentos: Mapping[str, Any]) -> str:
    """Write what ``SEPTET_BENTOS`` holds."""
    return ",".join(f"{model}={bento.address}" for model, bento in bentos.items())
