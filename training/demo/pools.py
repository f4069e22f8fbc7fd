"""Whom the firm asks about: its clients again and again, its records and invoices once each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.config import ModelConfig, SampleSource
from core.contract import Row
from training.demo.outcomes import Truth, text_of
from training.source import read_source, sample_table

# A table tells of a client at the begin of each quarter: for so long its row is the latest.
_FRESH_DAYS = 92
_MONTHS = 12
# The share of usual records that somebody looks at.
_LOOKED_AT = 0.15
_HORIZONS = (3, 6)
_PERIODS = (4, 8, 13, 26)
_LEAST, _MOST = 0.8, 1.2

Drawn = tuple[Row, Truth]


class Pool(Protocol):
    """Where the rows of one model come from."""

    def draw(self, day: date, count: int, random: np.random.Generator) -> list[Drawn]:
        """Give rows for a day, each with what will have happened.

        Parameters
        ----------
        day
            The day.
        count
            How many; fewer are given where there are not so many.
        random
            Of the model and day.
        """


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the firm's table.

    Parameters
    ----------
    row
        What is asked, without the as-of time.
    truth
        What happened.
    as_of
        As of when the table has it.
    """

    row: Row
    truth: Truth
    as_of: date


class ClientPool:
    """Clients in turn, each with its latest row: whoever was asked about comes again.

    Parameters
    ----------
    config
        The model's config.
    lines
        Of its table.
    last
        Last day of the play; the end of the table is played then.
    seed
        Of the order of the clients.
    """

    def __init__(self, config: ModelConfig, lines: list[Line], *, last: date, seed: int) -> None:
        self._config = config
        self._lines: dict[str, list[Line]] = defaultdict(list)
        for line in sorted(lines, key=lambda line: line.as_of):
            self._lines[line.row[config.entity]].append(line)
        self._first = min(line.as_of for line in lines)
        newest = max(line.as_of for line in lines)
        self._shift = last - (newest + timedelta(days=_FRESH_DAYS - 1))
        order = np.random.default_rng([seed, len(lines)]).permutation(sorted(self._lines))
        self._order: list[str] = order.tolist()
        self._next = 0

    def draw(self, day: date, count: int, random: np.random.Generator) -> list[Drawn]:  # noqa: ARG002 - the order is settled
        """Give the next clients that the firm has on the day."""
        at = max(day - self._shift, self._first)
        found: list[Drawn] = []
        for _ in range(len(self._order)):
            if len(found) == count:
                break
            client = self._order[self._next]
            self._next = (self._next + 1) % len(self._order)
            line = self._latest(client, at)
            if line is not None:
                found.append((_as_of(self._config, line.row, day), line.truth))
        return found

    def _latest(self, client: str, at: date) -> Line | None:
        known = [line for line in self._lines[client] if line.as_of <= at]
        fresh = bool(known) and (at - known[-1].as_of).days < _FRESH_DAYS
        return known[-1] if fresh else None


class RecordPool:
    """Records, invoice lines or quotes, each once; when all were asked, the first ones again.

    Parameters
    ----------
    config
        The model's config.
    lines
        Of its table.
    seed
        Of their order.
    """

    def __init__(self, config: ModelConfig, lines: list[Line], *, seed: int) -> None:
        self._config = config
        order = np.random.default_rng([seed, len(lines)]).permutation(len(lines))
        self._lines = [lines[place] for place in order.tolist()]
        self._next = 0

    def draw(self, day: date, count: int, random: np.random.Generator) -> list[Drawn]:  # noqa: ARG002 - the order is settled
        """Give the next records."""
        places = range(self._next, self._next + min(count, len(self._lines)))
        self._next = places.stop % len(self._lines)
        lines = [self._lines[place % len(self._lines)] for place in places]
        return [(_as_of(self._config, line.row, day), line.truth) for line in lines]


class SeriesPool:
    """Series in turn, each asked for its next months.

    Parameters
    ----------
    config
        The model's config.
    series
        Their names.
    latest
        Begin of the last month that was learned from: forecasts start after it.
    seed
        Of their order.
    """

    def __init__(self, config: ModelConfig, series: list[str], *, latest: date, seed: int) -> None:
        self._config = config
        self._latest = latest
        self._most = int(config.training.options.get("max_horizon_steps", _MONTHS))
        order = np.random.default_rng([seed, len(series)]).permutation(sorted(series))
        self._order: list[str] = order.tolist()
        self._next = 0

    def draw(self, day: date, count: int, random: np.random.Generator) -> list[Drawn]:
        """Give the next series."""
        passed = _MONTHS * (day.year - self._latest.year) + day.month - self._latest.month
        found: list[Drawn] = []
        for _ in range(min(count, len(self._order))):
            ahead = max(passed, 0) + int(random.choice(_HORIZONS))
            row = {
                self._config.entity: self._order[self._next],
                "horizon_steps": min(ahead, self._most),
            }
            self._next = (self._next + 1) % len(self._order)
            found.append((_as_of(self._config, row, day), Truth()))
        return found


