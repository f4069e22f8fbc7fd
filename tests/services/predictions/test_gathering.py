"""Rows that arrive together are answered together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bentos.answering import Outcome, predict_rows
from bentos.release import Release, open_release, read_pointer
from core.contract import Row
from core.errors import AnswerRefused
from core.overload import Overloaded
from core.refusals import DeadlinePassed, RowUnanswered
from services.predictions import gathering
from services.predictions.gathering import Flight, Tick
from services.predictions.journal import Asked, Journal
from tests.tiny import Shelf, TinyPredictor

POISON = 13
ASKED = Asked("0123456789ab", 0.0, b"{}")


def release_of(folder: Path, version: str = "1", *, base: float = -1.0) -> Release:
    shelf = Shelf(folder)
    shelf.write(version, base=base)
    shelf.point(version)
    pointer = read_pointer(shelf.model_folder)
    assert pointer is not None
    return open_release(shelf.model_folder / version, pointer=pointer, kind=TinyPredictor)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of(tmp_path)


def row(tenure: int) -> Row:
    return {
        "tenure_months": tenure, "hours": 1.0, "is_active": True, "plan": "pro", "region": "north",
        "client_id": f"c{tenure}", "as_of": None,
    }  # fmt: skip


class Sizes:
    """What a gatherer tells of its batches."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def __call__(self, _: Any, answered: int, refused: int) -> None:
        self.seen.append((answered, refused))


async def in_turn(release: Release, rows: Sequence[Row]) -> list[Outcome]:
    await asyncio.sleep(0.01)
    return predict_rows(release, rows, explain=False)


Submit = Callable[[Release, Row], Any]


def gatherers(sizes: Sizes) -> dict[str, Submit]:
    flight: Flight[Release, Row] = Flight(in_turn, sizes)
    tick = tick_of(sizes)

    async def submit(release: Release, row: Row) -> Any:
        return json.loads(await tick.submit(release, row, ASKED))

    return {"tick": submit, "flight": flight.submit}


def tick_of(sizes: Sizes) -> Tick:
    return Tick(Journal(None).outcomes, sizes)


@pytest.mark.parametrize("kind", ["tick", "flight"])
class TestEither:
    def test_each_caller_gets_the_answer_of_its_own_row(self, release: Release, kind: str) -> None:
        # Seven is no divisor of 199: every tenure once, in no order.
        tenures = [t * 7 % 199 for t in range(199) if t * 7 % 199 not in {13, 14, 15}]

        async def run() -> list[Any]:
            submit = gatherers(Sizes())[kind]
            return await asyncio.gather(*[submit(release, row(t)) for t in tenures])

        answers = asyncio.run(run())
        assert [answer["entity"] for answer in answers] == [f"c{t}" for t in tenures]
        [alone] = predict_rows(release, [row(tenures[7])], explain=False)
        assert alone.answer is not None
        assert answers[7]["result"] == alone.answer["result"]
        assert len({answer["prediction_id"] for answer in answers}) == len(tenures)

    def test_a_row_on_which_the_model_fails_fails_alone(self, release: Release, kind: str) -> None:
        sizes = Sizes()

        async def run() -> list[Any]:
            submit = gatherers(sizes)[kind]
            asked = [submit(release, row(t)) for t in (10, POISON, 11, 12)]
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(run())
        assert isinstance(answers[1], RowUnanswered | AnswerRefused)
        assert [a["entity"] for a in (answers[0], *answers[2:])] == ["c10", "c11", "c12"]
        assert sum(answered for answered, _ in sizes.seen) == 3
        assert sum(refused for _, refused in sizes.seen) == 1

    def test_rows_of_two_releases_are_each_answered_by_their_own(
        self, tmp_path: Path, kind: str
    ) -> None:
        old, new = release_of(tmp_path / "a"), release_of(tmp_path / "b", "2", base=3.0)

        async def run() -> list[Any]:
            submit = gatherers(Sizes())[kind]
            pairs = [(old if t % 2 else new, row(t)) for t in range(20, 40)]
            return await asyncio.gather(*[submit(release, asked) for release, asked in pairs])

        answers = asyncio.run(run())
        assert [a["version"] for a in answers] == [
            "2" if t % 2 == 0 else "1" for t in range(20, 40)
        ]

    def test_a_caller_who_left_harms_nobody(self, release: Release, kind: str) -> None:
        async def run() -> Any:
            submit = gatherers(Sizes())[kind]
            left = asyncio.ensure_future(submit(release, row(20)))
            stays = asyncio.ensure_future(submit(release, row(21)))
            left.cancel()
            return await stays

        assert asyncio.run(run())["entity"] == "c21"

    def test_what_waits_is_bounded(
        self, release: Release, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "MOST_WAITING", 4)

        async def run() -> list[Any]:
            submit = gatherers(Sizes())[kind]

            async def ask(tenure: int) -> Any:
                return await submit(release, row(tenure))

            asked = [ask(t) for t in range(20, 30)]
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(run())
        assert sum(isinstance(answer, Overloaded) for answer in answers) == 6
        assert sum(isinstance(answer, dict) for answer in answers) == 4


