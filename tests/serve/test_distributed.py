"""The platform and its bentos as processes of their own: what one of them being gone does."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.serve.conftest import Fleet, Home, running_platform, wait_until_up

pytestmark = pytest.mark.serve

VICTIM, OTHER = "churn", "pricing"
CALLERS = 4


@pytest.fixture(scope="module")
def fleet(home: Home, scratch: Path) -> Iterator[Fleet]:
    """Run a platform with two bentos, past BentoML's queue; the other five are not there."""
    with running_platform(
        "distributed",
        home=home.path,
        scratch=scratch,
        models=(VICTIM, OTHER),
        batching="platform",
    ) as started:
        yield started


@pytest.fixture(scope="module")
def client(fleet: Fleet, home: Home) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fleet.platform.url, headers=home.headers, timeout=30) as asking:
        yield asking


@pytest.fixture(scope="module")
def examples(client: httpx.Client) -> dict[str, Any]:
    paths = client.get("/openapi.json").json()["paths"]
    return {
        model: paths[f"/api/{model}"]["post"]["requestBody"]["content"]["application/json"][
            "example"
        ]
        for model in (VICTIM, OTHER)
    }


@dataclass
class Tally:
    """What the callers of one model saw, in order."""

    seen: list[tuple[float, int, str]] = field(default_factory=list)

    def statuses(self) -> set[int]:
        return {status for _, status, _ in self.seen}

    def since(self, moment: float, status: int) -> bool:
        return any(at > moment and one == status for at, one, _ in self.seen)


@asynccontextmanager
async def load(
    fleet: Fleet, home: Home, examples: dict[str, Any]
) -> AsyncIterator[dict[str, Tally]]:
    """Keep callers asking both models, each as soon as it has its answer."""
    tallies = {VICTIM: Tally(), OTHER: Tally()}
    is_over = asyncio.Event()

    async def call(asking: httpx.AsyncClient, model: str) -> None:
        while not is_over.is_set():
            answer = await asking.post(f"/api/{model}", json=examples[model])
            fault = re.search(r"\((.*?)(, again and again)?\)", answer.json().get("detail", ""))
            said = fault[1] if fault else ""
            tallies[model].seen.append((time.monotonic(), answer.status_code, said))

    async with httpx.AsyncClient(
        base_url=fleet.platform.url, headers=home.headers, timeout=30
    ) as asking:
        callers = [asyncio.create_task(call(asking, m)) for m in tallies for _ in range(CALLERS)]
        try:
            yield tallies
        finally:
            is_over.set()
            await asyncio.gather(*callers)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is seen, for as long as anything may take here."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "it was never seen"
        await asyncio.sleep(0.05)


def test_a_bento_killed_under_load_is_503_for_its_model_alone_and_comes_back(
    fleet: Fleet, home: Home, examples: dict[str, Any]
) -> None:
    async def play() -> dict[str, Tally]:
        async with load(fleet, home, examples) as tallies:
            victim = tallies[VICTIM]
            await until(lambda: victim.since(0, 200))
            fleet.kill_bento(VICTIM)
            killed = time.monotonic()
            await until(lambda: victim.since(killed, 503))
            await asyncio.to_thread(fleet.start_bento, VICTIM)
            await asyncio.to_thread(wait_until_up, fleet.bentos[VICTIM], path="/readyz")
            back = time.monotonic()
            await until(lambda: victim.since(back, 200))
            await until(lambda: tallies[OTHER].since(back, 200))
        return tallies

    tallies = asyncio.run(play())
    assert tallies[OTHER].statuses() == {200}
    assert tallies[VICTIM].statuses() == {200, 503}
    faults = {said for _, status, said in tallies[VICTIM].seen if status == 503}
    assert "Connection refused" in faults
    assert faults <= {
        "Connection refused",
        "the connection was dropped",
        "its answer broke off",
        # While the new one starts, its socket is there and nobody answers yet.
        "it says nothing for 2 seconds",
    }


def test_a_worker_that_dies_is_started_again_and_its_callers_wait_for_it(
    fleet: Fleet, home: Home, examples: dict[str, Any]
) -> None:
    async def play() -> dict[str, Tally]:
        async with load(fleet, home, examples) as tallies:
            victim = tallies[VICTIM]
            await until(lambda: victim.since(0, 200))
            [worker] = psutil.Process(fleet.bentos[VICTIM].process.pid).children()
            worker.kill()
            killed = time.monotonic()
            await until(lambda: victim.since(killed + 0.5, 200))
        return tallies

    tallies = asyncio.run(play())
    assert tallies[OTHER].statuses() == {200}
    # On a busy machine its start may take longer than a hop may; a drop must not be seen by anyone.
    refused = {said for _, status, said in tallies[VICTIM].seen if status != 200}
    assert refused <= {"no answer within 15 seconds", "it says nothing for 2 seconds"}


def test_a_bento_that_hangs_is_noticed_and_then_refused_at_once(
    fleet: Fleet, client: httpx.Client, examples: dict[str, Any]
) -> None:
    [worker] = psutil.Process(fleet.bentos[VICTIM].process.pid).children()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        while client.get(f"/models/{VICTIM}/health").status_code == 200:
            assert time.monotonic() < deadline
        assert client.post(f"/api/{OTHER}", json=examples[OTHER]).status_code == 200
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    deadline = time.monotonic() + 60
    while client.post(f"/api/{VICTIM}", json=examples[VICTIM]).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_bento_that_never_was_there_is_named_with_its_address(client: httpx.Client) -> None:
    for path in ("/models/budget/info", "/models/budget/health"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.json()["code"] == "ModelUnreachable"
        assert "SEPTET_BENTOS" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "2"
    listed = {m["model"]: m["serving"] for m in client.get("/models").json()["models"]}
    assert listed[OTHER]
    assert not listed["budget"]


def test_the_platform_opens_no_model_of_its_own(fleet: Fleet, client: httpx.Client) -> None:
    assert client.get(f"/models/{VICTIM}/health").status_code == 200
    [worker] = psutil.Process(fleet.platform.process.pid).children()
    mapped = {Path(m.path).name for m in worker.memory_maps()}
    assert not [name for name in mapped if "lightgbm" in name]
    [bento] = psutil.Process(fleet.bentos[VICTIM].process.pid).children()
    assert [m.path for m in bento.memory_maps() if "lightgbm" in m.path]
