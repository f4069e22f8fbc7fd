"""Points are judged by what lies before them, and by nothing else."""

import numpy as np
import numpy.typing as npt
import pytest

from bentos.anomaly.series import judge
from bentos.anomaly.task import CYCLES, LEAST_POINTS

Floats = npt.NDArray[np.float64]
SEASON = 7


def signal(count: int = 400, *, seed: int = 3) -> Floats:
    random = np.random.default_rng(seed)
    week = np.array([0.0, 2.0, 3.0, 1.0, 0.0, -3.0, -4.0])
    values: Floats = 50 + week[np.arange(count) % SEASON] + random.normal(0, 1, count)
    return values


def test_what_comes_later_changes_nothing() -> None:
    values = signal()
    whole = judge(values, season=SEASON)
    changed = values.copy()
    changed[300:] = 1e9
    part = judge(changed, season=SEASON)
    np.testing.assert_array_equal(whole.p_value[:300], part.p_value[:300])
    np.testing.assert_array_equal(whole.high[:300], part.high[:300])


def test_usual_points_are_flagged_about_as_often_as_stated() -> None:
    p_values = np.concatenate(
        [judge(signal(1000, seed=s), season=SEASON).p_value for s in range(8)]
    )
    known = p_values[np.isfinite(p_values)]
    assert 0.005 <= np.mean(known <= 0.02) <= 0.035
    assert np.mean(known <= 0.001) <= 0.004


@pytest.mark.parametrize("size", [6.0, -6.0])
def test_a_spike_stands_out_at_once(size: float) -> None:
    values = signal()
    values[350] += size
    judged = judge(values, season=SEASON)
    assert judged.p_value[350] < 0.01
    assert abs(judged.expected[350] - (values[350] - size)) < 3


def test_a_season_that_stays_away_is_seen_within_days() -> None:
    values = signal()
    values[350:364] = 50 + np.random.default_rng(1).normal(0, 1, 14)
    assert np.nanmin(judge(values, season=SEASON).p_value[350:357]) < 0.01


def test_a_burst_of_variance_is_seen_within_days() -> None:
    values = signal()
    values[350:360] += np.random.default_rng(2).normal(0, 5, 10)
    assert np.nanmin(judge(values, season=SEASON).p_value[350:355]) < 0.01


def test_a_flat_line_is_seen_within_days() -> None:
    values = signal()
    values[350:360] = values[349]
    assert np.nanmin(judge(values, season=SEASON).p_value[350:354]) < 0.01


def test_a_constant_series_is_usual_and_its_first_move_is_not() -> None:
    values = np.full(100, 5.0)
    values[-1] = 5.2
    judged = judge(values, season=1)
    assert np.nanmin(judged.p_value[:-1]) > 0.05
    assert judged.p_value[-1] < 1e-6


def test_all_zero_is_usual() -> None:
    judged = judge(np.zeros(100), season=SEASON)
    assert np.isfinite(judged.p_value[60:]).all()
    assert np.nanmin(judged.p_value) > 0.05


@pytest.mark.parametrize("season", [1, 2, 5, 7, 10, 11, 12, 24, 52])
def test_the_shortest_window_that_is_accepted_is_judged(season: int) -> None:
    count = 1 + max(LEAST_POINTS, CYCLES * season if season > 1 else 0)
    wave = np.sin(2 * np.pi * np.arange(count) / season) if season > 1 else np.zeros(count)
    values = 3 * wave + np.random.default_rng(season).normal(0, 1, count)
    assert judge(values, season=season).p_value[-1] > 0.001
    values[-1] += 12
    judged = judge(values, season=season)
    assert judged.p_value[-1] < 0.01
    assert judged.low[-1] < judged.expected[-1] < judged.high[-1] < values[-1]


@pytest.mark.parametrize("rate", [0.002, 0.01, 0.05])
def test_a_point_beyond_its_limits_is_flagged_at_their_rate(rate: float) -> None:
    values = signal()
    values[350] = judge(values, season=SEASON, rate=rate).high[350] + 0.01
    judged = judge(values, season=SEASON, rate=rate)
    assert judged.p_value[350] < rate
    values[350] -= 0.02
    assert judge(values, season=SEASON, rate=rate).p_value[350] == pytest.approx(rate, rel=0.1)
