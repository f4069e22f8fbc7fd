"""Lock-outs: when, for how long, of whom, and in how much memory."""

from __future__ import annotations

import pytest

from core.access_config import LockoutConfig
from core.denials import LockedOut
from services.access.lockout import Lockout

CONFIG = LockoutConfig(failures=3, window_seconds=60, lock_seconds=60, most_lock_seconds=600)


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lockout(clock: Clock) -> Lockout:
    return Lockout(CONFIG, monotonic=clock)


def fail(lockout: Lockout, address: str = "192.0.2.1", *, times: int = 1) -> int:
    """Fail some times; give the seconds of the lock, 0 without one."""
    seconds = 0
    for _ in range(times):
        try:
            lockout.failed(address)
            seconds = 0
        except LockedOut as error:
            seconds = error.wait_seconds
    return seconds


def test_the_third_failure_within_the_window_locks(lockout: Lockout) -> None:
    assert fail(lockout, times=2) == 0
    assert fail(lockout) == 60


def test_failures_that_lie_further_apart_never_lock(lockout: Lockout, clock: Clock) -> None:
    for _ in range(20):
        assert fail(lockout) == 0
        clock.now_s += 30


def test_while_it_lasts_the_time_that_is_left_is_told(lockout: Lockout, clock: Clock) -> None:
    fail(lockout, times=3)
    clock.now_s += 20.5
    assert fail(lockout) == 40
    clock.now_s += 39.6
    assert fail(lockout) == 0


def test_each_further_lock_lasts_twice_as_long_up_to_the_most(
    lockout: Lockout, clock: Clock
) -> None:
    seen = []
    for _ in range(6):
        seen.append(fail(lockout, times=3))
        clock.now_s += seen[-1]
    assert seen == [60, 120, 240, 480, 600, 600]


def test_failures_from_before_a_lock_are_not_counted_after_it(clock: Clock) -> None:
    config = LockoutConfig(failures=3, window_seconds=600, lock_seconds=10)
    lockout = Lockout(config, monotonic=clock)
    fail(lockout, times=3)
    clock.now_s += 10
    assert fail(lockout, times=2) == 0
    assert fail(lockout) == 20


def test_a_long_quiet_lets_a_network_begin_anew(lockout: Lockout, clock: Clock) -> None:
    fail(lockout, times=3)
    clock.now_s += 60
    assert fail(lockout, times=3) == 120
    clock.now_s += 601
    assert fail(lockout, times=3) == 60


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("nonsense", "more nonsense", True),
    ],
)
def test_addresses_of_one_network_share_the_blame(
    lockout: Lockout, one: str, other: str, *, share: bool
) -> None:
    fail(lockout, one, times=3)
    assert (fail(lockout, other) > 0) is share


def test_however_many_networks_fail_only_the_latest_are_remembered() -> None:
    config = LockoutConfig(failures=2, most_networks=16)
    lockout = Lockout(config)
    for number in range(1000):
        fail(lockout, f"10.0.{number // 250}.{number % 250}")
    assert len(lockout) == 16
    assert fail(lockout, "10.0.3.249") > 0
    assert fail(lockout, "10.0.0.0") == 0


def test_every_new_lock_is_told_once() -> None:
    told: list[tuple[str, float]] = []
    lockout = Lockout(CONFIG, on_lock=lambda *lock: told.append(lock))
    fail(lockout, "2001:db8::7", times=10)
    assert told == [("2001:db8::/64", 60.0)]
