"""Two versions, two periods or two segments beside each other, with how sure the difference is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bentos.predictor import Predictor
from services.history.answers import Chart, Series, SeriesColumn
from services.history.decoding import REFUSED
from services.history.questions import CompareQuestion, Filters
from services.history.reader import interval
from services.history.reader.columns import number
from services.history.reader.database import Database
from services.history.reader.interval import Array, Effect, Ends, Moments
from services.history.reader.plot import EFFECT
from services.history.reader.scan import Scan
from services.history.reader.sides import Sides, check_versus, sides_of
from services.history.reader.units import ConfigOf, no_config, unit_of
from services.history.reader.wording import subject_of, words_of_field

MOST_SAMPLED = 20_000
_FEWEST = 2
_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("measure", "text"), ("unit", "text"), ("a", "number"), ("b", "number"),
    ("difference", "number"), ("low", "number"), ("high", "number"), ("effect", "number"),
    ("effect_low", "number"), ("effect_high", "number"), ("size", "text"),
)  # fmt: skip
# What refused rows do not have.
_NOT_OF_REFUSALS = ("entity", "source", "flagged", "least", "most", "where")
_NO_ROWS: dict[str, Any] = {
    "volume": 0, "known": 0, "mean": None, "variance": None, "flagged": 0,
    "values": [], "latencies": [],
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Comparisons:
    """Compares.

    Parameters
    ----------
    database
        Reads the log.
    config_of
        Gives the config of a model, which knows units.
    """

    database: Database
    config_of: ConfigOf = no_config

    def read(self, question: CompareQuestion, kind: type[Predictor]) -> Series:
        """Give one row a measure: both sides, the difference, its interval, and how large it is.

        Parameters
        ----------
        question
            What was asked.
        kind
            The model's predictor.

        Raises
        ------
        QueryInvalid
            ``versus``, a filter or the field names what there is not.
        """
        sides = sides_of(question)

        def scan() -> Scan:
            return self._scan(question.model, sides)

        def ask() -> Series:
            found = scan()
            rows = self._sides(question, sides, found, kind)
            refused, notes = self._refused(sides)
            unit = unit_of(self.config_of(question.model), kind, question.field)
            field = words_of_field(question.field or kind.HEADLINE)
            measures = _measures(field, unit, rows, refused)
            subject = subject_of(question, kind.HEADLINE, but=question.versus.partition(":")[0])
            return _series(subject, sides, rows, measures, [*found.notes, *notes])

        return self.database.ask(ask, scan, lambda: self._scan(REFUSED, sides))

    def _scan(self, place: str, sides: Sides) -> Scan:
        """Find the files of both sides, and not of what lies between two periods."""
        spans = [sides.a.span, sides.b.span]
        whole = self.database.scanner.scan(
            place, since=min(one[0] for one in spans), until=max(one[1] for one in spans)
        )
        return whole.among(
            [
                i
                for i, fact in enumerate(whole.facts)
                if any(fact.last_at >= since and fact.first_at < until for since, until in spans)
            ]
        )

    def _sides(
        self, question: CompareQuestion, sides: Sides, scan: Scan, kind: type[Predictor]
    ) -> list[Row]:
        """Measure both sides in one pass."""
        names = self.database.naming(scan)
        check_versus(question, names)
        of_a, _, (either, params) = sides.conditions(names, kind)
        if not scan.files:
            return [_NO_ROWS, _NO_ROWS]
        value = f"CAST({number(scan, kind, question.field).sql} AS DOUBLE)"
        # The same rows each time: those whose ids come first when they are shuffled.
        values, latencies = (
            f"arg_min({name}, hash(prediction_id), {MOST_SAMPLED})"
            for name in ("value", "latency_us")
        )
        query = f"""
            SELECT is_a, count(*) AS volume, count(value) AS known, avg(value) AS mean,
                   var_samp(value) AS variance, count(flags) AS flagged,
                   {values} AS values, {latencies} AS latencies
            FROM (SELECT {value} AS value, flags, latency_us, prediction_id,
                         ({of_a}) IS TRUE AS is_a
                  FROM {scan.source} WHERE {either})
            GROUP BY is_a
        """
        found = {row["is_a"]: row for row in self.database.rows(query, params, scan)}
        return [found.get(True, _NO_ROWS), found.get(False, _NO_ROWS)]

    def _refused(self, sides: Sides) -> tuple[tuple[int, int] | None, list[str]]:
        """Count what was refused on both sides, with notes; nothing if no filter parts that."""
        both = (sides.a, sides.b)
        if any(getattr(side, name) not in (None, []) for side in both for name in _NOT_OF_REFUSALS):
            return None, []
        counts = []
        notes: dict[str, None] = {}
        for side, is_rest in ((sides.a, sides.is_rest), (sides.b, False)):
            since, until = side.span
            scan = self.database.scanner.scan(REFUSED, since=since, until=until)
            notes |= dict.fromkeys(scan.notes)
            if not scan.files:
                counts.append(0)
                continue
            sql, params = _of_refusals(side, sides.b if is_rest else None)
            query = f"SELECT count(*) AS refused FROM {scan.source} WHERE {sql}"
            counts.append(self.database.rows(query, params, scan)[0]["refused"])
        return (counts[0], counts[1]), list(notes)


def _of_refusals(side: Filters, but: Filters | None) -> tuple[str, Row]:
    since, until = side.span
    parts = ["model = $model", '"at" >= $since', '"at" < $until']
    params: Row = {"model": side.model, "since": since, "until": until}
    for name in ("version", "caller"):
        if (value := getattr(side, name)) is not None:
            parts.append(f"{name} = ${name}")
            params[name] = value
        elif but is not None and (value := getattr(but, name)) is not None:
            parts.append(f"{name} <> ${name}")
            params[name] = value
    return " AND ".join(parts), params


def _measures(
    field: str, unit: str | None, rows: list[Row], refused: tuple[int, int] | None
) -> list[list[Any]]:
    a, b = rows
    sizes = a["volume"], b["volume"]
    counts = [a["flagged"], sizes[0], b["flagged"], sizes[1]]
    found = [
        ["predictions", "predictions", *sizes, sizes[1] - sizes[0], *[None] * 6],
        _of_means(f"{field}, mean", unit, rows),
        _of_medians(f"{field}, median", unit, [_sorted(row["values"]) for row in rows]),
        _of_shares("flagged", counts),
        _of_medians("latency, median", "ms", [_sorted(row["latencies"]) / 1000 for row in rows]),
    ]
    if refused is not None:
        asked = [size + count for size, count in zip(sizes, refused, strict=True)]
        found.append(_of_shares("refused", [refused[0], asked[0], refused[1], asked[1]]))
    return found


def _of_means(name: str, unit: str | None, rows: list[Row]) -> list[Any]:
    a, b = (Moments(row["known"], row["mean"], row["variance"]) for row in rows)
    ends, effect = interval.of_means(a, b), interval.of_standard(a, b)
    return _line(name, unit, (a.mean, b.mean), ends, effect)


def _of_medians(name: str, unit: str | None, samples: list[Array]) -> list[Any]:
    a, b = samples
    medians = [float(np.median(one)) if one.size else None for one in samples]
    effect = interval.of_ranks(a, b)
    return _line(name, unit, (medians[0], medians[1]), interval.of_medians(a, b), effect)


def _of_shares(name: str, counts: list[int]) -> list[Any]:
    hits_a, size_a, hits_b, size_b = counts
    shares = (hits_a / size_a if size_a else None, hits_b / size_b if size_b else None)
    ends = interval.of_shares(hits_a, size_a, hits_b, size_b)
    effect = interval.of_angles(hits_a, size_a, hits_b, size_b)
    return _line(name, "ratio", shares, ends, effect)


def _line(
    name: str, unit: str | None, values: tuple[float | None, float | None], ends: Ends,
    effect: Effect,
) -> list[Any]:  # fmt: skip
    a, b = values
    difference = None if a is None or b is None else b - a
    size = (effect.size, effect.low, effect.high, effect.words)
    return [name, unit, a, b, difference, *ends, *size]


def _sorted(values: list[float] | None) -> Array:
    return np.sort(np.array(values or [], dtype=np.float64))


def _series(
    subject: str, sides: Sides, rows: list[Row], measures: list[list[Any]],
    notes: list[str],
) -> Series:  # fmt: skip
    first, second = sides.names
    sizes = [row["volume"] for row in rows]
    notes = [*notes, f"a: {first}, {sizes[0]:,} predictions. b: {second}, {sizes[1]:,}."]
    if sides.is_rest:
        notes.append(f"Side a is everything of the filters that is not {second}.")
    if not any(sizes):
        notes.append("No predictions in this time.")
    elif min(sizes) < _FEWEST:
        notes.append("A side has fewer than 2 predictions: nothing can be said of the difference.")
    else:
        notes.append(
            "difference is b less a; low and high hold it in 95 of 100 such comparisons. effect: "
            "Cohen's d of means and h of shares, Cliff's delta of medians."
        )
    if max(sizes) > MOST_SAMPLED:
        notes.append(f"Medians are of {MOST_SAMPLED:,} predictions a side, drawn by their ids.")
    return Series(
        title=f"{subject}: {second} against {first}",
        columns=[
            SeriesColumn(name=name, kind=kind, unit=EFFECT if name.startswith("effect") else None)
            for name, kind in _COLUMNS
        ],
        rows=measures,
        chart=Chart(
            kind="interval", x="measure", y=["effect"], low="effect_low", high="effect_high",
            by="size",
        ),
        notes=notes,
    )  # fmt: skip
