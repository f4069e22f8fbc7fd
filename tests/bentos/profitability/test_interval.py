import json

import numpy as np
import pytest

from bentos.profitability.interval import Interval

STATE = np.array([0, 2])
PREDICTED = np.array([10.0, 20.0])


def interval(method: str, *, exact: bool = False) -> Interval:
    return Interval.from_json(
        {
            "method": method, "level": 0.9, "lower": [1.0, 1.0, 2.0], "upper": [1.0, 1.0, 3.0],
            "least_spread": 0.01, "exact": [False, False, exact],
        }
    )  # fmt: skip


def test_constants_differ_by_state_of_history() -> None:
    low, high = interval("plain").bounds(PREDICTED, raw=[], scale=np.array([1.0, 2.0]), state=STATE)
    assert low.tolist() == [9.0, 16.0]
    assert high.tolist() == [11.0, 26.0]


def test_a_scaled_interval_is_as_wide_as_the_expected_gap() -> None:
    raw = [np.log([0.5, 2.0])]
    low, high = interval("scaled").bounds(PREDICTED, raw=raw, scale=np.ones(2), state=STATE)
    assert (high - low).tolist() == pytest.approx([1.0, 10.0])


def test_crossed_quantiles_are_put_in_order() -> None:
    raw = [np.array([1.0, 1.0]), np.array([-1.0, -1.0])]
    low, high = interval("quantile").bounds(PREDICTED, raw=raw, scale=np.ones(2), state=STATE)
    assert (low <= PREDICTED).all()
    assert (high >= PREDICTED).all()


def test_an_interval_always_holds_its_prediction() -> None:
    raw = [np.array([5.0, 5.0]), np.array([6.0, 6.0])]
    low, high = interval("quantile").bounds(PREDICTED, raw=raw, scale=np.ones(2), state=STATE)
    assert (low <= PREDICTED).all()
    assert (high > PREDICTED).all()


def test_where_the_rule_is_exact_the_trees_do_not_speak() -> None:
    raw = [np.array([-5.0, -5.0]), np.array([6.0, 6.0])]
    low, high = interval("quantile", exact=True).bounds(
        PREDICTED, raw=raw, scale=np.full(2, 1e-9), state=STATE
    )
    assert high[1] - low[1] == pytest.approx(5e-9)


def test_it_survives_json() -> None:
    one = interval("scaled")
    assert Interval.from_json(json.loads(json.dumps(one.to_json()))) == one
