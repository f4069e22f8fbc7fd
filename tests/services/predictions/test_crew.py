"""The crew: fair among callers, bounded, and true to each caller's own work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from core.overload import Overloaded
from services.predictions.crew import Crew


def test_each_caller_has_its_own_result_or_error() -> None:
    async def run() -> list[object]:
        crew = Crew()

        def work(number: int) -> Callable[[], int]:
            def compute() -> int:
                if number == 13:
                    raise ZeroDivisionError(number)
                return number * 2

            return compute

        asked = [crew.run(f"caller-{i % 3}", work(i)) for i in range(40)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        crew.close()
        return list(found)

    found = asyncio.run(run())
    assert isinstance(found.pop(13), ZeroDivisionError)
    assert found == [i * 2 for i in range(40) if i != 13]


def test_who_sends_little_waits_behind_one_task_of_who_sends_much() -> None:
    async def run() -> list[str]:
        crew, order = Crew(threads=1), []
        gate = threading.Event()

        def work(name: str) -> Callable[[], None]:
            return lambda: order.append(name)

        held = asyncio.ensure_future(crew.run("noisy", lambda: gate.wait() and None))
        await asyncio.sleep(0.01)
        noisy = [asyncio.ensure_future(crew.run("noisy", work("noisy"))) for _ in range(20)]
        await asyncio.sleep(0)
        quiet = asyncio.ensure_future(crew.run("quiet", work("quiet")))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(held, quiet, *noisy)
        crew.close()
        return order

    order = asyncio.run(run())
    assert order.index("quiet") <= 1
    assert len(order) == 21


def test_beyond_its_share_a_caller_is_refused_and_others_are_not() -> None:
    async def run() -> tuple[int, bool]:
        crew = Crew(threads=1, most_waiting_each=3)
        gate = threading.Event()
        held = [asyncio.ensure_future(crew.run("noisy", gate.wait)) for _ in range(10)]
        other = asyncio.ensure_future(crew.run("quiet", gate.wait))
        await asyncio.sleep(0.05)
        gate.set()
        found = await asyncio.gather(*held, return_exceptions=True)
        answered = await other
        crew.close()
        return sum(isinstance(one, Overloaded) for one in found), answered

    assert asyncio.run(run()) == (6, True)


def test_all_together_are_bounded() -> None:
    async def run() -> int:
        crew = Crew(threads=1, most_waiting=5)
        gate = threading.Event()
        held = [asyncio.ensure_future(crew.run(f"c{i}", gate.wait)) for i in range(20)]
        await asyncio.sleep(0.05)
        assert crew.waiting == 5
        gate.set()
        found = await asyncio.gather(*held, return_exceptions=True)
        crew.close()
        return sum(isinstance(one, Overloaded) for one in found)

    assert asyncio.run(run()) == 14


def test_work_of_a_caller_who_left_is_not_done() -> None:
    async def run() -> list[str]:
        crew, done = Crew(threads=1), []
        gate = threading.Event()
        held = asyncio.ensure_future(crew.run("a", gate.wait))
        left = asyncio.ensure_future(crew.run("b", lambda: done.append("left")))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        await held
        await crew.run("c", lambda: done.append("stayed"))
        crew.close()
        with pytest.raises(asyncio.CancelledError):
            await left
        return done

    assert asyncio.run(run()) == ["stayed"]
