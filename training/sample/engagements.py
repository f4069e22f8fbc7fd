"""Engagements: the work for a client on a service in a year, planned and done."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import MONTHS_A_QUARTER, Clients, Firm
from training.sample.delivery import SERVICES
from training.sample.lines import Lines

_MONTHS_A_YEAR = 12


def engagement_table(firm: Firm, clients: Clients, lines: Lines) -> tuple[pa.Array, pa.Table]:
    """Give the engagement of each of ``m`` lines, and ``engagements``.

    An engagement is all the work for a client on one service line in one year. Its worked hours
    are those of its lines and so of their timesheets; what was planned follows from the overrun
    that the client had when the work began.
    """
    year = lines.month // _MONTHS_A_YEAR
    key = (lines.row * (year.max(initial=0) + 1) + year) * len(SERVICES) + lines.service
    _, first, of_line = np.unique(key, return_index=True, return_inverse=True)
    engagement_id = pa.array(
        [
            f"E{n:07d}-{y:02d}-{s}"
            for n, y, s in zip(
                clients.number[lines.row[first]], year[first], lines.service[first], strict=True
            )
        ]
    )
    worked = np.bincount(of_line, weights=lines.hours, minlength=len(first)).round(1)
    # The lines of a client come in the order of time: the first one begins the work.
    row, month = lines.row[first], lines.month[first]
    overrun = clients.traits["overrun_ratio"][row, month // MONTHS_A_QUARTER]
    begin = (firm.first_month + month).astype("datetime64[M]").astype("datetime64[us]")
    table = {
        "engagement_id": engagement_id,
        "client_id": pa.array(clients.names[row]),
        "as_of": pa.array(begin, pa.timestamp("us", tz="UTC")),
        "service_line": pa.array(np.array(SERVICES)[lines.service[first]]),
        "planned_hours": pa.array((worked / (1 + overrun)).round(1)),
        "worked_hours": pa.array(worked),
    }
    return engagement_id.take(pa.array(of_line)), pa.table(table)
