"""The truth of churn: who leaves, and what a call does about it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

Tables = dict[str, dict[str, Any]]


def test_a_tenth_is_called_by_chance(tables: Tables) -> None:
    churn, truth = tables["churn"], tables["truth_churn"]
    called = churn["retention_call"]
    assert called.mean() == pytest.approx(0.1, abs=0.01)
    assert abs(np.corrcoef(called, truth["probability_uncalled"])[0, 1]) < 0.04


def test_the_called_and_the_uncalled_leave_as_their_truths_say(tables: Tables) -> None:
    churn, truth = tables["churn"], tables["truth_churn"]
    called, left = churn["retention_call"], churn["churned"]
    for rows, name in ((called, "probability_called"), (~called, "probability_uncalled")):
        chance = truth[name][rows]
        error = np.sqrt(np.sum(chance * (1 - chance))) / rows.sum()
        assert abs(left[rows].mean() - chance.mean()) < 3.5 * error
    mixed = 0.9 * truth["probability_uncalled"] + 0.1 * truth["probability_called"]
    assert truth["probability"] == pytest.approx(mixed)


def test_a_call_helps_most_and_harms_some(tables: Tables) -> None:
    truth = tables["truth_churn"]
    helped = truth["probability_uncalled"] - truth["probability_called"]
    assert 0.02 < helped.mean() < 0.06
    assert 0.005 < (helped < 0).mean() < 0.2
    # To call a fifth of the clients by the effect does more than to call the likeliest leavers.
    fifth = len(helped) // 5
    by_risk = np.argsort(-truth["probability_uncalled"])[:fifth]
    by_effect = np.argsort(-helped)[:fifth]
    assert helped[by_effect].sum() > 1.03 * helped[by_risk].sum()


def test_no_table_tells_a_score_that_nobody_asked_for(firm: dict[str, pa.Table]) -> None:
    unknown = firm["interactions"]["nps"].null_count / firm["interactions"].num_rows
    assert unknown == pytest.approx(0.03, abs=0.006)
    touches = firm["interactions"].select(["client_id", "as_of", "nps"]).to_pandas()
    touches["as_of"] += np.timedelta64(1, "D")
    for name in ("churn", "profitability"):
        rows = firm[name].select(["client_id", "as_of", "nps"]).to_pandas()
        both = rows.merge(touches, on=["client_id", "as_of"], suffixes=("", "_touch"))
        assert len(both) > 0.8 * len(rows)
        assert both["nps"].equals(both["nps_touch"])


def test_clients_come_until_the_last_quarter(tables: Tables) -> None:
    assert tables["clients"]["client_since"].max() == np.datetime64("2025-10-01")
