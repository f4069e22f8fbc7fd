"""Who may pass: the platform's outermost layer, before any route, BentoML's own included.

It is both the lock and the hot path: predictions are answered from here, without any layer behind.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

from bentos.border import WITH_BODY, Border, replay
from bentos.connection import CONNECTION
from bentos.reply import Headers, Reply
from core.denials import Forbidden
from core.refusals import MethodNotAllowed, NotReady
from services.access.audit import REFUSED, Actor, Entry
from services.access.caller import ADDRESS, CALLER
from services.access.rules import authorize
from services.idempotency import HEADER
from services.once import carry_out_once
from services.places import Place, Places
from services.predictions.tables import KINDS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive

    from services.access.caller import Caller
    from services.runtime import Runtime

OPEN_PATHS = frozenset({"/livez", "/readyz"})
READY_PATH = "/readyz"
PLACE = "septet.place"
_LIMITED = frozenset({429, 503})


class Gate(Border):
    """The border of the platform: everything but the two probes needs a key.

    Parameters
    ----------
    app
        What answers all but the predictions.
    runtime
        What the process holds; started before the first request.
    """

    # Known to ``bentos.connection``: what needs a task asks for one.
    may_be_stepped = True

    def __init__(self, app: ASGIApp, *, runtime: Runtime) -> None:
        super().__init__(app, limits=lambda: runtime.platform.limits)
        self._runtime = runtime
        self._found_places: Places | None = None

    @property
    def _places(self) -> Places:
        if self._found_places is None:
            self._found_places = Places(self._runtime.handlers(), also=KINDS)
        return self._found_places

    async def _answer(self, reply: Reply, receive: Receive) -> None:
        """Let a request in, and answer it."""
        scope = reply.scope
        if scope["path"] in OPEN_PATHS:
            if scope["path"] == READY_PATH and not self._runtime.is_ready:
                raise NotReady(self._runtime.holder.models)
            await self._run(reply, receive)
            return
        origin = self._runtime.origin
        origin.check_host(reply.headers)
        if b"origin" in reply.headers:
            if scope["method"] == "OPTIONS" and (headers := origin.preflight(reply.headers)):
                reply.extra.extend(headers)
                await reply.answer(b"", media_type=b"text/plain", status=204)
                return
            reply.extra.extend(origin.shared(reply.headers))
        address = scope[ADDRESS] = origin.address(scope, reply.headers)
        limiter = self._runtime.limiter
        limiter.take_address(address)
        caller = self._runtime.keys.identify(key_of(scope["method"], reply.headers), address)
        scope[CALLER] = caller
        if (connection := scope.get(CONNECTION)) is not None:
            connection.lane = caller.key_id
        place = scope[PLACE] = self._places.find(scope["method"], scope["path"])
        limiter.enter(caller)
        try:
            wait = limiter.take_request(caller, reply.extra)
            if wait is not None:
                await wait
            self._authorize(reply, caller, place)
            await self._let_in(reply, receive, caller, place)
        finally:
            limiter.leave(caller)

    def _authorize(self, reply: Reply, caller: Caller, place: Place) -> None:
        """Refuse what the caller's role or the scope of its key does not open."""
        try:
            authorize(caller, place.rule, place.model)
        except Forbidden as error:
            actor = Actor.of(
                caller,
                address=reply.scope.get(ADDRESS),
                request_id=reply.request_id.decode(),
            )
            target = f"{reply.scope['method']} {place.template}"
            detail = {"reason": error.code, "model": place.model}
            entry = Entry(actor, "request.refused", target, outcome=REFUSED, detail=detail)
            # Not by the model: a caller may write any name there.
            alike = (caller.key_id, target, error.code)
            self._runtime.audit.record_seldom(entry, alike=alike)
            raise

    async def _let_in(self, reply: Reply, receive: Receive, caller: Caller, place: Place) -> None:
        """Take the body, and answer: from here, or by the app."""
        if place.allowed:
            # Before its body: a method that is not there takes none of any type.
            raise MethodNotAllowed(reply.scope["method"], place.allowed)
        if reply.scope["method"] in WITH_BODY:
            body = await self._take_body(
                reply, receive, also=place.also, may_be_empty=place.may_be_empty
            )
            if HEADER in reply.headers and reply.scope["method"] == "POST":
                await carry_out_once(
                    self._runtime.idempotency,
                    reply,
                    caller=caller.key_id,
                    body=body,
                    is_pure=place.handler is not None,
                    act=lambda held: self._act(held, receive, caller, place, body),
                )
            else:
                await self._act(reply, receive, caller, place, body)
            return
        await self._run(reply, receive)

    async def _act(
        self, reply: Reply, receive: Receive, caller: Caller, place: Place, body: bytes
    ) -> None:
        """Answer a request whose body is here: from the gate, or by the app."""
        if place.handler is not None:
            await place.handler(reply, caller, body)
        else:
            await self._run(reply, replay(body, receive))

    def _finished(self, reply: Reply) -> None:
        """Write the exchange into the log and the metrics."""
        scope = reply.scope
        caller: Caller | None = scope.get(CALLER)
        place: Place | None = scope.get(PLACE)
        open_path = scope["path"] if scope["path"] in OPEN_PATHS else ""
        route = place.template if place is not None else open_path
        tier = self._runtime.limiter.tier_of(caller) if caller is not None else ""
        self._runtime.metrics.exchanged(
            route=route or "unmatched",
            method=scope["method"],
            status=reply.status,
            tier=tier,
            seconds=time.perf_counter() - reply.started_s,
        )
        if reply.status in _LIMITED and "code" in reply.notes:
            limit = reply.notes.get("limit", reply.notes["code"])
            self._runtime.metrics.limited(str(limit), tier)
        if open_path and reply.status == 200:  # noqa: PLR2004 - probes that pass tell nothing
            return
        if place is not None and place.model is not None:
            reply.notes["model"] = place.model
        key_id = caller.key_id if caller is not None else ""
        self._runtime.access_log.write(
            reply, route=route, address=scope.get(ADDRESS, ""), key_id=key_id
        )
        if self._runtime.traces is not None:
            self._runtime.traces.exchanged(reply, route=route or "unmatched", key_id=key_id)


def key_of(method: str, headers: Headers) -> str:
    """Find the key in a request's headers; empty when there is none.

    ``X-API-Key`` and ``Authorization: Bearer`` serve every method. HTTP Basic (any name, the key
    as password) serves reading only: a browser sends it along by itself, so that another site
    could make it post in the user's name.

    Parameters
    ----------
    method
        Of the request.
    headers
        Names in lower case.
    """
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.decode("latin-1").strip()
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.decode("latin-1").strip()
    if scheme.lower() == b"basic" and method in {"GET", "HEAD"}:
        return _password(value.strip())
    return ""


def _password(value: bytes) -> str:
    """Give the password of HTTP Basic credentials; empty when they are malformed."""
    try:
        decoded = base64.b64decode(value, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]
