"""Errors of requests that carry an Idempotency-Key; the tree is drawn in ``core.errors``."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import SeptetError


class IdempotencyKeyInvalid(SeptetError):
    """The header is no key."""

    status = 400
    title = "The Idempotency-Key is wrong"

    def __init__(self) -> None:
        super().__init__(
            "An Idempotency-Key has 1 to 255 visible ASCII characters and no space; a UUID serves."
        )


class IdempotencyReused(SeptetError):
    """The key was sent with another request before."""

    status = 422
    title = "The Idempotency-Key belongs to another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another path or body within the last day. Send another "
            "key with another request; the same key only with the very same bytes."
        )


class StillRunning(SeptetError):
    """The same request is being carried out."""

    status = 409
    title = "The request is still being carried out"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is being carried out. Ask again in a second for "
            "its answer."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "1"}


class RequestInterrupted(SeptetError):
    """The request was cut off before its answer was kept."""

    status = 409
    title = "What became of the request is not known"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key was cut off by a crash, and may have taken "
            "effect. Look whether it did; if not, send it with another key."
        )
