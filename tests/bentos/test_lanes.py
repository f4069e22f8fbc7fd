"""Whose request is begun next."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.lanes import LEAST_ROOM, MOST_ROOM, Lanes


@dataclass
class Clock:
    """A time that the test sets."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Place:
    """Lanes, and who began in which order."""

    lanes: Lanes
    begun: list[str] = field(default_factory=list)


@dataclass
class Waiting:
    """A connection of a caller; begins its request when told to, unless it is gone."""

    place: Place
    lane: str
    is_gone: bool = False

    def go_on(self) -> None:
        if not self.is_gone:
            self.place.lanes.enter(self.lane)
            self.place.begun.append(self.lane)


@pytest.fixture
def place() -> Place:
    return Place(Lanes(most_under_way=4, always_each=1))


def ask(place: Place, lane: str) -> Waiting:
    waiting = Waiting(place, lane)
    if place.lanes.is_open(lane):
        waiting.go_on()
    else:
        assert place.lanes.wait(lane, waiting)
    return waiting


class TestTurns:
    def test_what_is_within_the_means_waits_for_nothing(self, place: Place) -> None:
        for _ in range(4):
            ask(place, "a")
        assert (place.begun, place.lanes.waiting) == (["a"] * 4, 0)

    def test_the_lanes_are_served_by_turns(self) -> None:
        place = Place(Lanes(most_under_way=2, always_each=0))
        for lane in "aaaaabbc":
            ask(place, lane)
        assert place.begun == list("aa")
        for ended in range(6):
            place.lanes.leave(place.begun[ended])
        assert place.begun[2:] == list("abcaba")

    def test_who_has_nothing_under_way_always_begins(self, place: Place) -> None:
        for lane in "aaaab":
            ask(place, lane)
        waiting = ask(place, "b")
        assert place.begun == list("aaaab")
        place.lanes.leave("b")
        assert place.begun == list("aaaabb")
        assert waiting.lane == "b"

    def test_who_is_gone_takes_no_turn(self, place: Place) -> None:
        for lane in "aaaaaa":
            last = ask(place, lane)
        last.is_gone = True
        place.lanes.leave("a")
        place.lanes.leave("a")
        assert (place.begun, place.lanes.waiting) == (["a"] * 5, 0)

    @given(st.lists(st.sampled_from("abc-"), max_size=200))
    def test_nothing_is_lost_and_nothing_stands_idle(self, steps: list[str]) -> None:
        place = Place(Lanes(most_under_way=4, always_each=1))
        asked, ended = 0, 0
        for step in steps:
            if step != "-":
                ask(place, step)
                asked += 1
            elif ended < len(place.begun):
                place.lanes.leave(place.begun[ended])
                ended += 1
            under_way = len(place.begun) - ended
            assert len(place.begun) + place.lanes.waiting == asked
            assert under_way <= 4 + 2
            assert under_way >= 4 or not place.lanes.waiting
        while ended < len(place.begun):
            place.lanes.leave(place.begun[ended])
            ended += 1
        assert (ended, place.lanes.waiting) == (asked, 0)


class TestRoom:
    def full(self, clock: Clock) -> Place:
        place = Place(Lanes(most_under_way=1, always_each=1, now=clock))
        ask(place, "a")
        return place

    def answer(self, place: Place, clock: Clock, *, per_second: float, count: int) -> None:
        place.lanes.wait("a", Waiting(place, "a"))
        for _ in range(count):
            clock.now_s += 1 / per_second
            place.lanes.wait("a", Waiting(place, "a"))
            place.lanes.leave("a")

    def test_there_is_room_for_what_is_answered_within_a_second(self) -> None:
        clock = Clock()
        place = self.full(clock)
        self.answer(place, clock, per_second=1_000, count=2_000)
        assert place.lanes.room == pytest.approx(1_000, rel=0.02)

    @pytest.mark.parametrize(("pace", "room"), [(10, LEAST_ROOM), (100_000, MOST_ROOM)])
    def test_within_bounds(self, pace: float, room: int) -> None:
        clock = Clock()
        place = self.full(clock)
        self.answer(place, clock, per_second=pace, count=int(pace))
        assert place.lanes.room == room

    def test_beyond_it_a_connection_is_not_taken(self) -> None:
        clock = Clock()
        place = self.full(clock)
        self.answer(place, clock, per_second=10, count=10)
        taken = [place.lanes.wait("a", Waiting(place, "a")) for _ in range(LEAST_ROOM + 10)]
        assert taken[-1] is False
        assert place.lanes.waiting == LEAST_ROOM

    def test_who_fills_the_room_leaves_the_others_their_share(self) -> None:
        lanes = Lanes(most_under_way=1, always_each=0)
        lanes.room = 100
        place = Place(lanes)
        ask(place, "a")
        noisy = [lanes.wait("a", Waiting(place, "a")) for _ in range(300)]
        quiet = [lanes.wait("b", Waiting(place, "b")) for _ in range(300)]
        again = [lanes.wait("a", Waiting(place, "a")) for _ in range(10)]
        assert (sum(noisy), sum(quiet), sum(again)) == (100, 50, 0)
        lanes.leave("a")
        lanes.leave("a")
        assert place.begun == list("aab")

    def test_an_idle_time_is_not_a_slow_pace(self) -> None:
        clock = Clock()
        place = self.full(clock)
        place.lanes.leave("a")
        clock.now_s += 3_600
        ask(place, "a")
        self.answer(place, clock, per_second=1_000, count=1_000)
        assert place.lanes.room == pytest.approx(1_000, rel=0.02)
