"""Requests that are stepped by hand, up to where they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bentos.stepping import Gathered, Gatherer, Stepped, in_task


class Rows:
    """Settles what it gathered when told so."""

    def __init__(self) -> None:
        self.waiting: list[Gathered[int]] = []
        self.told = 0

    def submit(self) -> Gathered[int]:
        future: Gathered[int] = Gathered(self, asyncio.get_running_loop())
        self.waiting.append(future)
        return future

    def settle_due(self) -> None:
        self.told += 1

    def settle(self) -> None:
        waiting, self.waiting = self.waiting, []
        for number, future in enumerate(waiting):
            future.set_result(number)
            if future.go_on is not None:
                future.go_on()


class Run:
    """Steps one request, and notes what becomes of it."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.has_ended = False

    def step(self, steps: Coroutine[Any, Any, None]) -> Gatherer | None:
        return Stepped(steps, as_task=self._as_task, ended=self._end).step()

    def _as_task(self, steps: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(steps))

    def _end(self) -> None:
        self.has_ended = True


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


def test_what_waits_for_nothing_ends_at_once() -> None:
    async def request() -> None:
        return

    async def body() -> None:
        stepped = Run()
        assert stepped.step(request()) is None
        assert stepped.has_ended
        assert not stepped.tasks

    run(body)


def test_whose_row_is_gathered_is_ended_as_soon_as_it_is_settled() -> None:
    rows, seen = Rows(), []

    async def request() -> None:
        seen.append(await rows.submit())
        seen.append(await rows.submit() + 10)

    async def body() -> None:
        stepped = Run()
        assert stepped.step(request()) is rows
        assert seen == []
        rows.settle()
        assert seen == [0]
        rows.settle()
        assert seen == [0, 10]
        assert stepped.has_ended
        assert not stepped.tasks

    run(body)


def test_a_row_that_fails_raises_where_it_is_waited_for() -> None:
    rows, caught = Rows(), []

    async def request() -> None:
        try:
            await rows.submit()
        except ValueError as error:
            caught.append(error)

    async def body() -> None:
        stepped = Run()
        stepped.step(request())
        [future] = rows.waiting
        future.set_exception(ValueError("no"))
        assert future.go_on is not None
        future.go_on()
        assert len(caught) == 1
        assert stepped.has_ended

    run(body)


@pytest.mark.parametrize("turns", [1, 2])
def test_what_waits_for_anything_else_goes_on_as_a_task(turns: int) -> None:
    rows, seen = Rows(), []

    async def request() -> None:
        seen.extend([await asyncio.to_thread(int, "7") for _ in range(turns)])
        assert asyncio.current_task() is not None
        seen.append(await rows.submit())

    async def body() -> None:
        stepped = Run()
        assert stepped.step(request()) is None
        async with asyncio.timeout(10):
            while not rows.waiting:
                await asyncio.to_thread(int, "7")
        rows.settle()
        await stepped.tasks[0]
        assert seen == [7] * turns + [0]
        # The task tells of its own end.
        assert not stepped.has_ended

    run(body)


def test_who_needs_a_task_gets_one() -> None:
    async def request() -> None:
        assert asyncio.current_task() is None
        await in_task()
        assert asyncio.current_task() is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        await in_task()

    async def body() -> None:
        stepped = Run()
        # As a server calls it: in no task.
        asyncio.get_running_loop().call_soon(stepped.step, request())
        await asyncio.to_thread(int, "7")
        await stepped.tasks[0]

    run(body)
