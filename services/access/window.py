"""Moving windows in memory, in bounded space: sixty counters each, and nothing is ever walked.

The library `limits` keeps an object a request in memory, and walks every key in a timer thread up
to a hundred times a second. Where several processes share a window it counts all the same, in
Redis (``services.access.shared``).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from math import ceil
from threading import Lock

SLOTS = 60
_RING = SLOTS + 1
_EMPTY = array("Q", bytes(8 * _RING))


class Window:
    """How much was taken in each of the last ``SLOTS`` parts of a window.

    What is taken counts until the end of its part has left the window, so that in no stretch of
    the window's length more than the limit is ever taken; it comes back up to a sixtieth of the
    window late.
    """

    __slots__ = ("counts", "first", "last", "total")

    def __init__(self, slot: int) -> None:
        self.counts = _EMPTY[:]
        self.first = slot
        self.last = slot
        self.total = 0

    def advance(self, slot: int) -> None:
        """Drop the parts that left the window."""
        if slot <= self.last:
            return
        # Nothing is older than the first part: what comes before it is empty already.
        begin = max(self.last, self.first + SLOTS) + 1
        if slot - begin >= SLOTS:
            self.counts[:] = _EMPTY
            self.total = 0
        elif begin <= slot:
            start, end = begin % _RING, slot % _RING + 1
            if start < end:
                self._drop(start, end)
            else:
                self._drop(start, _RING)
                self._drop(0, end)
        self.last = slot
        if not self.total:
            self.first = slot

    def _drop(self, begin: int, end: int) -> None:
        # By slices: a caller who comes once a second leaves sixty parts of a second's window.
        if end - begin == 1:
            self.total -= self.counts[begin]
            self.counts[begin] = 0
            return
        self.total -= sum(self.counts[begin:end])
        self.counts[begin:end] = _EMPTY[begin:end]

    def comes_back(self, slot: int, wanted: int) -> int:
        """Give the slot in which so much of what was taken has left the window."""
        counts, found = self.counts, 0
        first = max(self.first, slot - SLOTS)
        while first < slot and not counts[first % _RING]:
            first += 1
        # Nothing is older than this: the next look starts here.
        self.first = first
        if wanted == 1 and self.total:
            return first + _RING
        for part in range(first, slot + 1):
            found += counts[part % _RING]
            if found >= wanted:
                return part + _RING
        return slot + 1


class Windows:
    """Moving windows in the memory of this process.

    A key that was not asked for during a whole window is forgotten.

    Parameters
    ----------
    monotonic
        A clock that never goes back, seconds.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        # Two generations: what was not asked for in a whole one is dropped without a walk.
        self._young: dict[str, Window] = {}
        self._old: dict[str, Window] = {}
        self._turns_at_s = 0.0
        self._longest_s = 1

    def take(
        self, key: str, limit: int, expiry: int, amount: int, *, tells: bool = True
    ) -> tuple[bool, int, int]:
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
        tells
            Whether the seconds are wanted also when it is granted; else they are 0 then.

        Returns
        -------
        tuple of bool, int, int
            Whether it was granted, how much is taken in all, and whole seconds until so much of
            it comes back that the wish could be granted (the first part of it, when it was).
        """
        now_s = self._monotonic()
        slot = int(now_s * SLOTS / expiry)
        with self._lock:
            window = self._young.get(key)
            if window is None or now_s >= self._turns_at_s or expiry > self._longest_s:
                window = self._window(key, now_s, expiry, slot)
            elif slot > window.last:
                window.advance(slot)
            granted = window.total + amount <= limit
            if granted:
                window.counts[slot % _RING] += amount
                window.total += amount
                if not tells:
                    return granted, window.total, 0
            wanted = 1 if granted else max(1, min(amount, limit) + window.total - limit)
            back_slot = window.comes_back(slot, wanted)
            wait_s = ceil(back_slot * expiry / SLOTS - now_s)
            return granted, window.total, max(wait_s, 1)

    def _window(self, key: str, now_s: float, expiry: int, slot: int) -> Window:
        """Give a window that is not among the young ones, or after their time."""
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
        self._turns_at_s = now_s + ceil(self._longest_s * _RING / SLOTS)

    def count(self) -> int:
        """Say how many windows are held."""
        return len(self._young) + len(self._old)
