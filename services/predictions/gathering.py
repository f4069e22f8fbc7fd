"""Single rows that arrive together are answered together.

A lone row waits for nothing: the batch is what has come by the time the process is free to
compute. Each row is answered or refused on its own, in whatever company it was computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from bentos.answering import Answer, Outcome, predict_rows
from bentos.border import DEADLINE_SECONDS
from bentos.stepping import Gathered, in_task
from core.overload import Overloaded
from core.refusals import DeadlinePassed

if TYPE_CHECKING:
    from bentos.release import Release, ReleaseFacts
    from core.contract import Row
    from services.predictions.journal import Asked

MOST_WAITING = 2048
MOST_TOGETHER = 256
# Of those that are answered at once.
ENOUGH_TOGETHER = 32
# Of those that take longer: the loop takes them back in one turn, in which nobody else is heard.
MOST_SLOW_TOGETHER = 96
# While one batch is computed, another is handed out or taken back.
AT_ONCE = 2

# What answers, and what it is asked: checked rows here, the bytes of a row over a hop.
R = TypeVar("R", bound="ReleaseFacts")
Q = TypeVar("Q")
T = TypeVar("T")

Compute = Callable[[R, Sequence[Q]], Awaitable[Sequence[Outcome]]]
Observe = Callable[["ReleaseFacts", int, int], None]
# Writes down what was answered: what each row is answered with, once it may be.
Keep = Callable[
    ["Release", Sequence["Asked"], Sequence[Outcome]],
    tuple[Sequence[bytes | Exception], "asyncio.Future[None] | None"],
]


_Waiting = tuple["Release", "Row", "Asked", Gathered[bytes]]


class Tick:
    """Gathers the rows of one turn of the event loop, and answers them at its end at the latest.

    For models that answer within a millisecond: the requests that the sockets hold when the
    process comes back to them are read, checked and queued in one turn, so that the batch grows
    with the load by itself, and no row ever waits for another to come. So many that a batch gains
    nothing more by others are answered at once, while what they need is still at hand.

    Parameters
    ----------
    keep
        Writes down what was answered.
    observe
        Is told how many rows of each batch were answered, and how many refused.
    """

    def __init__(self, keep: Keep, observe: Observe) -> None:
        self._keep = keep
        self._observe = observe
        self._waiting: list[_Waiting] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_settling = False

    @property
    def depth(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    def submit(self, release: Release, row: Row, asked: Asked) -> Gathered[bytes]:
        """Queue a row; the future gives its answer as JSON, or raises why there is none.

        Parameters
        ----------
        release
            The release that answers.
        row
            As ``read_row`` gave it.
        asked
            The row as it came.

        Raises
        ------
        Overloaded
            Too many rows wait already.
        """
        waiting = self._waiting
        if len(waiting) >= MOST_WAITING:
            raise Overloaded(f"{len(waiting):,} rows wait for {release.model}.")
        loop = self._loop
        if loop is None:
            # Asked for once: it costs a system call.
            loop = self._loop = asyncio.get_running_loop()
        future: Gathered[bytes] = Gathered(self, loop)
        if not waiting:
            loop.call_soon(self._settle_all)
        waiting.append((release, row, asked, future))
        return future

    def settle_due(self) -> None:
        """Answer what waits when it is enough, and none of it was begun by what is ended now."""
        if len(self._waiting) >= ENOUGH_TOGETHER and not self._is_settling:
            self._settle_all()

    def _settle_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._is_settling = True
        try:
            for start in range(0, len(waiting), MOST_TOGETHER):
                self._answer(waiting[start : start + MOST_TOGETHER])
        finally:
            self._is_settling = False

    def _answer(self, part: Sequence[_Waiting]) -> None:
        for release, places in by_release([entry[0] for entry in part]):
            futures = [part[i][3] for i in places]
            ends: Sequence[bytes | Exception]
            kept = None
            try:
                outcomes = predict_rows(release, [part[i][1] for i in places], explain=False)
                ends, kept = self._keep(release, [part[i][2] for i in places], outcomes)
            except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
                ends = [error] * len(futures)
            answered = sum([type(end) is bytes for end in ends])
            self._observe(release, answered, len(ends) - answered)
            if kept is None:
                settle_all(futures, ends)
            else:
                kept.add_done_callback(partial(_settle_kept, futures, ends))


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
        await in_task()
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
        ends: Sequence[Answer | Exception]
        try:
            outcomes = await self._compute(release, [row for _, row, _ in part])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            ends = [error] * len(futures)
        else:
            ends = [outcome.end for outcome in outcomes]
        refused = sum([isinstance(end, Exception) for end in ends])
        self._observe(release, len(ends) - refused, refused)
        settle_all(futures, ends)


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


def settle_all(futures: Sequence[asyncio.Future[T]], ends: Sequence[T | Exception]) -> None:
    """Give each waiting caller its answer or its error.

    Parameters
    ----------
    futures
        What the callers wait for.
    ends
        What became of their rows, in the same order.
    """
    for future, end in zip(futures, ends, strict=True):
        if future.done():
            continue
        if isinstance(end, Exception):
            future.set_exception(end)
        else:
            future.set_result(end)
        if type(future) is Gathered and future.go_on is not None:
            future.go_on()


def _settle_kept(
    futures: Sequence[Gathered[bytes]],
    ends: Sequence[bytes | Exception],
    kept: asyncio.Future[None],
) -> None:
    """Answer rows once they are kept; none of them when they could not be."""
    error = kept.exception()
    if isinstance(error, Exception):
        ends = [error] * len(ends)
    settle_all(futures, ends)
