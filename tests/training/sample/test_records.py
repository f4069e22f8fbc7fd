"""The truth of records: which are wrong, and how sure one can be."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

Tables = dict[str, dict[str, Any]]


def test_the_posterior_ranks_far_above_any_single_column(tables: Tables) -> None:
    records, truth = tables["records"], tables["truth_records"]
    label = truth["is_anomaly"]
    assert 0.006 <= label.mean() <= 0.014
    best = average_precision_score(label, truth["bayes_score"])
    assert best > 0.9
    for name in ("hours", "rate_amount", "amount", "overrun_ratio"):
        apart = np.abs(np.log(np.abs(records[name]) + 1) - np.log(np.abs(records[name]) + 1).mean())
        assert average_precision_score(label, apart) < 0.5 * best


def test_the_posterior_is_calibrated(tables: Tables) -> None:
    truth = tables["truth_records"]
    assert truth["bayes_score"].sum() == pytest.approx(truth["is_anomaly"].sum(), rel=0.2)


def test_each_kind_is_a_wrong_combination_of_valid_values(tables: Tables) -> None:
    records, truth = tables["records"], tables["truth_records"]
    odd, usual = truth["kind"] != "usual", truth["kind"] == "usual"
    assert set(truth["kind"]) == {"usual", "grade_rate", "hours", "amount", "place"}
    for name in ("rate_amount", "hours"):
        within = (records[name][odd] >= 0.5 * records[name][usual].min()) & (
            records[name][odd] <= 2 * records[name][usual].max()
        )
        assert within.mean() > 0.97
    for name in ("service", "region", "grade", "segment"):
        assert set(records[name][odd]) <= set(records[name][usual])
    fits = np.abs(np.log(records["amount"] / (records["hours"] * records["rate_amount"])))
    assert fits[truth["kind"] == "amount"].min() > 0.2 > fits[usual].max()
