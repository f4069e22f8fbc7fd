"""The truth of marketing: curves, contributions and the best split."""

from typing import Any

import numpy as np
import pytest

from training.sample.marketing import CHANNELS, Curves, best_split

Tables = dict[str, dict[str, Any]]


def test_the_best_split_spends_as_much_and_brings_more(tables: Tables) -> None:
    truth = tables["truth_marketing_curves"]
    curves = Curves(*(truth[k] for k in ("usual", "adstock", "half", "shape", "worth")))
    today, best = truth["today_amount"], truth["best_amount"]
    assert best.sum() == pytest.approx(today.sum(), rel=1e-6)
    assert curves.steady(best).sum() > 1.02 * curves.steady(today).sum()
    marginal = curves.steady(best * 1.001) - curves.steady(best)
    inner = (best > today * 0.26) & (best < today * 1.74)
    slopes = (marginal / (best * 0.001))[inner]
    assert np.ptp(slopes) < 0.05 * slopes.mean()


def test_contributions_are_part_of_the_revenue(tables: Tables) -> None:
    seen, truth = tables["marketing"], tables["truth_marketing"]
    brought = sum(values for name, values in truth.items() if name.endswith("_amount"))
    assert np.all(brought < seen["revenue_amount"])
    assert np.corrcoef(brought, seen["revenue_amount"])[0, 1] > 0.2


@pytest.mark.parametrize("table", ["marketing", "marketing_steady"])
def test_the_split_of_today_leaves_something_to_be_gained(tables: Tables, table: str) -> None:
    truth, history = tables["truth_marketing_curves"], tables[table]
    curves = Curves(*(truth[k] for k in ("usual", "adstock", "half", "shape", "worth")))
    today = np.array([history[f"{channel}_amount"][-52:].mean() for channel in CHANNELS])
    lost = 1 - curves.steady(today).sum() / curves.steady(best_split(curves, today)).sum()
    assert 0.02 < lost < 0.15


def test_spend_follows_the_economy_but_for_the_pulses(tables: Tables) -> None:
    spread = {}
    for name in ("marketing", "marketing_steady"):
        history = tables[name]
        spend = np.log([history[f"{channel}_amount"] for channel in CHANNELS])
        spread[name] = np.diff(spend, axis=1).std()
        assert np.corrcoef(spend.mean(axis=0), history["economy_index"])[0, 1] > 0.2
    assert spread["marketing"] > 1.3 * spread["marketing_steady"]
