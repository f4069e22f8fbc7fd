"""Threads that compute what takes longer than a turn of the event loop, fairly among callers.

Each caller has a queue of its own, and the queues are served by turns: whoever sends much waits
behind its own work, not before that of others. What cannot be begun soon is refused at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from bentos.border import DEADLINE_SECONDS
from bentos.stepping import in_task
from core.overload import Overloaded
from core.refusals import DeadlinePassed

# More threads than processors would only take the interpreter from each other, and from the loop.
THREADS = 2
MOST_WAITING = 256
MOST_WAITING_EACH = 64

Result = TypeVar("Result")


@dataclass(slots=True)
class _Task:
    work: Callable[[], Any]
    future: asyncio.Future[Any]


class Crew:
    """A few threads with a fair queue before them.

    Parameters
    ----------
    threads
        How many compute at once.
    most_waiting, most_waiting_each
        Most that wait, of all callers and of one.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        most_waiting: int = MOST_WAITING,
        most_waiting_each: int = MOST_WAITING_EACH,
    ) -> None:
        self._threads = threads
        self._most_waiting = most_waiting
        self._most_waiting_each = most_waiting_each
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crew")
        self._queues: OrderedDict[str, deque[_Task]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._running = 0

    @property
    def waiting(self) -> int:
        """How much waits."""
        return self._waiting

    async def run(self, caller: str, work: Callable[[], Result]) -> Result:
        """Compute in a thread, when it is the caller's turn.

        Parameters
        ----------
        caller
            Whose work it is.
        work
            What is computed.

        Raises
        ------
        Overloaded
            Too much waits already.
        DeadlinePassed
            It was not ready in time.
        """
        await in_task()
        queue = self._queues.get(caller)
        if self._waiting >= self._most_waiting:
            raise Overloaded(f"{self._waiting:,} batches wait already.")
        if queue is not None and len(queue) >= self._most_waiting_each:
            raise Overloaded(f"{len(queue):,} batches of this key wait already.")
        task = _Task(work, asyncio.get_running_loop().create_future())
        if queue is None:
            queue = self._queues[caller] = deque()
        queue.append(task)
        self._waiting += 1
        self._start_some()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                result: Result = await task.future
                return result
        except TimeoutError:
            raise DeadlinePassed(DEADLINE_SECONDS) from None

    def close(self) -> None:
        """End the threads when what runs is done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_some(self) -> None:
        while self._running < self._threads and self._queues:
            caller, queue = self._queues.popitem(last=False)
            task = queue.popleft()
            self._waiting -= 1
            if queue:
                # Back to the end of the line: the others are served before its next one.
                self._queues[caller] = queue
            if task.future.done():
                continue
            self._running += 1
            computing = asyncio.get_running_loop().create_task(self._compute(task))
            # The loop itself holds a task only weakly.
            self._tasks.add(computing)
            computing.add_done_callback(self._tasks.discard)

    async def _compute(self, task: _Task) -> None:
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._pool, task.work)
        except Exception as error:  # noqa: BLE001 - handed to the caller that waits
            if not task.future.done():
                task.future.set_exception(error)
        else:
            if not task.future.done():
                task.future.set_result(result)
        finally:
            self._running -= 1
            self._start_some()
