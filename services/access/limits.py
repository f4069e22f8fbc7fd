"""How much each caller may ask: requests and rows a minute, bursts, and requests at once.

Failure policy: when the shared store cannot be asked, each process counts for itself with the same
limits, the alarm ``limiter_degraded`` is raised, and the store is tried again every second; no
request fails for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from core.overload import RateLimited, TooManyAtOnce

if TYPE_CHECKING:
    from bentos.problem import HeaderList
    from core.platform_config import Tier
    from services.access.caller import Caller
    from services.access.window import Windows

MINUTE = 60
SECOND = 1


class Taken(NamedTuple):
    """What became of a wish to take from a window.

    Parameters
    ----------
    granted
        Whether it was granted, as a whole.
    left
        What the window still holds.
    reset_seconds
        Seconds until something comes back.
    """

    granted: bool
    left: int
    reset_seconds: int


class Store(Protocol):
    """Where the minute's windows are counted."""

    def take(self, key: str, limit: int, amount: int, *, tells: bool) -> Taken | Awaitable[Taken]:
        """Take an amount from a key's window of a minute, at once or after asking around.

        Parameters
        ----------
        key, limit, amount
            As ``Windows.take`` has them.
        tells
            Whether the seconds until something comes back are wanted also when it is granted.
        """


class LocalStore:
    """Counts in the memory of this process.

    Parameters
    ----------
    windows
        The windows.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def take(self, key: str, limit: int, amount: int, *, tells: bool) -> Taken:
        """Take an amount from a key's window of a minute."""
        granted, total, wait_s = self._windows.take(key, limit, MINUTE, amount, tells=tells)
        return Taken(granted, limit - total if total < limit else 0, wait_s)


class Limiter:
    """Lets requests pass within their caller's tier.

    Parameters
    ----------
    tiers
        The limits by the name of a tier.
    store
        Where the minute's windows are counted.
    bursts
        The windows of a second, and of addresses; always this process's own.
    address_requests
        Most requests a minute of one address, whatever its keys.
    """

    def __init__(
        self,
        tiers: Mapping[str, Tier],
        *,
        store: Store,
        bursts: Windows,
        address_requests: int,
    ) -> None:
        self._tiers = tiers
        self._address_requests = address_requests
        self._store = store
        self._bursts = bursts
        self._at_once: dict[str, int] = {}
        self._policies = {name: _policy(tier) for name, tier in tiers.items()}

    @property
    def at_once(self) -> int:
        """Requests that are being answered."""
        return sum(self._at_once.values())

    def tier_of(self, caller: Caller) -> str:
        """Name the tier that counts for a caller: the strictest when its own was taken away."""
        if caller.tier in self._tiers:
            return caller.tier
        return min(self._tiers, key=lambda name: self._tiers[name].requests_per_minute)

    def enter(self, caller: Caller) -> None:
        """Count one more request that is being answered.

        Raises
        ------
        TooManyAtOnce
            The caller has as many as it may.
        """
        limit = self._tiers[self.tier_of(caller)].concurrent
        now = self._at_once.get(caller.key_id, 0)
        if now >= limit:
            raise TooManyAtOnce(limit)
        self._at_once[caller.key_id] = now + 1

    def leave(self, caller: Caller) -> None:
        """Count one less."""
        now = self._at_once[caller.key_id] - 1
        if now:
            self._at_once[caller.key_id] = now
        else:
            del self._at_once[caller.key_id]

    def take_request(self, caller: Caller, headers: HeaderList) -> Awaitable[None] | None:
        """Take one request from the caller's windows.

        Parameters
        ----------
        caller
            Who asks.
        headers
            Of the answer; what is left is added to them.

        Returns
        -------
        awaitable or None
            Something to wait for when the shared store must be asked.

        Raises
        ------
        RateLimited
            A window is empty.
        """
        name = self.tier_of(caller)
        tier = self._tiers[name]
        headers.append(self._policies[name])
        key = caller.key_id
        granted, _, _ = self._bursts.take(
            f"burst:{key}", tier.burst_per_second, SECOND, 1, tells=False
        )
        if not granted:
            raise RateLimited("burst", tier.burst_per_second, SECOND, retry_seconds=1)
        taken = self._store.take(f"requests:{key}", tier.requests_per_minute, 1, tells=True)
        if isinstance(taken, Taken):
            _settle("requests", tier.requests_per_minute, taken, headers)
            return None
        return _settle_later("requests", tier.requests_per_minute, taken, headers)

    def take_rows(self, caller: Caller, rows: int) -> Awaitable[None] | None:
        """Take a number of rows from the caller's window; as ``take_request``.

        Raises
        ------
        RateLimited
            The window does not hold so many.
        """
        limit = self._tiers[self.tier_of(caller)].rows_per_minute
        taken = self._store.take(f"rows:{caller.key_id}", limit, rows, tells=False)
        if isinstance(taken, Taken):
            _settle("rows", limit, taken, None)
            return None
        return _settle_later("rows", limit, taken, None)

    def take_address(self, address: str) -> None:
        """Take one request from an address's window of a minute.

        Parameters
        ----------
        address
            Who calls, whatever the key.

        Raises
        ------
        RateLimited
            The window is empty.
        """
        limit = self._address_requests
        granted, _, wait_s = self._bursts.take(f"address:{address}", limit, MINUTE, 1, tells=False)
        if not granted:
            raise RateLimited("address", limit, MINUTE, retry_seconds=wait_s)


async def _settle_later(
    name: str, limit: int, wish: Awaitable[Taken], headers: HeaderList | None
) -> None:
    _settle(name, limit, await wish, headers)


def _settle(name: str, limit: int, taken: Taken, headers: HeaderList | None) -> None:
    """Tell what is left, and refuse what was not granted."""
    if headers is not None:
        value = b'"%b";r=%d;t=%d' % (name.encode(), taken.left, taken.reset_seconds)
        headers.append((b"ratelimit", value))
    if not taken.granted:
        raise RateLimited(name, limit, MINUTE, retry_seconds=max(1, taken.reset_seconds))


def _policy(tier: Tier) -> tuple[bytes, bytes]:
    """Build the header that states a tier's limits (IETF draft, RateLimit header fields)."""
    parts = (
        f'"requests";q={tier.requests_per_minute};w={MINUTE}, '
        f'"rows";q={tier.rows_per_minute};w={MINUTE}, '
        f'"burst";q={tier.burst_per_second};w={SECOND}'
    )
    return (b"ratelimit-policy", parts.encode())
