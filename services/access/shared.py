"""Limits that several processes share: moving windows in Redis, by the library `limits`.

To ask Redis for every request would cost more than the request. So a process takes a small part of
a caller's window at once, a lease, and spends it within a second; only what was taken in Redis is
ever spent, so that all processes together never let through more than the limit. What is not
spent in time is lost to the caller: at most ``1/400`` of the limit a process.

Failure policy: when Redis does not answer within a quarter of a second, this process counts for
itself, within its share of the limit, says so in the log and by the alarm ``limiter_degraded``, and
asks again every second; no request fails for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

from limits.aio.storage import RedisStorage
from redis.exceptions import RedisError

from bentos.stepping import in_task
from core.logs import get_logger
from services.access.limits import MINUTE, LocalStore, Taken

ANSWER_SECONDS = 0.25
LEASE_SECONDS = 1
RETRY_SECONDS = 1.0
# A window is a list in Redis: so long at most, each entry standing for several where needed.
_MOST_ENTRIES = 10_000
_LEASES_A_WINDOW = 400
_MOST_LEASES = 100_000


@dataclass(slots=True)
class Lease:
    """What a process may still spend of a window.

    Parameters
    ----------
    left
        How much.
    until_s
        Until when, by the monotonic clock.
    window_left
        What the window held for all processes when it was last asked.
    """

    left: int = 0
    until_s: float = 0.0
    window_left: int = 0


class SharedStore:
    """Counts in Redis for all processes together.

    Parameters
    ----------
    address
        ``redis://…`` or ``rediss://…``.
    local
        Counts while Redis is away.
    processes
        How many processes share the limits: each takes its part while Redis is away.
    alarm
        Is told 1 when Redis is lost, and 0 when it is back.
    """

    def __init__(
        self,
        address: str,
        *,
        local: LocalStore,
        processes: int,
        alarm: Callable[[float], object],
    ) -> None:
        self._address = address
        self._local = local
        self._processes = processes
        self._alarm = alarm
        self._storage: RedisStorage | None = None
        self._leases: dict[str, Lease] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._probe: asyncio.Task[None] | None = None
        self._log = get_logger(__name__)

    @property
    def is_degraded(self) -> bool:
        """Whether this process counts for itself."""
        return self._probe is not None

    def take(self, key: str, limit: int, amount: int, *, tells: bool) -> Taken | Awaitable[Taken]:
        """Take an amount from a key's window of a minute: at once from a lease, or from Redis."""
        if self._probe is not None:
            return self._local.take(key, ceil(limit / self._processes), amount, tells=tells)
        lease = self._leases.get(key)
        if lease is not None and lease.left >= amount and time.monotonic() < lease.until_s:
            return _spend(lease, amount)
        return self._ask(key, limit, amount)

    async def close(self) -> None:
        """Give the connections back."""
        if self._probe is not None:
            self._probe.cancel()
        if self._storage is not None:
            # The library has no way to close; its bridge holds redis-py's client.
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]
            self._storage = None

    async def _ask(self, key: str, limit: int, amount: int) -> Taken:
        await in_task()
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                lease = self._leases.get(key)
                if lease is not None and lease.left >= amount and time.monotonic() < lease.until_s:
                    return _spend(lease, amount)
                return await self._lease(key, limit, amount)
        except (RedisError, OSError, TimeoutError) as error:
            self._lose(error)
            return self._local.take(key, ceil(limit / self._processes), amount, tells=True)
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    async def _lease(self, key: str, limit: int, amount: int) -> Taken:
        """Take a new lease, of the amount at least; all within the answering time."""
        unit = ceil(limit / _MOST_ENTRIES)
        most = limit // unit
        needed = ceil(amount / unit)
        wished = max(needed, most // _LEASES_A_WINDOW)
        async with asyncio.timeout(ANSWER_SECONDS):
            storage = self._connected()
            # The window is longer by the life of a lease, which is spent after it was taken.
            expiry = MINUTE + LEASE_SECONDS
            granted = await storage.acquire_entry(key, most, expiry, wished)
            if not granted and wished > needed:
                wished = needed
                granted = await storage.acquire_entry(key, most, expiry, wished)
            oldest_s, taken = await storage.get_moving_window(key, most, expiry)
        window_left = max(0, most - taken) * unit
        if not granted:
            return Taken(granted, window_left, max(1, ceil(oldest_s + expiry - time.time())))
        if len(self._leases) >= _MOST_LEASES:
            self._forget_spent()
        lease = Lease(wished * unit, time.monotonic() + LEASE_SECONDS, window_left)
        self._leases[key] = lease
        return _spend(lease, amount)

    def _connected(self) -> RedisStorage:
        if self._storage is None:
            self._storage = RedisStorage(
                f"async+{self._address}",
                implementation="redispy",
                key_prefix="septet",
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
        return self._storage

    def _forget_spent(self) -> None:
        now_s = time.monotonic()
        self._leases = {k: v for k, v in self._leases.items() if v.left and v.until_s > now_s}

    def _lose(self, error: Exception) -> None:
        if self._probe is None:
            self._alarm(1)
            self._log.error("limiter_degraded", reason=f"{type(error).__name__}: {error}"[:200])
            self._leases.clear()
            self._probe = asyncio.get_running_loop().create_task(self._find_again())

    async def _find_again(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._connected().get_moving_window("septet:probe", 1, MINUTE)
            except (RedisError, OSError, TimeoutError):
                continue
            break
        self._probe = None
        self._alarm(0)
        self._log.info("limiter_recovered")


def _spend(lease: Lease, amount: int) -> Taken:
    lease.left -= amount
    return Taken(granted=True, left=lease.window_left + lease.left, reset_seconds=MINUTE)
