"""Runs a request up to where it waits, without a task of its own.

A task is made, queued, stepped and woken for each request: about a tenth of what an answer costs.
And tasks take turns: everything that came is begun before anything is ended, so that with hundreds
of requests none of it stays in the processor's own memory. Stepped by hand a request is read,
checked and queued as it comes, and those that were computed together are ended one after another.

A request that waits for anything but its row goes on in a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Steps = Coroutine[Any, Any, None]


class Gatherer(Protocol):
    """What settles rows together."""

    def settle_due(self) -> None:
        """Settle what was gathered, when that is enough."""


class Gathered(asyncio.Future[T]):
    """A future whose gatherer lets go on who waits for it, at once.

    Parameters
    ----------
    gatherer
        Settles it.
    loop
        The running loop.
    """

    def __init__(self, gatherer: Gatherer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.gatherer = gatherer
        self.go_on: Callable[[], None] | None = None


class Stepped:
    """One request that is stepped by hand.

    Parameters
    ----------
    steps
        The request; it raises nothing.
    as_task
        Runs the rest of it as a task.
    ended
        Is told when it has ended; not when it goes on as a task.
    """

    __slots__ = ("_as_task", "_ended", "_steps")

    def __init__(
        self, steps: Steps, *, as_task: Callable[[Steps], None], ended: Callable[[], None]
    ) -> None:
        self._steps = steps
        self._as_task = as_task
        self._ended = ended

    def step(self) -> Gatherer | None:
        """Run it up to where it waits; give whom it waits for, when its row is gathered."""
        try:
            waits_for = self._steps.send(None)
        except StopIteration:
            self._ended()
            return None
        if type(waits_for) is Gathered:
            waits_for.go_on = self._go_on
            gatherer: Gatherer = waits_for.gatherer
            return gatherer
        if waits_for is None:
            self._as_task(self._steps)
        else:
            # A task would have told the future that it took note of it.
            waits_for._asyncio_future_blocking = False  # noqa: SLF001 - asyncio's own protocol
            waits_for.add_done_callback(self._go_on_as_task)
        return None

    def _go_on(self) -> None:
        self.step()

    def _go_on_as_task(self, _: asyncio.Future[Any]) -> None:
        self._as_task(self._steps)


class _Turn:
    """Waits for nothing but to be taken up again."""

    def __await__(self) -> Any:
        yield


async def in_task() -> None:
    """Go on in a task: ``asyncio.timeout`` and much else works in no other place."""
    if asyncio.current_task() is None:
        await _Turn()
