"""The outermost layer of every serving process, as pure ASGI.

It refuses what no handler should see (oversized, mistyped, unadmitted requests), and turns every
error of every layer under it, also BentoML's own, into a problem document. A handler that fails
costs the caller one answer, never the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from bentos.connection import CONNECTION, CYCLE, HEADER_BYTES
from bentos.reply import Headers, Reply
from bentos.stepping import in_task
from core.errors import SeptetError
from core.logs import get_logger
from core.platform_config import Limits
from core.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    ContentTypeUnsupported,
    DeadlinePassed,
    HeadersTooLarge,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "septet.request_id"
BODY = "septet.body"
JSON = b"application/json"
# Shorter than the limit of BentoML's own timer, whose answer would not pass through here.
DEADLINE_SECONDS = 20.0
BENTOML_TIMEOUT_SECONDS = 24.0
BODY_SECONDS = 20.0
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

Admit = Callable[["Scope", Headers], None]


class Border:
    """ASGI middleware between the network and an app.

    Parameters
    ----------
    app
        What answers.
    limits
        Gives the limits of a request; called once, on the first one.
    admit
        Raises for a request that may not pass; called before its body is read.
    inspect
        Raises for a body that may not pass.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Callable[[], Limits],
        admit: Admit | None = None,
        inspect: Callable[[bytes], None] | None = None,
    ) -> None:
        self._app = app
        self._read_limits = limits
        self._limits: Limits | None = None
        self._admit = admit
        self._inspect = inspect
        self._log = get_logger(__name__)

    @property
    def limits(self) -> Limits:
        """Limits of a request."""
        if self._limits is None:
            self._limits = self._read_limits()
        return self._limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            # A websocket is refused by the app (it has no such route); lifespan passes through.
            await self._app(scope, receive, send)
            return
        reply = Reply(scope, send)
        scope[REQUEST_ID] = reply.request_id.decode()
        try:
            self._check_headers(scope)
            await self._answer(reply, receive)
        except SeptetError as error:
            await reply.fail(error)
        except Gone:
            reply.status = Gone.STATUS
        except Exception as error:  # noqa: BLE001 - the last line: logged, and answered as a 500
            await reply.fail(self._unforeseen(error))
        finally:
            self._finished(reply)
            # They refer back to the scope: in a ring all would live until the collector comes, and
            # thousands of such rings stall it for tens of milliseconds.
            scope.pop(CYCLE, None)
            scope.pop(CONNECTION, None)

    async def _answer(self, reply: Reply, receive: Receive) -> None:
        """Let a request in, take its body, and let the app answer."""
        if self._admit is not None:
            self._admit(reply.scope, reply.headers)
        if reply.scope["method"] in WITH_BODY:
            body = await self._take_body(reply, receive)
            receive = replay(body, receive)
        await self._run(reply, receive)

    def _finished(self, reply: Reply) -> None:
        """Take note of an exchange that is over."""

    async def _run(self, reply: Reply, receive: Receive) -> None:
        """Let the app answer within the deadline."""
        await in_task()
        deadline = asyncio.timeout(DEADLINE_SECONDS)
        try:
            async with deadline:
                await self._app(reply.scope, receive, reply)
        except TimeoutError:
            if deadline.expired():
                raise DeadlinePassed(DEADLINE_SECONDS) from None
            raise
        await reply.finish()

    def _unforeseen(self, error: Exception) -> SeptetError:
        """Log a failure nobody foresaw, and tell nothing of it."""
        self._log.error("request_failed", exc_info=error)
        return SeptetError("The server failed on this request; the reason stands in its log.")

    def _check_headers(self, scope: Scope) -> None:
        size = scope.get(HEADER_BYTES)
        if size is None:
            size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
            size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self.limits.header_bytes:
            raise HeadersTooLarge(self.limits.header_bytes)

    async def _take_body(
        self,
        reply: Reply,
        receive: Receive,
        *,
        also: frozenset[bytes] = frozenset(),
        may_be_empty: bool = False,
    ) -> bytes:
        """Read the whole body within its limit and its time.

        Parameters
        ----------
        reply
            The exchange.
        receive
            Of the server.
        also
            Content types that are taken beside JSON.
        may_be_empty
            Whether a request that has no body may be of any type, or of none.
        """
        headers = reply.headers
        given = headers.get(b"content-type", b"")
        is_plain = given == JSON and b"content-encoding" not in headers
        if not is_plain and not (may_be_empty and _has_no_body(headers)):
            check_content_type(headers, also)
        limit = self.limits.body_bytes
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge(limit)
        cycle = reply.scope.get(CYCLE)
        if cycle is not None and not cycle.more_body:
            # It came with the headers, as most bodies do: no clock is needed.
            body = _part(await receive(), limit, 0)
        else:
            body = await _read_body(receive, limit)
        if self._inspect is not None:
            self._inspect(body)
        reply.scope[BODY] = body
        return body


class Gone(Exception):
    """The caller left before the body was complete."""

    STATUS = 499


def check_content_type(headers: Headers, also: frozenset[bytes] = frozenset()) -> None:
    """Let only plain JSON pass: BentoML would read any other type as JSON, or unpickle it.

    Parameters
    ----------
    headers
        Of the request.
    also
        Content types that are taken beside JSON.

    Raises
    ------
    ContentTypeUnsupported
        It is of another type, of another charset than UTF-8, or compressed.
    """
    given = headers.get(b"content-type", b"")
    kind, _, parameters = given.partition(b";")
    kind = kind.strip().lower()
    charset = parameters.replace(b" ", b"").replace(b'"', b"").lower()
    shown = given.decode("latin-1")
    if (kind != JSON and kind not in also) or charset not in {b"", b"charset=utf-8"}:
        raise ContentTypeUnsupported(shown, also=sorted(name.decode() for name in also))
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise ContentTypeUnsupported(f"{shown} with Content-Encoding {encoding.decode('latin-1')}")


def _has_no_body(headers: Headers) -> bool:
    """Say whether a request declares that it has no body (RFC 9112, 6.3)."""
    is_sent = headers.get(b"content-length", b"0") != b"0"
    return not is_sent and b"transfer-encoding" not in headers


async def _read_body(receive: Receive, limit: int) -> bytes:
    """Read a body, counted as it comes: a chunked one declares no length."""
    parts: list[bytes] = []
    size = 0
    await in_task()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                parts.append(_part(message, limit, size))
                size += len(parts[-1])
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise BodyTooSlow(BODY_SECONDS) from None


def _part(message: Message, limit: int, size: int) -> bytes:
    """Take one part of a body."""
    if message["type"] == "http.disconnect":
        raise Gone
    part: bytes = message.get("body", b"")
    if size + len(part) > limit:
        raise BodyTooLarge(limit)
    return part


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the body as one message, then whatever the server says next.

    Parameters
    ----------
    body
        The whole body.
    receive
        Of the server.
    """
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