class MarketPool:
    """A market whose budget is split, as of the week.

    Parameters
    ----------
    config
        The model's config.
    market
        Its name.
    weekly_amount
        What is usually spent a week, on all channels together.
    """

    def __init__(self, config: ModelConfig, market: str, *, weekly_amount: float) -> None:
        self._config = config
        self._market = market
        self._weekly_amount = weekly_amount

    def draw(self, day: date, count: int, random: np.random.Generator) -> list[Drawn]:
        """Give budgets of several sizes and periods."""
        monday = day - timedelta(days=day.weekday())
        found: list[Drawn] = []
        for _ in range(count):
            weeks = int(random.choice(_PERIODS))
            total = weeks * self._weekly_amount * random.uniform(_LEAST, _MOST)
            row = {
                self._config.entity: self._market,
                "total_amount": round(float(total), 2),
                "period_weeks": weeks,
            }
            found.append((_as_of(self._config, row, monday), Truth()))
        return found


def firm_table(config: ModelConfig, *, home: Path) -> pa.Table:
    """Read a model's table of the sample firm, simulating it when it was not yet.

    Parameters
    ----------
    config
        The model's config.
    home
        Folder of the platform.
    """
    return read_source(config, home=home).table


def lines_of(config: ModelConfig, table: pa.Table, *, home: Path, seed: int) -> list[Line]:
    """Give the rows of a table as they are asked, each with what happened.

    Parameters
    ----------
    config
        The model's config.
    table
        As ``firm_table`` gave it.
    home
        Folder of the platform.
    seed
        Of whom somebody looks at.
    """
    truths = _truths(config, table, home=home, seed=seed)
    names = [config.entity, *config.asked_features]
    rows = [_plain(row, config) for row in table.select(names).to_pylist()]
    times = _times(config, table)
    return [Line(*one) for one in zip(rows, truths, times, strict=True)]


def _times(config: ModelConfig, table: pa.Table) -> list[date]:
    if not config.as_of:
        return [date.min] * table.num_rows
    times: list[datetime] = table.column(config.as_of).to_pylist()
    return [time.date() for time in times]


def _truths(config: ModelConfig, table: pa.Table, *, home: Path, seed: int) -> list[Truth]:
    target = config.target
    if target.column not in table.column_names:
        return _found_wrong(config, table, home=home, seed=seed)
    values = table.column(target.column).to_pylist()
    if target.positive is not None:
        values = [None if v is None else float(v == target.positive) for v in values]
    amounts = table.column(target.amount).to_pylist() if target.amount else [None] * len(values)
    # A line that bills what it should lacks no amount: the audit says no more than that.
    return [Truth(value, amount) for value, amount in zip(values, amounts, strict=True)]


def _found_wrong(config: ModelConfig, table: pa.Table, *, home: Path, seed: int) -> list[Truth]:
    """Say which records somebody looked at, and found wrong or in order.

    The firm's table of records has no such column. What is really wrong the simulator wrote down
    beside it, where no model may see it; the play may, for it is the firm that speaks.
    """
    source = config.source
    if not isinstance(source, SampleSource):
        return [Truth()] * table.num_rows
    path = sample_table(source, home=home)
    told = pq.read_table(path.with_name(f"truth_{path.name}"))
    by_record = dict(
        zip(told.column(config.entity).to_pylist(), told.column(config.target.column).to_pylist(),
            strict=True)
    )  # fmt: skip
    looked = np.random.default_rng([seed, table.num_rows, 1]).random(table.num_rows) < _LOOKED_AT
    records = table.column(config.entity).to_pylist()
    return [
        Truth(float(by_record[record])) if is_looked_at else Truth()
        for record, is_looked_at in zip(records, looked.tolist(), strict=True)
    ]


def _plain(row: Row, config: ModelConfig) -> Row:
    """Give a row's numbers as the contract wants them: integers where a feature is one."""
    for name, feature in config.asked_features.items():
        value = row[name]
        if value is None:
            continue
        if feature.type == "integer":
            row[name] = int(value)
        elif feature.type == "number":
            # Not a number is how a table of floats has null.
            row[name] = None if np.isnan(value) else value
    return row


def _as_of(config: ModelConfig, row: Row, day: date) -> Row:
    """Give a row as of a day."""
    if not config.as_of:
        return dict(row)
    return {config.entity: row[config.entity], config.as_of: text_of(day)} | row
