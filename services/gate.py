"""Who may pass: the platform's outermost layer, before any route, BentoML's own included."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from bentos.border import Border, Headers
from core.refusals import NotReady
from services.access.caller import CALLER
from services.access.rules import authorize, find_route, rule_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

    from services.runtime import Runtime

OPEN_PATHS = frozenset({"/livez", "/readyz"})
READY_PATH = "/readyz"


class Gate(Border):
    """The border of the platform: everything but the two probes needs a key.

    Parameters
    ----------
    app
        What answers.
    runtime
        What the process holds; started before the first request.
    """

    def __init__(self, app: ASGIApp, *, runtime: Runtime) -> None:
        self._runtime = runtime
        super().__init__(app, limits=lambda: runtime.platform.limits, admit=self._let_pass)

    def _let_pass(self, scope: Scope, headers: Headers) -> None:
        """Check the key, or the readiness that a probe asks for."""
        path = scope["path"]
        if path not in OPEN_PATHS:
            self._authorize(scope, headers)
        elif path == READY_PATH and not self._runtime.is_ready:
            raise NotReady(self._runtime.holder.models)

    def _authorize(self, scope: Scope, headers: Headers) -> None:
        """Find out who asks, and whether the caller may ask this."""
        method = scope["method"]
        address = scope["client"][0] if scope.get("client") else None
        caller = self._runtime.keys.identify(key_of(method, headers), address)
        scope[CALLER] = caller
        template, model = find_route(method, scope["path"])
        authorize(caller, rule_of(method, template), model)


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
    key = headers.get("x-api-key")
    if key is not None:
        return key.strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic" and method in {"GET", "HEAD"}:
        return _password(value.strip())
    return ""


def _password(value: str) -> str:
    """Give the password of HTTP Basic credentials; empty when they are malformed."""
    try:
        decoded = base64.b64decode(value, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]
