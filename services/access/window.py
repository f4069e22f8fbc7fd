"""A store for the library `limits` that keeps moving windows in memory, in bounded space.

The library's own keeps one object a request and walks every key in a timer thread a hundred times
a second: with ten thousand callers that costs more than the answers. Here a window is sixty
counters, and nothing is ever walked.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from math import ceil
from threading import Lock

from limits.storage.base import MovingWindowSupport, Storage

SLOTS = 60


class Window:
    """How much was taken in each of the last ``SLOTS`` parts of a window.

    What is taken counts until the end of its part has left the window, so that in no stretch of
    the window's length more than the limit is ever taken; it comes back up to a sixtieth of the
    window late.
    """

    __slots__ = ("counts", "first", "last", "total")

    def __init__(self, slot: int) -> None:
        self.counts = array("Q", bytes(8 * (SLOTS + 1)))
        self.first = slot
        self.last = slot
        self.total = 0

    def advance(self, slot: int) -> None:
        """Drop the parts that left the window."""
        passed = slot - self.last
        if passed <= 0:
            return
        counts = self.counts
        if passed > SLOTS:
            self.counts = array("Q", bytes(8 * (SLOTS + 1)))
            self.total = 0
        else:
            for left in range(self.last + 1, slot + 1):
                place = left % (SLOTS + 1)
                self.total -= counts[place]
                counts[place] = 0
        self.last = slot

    def take(self, slot: int, amount: int) -> None:
        """Count what is taken now."""
        self.counts[slot % (SLOTS + 1)] += amount
        self.total += amount

    def comes_back(self, slot: int, wanted: int) -> int:
        """Give the slot in which so much of what was taken has left the window."""
        counts, found = self.counts, 0
        first = max(self.first, slot - SLOTS)
        while first < slot and not counts[first % (SLOTS + 1)]:
            first += 1
        # Nothing is older than this: the next look starts here.
        self.first = first
        for part in range(first, slot + 1):
            found += counts[part % (SLOTS + 1)]
            if found >= wanted:
                return part + SLOTS + 1
        return slot + 1


class WindowStorage(Storage, MovingWindowSupport):
    """Moving windows in the memory of this process, for the strategy of the same name in `limits`.

    A key that was not asked for during a whole window is forgotten.

    Parameters
    ----------
    uri
        Unused; the library hands it over.
    wrap_exceptions
        The library's own option.
    monotonic
        A clock that never goes back, seconds.
    """

    STORAGE_SCHEME = ["septet-memory"]  # noqa: RUF012 - the library's own form

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,  # noqa: FBT001, FBT002 - the library's own form
        *,
        monotonic: Callable[[], float] = time.monotonic,
        **options: str,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._monotonic = monotonic
        self._lock = Lock()
        # Two generations: what was not asked for in a whole one is dropped without a walk.
        self._young: dict[str, Window] = {}
        self._old: dict[str, Window] = {}
        self._turns_at_s = 0.0
        self._longest_s = 1

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What the library treats as a failure of the store; memory has none."""
        return ()

    def take(self, key: str, limit: int, expiry: int, amount: int) -> tuple[bool, int, int]:
        """Take an amount and tell what the window then holds, in one step.

        Parameters
        ----------
        key
            Whose window; a window of another length needs another key.
        limit
            Most that a window holds.
        expiry
            Length of the window, seconds.
        amount
            How much is taken, all or nothing.

        Returns
        -------
        tuple of bool, int, int
            Whether it was granted, how much is taken in all, and whole seconds until so much of
            it comes back that the wish could be granted (the first part of it, when it was).
        """
        now_s = self._monotonic()
        slot = int(now_s * SLOTS / expiry)
        with self._lock:
            window = self._window(key, now_s, expiry, slot)
            granted = window.total + amount <= limit
            if granted:
                window.take(slot, amount)
            wanted = 1 if granted else max(1, min(amount, limit) + window.total - limit)
            back_slot = window.comes_back(slot, wanted)
            wait_s = ceil(back_slot * expiry / SLOTS - now_s)
            return granted, window.total, max(wait_s, 1)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take an amount, when the window still holds it.

        Parameters
        ----------
        key
            Whose window.
        limit
            Most that a window holds.
        expiry
            Length of the window, seconds.
        amount
            How much is taken, all or nothing.
        """
        now_s = self._monotonic()
        slot = int(now_s * SLOTS / expiry)
        with self._lock:
            window = self._window(key, now_s, expiry, slot)
            if window.total + amount > limit:
                return False
            window.take(slot, amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - the library's own form
        """Give when the oldest entry was taken (seconds since the epoch), and how much is taken."""
        now_s = self._monotonic()
        slot = int(now_s * SLOTS / expiry)
        with self._lock:
            window = self._window(key, now_s, expiry, slot)
            for age in range(SLOTS, -1, -1):
                if window.counts[(slot - age) % (SLOTS + 1)]:
                    began_s = (slot - age + 1) * expiry / SLOTS
                    return time.time() - (now_s - began_s), window.total
        return time.time(), 0

    def _window(self, key: str, now_s: float, expiry: int, slot: int) -> Window:
        if now_s >= self._turns_at_s or expiry > self._longest_s:
            self._longest_s = max(self._longest_s, expiry)
            self._turn(now_s)
        window = self._young.get(key)
        if window is None:
            window = self._old.pop(key, None) or Window(slot)
            self._young[key] = window
        window.advance(slot)
        return window

    def _turn(self, now_s: float) -> None:
        if now_s >= self._turns_at_s:
            self._old, self._young = self._young, {}
        # A window longer than any before keeps what there is a little longer.
        self._turns_at_s = now_s + ceil(self._longest_s * (SLOTS + 1) / SLOTS)

    def count(self) -> int:
        """Say how many windows are held."""
        return len(self._young) + len(self._old)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Refuse: only moving windows are kept here."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Refuse: only moving windows are kept here."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Refuse: only moving windows are kept here."""
        raise NotImplementedError

    def check(self) -> bool:
        """Say that memory is there."""
        return True

    def reset(self) -> int | None:
        """Forget every window, and say how many there were."""
        with self._lock:
            count = self.count()
            self._young, self._old = {}, {}
            return count

    def clear(self, key: str) -> None:
        """Forget one window."""
        with self._lock:
            self._young.pop(key, None)
            self._old.pop(key, None)
