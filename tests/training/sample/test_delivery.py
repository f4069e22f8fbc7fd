"""The truth of profit: what a plan earns when clients may leave."""

from typing import Any

import numpy as np
import pytest

Tables = dict[str, dict[str, Any]]


def _explained(said: Any, profit: Any) -> float:
    return float(1 - np.sum((profit - said) ** 2) / np.sum((profit - profit.mean()) ** 2))


def test_the_plan_alone_promises_more_than_clients_who_leave_bring(tables: Tables) -> None:
    rows, truth = tables["profitability"], tables["truth_profitability"]
    planned, profit = (
        rows["planned_revenue_amount"] - rows["planned_cost_amount"],
        rows["profit_amount"],
    )
    assert profit.sum() < 0.9 * planned.sum()
    best = _explained(truth["mean_amount"], profit)
    assert 0.8 < best < 0.95
    assert _explained(planned, profit) < 0.97 * best


def test_a_client_who_leaves_within_the_year_earns_its_quarters_alone(tables: Tables) -> None:
    rows, clients = tables["profitability"], tables["clients"]
    place = np.searchsorted(clients["client_id"], rows["client_id"])
    until = clients["client_until"].astype("datetime64[M]")[place]
    months = (until - rows["as_of"].astype("datetime64[M]")).astype(float)
    served = np.where(np.isnat(until), 12, np.clip(months, 0, 12))
    planned = rows["planned_revenue_amount"] - rows["planned_cost_amount"]
    sure = planned > 0.3 * rows["planned_revenue_amount"]
    ratio = rows["profit_amount"][sure] / planned[sure]
    whole = np.median(ratio[served[sure] == 12])
    assert set(served) == {3, 6, 9, 12}
    for quarters in (1, 2, 3):
        left = ratio[served[sure] == 3 * quarters]
        assert np.median(left) / whole == pytest.approx(quarters / 4, abs=0.03)
