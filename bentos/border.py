"""The outermost layer of every serving process, as pure ASGI.

It refuses what no handler should see (oversized, mistyped, unadmitted requests), and turns every
error of every layer under it, also BentoML's own, into a problem document. A handler that fails
costs the caller one answer, never the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from uuid_utils import uuid7

from bentos.problem import MEDIA_TYPE, HeaderList, from_status, render
from core.config import Limits
from core.errors import SeptetError
from core.logs import get_logger
from core.refusals import BodyTooLarge, ContentTypeUnsupported, DeadlinePassed, HeadersTooLarge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "septet.request_id"
BODY = "septet.body"
# Shorter than the limit of BentoML's own timer, whose answer would not pass through here.
DEADLINE_SECONDS = 20.0
BENTOML_TIMEOUT_SECONDS = 24.0

Headers = Mapping[str, str]
Admit = Callable[["Scope", Headers], None]

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECURITY: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_STRICT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_DROPPED = frozenset({b"server", b"x-bentoml-request-id", b"x-request-id"})


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
        admit: Admit,
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
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        request_id = _request_id(headers)
        scope[REQUEST_ID] = request_id
        reply = Reply(scope=scope, headers=headers, send=send, request_id=request_id)
        try:
            self._check_headers(scope)
            self._admit(scope, headers)
            if scope["method"] == "POST":
                receive = await self._take_body(scope, headers, receive)
            await self._run(scope, receive, reply)
            await reply.finish()
        except SeptetError as error:
            await reply.fail(error)
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - the last line: logged, and answered as a 500
            await reply.fail(self._unforeseen(error))

    async def _run(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Let the app answer within the deadline."""
        deadline = asyncio.timeout(DEADLINE_SECONDS)
        try:
            async with deadline:
                await self._app(scope, receive, reply)
        except TimeoutError:
            if deadline.expired():
                raise DeadlinePassed(DEADLINE_SECONDS) from None
            raise

    def _unforeseen(self, error: Exception) -> SeptetError:
        """Log a failure nobody foresaw, and tell nothing of it."""
        self._log.error("request_failed", exc_info=error)
        return SeptetError("The server failed on this request; the reason stands in its log.")

    def _check_headers(self, scope: Scope) -> None:
        size = sum(len(k) + len(v) for k, v in scope["headers"])
        size += len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if size > self.limits.header_bytes:
            raise HeadersTooLarge(self.limits.header_bytes)

    async def _take_body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Read the whole body within its limit, then hand it on in one piece."""
        _check_content_type(headers)
        limit = self.limits.body_bytes
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge(limit)
        body = await _read_body(receive, limit)
        if self._inspect is not None:
            self._inspect(body)
        scope[BODY] = body
        return _replay(body, receive)


class Reply:
    """Sends what the app answers, with our headers; an error of any shape becomes a problem.

    Parameters
    ----------
    scope, headers
        Of the request.
    send
        Of the server.
    request_id
        Echoed in every answer.
    """

    def __init__(self, *, scope: Scope, headers: Headers, send: Send, request_id: str) -> None:
        self._scope = scope
        self._headers = headers
        self._send = send
        self._request_id = request_id
        self._started = False
        self._replaced: SeptetError | None = None
        self._replaced_status = 0
        self._done = False

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message of the app."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._replaced is None:
            await self._send(message)
            if not message.get("more_body", False):
                self._done = True

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
        answer = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in raw}
        status = message["status"]
        plain = not answer.get("content-type", "").startswith(MEDIA_TYPE)
        if status >= 400 and plain:  # noqa: PLR2004 - the border between success and error
            self._replaced_status = status
            self._replaced = from_status(
                status,
                method=self._scope["method"],
                path=self._scope["path"],
                request=self._headers,
                answer=answer,
            )
            return
        self._started = True
        await self._send({**message, "headers": self._dress(raw)})

    async def _problem(self, error: SeptetError, *, status: int) -> None:
        code, headers, body = render(error, instance=self._request_id, status=status)
        self._started = self._done = True
        start = {"type": "http.response.start", "status": code, "headers": self._dress(headers)}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _dress(self, headers: HeaderList) -> HeaderList:
        """Add the request's id and the security headers; a page's own policy stands."""
        kept = [(k, v) for k, v in headers if k.lower() not in _DROPPED]
        names = {k.lower() for k, _ in kept}
        kept.append((b"x-request-id", self._request_id.encode()))
        kept.extend(pair for pair in (*_SECURITY, _STRICT_POLICY) if pair[0] not in names)
        return kept


class _Gone(Exception):
    """The caller left before the body was complete."""


def _request_id(headers: Headers) -> str:
    """Take the caller's id when it is a plain one, or make a new one."""
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else str(uuid7())


def _check_content_type(headers: Headers) -> None:
    """Let only plain JSON pass: BentoML would read any other type as JSON, or unpickle it."""
    given = headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise ContentTypeUnsupported(given)
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ContentTypeUnsupported(f"{given} with Content-Encoding {encoding}")


async def _read_body(receive: Receive, limit: int) -> bytes:
    """Read a body, counted as it comes: a chunked one declares no length."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body as one message, then whatever the server says next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
