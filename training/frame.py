"""The training table as the contract wants it: typed, checked, and with a report of the rest."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.config import ModelConfig
from core.encoding import Columns, FloatArray, ObjectArray
from core.errors import FieldProblem, TrainingRefused
from training.coercion import Coerced, coerce_feature, coerce_texts, coerce_times, shown
from training.labels import coerce_target
from training.source import RawTable

_MOST_SHOWN = 20
TimeArray = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Frame:
    """``n`` checked rows, column-wise.

    Parameters
    ----------
    columns
        The features.
    target
        float64, shape ``(n,)``; NaN for a row without a label.
    amount
        float64, shape ``(n,)``: the true amount, where the config names its column.
    entity
        Texts, shape ``(n,)``.
    as_of
        ``datetime64[us]`` in UTC, shape ``(n,)``, where the config names its column.
    part
        Texts, shape ``(n,)``: the split column, where the config names it.
    row_numbers
        Shape ``(n,)``: number of each row in the source.
    """

    columns: Columns
    target: FloatArray
    amount: FloatArray | None
    entity: ObjectArray
    as_of: TimeArray | None
    part: ObjectArray | None
    row_numbers: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: npt.NDArray[Any]) -> Frame:
        """Give the rows of an index or of a mask, in that order."""
        return replace(
            self,
            columns={name: values[rows] for name, values in self.columns.items()},
            target=self.target[rows],
            amount=None if self.amount is None else self.amount[rows],
            entity=self.entity[rows],
            as_of=None if self.as_of is None else self.as_of[rows],
            part=None if self.part is None else self.part[rows],
            row_numbers=self.row_numbers[rows],
        )

    def digest(self) -> str:
        """SHA-256 of the values, in the order of the rows."""
        state = hashlib.sha256()
        keys = {" amount": self.amount, " as_of": self.as_of, " part": self.part}
        arrays = {**self.columns, " target": self.target, " entity": self.entity, **keys}
        for name, values in arrays.items():
            if values is not None:
                state.update(name.encode() + b"\0")
                state.update(_bytes_of(values))
        return state.hexdigest()


@dataclass(frozen=True)
class QualityReport:
    """What was read, what was kept, and why the rest was not.

    Parameters
    ----------
    rows_read, rows_kept
        Counts.
    counts
        Bad cells by (column, reason).
    problems
        The first of them: row, column, value, reason.
    notes
        What is worth knowing of the rows that were kept.
    """

    rows_read: int
    rows_kept: int
    counts: dict[tuple[str, str], int]
    problems: tuple[FieldProblem, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows_left_out(self) -> int:
        """How many rows were left out."""
        return self.rows_read - self.rows_kept

    @property
    def bad_share(self) -> float:
        """Share of rows left out, 0 to 1."""
        return self.rows_left_out / self.rows_read if self.rows_read else 0.0

    def summary(self) -> str:
        """Say in a sentence what was left out."""
        if not self.rows_left_out:
            return f"{self.rows_read:,} rows read, none left out"
        worst = Counter(self.counts).most_common(3)
        why = "; ".join(f"{column} {reason} ({count:,})" for (column, reason), count in worst)
        return f"{self.rows_read:,} rows read, {self.rows_left_out:,} left out: {why}"


class _Checker:
    """Collects the faults of the columns of one table."""

    def __init__(self, raw: RawTable) -> None:
        self._raw = raw
        self.bad = np.zeros(len(raw.row_numbers), dtype=np.bool_)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.problems: list[FieldProblem] = list(raw.broken)
        self.notes: list[str] = []
        if raw.broken_count:
            self.counts["row", "has another number of cells than the header"] = raw.broken_count

    def take(self, name: str, coerced: Coerced) -> npt.NDArray[Any]:
        """Note a column's faults and give its values."""
        column = self._raw.table.column(name)
        if coerced.note:
            self.notes.append(coerced.note)
        for fault in coerced.faults:
            self.bad |= fault.mask
            rows = np.flatnonzero(fault.mask)
            self.counts[name, fault.reason] += len(rows)
            for row in rows[: _MOST_SHOWN - len(self.problems)]:
                place = f"row {self._raw.row_numbers[row]}, {name}"
                value = shown(column, int(row))
                self.problems.append(
                    FieldProblem(place, f"{value!r} {fault.reason}", fault.allowed)
                )
        return coerced.values

    def refuse_doubles(self, entity: ObjectArray, as_of: TimeArray) -> None:
        """Note the good rows whose entity and time stand in an earlier good row."""
        good = np.flatnonzero(~self.bad)
        codes = pa.array(entity[good], pa.large_string()).dictionary_encode().indices.to_numpy()
        ticks = as_of[good].astype(np.int64)
        order = np.lexsort((ticks, codes))  # stable: the first row of a key comes first
        repeats = (np.diff(codes[order]) == 0) & (np.diff(ticks[order]) == 0)
        if not repeats.any():
            return
        doubles = np.flatnonzero(repeats) + 1
        starts = np.maximum.accumulate(np.where(np.append(True, ~repeats), np.arange(len(good)), 0))
        rows, firsts = good[order[doubles]], good[order[starts[doubles]]]
        self.bad[rows] = True
        self.counts["entity and time", "stand twice"] += len(rows)
        numbers = self._raw.row_numbers
        for i in np.argsort(rows)[: max(0, _MOST_SHOWN - len(self.problems))]:
            self.problems.append(
                FieldProblem(
                    f"row {numbers[rows[i]]}, {entity[rows[i]]}",
                    f"has the entity and time of row {numbers[firsts[i]]}",
                    "one row for an entity and a time",
                )
            )


