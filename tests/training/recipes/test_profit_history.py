import numpy as np
import pytest

from bentos.profitability.history import Volumes
from training.recipes.profit_history import (
    accumulate,
    choose_habit,
    clock_of,
    mixed_error,
    outcome_parts,
    tabulate,
)

DAYS = np.array(["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-05"], dtype="datetime64[us]")
ORDER = np.arange(4)
KEYS = np.zeros(4)
PARTS = outcome_parts(
    np.array([-1.0, -2.0, -4.0, -8.0]), Volumes(*(np.full(4, v) for v in (0, 1, 1)))
)


def costs_seen(horizon_days: int) -> list[float]:
    clock = clock_of(DAYS, horizon_days=horizon_days, order=ORDER)
    return list(accumulate([KEYS], clock=clock, parts=PARTS)[0].cost)


def test_a_row_sees_only_rows_before_its_time() -> None:
    assert costs_seen(0) == [0.0, 1.0, 1.0, 7.0]


def test_an_outcome_that_takes_days_is_not_seen_before() -> None:
    assert costs_seen(3) == [0.0, 0.0, 0.0, 7.0]
    assert costs_seen(4) == [0.0, 0.0, 0.0, 1.0]


def test_without_times_an_order_stands_in() -> None:
    clock = clock_of(None, horizon_days=0, order=np.array([3, 2, 1, 0]))
    assert accumulate([KEYS], clock=clock, parts=PARTS)[0].cost.tolist() == [14.0, 12.0, 8.0, 0.0]


def test_other_keys_and_nulls_are_not_mixed_in() -> None:
    clock = clock_of(None, horizon_days=0, order=ORDER)
    keys = np.array([0.0, 1.0, np.nan, 0.0])
    assert accumulate([keys], clock=clock, parts=PARTS)[0].count.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_the_table_adds_up_every_key() -> None:
    table = tabulate([np.array([0.0, 1.0, np.nan, 0.0])], sizes=[3], parts=PARTS)[0]
    assert table.cost.tolist() == [9.0, 2.0, 0.0]
    assert table.count.tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize(("noise", "least", "most"), [(0.0, 0.0, 0.25), (0.6, 1.0, 64.0)])
def test_noisy_items_are_shrunk_and_exact_ones_are_not(
    noise: float, least: float, most: float
) -> None:
    draw = np.random.default_rng(1)
    key = draw.integers(0, 100, 1500)
    ratio = 0.5 + 0.1 * draw.standard_normal(100)[key] + noise * draw.standard_normal(1500)
    sizes = Volumes(np.full(1500, 10.0), np.full(1500, 10.0), np.ones(1500))
    target = 10.0 - 10.0 * ratio
    clock = clock_of(None, horizon_days=0, order=np.arange(1500))
    sums = accumulate([key.astype(float)], clock=clock, parts=outcome_parts(target, sizes))
    habit = choose_habit(sums, volumes=sizes, target=target, item=True, per_unit=False)
    assert least <= habit.item_weight <= most


def test_a_constant_has_the_error_two() -> None:
    target = np.array([-1.0, 0.0, 1.0])
    assert mixed_error(target, np.zeros(3)) == pytest.approx(2.0)
    assert mixed_error(target, target) == 0.0
