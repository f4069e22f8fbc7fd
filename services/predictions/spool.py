"""Keeps what was predicted, before it is said, until the worker has moved it to the log.

Every serving process writes segments of its own. With the durability ``process`` an answer is sent
once its record is in the memory of the file, which outlives the process; with ``disk`` once it is
on the disk, where all that came meanwhile shares one wait.

Failure policy: when there is no room for another record, an answer is refused (``SpoolFull``), or
given without being kept and counted, as ``spool.when_full`` says; an outcome or an erasure is
always refused. It is tried again all the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from core.overload import SpoolFull
from services.predictions.condition import Condition
from services.predictions.keeper import Keeper
from services.predictions.segment import FRAME_BYTES, MAGIC, Kind, Segment

if TYPE_CHECKING:
    from core.platform_config import Spooling

Describe = Callable[[], bytes]
# Answered by nothing but that they are kept, which must then be so.
_ONLY_KEPT = frozenset({Kind.OUTCOMES, Kind.ERASURE})


class Spool:
    """Writes records into segments; used by the thread of one event loop.

    Parameters
    ----------
    folder
        Where the segments of all processes of this machine lie.
    config
        How it is kept.
    """

    def __init__(self, folder: Path, config: Spooling) -> None:
        self._config = config
        self._keeper = Keeper(
            folder, segment_bytes=config.segment_bytes, most_bytes=config.most_bytes
        )
        self._segment: Segment | None = None
        self._described: set[Hashable] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._commit = _Commit() if config.durability == "disk" else None
        self.dropped = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all segments in the folder."""
        return self._keeper.held_bytes

    @property
    def lag_seconds(self) -> float:
        """Seconds since the oldest segment that waits for the worker was finished."""
        return self._keeper.lag_seconds

    @property
    def condition(self) -> Condition:
        """How the log is, as the worker last saw it."""
        return self._keeper.condition

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another segment."""
        return self._keeper.blocked is not None

    def start(self) -> None:
        """Make the first segment."""
        self._keeper.start()
        self._segment = self._keeper.take()

    def stop(self) -> None:
        """Finish the segment, so that the worker may have it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._segment is not None:
            self._keeper.give_back(self._segment)
            self._segment = None
        self._keeper.stop()

    def keep(
        self,
        kind: Kind,
        *parts: bytes,
        latency_us: int,
        release: Hashable = None,
        describe: Describe = bytes,
        at_ns: int | None = None,
    ) -> asyncio.Future[None] | None:
        """Write a record.

        Parameters
        ----------
        kind
            What it tells.
        parts
            Meta, body and answer.
        latency_us
            How long the answer took.
        release
            Names who answered; a segment describes each release before its first record. Nothing
            where no release did.
        describe
            Gives that description.
        at_ns
            When it is said to have been, in nanoseconds since 1970; now without it.

        Returns
        -------
        Future or None
            To be awaited before the answer is sent; nothing when it may be sent at once.

        Raises
        ------
        SpoolFull
            There is no room, and it may not be answered without being kept.
        """
        at_ns = time.time_ns() if at_ns is None else at_ns
        segment = self._segment
        if segment is None or not (
            (release in self._described or self._describe(segment, at_ns, release, describe))
            and segment.append(kind, at_ns, latency_us, *parts)
        ):
            segment = self._next_segment(sum(map(len, parts)) + len(describe()))
            if segment is None:
                self._go_without(kind)
                return None
            self._describe(segment, at_ns, release, describe)
            segment.append(kind, at_ns, latency_us, *parts)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._config.rotate_seconds, self._turn)
        return None if self._commit is None else self._commit.settled(segment)

    def _describe(
        self, segment: Segment, at_ns: int, release: Hashable, describe: Describe
    ) -> bool:
        """Write what a release is into a segment; say whether there was room for it."""
        if release is not None and not segment.append(Kind.RELEASE, at_ns, 0, describe(), b"", b""):
            return False
        self._described.add(release)
        return True

    def _next_segment(self, size: int) -> Segment | None:
        """Go on with a segment that has room for a record; nothing when there is none."""
        if self._segment is not None:
            self._keeper.give_back(self._segment)
        self._described.clear()
        needed = len(MAGIC) + 2 * FRAME_BYTES + size
        keeper = self._keeper
        is_usual = needed <= self._config.segment_bytes
        self._segment = keeper.take() if is_usual else keeper.take_large(needed)
        return self._segment

    def _turn(self) -> None:
        """Hand the segment to the worker: what it holds is old enough."""
        self._timer = None
        if self._segment is not None and not self._segment.is_empty:
            self._next_segment(0)

    def _go_without(self, kind: Kind) -> None:
        """Go on without a record, when that may be."""
        if self._config.when_full == "refuse" or kind in _ONLY_KEPT:
            raise SpoolFull
        self.dropped += 1


class _Commit:
    """Brings segments to the disk; whoever comes meanwhile shares the next time."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._dirty: set[Segment] = set()
        self._task: asyncio.Task[None] | None = None

    def settled(self, segment: Segment) -> asyncio.Future[None]:
        """Give a future that ends once what was written until now is on the disk."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        self._dirty.add(segment)
        if self._task is None:
            self._task = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                dirty, self._dirty = self._dirty, set()
                try:
                    await asyncio.to_thread(_sync, dirty)
                except OSError as error:
                    _settle(waiting, SpoolFull(f"The disk failed: {error.strerror}."))
                else:
                    _settle(waiting, None)
        finally:
            self._task = None


def _sync(segments: set[Segment]) -> None:
    for segment in segments:
        segment.sync()


def _settle(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
