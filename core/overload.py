"""Errors of a caller, or of all callers, asking for too much; drawn in ``core.errors``."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import SeptetError


class TooManyConnections(SeptetError):
    """The process holds as many connections as it can.

    Parameters
    ----------
    limit
        Most connections of a process.
    """

    status = 503
    title = "Too many connections"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"This process holds its {limit:,} connections. Keep connections open and use them "
            "again instead of opening one a request."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "1"}


class RateLimited(SeptetError):
    """The caller asked for more than its tier allows.

    Parameters
    ----------
    limit_name
        Which limit: requests, rows, burst or address.
    limit
        How much it allows in a window.
    window_seconds
        Length of the window.
    retry_seconds
        Seconds until it may be tried again.
    """

    status = 429
    title = "Too many requests"

    def __init__(
        self, limit_name: str, limit: int, window_seconds: int, *, retry_seconds: int
    ) -> None:
        self.limit_name = limit_name
        self.retry_seconds = retry_seconds
        span = "a minute" if window_seconds == 60 else "a second"  # noqa: PLR2004 - seconds
        noun = {"rows": "rows", "address": "requests from one address"}.get(limit_name, "requests")
        super().__init__(
            f"The limit of {limit:,} {noun} {span} is reached. Try again in {retry_seconds} s, "
            "send rows in batches, or ask for another tier."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": str(self.retry_seconds)}


class TooManyAtOnce(SeptetError):
    """The caller has too many requests under way.

    Parameters
    ----------
    limit
        Most requests of a caller at once.
    """

    status = 429
    title = "Too many requests at once"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit:,} requests of this key are being answered already, as many as its tier "
            "allows at once. Wait for an answer before the next request, or send batches."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "1"}


class SpoolFull(SeptetError):
    """What would be answered cannot be kept.

    Parameters
    ----------
    why
        Why not.
    """

    status = 503
    title = "The prediction cannot be kept"

    def __init__(self, why: str = "There is no room for another prediction.") -> None:
        super().__init__(
            f"{why} Nothing is answered that is not kept. Free disk space, see to it that the "
            "worker runs, or raise spool.most_bytes in platform.yaml."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "5"}


class Overloaded(SeptetError):
    """The process has as much to do as it can.

    Parameters
    ----------
    what
        What is full.
    """

    status = 503
    title = "The server is overloaded"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} Try again in a second; with more serving processes it would be answered."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "1"}
