"""How predictions went over time: how many, what they said, how fast, how many were refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bentos.predictor import Predictor
from core.refusals import QueryInvalid
from services.history.answers import Chart, Series, SeriesColumn
from services.history.decoding import REFUSED
from services.history.questions import TrendsQuestion
from services.history.reader import outcomes, step
from services.history.reader.columns import Column, level, number
from services.history.reader.database import Database
from services.history.reader.filters import NOTHING, condition
from services.history.reader.plot import BAND
from services.history.reader.scan import Scan
from services.history.reader.units import ConfigOf, no_config, unit_of, unit_of_outcome
from services.history.reader.wording import listed, subject_of, words_of_field

# So many lines can be told apart; the rest is one.
MOST_GROUPS = 10
REST = "all others"
# What the refusals have as well: a refused row is of no release's result and of no input.
_OF_REFUSALS = frozenset({None, "version", "caller"})
_QUANTILES = (0.1, 0.5, 0.9)
Row = dict[str, Any]

_Columns = tuple[tuple[str, str, str | None], ...]
_NO_OUTCOME = """
    NULL::DOUBLE AS outcome_value, 0 AS outcome_steps, NULL::TIMESTAMPTZ[] AS told_steps,
    NULL::DOUBLE AS told_value, NULL::DOUBLE AS foretold_value
