"""Single rows that arrive together are answered together.

A lone row waits for nothing: the batch is what has come by the time the process is free to
compute. Each row is answered or refused on its own, in whatever company it was computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from bentos.answering import Answer, Outcome, predict_rows
from bentos.border import DEADLINE_SECONDS
from core.overload import Overloaded
from core.refusals import DeadlinePassed

if TYPE_CHECKING:
    from bentos.release import Release, ReleaseFacts
    from core.contract import Row

MOST_WAITING = 2048
MOST_TOGETHER = 256
# Of those that take longer: the loop takes them back in one turn, in which nobody else is heard.
MOST_SLOW_TOGETHER = 96
# While one batch is computed, another is handed out or taken back.
AT_ONCE = 2

# What answers, and what it is asked: checked rows here, the bytes of a row over a hop.
R = TypeVar("R", bound="ReleaseFacts")
Q = TypeVar("Q")

Compute = Callable[[R, Sequence[Q]], Awaitable[Sequence[Outcome]]]
Observe = Callable[["ReleaseFacts", int, int], None]


class Tick:
    """Gathers the rows of one turn of the event loop, and answers them at its end.

    For models that answer within a millisecond: the requests that the sockets hold when the
    process comes back to them are read, checked and queued in one turn, so that the batch grows
    with the load by itself, and no row ever waits for another to come.

    Parameters
    ----------
    observe
        Is told how many rows of each batch were answered, and how many refused.
    """

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._waiting: list[tuple[Release, Row, asyncio.Future[Answer]]] = []

    @property
    def depth(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    def submit(self, release: Release, row: Row) -> asyncio.Future[Answer]:
        """Queue a row; the future gives its answer, or raises why there is none.

        Parameters
        ----------
        release
            The release that answers.
        row
            As ``read_row`` gave it.

        Raises
        ------
        Overloaded
            Too many rows wait already.
        """
        waiting = self._waiting
        if len(waiting) >= MOST_WAITING:
            raise Overloaded(f"{len(waiting):,} rows wait for {release.model}.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not waiting:
            loop.call_soon(self._flush)
        waiting.append((release, row, future))
        return future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_TOGETHER):
            self._answer(waiting[start : start + MOST_TOGETHER])

    def _answer(self, part: Sequence[tuple[Release, Row, asyncio.Future[Answer]]]) -> None:
        for release, places in by_release([release for release, _, _ in part]):
            futures = [part[i][2] for i in places]
            try:
                outcomes = predict_rows(release, [part[i][1] for i in places], explain=False)
            except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
                settle_all(futures, [error] * len(futures))
                self._observe(release, 0, len(futures))
            else:
                self._observe(release, *settle_all(futures, outcomes))


class Flight(Generic[R, Q]):
    """Gathers rows while the batch before them is being computed elsewhere.

    For models that take longer, reasons, and models in another process. A caller who left is not
    computed for.

    Parameters
    ----------
    compute
        Answers a batch of one release: in a thread, or over a hop.
    observe
        Is told how many rows of each batch were answered, and how many refused.
    most
        Most rows of a batch.
    """

    def __init__(
        self, compute: Compute[R, Q], observe: Observe, *, most: int = MOST_TOGETHER
    ) -> None:
        self._compute = compute
        self._observe = observe
        self._most = most
        self._waiting: list[tuple[R, Q, asyncio.Future[Answer]]] = []
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def depth(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    async def submit(self, release: R, row: Q) -> Answer:
        """Queue a row and wait for its answer; as ``Tick.submit``.

        Raises
        ------
        DeadlinePassed
            The answer was not ready in time.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded(f"{len(self._waiting):,} rows wait for {release.model}.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((release, row, future))
        if self._under_way < AT_ONCE:
            self._under_way += 1
            task = asyncio.create_task(self._fly())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await future
        except TimeoutError:
            raise DeadlinePassed(DEADLINE_SECONDS) from None

    async def _fly(self) -> None:
        try:
            while self._waiting:
                part, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                wanted = [entry for entry in part if not entry[2].done()]
                for release, places in by_release([release for release, _, _ in wanted]):
                    await self._answer(release, [wanted[i] for i in places])
        finally:
            # In the same step in which nothing was found to wait: a row that comes in the next one
            # starts another flight.
            self._under_way -= 1

    async def _answer(
        self, release: R, part: Sequence[tuple[R, Q, asyncio.Future[Answer]]]
    ) -> None:
        futures = [future for _, _, future in part]
        try:
            outcomes = await self._compute(release, [row for _, row, _ in part])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            settle_all(futures, [error] * len(futures))
            self._observe(release, 0, len(futures))
        else:
            self._observe(release, *settle_all(futures, outcomes))


def by_release(releases: Sequence[R]) -> list[tuple[R, list[int]]]:
    """Group the places of a batch by release: a switch may fall within one.

    Parameters
    ----------
    releases
        One a row.
    """
    if releases and all(release is releases[0] for release in releases):
        return [(releases[0], list(range(len(releases))))]
    groups: dict[int, tuple[R, list[int]]] = {}
    for place, release in enumerate(releases):
        groups.setdefault(id(release), (release, []))[1].append(place)
    return list(groups.values())


def settle_all(
    futures: Sequence[asyncio.Future[Answer]], ends: Sequence[Outcome | Exception]
) -> tuple[int, int]:
    """Give each waiting caller its answer or its error; how many were answered, and refused.

    Parameters
    ----------
    futures
        What the callers wait for.
    ends
        What became of their rows, in the same order.
    """
    answered = 0
    for future, end in zip(futures, ends, strict=True):
        answered += isinstance(end, Outcome) and end.answer is not None
        _settle(future, end)
    return answered, len(futures) - answered


def _settle(future: asyncio.Future[Answer], end: Outcome | Exception) -> None:
    if future.done():
        return
    if isinstance(end, Exception):
        future.set_exception(end)
    elif end.answer is not None:
        future.set_result(end.answer)
    elif end.error is not None:
        future.set_exception(end.error)
