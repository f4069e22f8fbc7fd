"""Limits shared over a real Redis: exact, cheap, and never in the way when it is gone."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import Queue

import pytest
import redis

from services.access.limits import LocalStore, Taken
from services.access.shared import SharedStore
from services.access.window import Windows
from tests.services.access.redis_server import redis_server

LIMIT = 1_000


@dataclass(frozen=True)
class Server:
    """A running Redis.

    Parameters
    ----------
    address
        Where it listens.
    process
        To be stopped.
    """

    address: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def server() -> Iterator[Server]:
    with redis_server() as (process, address):
        yield Server(address, process)


@asynccontextmanager
async def store(address: str, alarms: list[float] | None = None) -> AsyncIterator[SharedStore]:
    told = alarms if alarms is not None else []
    local = LocalStore(Windows())
    shared = SharedStore(address, local=local, processes=2, alarm=told.append)
    yield shared
    await shared.close()


async def take(shared: SharedStore, limit: int = LIMIT, amount: int = 1) -> Taken:
    taken = shared.take("someone", limit, amount, tells=True)
    return taken if isinstance(taken, Taken) else await taken


async def count(shared: SharedStore, tries: int, *, at_once: int = 8) -> int:
    async def some(number: int) -> int:
        return sum([(await take(shared)).granted for _ in range(number)])

    return sum(await asyncio.gather(*[some(tries // at_once) for _ in range(at_once)]))


def one_process(address: str, tries: int, results: Queue[int]) -> None:
    async def run() -> int:
        async with store(address) as shared:
            return await count(shared, tries)

    results.put(asyncio.run(run()))


class TestExactness:
    def test_two_processes_together_pass_the_limit_and_no_more(self, server: Server) -> None:
        context = multiprocessing.get_context("spawn")
        results: Queue[int] = context.Queue()  # type: ignore[assignment]  # alike in form
        asking = [
            context.Process(target=one_process, args=(server.address, 5_000, results))
            for _ in range(2)
        ]
        for process in asking:
            process.start()
        granted = sum(results.get(timeout=60) for _ in asking)
        for process in asking:
            process.join()
        assert LIMIT * 0.99 <= granted <= LIMIT

    def test_many_tasks_at_once_in_one_process_are_exact(self, server: Server) -> None:
        async def run() -> int:
            async with store(server.address) as shared:
                return await count(shared, 4_000, at_once=50)

        assert asyncio.run(run()) == LIMIT

    def test_rows_are_taken_by_the_thousand_and_refused_as_a_whole(self, server: Server) -> None:
        async def run() -> list[bool]:
            async with store(server.address) as shared:
                return [(await take(shared, 50_000, 20_000)).granted for _ in range(4)]

        assert asyncio.run(run()) == [True, True, False, False]

    def test_a_refusal_says_when_to_come_back(self, server: Server) -> None:
        async def run() -> Taken:
            async with store(server.address) as shared:
                await take(shared, 10, 10)
                return await take(shared, 10, 1)

        refused = asyncio.run(run())
        assert not refused.granted
        assert 1 <= refused.reset_seconds <= 62

    def test_redis_is_asked_once_for_hundreds_of_requests(self, server: Server) -> None:
        client = redis.Redis.from_url(server.address)

        async def run() -> int:
            async with store(server.address) as shared:
                await take(shared, 1_000_000)
                before = client.info("stats")["total_commands_processed"]
                for _ in range(2_000):
                    await take(shared, 1_000_000)
                return int(client.info("stats")["total_commands_processed"]) - int(before)

        assert asyncio.run(run()) < 40


class TestFailure:
    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_without_redis_the_process_counts_its_share_and_raises_the_alarm(
        self, server: Server, how: str
    ) -> None:
        alarms: list[float] = []

        async def run() -> int:
            async with store(server.address, alarms) as shared:
                await take(shared)
                server.process.send_signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
                granted = await count(shared, 3_000)
                assert shared.is_degraded
                return granted

        granted = asyncio.run(run())
        # A lease may still have been open when the server went.
        assert LIMIT // 2 <= granted <= LIMIT // 2 + LIMIT // 400
        assert alarms == [1]

    def test_when_redis_is_back_it_is_used_again(self, server: Server) -> None:
        alarms: list[float] = []

        async def run() -> None:
            async with store(server.address, alarms) as shared:
                os.kill(server.process.pid, signal.SIGSTOP)
                await take(shared)
                os.kill(server.process.pid, signal.SIGCONT)
                for _ in range(100):
                    if not shared.is_degraded:
                        break
                    await asyncio.sleep(0.1)
                assert (await take(shared)).granted
                assert not shared.is_degraded

        asyncio.run(run())
        assert alarms == [1, 0]

    def test_a_flush_in_the_middle_of_a_window_harms_nobody(self, server: Server) -> None:
        async def run() -> bool:
            async with store(server.address) as shared:
                await take(shared)
                redis.Redis.from_url(server.address).flushall()
                return (await take(shared)).granted

        assert asyncio.run(run())


class TestLocal:
    def test_threads_together_pass_the_limit_and_no_more(self) -> None:
        local = LocalStore(Windows())
        with ThreadPoolExecutor(8) as threads:
            granted = sum(
                threads.map(lambda _: local.take("k", LIMIT, 1, tells=False).granted, range(10_000))
            )
        assert granted == LIMIT