"""
# Units that the model's config tells.
_OF_FIELD, _OF_OUTCOME = "of the field", "of the outcome"
# Columns that each measure gives: name, kind, unit.
_GIVEN: dict[str, _Columns] = {
    "volume": (("volume", "integer", "predictions"),),
    "value": (
        ("mean", "number", _OF_FIELD),
        ("low", "number", _OF_FIELD),
        ("median", "number", _OF_FIELD),
        ("high", "number", _OF_FIELD),
    ),
    "flagged": (("flagged_share", "number", "ratio"),),
    "latency": (("latency_ms", "number", "ms"), ("latency_p99_ms", "number", "ms")),
    "errors": (("refused", "integer", "rows"), ("error_share", "number", "ratio")),
    "outcomes": (
        ("outcomes", "integer", "predictions"),
        ("outcome_share", "number", "ratio"),
        ("outcome_mean", "number", _OF_OUTCOME),
        # What was said of just those, where the model foretells the outcome.
        ("outcome_mean_foretold", "number", _OF_OUTCOME),
    ),
}
# What is drawn of each.
_DRAWN: dict[str, tuple[str, ...]] = {
    "volume": ("volume",), "value": ("median",), "flagged": ("flagged_share",),
    "latency": ("latency_ms",), "errors": ("error_share",),
    "outcomes": ("outcome_share", "outcome_mean"),
}  # fmt: skip
# How a title names them; the value bears the name of the field.
_NAMES = {"flagged": "flagged share", "errors": "error share"}


@dataclass(frozen=True)
class Trends:
    """Answers how predictions went.

    Parameters
    ----------
    database
        Reads the log.
    config_of
        Gives the config of a model, which knows units.
    """

    database: Database
    config_of: ConfigOf = no_config

    def read(self, question: TrendsQuestion, kind: type[Predictor]) -> Series:
        """Give one row a step, and a group where one is asked for.

        Parameters
        ----------
        question
            What was asked.
        kind
            The model's predictor.

        Raises
        ------
        QueryInvalid
            A filter or the group names what there is not.
        """
        since, until = question.span

        def scan() -> Scan:
            return self.database.scanner.scan(question.model, since=since, until=until)

        def ask() -> Series:
            found = scan()
            rows = self._measure(question, kind, found)
            if "errors" in question.measure:
                rows = self._with_errors(question, rows)
            notes = [*found.notes, *(note for one in others for note in one().notes)]
            units = self._units(question, kind)
            asked = question.model_copy(update={"since": since, "until": until})
            return _series(asked, kind, rows, notes, units)

        read = self.database.scanner.scan
        others: list[Callable[[], Scan]] = []
        if "errors" in question.measure:
            others.append(partial(read, REFUSED, since=since, until=until))
        if "outcomes" in question.measure:
            others.append(partial(read, outcomes.place_of(question.model)))
        return self.database.ask(ask, scan, *others)

    def _units(self, question: TrendsQuestion, kind: type[Predictor]) -> dict[str, str | None]:
        config = self.config_of(question.model)
        of_field = unit_of(config, kind, question.field)
        return {_OF_FIELD: of_field, _OF_OUTCOME: unit_of_outcome(config)}

    def _measure(self, question: TrendsQuestion, kind: type[Predictor], scan: Scan) -> list[Row]:
        """Measure what was answered."""
        names = self.database.naming(scan)
        sql, params = condition(question, names, kind)
        group = _group(question, names)
        if not scan.files:
            return []
        source = scan.source
        if "outcomes" in question.measure:
            source, more = self._with_outcomes(question.model, kind, scan, sql)
            params |= more
        if group is not None:
            params["top"] = self._largest(group, source, sql, params, scan)
        followed = number(scan, kind, question.field)
        foretold = "NULL" if kind.FORETELLS is None else number(scan, kind, kind.FORETELLS).sql
        query = f"""
            SELECT {_step(question.by)} AS step, {_parted(group)} AS part,
                   {", ".join(_measures(question, kind, followed, foretold))}
            FROM {source} WHERE {sql} GROUP BY ALL ORDER BY ALL
        """
        return self.database.rows(query, params, scan)

    def _largest(
        self, group: Column, source: str, sql: str, params: dict[str, Any], scan: Scan
    ) -> list[str]:
        """Name the groups that have a line of their own."""
        query = f"""
            SELECT CAST({group.sql} AS VARCHAR) AS part, count(*) AS volume
            FROM {source} WHERE {sql} GROUP BY ALL ORDER BY volume DESC, part LIMIT {MOST_GROUPS}
        """
        return [row["part"] for row in self.database.rows(query, params, scan)]

    def _with_outcomes(
        self, model: str, kind: type[Predictor], scan: Scan, sql: str
    ) -> tuple[str, dict[str, Any]]:
        """Give the source of predictions with what then happened."""
        about = outcomes.about_many(scan, kind, lambda sql: self.database.rows(sql, {}, scan))
        told = self.database.scanner.scan(outcomes.place_of(model), about=about)
        predictions = f"SELECT * FROM {scan.source} WHERE {sql}"
        if not told.files:
            return f"(SELECT *, {_NO_OUTCOME} FROM ({predictions}))", {}
        return f"({outcomes.joined(predictions, kind)})", {"told": list(told.files)}

    def _with_errors(self, question: TrendsQuestion, rows: list[Row]) -> list[Row]:
        """Add what was refused, which the log keeps apart."""
        _check_errors(question)
        since, until = question.span
        scan = self.database.scanner.scan(REFUSED, since=since, until=until)
        known = {(row["step"], row["part"]): row for row in rows}
        if scan.files:
            parts = ["model = $model", '"at" >= $since', '"at" < $until']
            params: dict[str, Any] = {"model": question.model, "since": since, "until": until}
            for name in ("version", "caller"):
                if (value := getattr(question, name)) is not None:
                    parts.append(f"{name} = ${name}")
                    params[name] = value
            query = f"""
                SELECT {_step(question.by)} AS step, {question.group or "NULL"} AS part,
                       count(*) AS refused
                FROM {scan.source} WHERE {" AND ".join(parts)} GROUP BY ALL
            """
            refusals = self.database.rows(query, params, scan)
            lines = _lines(rows, refusals)
            for row in refusals:
                part = row["part"] if row["part"] in lines else REST
                new = {"step": row["step"], "part": part, "volume": 0}
                found = known.setdefault((row["step"], part), new)
                found["refused"] = found.get("refused", 0) + row["refused"]
        for row in known.values():
            row["refused"] = refused = row.get("refused", 0)
            row["error_share"] = refused / (refused + row["volume"])
        return sorted(known.values(), key=lambda row: (row["step"], row["part"] or ""))


def _lines(rows: list[Row], refusals: list[Row]) -> set[str | None]:
    """Name the groups that have a line of their own, those that only had refusals as well."""
    lines = {row["part"] for row in rows}
    if REST in lines:
        return lines
    others: Counter[str | None] = Counter()
    for row in refusals:
        others[row["part"]] += row["refused"] * (row["part"] not in lines)
    order = sorted(others.keys() - lines, key=lambda part: (-others[part], part or ""))
    return lines | set(order[: max(MOST_GROUPS - len(lines), 0)])


def _check_errors(question: TrendsQuestion) -> None:
    """Refuse to part or pick refusals by what they do not have."""
    fix = "version or caller, or leave errors out"
    if question.group not in _OF_REFUSALS:
        raise QueryInvalid("group", f"errors cannot be parted by {question.group}", fix)
    for name in ("entity", "source", "flagged", "least", "most", "where"):
        if getattr(question, name) not in (None, []):
            raise QueryInvalid(name, "errors cannot be picked by it", fix)


def _group(question: TrendsQuestion, scan: Scan) -> Column | None:
    return None if question.group is None else level(scan, "group", question.group)


def _parted(group: Column | None) -> str:
    if group is None:
        return "NULL"
    text = f"CAST({group.sql} AS VARCHAR)"
    return (
        f"CASE WHEN {text} IS NULL THEN 'null' WHEN list_contains($top, {text}) THEN {text} "
        f"ELSE '{REST}' END"
    )


def _step(by: str) -> str:
    # Without its zone, which is UTC throughout: with it the same takes three times as long.
    return f"date_trunc('{by}', make_timestamp(epoch_us(\"at\")))"


def _measures(
    question: TrendsQuestion, kind: type[Predictor], followed: Column, foretold: str
) -> list[str]:
    """Write what is measured; the volume always, which the shares need."""
    found = ["count(*) AS volume"]
    asked = set(question.measure)
    if "value" in asked:
        # Sketches (t-digest, Dunning and Ertl 2019): exact ones would sort every number.
        quantiles = f"approx_quantile({followed.sql}, {list(_QUANTILES)})"
        found += [
            f"avg({followed.sql}) AS mean",
            *(
                f"{quantiles}[{i}] AS {name}"
                for i, name in enumerate(("low", "median", "high"), start=1)
            ),
        ]
    if "flagged" in asked:
        found.append("count(flags) / count(*) AS flagged_share")
    if "latency" in asked:
        found += [
            "approx_quantile(latency_us, 0.5) / 1000.0 AS latency_ms",
            "approx_quantile(latency_us, 0.99) / 1000.0 AS latency_p99_ms",
        ]
    if "outcomes" in asked:
        found += _of_outcomes(kind, foretold)
    return found


def _of_outcomes(kind: type[Predictor], foretold: str) -> list[str]:
    """Write what is measured of what happened; of answers about many steps over those known."""
    value, known = "outcome_value", "outcome_steps > 0"
    share = "count(*) FILTER ({known}) / count(*)"
    if kind.STEPS:
        value, foretold = "told_value", "foretold_value"
        share = f"coalesce(sum(len(told_steps)), 0) / sum({outcomes.steps_of(kind)})"
    elif outcomes.has_steps(kind):
        known = "outcome_value IS NOT NULL"
    return [
        f"count(*) FILTER ({known}) AS outcomes",
        f"{share.format(known=known)} AS outcome_share",
        f"avg({value}) AS outcome_mean",
        f"avg({foretold}) FILTER ({value} IS NOT NULL) AS outcome_mean_foretold",
    ]


def _series(
    question: TrendsQuestion,
    kind: type[Predictor],
    rows: list[Row],
    notes: list[str],
    units: dict[str, str | None],
) -> Series:
    given = [one for measure in _order(question) for one in _GIVEN[measure]]
    columns = [SeriesColumn(name="step", kind="time", unit=None)]
    if question.group is not None:
        columns.append(SeriesColumn(name=question.group, kind="text", unit=None))
    columns += [
        SeriesColumn(name=name, kind=_kind(k), unit=units.get(unit or "", unit))
        for name, k, unit in given
    ]
    names = ["part" if column.name == question.group else column.name for column in columns]
    has_band = "value" in question.measure
    # The band is drawn around the first.
    measures = sorted(_order(question), key=lambda measure: measure != "value")
    return Series(
        title=_title(question, kind, measures),
        columns=columns,
        rows=[[_cell(row.get(name)) for name in names] for row in rows],
        chart=Chart(
            kind="line",
            x="step",
            y=[name for measure in measures for name in _DRAWN[measure]],
            low="low" if has_band else None,
            high="high" if has_band else None,
            by=question.group,
            step=question.by,
            reference=["outcome_mean_foretold"]
            if "outcomes" in question.measure and kind.FORETELLS
            else [],
        ),
        notes=[*notes, *(_notes(question, rows) if rows else [NOTHING])],
    )


def _order(question: TrendsQuestion) -> list[str]:
    return [measure for measure in _GIVEN if measure in question.measure]


def _title(question: TrendsQuestion, kind: type[Predictor], measures: list[str]) -> str:
    field = words_of_field(question.field or kind.HEADLINE)
    names = [field if one == "value" else _NAMES.get(one, one) for one in measures]
    subject = subject_of(question, kind.HEADLINE)
    return f"{subject}: {listed(names)} by {question.by}"


def _notes(question: TrendsQuestion, rows: list[Row]) -> list[str]:
    notes = [BAND] if "value" in question.measure else []
    first, last = (rows[place]["step"].replace(tzinfo=UTC) for place in (0, -1))
    return [*notes, *step.cut(question.span, question.by, first, last)]


def _kind(name: str) -> Any:
    return name


def _cell(value: Any) -> Any:
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else value
