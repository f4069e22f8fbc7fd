"""The table of ``churn``: one row for a client and a quarter, and the true probabilities."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import (
    CONTRACTS,
    MONTHS_A_QUARTER,
    REGIONS,
    SECTORS,
    SEGMENTS,
    Clients,
    Firm,
)

_WHOLE = frozenset(
    {"tickets_count", "escalations_count", "late_payments_count", "service_lines_count",
     "days_since_contact"}
)  # fmt: skip


def churn_tables(firm: Firm, clients: Clients) -> dict[str, pa.Table]:
    """Give ``churn`` and ``truth_churn`` for a block of clients.

    A row stands on the first day of a quarter. It shows what was seen in the quarter before, so
    all of it was known that day; the outcome is whether the client leaves before the next one.
    ``retention_call`` tells who was called that day, a tenth of the clients, by chance. The truth
    is the probability to one who does not know of calls, and those without and with one.
    """
    rows, quarters = [], []
    for number in range(1, firm.quarters):
        active = np.flatnonzero(clients.active(number) & (clients.begin < number))
        rows.append(active)
        quarters.append(np.full(len(active), number))
    row, quarter = np.concatenate(rows), np.concatenate(quarters)
    as_of = pa.array(firm.day(quarter), pa.timestamp("us", tz="UTC"))
    client = pa.array(clients.names[row])
    nps = clients.traits["nps"][row, quarter - 1]
    tenure = np.maximum(quarter - clients.begin[row], 0) * MONTHS_A_QUARTER
    columns = {
        "client_id": client,
        "as_of": as_of,
        "sector": pa.array(np.array(SECTORS)[clients.sector[row]]),
        "region": pa.array(np.array(REGIONS)[clients.region[row]]),
        "segment": pa.array(np.array(SEGMENTS)[clients.segment[row]]),
        "contract_type": pa.array(np.array(CONTRACTS)[clients.contract[row]]),
        "tenure_months": pa.array(tenure),
        "monthly_amount": pa.array(clients.monthly_amount[row]),
        "nps": pa.array(nps, mask=~clients.nps_asked[row, quarter - 1]),
    }
    for name, values in clients.traits.items():
        if name != "nps":
            seen = values[row, quarter - 1]
            if name == "sponsor_changed":
                columns[name] = pa.array(seen > 0)
            else:
                columns[name] = pa.array(seen.astype(np.int64) if name in _WHOLE else seen)
    columns["retention_call"] = pa.array(clients.called[row, quarter])
    left = clients.end[row] == quarter + 1
    truth = {
        "client_id": client,
        "as_of": as_of,
        "probability": pa.array(clients.leave_probability[row, quarter]),
        "probability_uncalled": pa.array(clients.leave_uncalled[row, quarter]),
        "probability_called": pa.array(clients.leave_called[row, quarter]),
    }
    return {
        "churn": pa.table(columns | {"churned": pa.array(left.astype(np.int64))}),
        "truth_churn": pa.table(truth),
    }