def build_frame(
    raw: RawTable, config: ModelConfig, *, latest: datetime
) -> tuple[Frame, QualityReport]:
    """Check a table against the contract and give what is good of it.

    Parameters
    ----------
    raw
        The table as read.
    config
        The model's config.
    latest
        Now: an as-of time may not lie after it.

    Raises
    ------
    TrainingRefused
        Too many bad rows, too few rows at all, or a column or target that says nothing. The
        error carries the first bad cells, each with row, column, value and reason.
    """
    frame, checker = _check(raw, config, latest=latest)
    rows_read = len(raw.row_numbers) + raw.broken_count
    kept = np.flatnonzero(~checker.bad)
    report = QualityReport(
        rows_read, len(kept), dict(checker.counts), tuple(checker.problems), tuple(checker.notes)
    )
    _refuse_empty_columns(frame, config, report)
    if report.bad_share > config.quality.max_bad_share:
        raise TrainingRefused(
            config.model,
            f"{report.summary()}. That is {report.bad_share:.1%}, over the "
            f"{config.quality.max_bad_share:.1%} of quality.max_bad_share. Mend the rows, widen "
            "the feature's limits, or raise the share.",
            problems=report.problems,
        )
    frame = frame.take(kept) if len(kept) < len(frame) else frame
    _refuse_hopeless(frame, config, report)
    return frame, report


def _check(raw: RawTable, config: ModelConfig, *, latest: datetime) -> tuple[Frame, _Checker]:
    """Turn every column into its type."""
    checker, table = _Checker(raw), raw.table
    columns = {
        name: checker.take(name, coerce_feature(table.column(name), feature))
        for name, feature in config.features.items()
    }
    target = config.target
    labels = np.full(len(raw.row_numbers), np.nan)
    if target.column in table.column_names:
        labels = checker.take(target.column, coerce_target(table.column(target.column), target))
    amount = None
    if target.amount:
        plain = target.model_copy(update={"positive": None, "unknown": None, "nullable": True})
        amount = checker.take(target.amount, coerce_target(table.column(target.amount), plain))
    entity = checker.take(config.entity, coerce_texts(table.column(config.entity)))
    as_of = part = None
    if config.as_of:
        form = config.source.time_format
        times = coerce_times(table.column(config.as_of), form=form, latest=latest)
        as_of = checker.take(config.as_of, times)
        checker.refuse_doubles(entity, as_of)
    if config.split.column:
        name = config.split.column
        part = checker.take(name, coerce_texts(table.column(name)))
    frame = Frame(columns, labels, amount, entity, as_of, part, raw.row_numbers)
    return frame, checker


def _refuse_hopeless(frame: Frame, config: ModelConfig, report: QualityReport) -> None:
    """Refuse what no model can be learned from."""
    model, column = config.model, config.target.column
    if len(frame) < config.quality.min_rows:
        raise TrainingRefused(
            model,
            f"{len(frame):,} good rows are fewer than the {config.quality.min_rows:,} of "
            "quality.min_rows. Bring more rows, or lower it.",
            problems=report.problems,
        )
    labels = frame.target[~np.isnan(frame.target)]
    if labels.size and labels.min() == labels.max() and not config.target.nullable:
        kind = "has one class only" if config.target.positive is not None else "is constant"
        raise TrainingRefused(
            model,
            f"the target {column!r} {kind} ({labels[0]:g} in every row): there is nothing to "
            "learn. Check target.column and target.positive.",
        )


def _refuse_empty_columns(frame: Frame, config: ModelConfig, report: QualityReport) -> None:
    """Refuse a feature or a target that is null in every row, before its rows are counted bad."""
    model, column = config.model, config.target.column
    if np.isnan(frame.target).all() and not config.target.nullable:
        raise TrainingRefused(
            model,
            f"the target {column!r} holds no outcome in any row. Check target.column.",
            problems=report.problems,
        )
    for name, values in frame.columns.items():
        known = values != None if values.dtype == object else ~np.isnan(values)  # noqa: E711
        if not known.any():
            raise TrainingRefused(
                model,
                f"the feature {name!r} holds no {config.features[name].type} in any row. Fill it, "
                "map another column under source.columns, or take it out of features.",
                problems=report.problems,
            )


def _bytes_of(values: npt.NDArray[Any]) -> bytes:
    if values.dtype != object:
        return np.ascontiguousarray(values).tobytes()
    texts = pa.array(values, pa.large_string())
    null: npt.NDArray[np.bool_] = texts.is_null().to_numpy(zero_copy_only=False)
    _, ends, letters = texts.buffers()
    return null.tobytes() + bytes(ends or b"") + bytes(letters or b"")
