"""The staff of the firm and the timesheets behind each invoice line."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import REGIONS, Clients, Firm, Floats, Ints
from training.sample.lines import GRADE_SHARES, GRADES, Lines

_CLIENTS_A_HEAD = 14
_SHARED_SHARE = 0.3
_GRADE_COSTS = np.array([38.0, 52.0, 78.0, 125.0])
_HOURS_A_MONTH = 150.0


def staff_tables(
    random: np.random.Generator,
    firm: Firm,
    clients: Clients,
    *,
    lines: Lines,
    keys: dict[str, pa.Array],
) -> dict[str, pa.Table]:
    """Give ``staff`` and ``timesheets`` for a block of clients.

    Every hour of an invoice line stands on the sheet of somebody of the line's grade; three in ten
    lines are the work of two. Who works for a block of clients works for no other block.

    Parameters
    ----------
    random
        A generator of the staff's own.
    firm, clients, lines
        The firm, its block of clients, and their ``m`` lines.
    keys
        Ids to note on each sheet by name, of the ``m`` lines.
    """
    wanted = len(clients.number) / _CLIENTS_A_HEAD * np.array(GRADE_SHARES)
    # At least two of each grade, so that a line can always be shared.
    grade = np.repeat(np.arange(len(GRADES)), np.maximum(np.ceil(wanted), 2).astype(np.int64))
    heads = len(grade)
    names = np.array([f"S{clients.number[0]:07d}-{i:04d}" for i in range(heads)])
    line, person, tenths = _share_out(random, lines, grade)
    hours = tenths / 10
    month = (firm.first_month + lines.month[line]).astype("datetime64[M]").astype("datetime64[us]")
    timesheets = {
        "timesheet_id": pa.array([f"T{clients.number[0]:07d}-{i:07d}" for i in range(len(line))]),
        "staff_id": pa.array(names[person]),
        "client_id": pa.array(clients.names[lines.row[line]]),
        **{name: ids.take(pa.array(line)) for name, ids in keys.items()},
        "as_of": pa.array(month + np.timedelta64(26, "D"), pa.timestamp("us", tz="UTC")),
        "hours": pa.array(hours),
    }
    cost = _GRADE_COSTS[grade] * np.exp(random.normal(0, 0.08, heads))
    worked = np.bincount(person, weights=hours, minlength=heads).astype(np.float64)
    staff = {
        "staff_id": pa.array(names),
        "grade": pa.array(np.array(GRADES)[grade]),
        "region": pa.array(np.array(REGIONS)[random.integers(len(REGIONS), size=heads)]),
        "cost_rate_amount_per_hour": pa.array(cost.round(2)),
        "utilisation_ratio": pa.array(_utilisation(worked, firm).round(3)),
    }
    return {"staff": pa.table(staff), "timesheets": pa.table(timesheets)}


def _share_out(random: np.random.Generator, lines: Lines, grade: Ints) -> tuple[Ints, Ints, Ints]:
    """Give line, person and tenths of an hour of each entry, in the order of the lines.

    ``grade`` is that of each person, sorted.
    """
    count = len(lines.row)
    first = np.searchsorted(grade, np.arange(len(GRADES)))
    peers = np.bincount(grade, minlength=len(GRADES))[lines.grade]
    one = random.integers(peers)
    # The second is somebody else of the grade: one to all but one steps further.
    two = (one + 1 + random.integers(peers - 1)) % peers
    tenths = np.rint(lines.hours * 10).astype(np.int64)
    part = np.rint(tenths * random.uniform(0.3, 0.7, count)).astype(np.int64)
    second = np.where(random.random(count) < _SHARED_SHARE, part, 0)
    line = np.tile(np.arange(count), 2)
    person = first[np.tile(lines.grade, 2)] + np.concatenate([one, two])
    spent = np.concatenate([tenths - second, second])
    order = np.argsort(line, kind="stable")
    kept = order[spent[order] > 0]
    return line[kept], person[kept], spent[kept]


def _utilisation(worked: Floats, firm: Firm) -> Floats:
    """Share of the hours a person has that stand on timesheets, over the whole time."""
    return worked / (_HOURS_A_MONTH * firm.quarters * 3)