class TestTick:
    def test_a_lone_row_waits_for_nothing(self, release: Release) -> None:
        async def run() -> int:
            tick, turns = tick_of(Sizes()), 0
            future = tick.submit(release, row(20), ASKED)
            while not future.done():
                await asyncio.sleep(0)
                turns += 1
            return turns

        assert asyncio.run(run()) == 1

    def test_what_arrives_in_one_turn_is_one_batch(self, release: Release) -> None:
        sizes = Sizes()

        async def run() -> None:
            tick = tick_of(sizes)
            await asyncio.gather(*[tick.submit(release, row(t), ASKED) for t in range(20, 50)])
            await tick.submit(release, row(50), ASKED)

        asyncio.run(run())
        assert sizes.seen == [(30, 0), (1, 0)]


class TestFlight:
    def test_while_one_batch_is_computed_the_next_one_gathers(self, release: Release) -> None:
        sizes = Sizes()

        async def run() -> None:
            flight: Flight[Release, Row] = Flight(in_turn, sizes)
            first = asyncio.ensure_future(flight.submit(release, row(20)))
            await asyncio.sleep(0.005)
            rest = [flight.submit(release, row(t)) for t in range(21, 41)]
            await asyncio.gather(first, *rest)

        asyncio.run(run())
        assert sizes.seen == [(1, 0), (20, 0)]

    def test_two_batches_are_under_way_and_no_more(self, release: Release) -> None:
        now, most = 0, 0

        async def counted(held: Release, rows: Sequence[Row]) -> list[Outcome]:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1
            return predict_rows(held, rows, explain=False)

        async def run() -> None:
            flight: Flight[Release, Row] = Flight(counted, Sizes(), most=4)
            await asyncio.gather(*[flight.submit(release, row(t)) for t in range(20, 60)])

        asyncio.run(run())
        assert most == 2

    @pytest.mark.parametrize("steps", range(8))
    def test_no_row_is_left_behind_by_a_flight_that_ends(
        self, release: Release, steps: int
    ) -> None:
        async def at_once(held: Release, rows: Sequence[Row]) -> list[Outcome]:
            return predict_rows(held, rows, explain=False)

        async def run() -> list[Any]:
            flight: Flight[Release, Row] = Flight(at_once, Sizes())
            asked = []
            for tenure in range(20, 28):
                asked.append(asyncio.ensure_future(flight.submit(release, row(tenure))))
                for _ in range(steps):
                    await asyncio.sleep(0)
            return await asyncio.wait_for(asyncio.gather(*asked), 5)

        assert [answer["entity"] for answer in asyncio.run(run())] == [
            f"c{tenure}" for tenure in range(20, 28)
        ]

    def test_an_answer_that_does_not_come_is_given_up(
        self, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "DEADLINE_SECONDS", 0.05)

        async def never(_: Release, __: Sequence[Row]) -> list[Outcome]:
            await asyncio.sleep(3600)
            return []

        async def run() -> None:
            await Flight(never, Sizes()).submit(release, row(20))

        with pytest.raises(DeadlinePassed):
            asyncio.run(run())

    def test_an_error_of_the_hop_reaches_every_caller_and_the_next_batch_goes_on(
        self, release: Release
    ) -> None:
        calls = 0

        async def breaks_once(held: Release, rows: Sequence[Row]) -> list[Outcome]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ConnectionError("gone")
            return predict_rows(held, rows, explain=False)

        async def run() -> tuple[list[Any], Any]:
            flight: Flight[Release, Row] = Flight(breaks_once, Sizes())
            asked = [flight.submit(release, row(t)) for t in (20, 21)]
            first = await asyncio.gather(*asked, return_exceptions=True)
            return first, await flight.submit(release, row(22))

        first, second = asyncio.run(run())
        assert all(isinstance(error, ConnectionError) for error in first)
        assert second["entity"] == "c22"
