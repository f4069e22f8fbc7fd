"""How the values of an input are spread over groups, step by step, as the log has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from bentos.predictor import Predictor
from services.history.questions import FeatureQuestion
from services.history.reader import bins
from services.history.reader.columns import Column
from services.history.reader.database import Database
from services.history.reader.filters import condition
from services.history.reader.scan import Scan

Profile = Mapping[str, Any]
Row = dict[str, Any]

NUMBERS = frozenset({"number", "integer"})
_QUANTILES = (0.1, 0.5, 0.9)
_MOST_LEVELS = 50
_GROUPS = 20


@dataclass(frozen=True)
class Part:
    """What one step had.

    Parameters
    ----------
    step
        Its beginning.
    volumes
        Predictions of each group.
    middle
        Low, median and high, of numbers.
    """

    step: datetime
    volumes: list[int]
    middle: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Spread:
    """An input over a period.

    Parameters
    ----------
    names
        Of the groups.
    shares
        Of each group in what the groups were taken from.
    rows
        How many that was.
    parts
        The steps.
    middle
        Low, median and high of what the groups were taken from, of numbers.
    """

    names: list[str]
    shares: list[float]
    rows: int
    parts: list[Part]
    middle: tuple[float | None, ...]


class Distribution:
    """Reads an input from the log.

    Parameters
    ----------
    database
        Reads the log.
    scan
        Its files, at least one.
    question
        What was asked.
    column
        The input.
    kind
        The model's predictor.

    Raises
    ------
    QueryInvalid
        A filter names what there is not.
    """

    def __init__(
        self,
        database: Database,
        scan: Scan,
        question: FeatureQuestion,
        column: Column,
        kind: type[Predictor],
    ) -> None:
        self._database, self._scan, self._column = database, scan, column
        self._where, self._params = condition(question, scan, kind)
        # Of a time with zone each is a call into a calendar, three times as slow.
        self._step = f"date_trunc('{question.by}', make_timestamp(epoch_us(\"at\")))"

    def leave_out(self, versions: Sequence[str]) -> None:
        """Read no rows of these versions."""
        self._where += " AND NOT list_contains(CAST($lacking AS VARCHAR[]), version)"
        self._params["lacking"] = list(versions)

    def versions(self) -> dict[str, int]:
        """Count the predictions of each version, the one with most first."""
        rows = self._rows(
            "SELECT version, count(*) AS volume",
            "GROUP BY version ORDER BY volume DESC, version DESC",
            {},
        )
        return {row["version"]: row["volume"] for row in rows}

    def spread(self, profile: Profile) -> Spread:
        """Count the values in the groups of a profile.

        Parameters
        ----------
        profile
            Of the input, as ``training.profile`` notes it.
        """
        is_number = self._column.kind in NUMBERS
        return self._numbers(profile) if is_number else self._levels(profile)

    def _numbers(self, profile: Profile) -> Spread:
        """Count numbers in the groups of a profile."""
        marks = bins.marks_of(profile)
        value = self._column.sql
        counts = ", ".join(
            f"count_if({value} {'<=' if mark.is_within else '<'} $mark{i})"
            for i, mark in enumerate(marks)
        )
        params = {f"mark{i}": mark.value for i, mark in enumerate(marks)}
        rows = self._rows(
            f"SELECT {self._step} AS step, count(*) AS volume, count({value}) AS known, "
            f"[{counts}] AS upto, approx_quantile({value}, {list(_QUANTILES)}) AS middle",
            "GROUP BY step ORDER BY step",
            params,
        )
        parts = []
        for row in rows:
            upto = [0, *(int(count or 0) for count in row["upto"]), row["known"]]
            volumes = [b - a for a, b in pairwise(upto)]
            middle = tuple(row["middle"] or [None] * len(_QUANTILES))
            nulls = row["volume"] - row["known"]
            parts.append(Part(_utc(row["step"]), [*volumes, nulls], middle))
        edges = profile.get("edges") or []
        last = len(edges) - 1
        middle = tuple(float(edges[round(q * last)]) for q in _QUANTILES) if edges else (None,) * 3
        names = [*bins.names_of(marks), bins.NULL]
        return Spread(
            names, bins.shares_of(marks, profile["nulls"]), profile["rows"], parts, middle
        )

    def _levels(self, profile: Profile) -> Spread:
        """Count the levels of a profile, and those that it does not have."""
        known = dict(profile.get("shares") or {})
        text = f"CAST({self._column.sql} AS VARCHAR)"
        rows = self._rows(
            f"SELECT {self._step} AS step, {text} IS NULL AS is_null, CASE WHEN "
            f"list_contains(CAST($levels AS VARCHAR[]), {text}) THEN {text} END AS level, "
            "count(*) AS volume",
            "GROUP BY ALL ORDER BY step",
            {"levels": list(known)},
        )
        places = {level: i for i, level in enumerate(known)}
        steps: dict[datetime, list[int]] = {}
        for row in rows:
            volumes = steps.setdefault(_utc(row["step"]), [0] * (len(known) + 2))
            # The last two are other levels, and none.
            place = len(known) + 1 if row["is_null"] else places.get(row["level"], len(known))
            volumes[place] += row["volume"]
        rest = max(0.0, 1 - sum(known.values())) if known else 0.0
        is_whole = rest < 1e-9  # noqa: PLR2004 - shares add up to rounding
        shares = [*known.values(), 0.0 if is_whole else rest]
        nulls = profile["nulls"]
        return Spread(
            [*known, bins.UNSEEN if is_whole else bins.OTHERS, bins.NULL],
            [*(share * (1 - nulls) for share in shares), nulls],
            profile["rows"],
            [Part(step, volumes) for step, volumes in steps.items()],
            (),
        )

    def own_profile(self) -> Profile:
        """Describe the whole period as training would be: the groups of what stands alone."""
        value = self._column.sql
        if self._column.kind in NUMBERS:
            # Sketches, but for the ends: exact ones would sort every number.
            inner = [i / _GROUPS for i in range(1, _GROUPS)]
            [row] = self._rows(
                f"SELECT count(*) AS rows, count({value}) AS known, min({value}) AS least, "
                f"max({value}) AS most, approx_quantile({value}, {inner}) AS inner_edges",
                "",
                {},
            )
            edges = [row["least"], *(row["inner_edges"] or []), row["most"]]
            return {**_nulls(row), "edges": sorted(e for e in edges if e is not None)}
        counts = self._rows(
            f"SELECT CAST({value} AS VARCHAR) AS level, count(*) AS volume",
            "GROUP BY level ORDER BY volume DESC, level",
            {},
        )
        volume = sum(row["volume"] for row in counts)
        levels = [row for row in counts if row["level"] is not None]
        known = sum(row["volume"] for row in levels)
        shares = {row["level"]: row["volume"] / known for row in levels[:_MOST_LEVELS]}
        return {**_nulls({"rows": volume, "known": known}), "shares": shares}

    def _rows(self, select: str, rest: str, params: Row) -> list[Row]:
        sql = f"{select} FROM {self._scan.source} WHERE {self._where} {rest}"
        return self._database.rows(sql, {**self._params, **params}, self._scan)


def _nulls(row: Row) -> Row:
    return {"rows": row["rows"], "nulls": 1 - row["known"] / max(row["rows"], 1)}


def _utc(step: datetime) -> datetime:
    return step.replace(tzinfo=UTC)
