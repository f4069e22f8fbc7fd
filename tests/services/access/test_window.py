"""The moving window, against the plainest model of one: a list of times."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.access.window import SLOTS, Windows

STEPS = st.lists(
    st.tuples(st.floats(0, 30, allow_nan=False), st.integers(1, 4)), min_size=1, max_size=60
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(clock: Clock) -> Windows:
    return Windows(monotonic=clock.monotonic)


@given(STEPS, st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_no_stretch_of_a_minute_ever_holds_more_than_the_limit(
    steps: list[tuple[float, int]], limit: int
) -> None:
    clock = Clock()
    storage = Windows(monotonic=clock.monotonic)
    passed: list[tuple[float, int]] = []
    for wait_s, amount in steps:
        clock.now_s += wait_s
        granted, total, _ = storage.take("k", limit, 60, amount)
        recent = sum(n for at, n in passed if at > clock.now_s - 60)
        if granted:
            passed.append((clock.now_s, amount))
            assert recent + amount <= limit
        else:
            # It comes back a sixtieth of the window late at most.
            late = sum(n for at, n in passed if at > clock.now_s - 60 - 60 / SLOTS - 1e-6)
            assert late + amount > limit
        assert total <= limit


def test_what_was_refused_is_granted_after_the_time_that_was_named(
    clock: Clock, storage: Windows
) -> None:
    for _ in range(5):
        storage.take("k", 5, 60, 1)
        clock.now_s += 3
    granted, _, wait_s = storage.take("k", 5, 60, 2)
    assert not granted
    clock.now_s += wait_s
    assert storage.take("k", 5, 60, 2)[0]


def test_a_key_that_is_not_asked_for_is_forgotten(clock: Clock, storage: Windows) -> None:
    for i in range(1_000):
        storage.take(f"k{i}", 5, 60, 1)
    assert storage.count() == 1_000
    for _ in range(3):
        clock.now_s += 62
        storage.take("other", 5, 60, 1)
    assert storage.count() <= 2


def test_keys_do_not_share(storage: Windows) -> None:
    assert storage.take("a", 1, 60, 1)[0]
    assert not storage.take("a", 1, 60, 1)[0]
    assert storage.take("b", 1, 60, 1)[0]
