"""One exchange: what was asked, and how it is answered, with our headers and in our shape."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from uuid_utils import uuid7

from bentos.connection import CYCLE, write_whole
from bentos.problem import MEDIA_TYPE, HeaderList, from_status, render
from core.errors import SeptetError
from core.overload import RateLimited

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

Headers = Mapping[bytes, bytes]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECURITY: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_STRICT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_ALL = (*_SECURITY, _STRICT_POLICY)
_HEAD = (
    b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
    + b"".join(b"%b: %b\r\n" % pair for pair in _ALL).replace(b"%", b"%%")
    + b"%b"
)
_DROPPED = frozenset({b"server", b"x-bentoml-request-id", b"x-request-id"})
_PROBLEM = MEDIA_TYPE.encode()


class Reply:
    """Sends what is answered, with our headers; an error of any shape becomes a problem.

    It is also the ASGI ``send`` of the app that answers.

    Parameters
    ----------
    scope
        Of the request.
    send
        Of the server.
    is_direct
        Whether an answer may be written past ``send``, straight into the connection.
    """

    __slots__ = (
        "_done",
        "_is_direct",
        "_replaced",
        "_replaced_status",
        "_send",
        "_started",
        "extra",
        "headers",
        "notes",
        "request_id",
        "scope",
        "sent_bytes",
        "started_s",
        "status",
    )

    def __init__(self, scope: Scope, send: Send, *, is_direct: bool = True) -> None:
        self.scope = scope
        self._is_direct = is_direct
        self.started_s = time.perf_counter()
        # Of a header that comes twice the last one counts.
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = _request_id(self.headers.get(b"x-request-id"))
        self.status = 0
        self.sent_bytes = 0
        # Headers that go with whatever is answered, and what the log tells of the exchange.
        self.extra: HeaderList = []
        self.notes: dict[str, object] = {}
        self._send = send
        self._started = False
        self._done = False
        self._replaced: SeptetError | None = None
        self._replaced_status = 0

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message of the app."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._replaced is None:
            self.sent_bytes += len(message.get("body", b""))
            await self._send(message)
            if not message.get("more_body", False):
                self._done = True

    async def answer(self, body: bytes, *, media_type: bytes, status: int = 200) -> None:
        """Answer with a whole body at once.

        Parameters
        ----------
        body
            What is sent.
        media_type
            Its type.
        status
            HTTP status.
        """
        cycle = self.scope.get(CYCLE) if self._is_direct else None
        if cycle is not None:
            extra = b"".join([b"%b: %b\r\n" % pair for pair in self.extra]) if self.extra else b""
            head = _HEAD % (media_type, len(body), self.request_id, extra)
            if write_whole(cycle, status, head, body):
                self._started = self._done = True
                self.status, self.sent_bytes = status, len(body)
                return
        headers = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id),
            *_ALL,
            *self.extra,
        ]
        await self._whole(status, headers, body)

    async def repeat(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with what another ``Reply`` made, headers and all.

        Parameters
        ----------
        status
            HTTP status.
        headers, body
            As they are sent.
        """
        await self._whole(status, headers, body)

    async def finish(self) -> None:
        """Send the problem that stands for the app's own error body."""
        if self._replaced is not None:
            await self._problem(self._replaced, status=self._replaced_status)
        elif not self._done:
            await self.fail(SeptetError("The server gave no answer to this request."))

    async def fail(self, error: SeptetError) -> None:
        """Answer with an error, when it is not too late for that."""
        if not self._started:
            await self._problem(error, status=error.status)

    async def _start(self, message: Message) -> None:
        raw: HeaderList = list(message.get("headers", []))
        status = message["status"]
        if status >= 400:  # noqa: PLR2004 - the border between success and error
            answer = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in raw}
            if not answer.get("content-type", "").startswith(MEDIA_TYPE):
                self._replaced_status = status
                self._replaced = from_status(
                    status,
                    method=self.scope["method"],
                    path=self.scope["path"],
                    content_type=self.headers.get(b"content-type", b"").decode("latin-1"),
                    answer=answer,
                )
                return
        self._started = True
        self.status = status
        await self._send({**message, "headers": self._dress(raw)})

    async def _problem(self, error: SeptetError, *, status: int) -> None:
        code, headers, body = render(error, instance=self.request_id.decode(), status=status)
        self.notes["code"] = type(error).__name__ if code == error.status else f"Http{code}"
        if isinstance(error, RateLimited):
            self.notes["limit"] = error.limit_name
        await self._whole(code, self._dress(headers), body)

    async def _whole(self, status: int, headers: HeaderList, body: bytes) -> None:
        self._started = self._done = True
        self.status = status
        self.sent_bytes = len(body)
        cycle = self.scope.get(CYCLE) if self._is_direct else None
        if cycle is not None:
            head = b"".join([b"%b: %b\r\n" % pair for pair in headers])
            if write_whole(cycle, status, head, body):
                return
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _dress(self, headers: HeaderList) -> HeaderList:
        """Add the request's id and the security headers; a page's own policy stands."""
        kept = [(k, v) for k, v in headers if k.lower() not in _DROPPED]
        names = {k.lower() for k, _ in kept}
        kept.append((b"x-request-id", self.request_id))
        kept.extend(pair for pair in (*_ALL, *self.extra) if pair[0] not in names)
        return kept


def _request_id(given: bytes | None) -> bytes:
    """Take the caller's id when it is a plain one, or make a new one."""
    if given is not None and _ID.fullmatch(given):
        return given
    return str(uuid7()).encode()
