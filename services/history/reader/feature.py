"""How an input was distributed over time, against training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from bentos.predictor import Predictor
from core.errors import meant
from core.history_faults import PathInvalid
from services.history.answers import Chart, Series, SeriesColumn
from services.history.questions import FeatureQuestion
from services.history.reader import bins
from services.history.reader.columns import INPUT, Column, sql_of
from services.history.reader.database import Database
from services.history.reader.filters import condition
from services.history.reader.plot import INDEX
from services.history.reader.scan import Scan, kind_of

Profile = Mapping[str, Any]
ProfileOf = Callable[[str, str], Profile | None]
Row = dict[str, Any]

_NUMBERS = frozenset({"number", "integer"})
_KINDS = _NUMBERS | {"boolean", "text"}
_QUANTILES = (0.1, 0.5, 0.9)
_MOST_LEVELS = 50
_GROUPS = 20
_SHARES: tuple[tuple[str, Any, str | None], ...] = (
    ("step", "time", None), ("bin", "text", None), ("share", "number", "ratio"),
    ("training_share", "number", "ratio"), ("volume", "integer", "predictions"),
    ("psi", "number", INDEX), ("psi_by_chance", "number", INDEX),
)  # fmt: skip
_MIDDLE: tuple[tuple[str, Any, str | None], ...] = tuple(
    (name, "number", None)
    for name in ("median", "low", "high", "training_median", "training_low", "training_high")
)
_NOTE = (
    "psi (population stability index): under 0.1 no shift, over 0.25 a large one (Siddiqi 2006); "
    "psi_by_chance is what so few predictions give when nothing has changed."
)
_UNNOTED = (
    "How the input was distributed in training is not noted: the first step stands for training."
)
_SMALL, _LARGE = 0.1, 0.25
_LAST_STEPS = 4


@dataclass(frozen=True)
class _Part:
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
class _Held:
    """All that an answer is written from.

    Parameters
    ----------
    names, shares
        Of the groups: what they are called, and training's share of each.
    rows
        Of training.
    parts
        The steps.
    middle
        Training's low, median and high, of numbers.
    notes
        What a reader must know.
    """

    names: list[str]
    shares: list[float]
    rows: int
    parts: list[_Part]
    middle: tuple[float | None, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Features:
    """Answers how inputs were distributed.

    Parameters
    ----------
    database
        Reads the log.
    profile_of
        Gives how an input of a model was distributed in training, as ``training.profile`` notes it;
        nothing where that was not noted.
    """

    database: Database
    profile_of: ProfileOf

    def read(self, question: FeatureQuestion, feature: str, kind: type[Predictor]) -> Series:
        """Give one row a step and group of values.

        Parameters
        ----------
        question
            What was asked.
        feature
            Name of the input.
        kind
            The model's predictor.

        Raises
        ------
        PathInvalid
            There is no such input, or a filter names what there is not.
        """
        since, until = question.span
        asked = question.model_copy(update={"since": since, "until": until})

        def scan() -> Scan:
            return self.database.scanner.scan(asked.model, since=since, until=until)

        def ask() -> Series:
            found = scan()
            if not found.files:
                empty = _Held([], [], 0, [], (), ("No predictions in this time.",))
                return _series(asked, feature, empty, found, is_number=False)
            column = _input(found, feature)
            return self._read(asked, column, found, kind)

        return self.database.ask(ask, scan)

    def _read(
        self, question: FeatureQuestion, column: Column, scan: Scan, kind: type[Predictor]
    ) -> Series:
        query = _Query(self.database, scan, question, column, kind)
        profile = self.profile_of(question.model, column.name)
        notes: tuple[str, ...] = (_NOTE,)
        is_number = column.kind in _NUMBERS
        if profile is None:
            profile = query.first_profile()
            notes += (_UNNOTED,)
        held = query.numbers(profile) if is_number else query.levels(profile)
        held = replace(held, notes=notes if held.parts else ("No predictions in this time.",))
        return _series(question, column.name, held, scan, is_number=is_number)


def no_profile(_model: str, _feature: str) -> None:
    """Know nothing of training."""


class _Query:
    """Reads an input from the log."""

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

    def numbers(self, profile: Profile) -> _Held:
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
            parts.append(_Part(_utc(row["step"]), [*volumes, nulls], middle))
        edges = profile.get("edges") or []
        last = len(edges) - 1
        middle = tuple(float(edges[round(q * last)]) for q in _QUANTILES) if edges else (None,) * 3
        names = [*bins.names_of(marks), bins.NULL]
        return _Held(names, bins.shares_of(marks, profile["nulls"]), profile["rows"], parts, middle)

    def levels(self, profile: Profile) -> _Held:
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
        return _Held(
            [*known, bins.UNSEEN if is_whole else bins.OTHERS, bins.NULL],
            [*(share * (1 - nulls) for share in shares), nulls],
            profile["rows"],
            [_Part(step, volumes) for step, volumes in steps.items()],
            (),
        )

    def first_profile(self) -> Profile:
        """Describe the first step as training would be."""
        value = self._column.sql
        first = f"{self._step} = (SELECT min({self._step}) {self._from()})"
        facts = f"SELECT count(*) AS rows, count({value}) AS known"
        if self._column.kind in _NUMBERS:
            steps = [i / _GROUPS for i in range(_GROUPS + 1)]
            row = self._rows(
                f"{facts}, quantile_cont({value}, {steps}) AS edges", f"AND {first}", {}
            )[0]
            return {**_nulls(row), "edges": row["edges"] or []}
        counts = self._rows(
            f"SELECT CAST({value} AS VARCHAR) AS level, count(*) AS volume",
            f"AND {first} GROUP BY level ORDER BY volume DESC, level",
            {},
        )
        volume = sum(row["volume"] for row in counts)
        levels = [row for row in counts if row["level"] is not None]
        known = sum(row["volume"] for row in levels)
        shares = {row["level"]: row["volume"] / known for row in levels[:_MOST_LEVELS]}
        return {**_nulls({"rows": volume, "known": known}), "shares": shares}

    def _from(self) -> str:
        return f"FROM {self._scan.source} WHERE {self._where}"

    def _rows(self, select: str, rest: str, params: Row) -> list[Row]:
        sql = f"{select} {self._from()} {rest}"
        return self._database.rows(sql, {**self._params, **params}, self._scan)


def _nulls(row: Row) -> Row:
    return {"rows": row["rows"], "nulls": 1 - row["known"] / max(row["rows"], 1)}


def _input(scan: Scan, feature: str) -> Column:
    """Find an input by name."""
    kinds = {
        name.removeprefix(INPUT): kind_of(scan.releases, name)
        for name in scan.types
        if name.startswith(INPUT)
    }
    name = feature.removeprefix("input.")
    kind = kinds.get(name)
    if kind in _KINDS:
        return Column(name, sql_of(scan, INPUT + name, kind), kind)
    known = sorted(one for one, of in kinds.items() if of in _KINDS)
    said = meant(name, known)
    hint = f" ({said})" if said else ""
    fault = f"{feature[:80]!r} is no input of this time that has a distribution{hint}"
    raise PathInvalid("feature", fault, ", ".join(known) or "there is none")


def _utc(step: datetime) -> datetime:
    return step.replace(tzinfo=UTC)


def _series(
    question: FeatureQuestion, feature: str, held: _Held, scan: Scan, *, is_number: bool
) -> Series:
    given = _SHARES + (_MIDDLE if is_number else ())
    rows: list[list[Any]] = []
    excess: list[float] = []
    # Groups that neither training nor any step has say nothing.
    places = [
        i for i, share in enumerate(held.shares)
        if share > 0 or any(part.volumes[i] for part in held.parts)
    ]  # fmt: skip
    for part in held.parts:
        volume = sum(part.volumes)
        shares = [part.volumes[i] / volume for i in places]
        psi = bins.stability(shares, [held.shares[i] for i in places])
        chance = bins.by_chance(len(places), volume, held.rows)
        excess.append(psi - chance)
        # As columns have it: the median first.
        middle = [one[i] for one in (part.middle, held.middle) if one for i in (1, 0, 2)]
        rows += [
            [part.step.isoformat(), held.names[i], share, held.shares[i], part.volumes[i], psi,
             chance, *middle]
            for i, share in zip(places, shares, strict=True)
        ]  # fmt: skip
    return Series(
        title=f"{question.model}: input {feature} against training{_verdict(excess, question.by)}",
        columns=[SeriesColumn(name=name, kind=kind, unit=unit) for name, kind, unit in given],
        rows=rows,
        chart=_chart(is_number=is_number),
        notes=[*scan.notes, *held.notes],
    )


def _verdict(excess: Sequence[float], by: str) -> str:
    """Say how the last steps stand, beyond chance: one alone has few predictions."""
    if not excess:
        return ""
    last = excess[-_LAST_STEPS:]
    shift = sum(last) / len(last)
    words = ("no shift", "a moderate shift", "a large shift")
    when = f"the last {by}" if len(last) == 1 else f"the last {len(last)} {by}s"
    return f": {words[(shift >= _SMALL) + (shift >= _LARGE)]} in {when}"


def _chart(*, is_number: bool) -> Chart:
    if is_number:
        return Chart(
            kind="line", x="step", y=["median", "psi"], low="low", high="high", by=None,
            reference=["training_median", "training_low", "training_high"],
        )  # fmt: skip
    return Chart(
        kind="line", x="step", y=["share", "psi"], low=None, high=None, by="bin",
        reference=["training_share"],
    )  # fmt: skip
