"""What really happened, joined to what was predicted.

An outcome by prediction id belongs to that prediction; one by entity to every prediction of it, or,
with a time, to those that were made as of then; where an answer is about many steps, to those whose
steps hold the time. Of several the one received last counts, field by field; one by prediction id
counts before one by entity.

Beside what was predicted in all stands what happened in all: the outcome of an answer about many
steps is known once that of each is. A receipt alone tells what is known so far, and of how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bentos.predictor import Predictor
from services.history.decoding import OUTCOMES_OF
from services.history.reader.columns import INPUT, RESULT
from services.history.reader.scan import Period, Scan
from services.history.reader.times import time_of, times_of

# An id is made a little before the row is kept; a clock that was set back adds to it.
ID_MARGIN = timedelta(hours=2)
# Files of outcomes are of a month: so near each other, periods lead to the same ones.
_NEAR = timedelta(days=1)
# Reserved by DuckDB.
_AT = '"at"'
_FIELDS = ("value", "amount", "happened_at")
# Of several outcomes with one key, before they meet predictions: thousands of either may be told.
_TOLD = """
    SELECT outcome_of, entity, as_of, {fields}, max("at") AS told_at FROM {source} GROUP BY ALL
"""
# Of all outcomes those of the predictions, where these are few.
_OF_FEW = """(
    SELECT * FROM read_parquet({files}) WHERE outcome_of IN (SELECT prediction_id FROM p)
        OR outcome_of IS NULL AND entity IN (SELECT entity FROM p)
)"""
# By id, then by entity: of each alone DuckDB passes over the groups of rows that cannot hold it.
_OF_ONE = """
    WITH hits AS (
        SELECT 1 AS by_id, * FROM read_parquet($files) WHERE outcome_of = $prediction_id
        UNION ALL
        SELECT 0, * FROM read_parquet($files) AS o
        WHERE outcome_of IS NULL AND entity = $entity AND {belongs}
    ),
    by_step AS (SELECT {step} AS step, {fields}, max("at") AS told_at FROM hits GROUP BY ALL)
    SELECT {known} FROM by_step
"""
_KNOWN = """
    sum(value) AS outcome_value, sum(amount) AS outcome_amount, count(told_at) AS outcome_steps,
    max(happened_at) AS outcome_at, max(told_at) AS outcome_told_at
"""
_WITH_KNOWN = """
    s.*, k.* EXCLUDE (prediction_id, outcome_value, outcome_steps, told_steps),
    {value} AS outcome_value, coalesce(k.outcome_steps, 0) AS outcome_steps
"""
# Of many steps those whose outcome is told, and what was said of just these.
_SO_FAR = """,
    k.told_steps, k.outcome_value AS told_value,
    list_sum([one[2] FOR one IN list_zip({times}, {values}) IF list_contains(k.told_steps, one[1])])
        AS foretold_value
"""
_KNOWN_TO = "LEFT JOIN known k ON k.prediction_id = s.prediction_id"


def place_of(model: str) -> str:
    """Name where the log keeps the outcomes of a model."""
    return model + OUTCOMES_OF


def joined(predictions: str, kind: type[Predictor]) -> str:
    """Write the query that gives predictions their outcomes.

    Parameters
    ----------
    predictions
        SQL of predictions with ``prediction_id``, ``entity``, ``as_of``, and, for answers about
        many steps, the column that tells of them; it is read twice. ``$told`` are the files of the
        outcomes.
    kind
        The model's predictor.

    Returns
    -------
    str
        SQL of the same rows with ``outcome_value``, ``outcome_amount``, ``outcome_steps``,
        ``outcome_at`` and ``outcome_told_at``. Where an answer is about many steps, the value is
        their sum, and null until all of them have one; ``told_steps`` are the times of those that
        have, ``told_value`` and ``foretold_value`` the sums over these alone.
    """
    # In memory are their keys alone, however many columns they have.
    keys = f"SELECT {needs(kind)} FROM ({predictions})"
    known = _known(kind, "read_parquet($told)")
    columns = _with_known(kind)
    return f"WITH p AS ({keys}), {known} SELECT {columns} FROM ({predictions}) s {_KNOWN_TO}"


def joined_few(predictions: str, kind: type[Predictor], *, files: str = "$told") -> str:
    """Write the same query for a page of predictions, which are read once; see ``joined``."""
    known = _known(kind, _OF_FEW.format(files=files))
    return f"WITH p AS ({predictions}), {known} SELECT {_with_known(kind)} FROM p s {_KNOWN_TO}"


def _with_known(kind: type[Predictor]) -> str:
    """Write the columns of predictions ``s`` with what is known of them, ``k``."""
    value = "k.outcome_value"
    if (steps := steps_of(kind, "s.")) is not None:
        value = f"CASE WHEN len(k.told_steps) >= {steps} THEN {value} END"
    known = _WITH_KNOWN.format(value=value)
    if not kind.STEPS:
        return known
    column = f"s.{RESULT}{kind.STEPS.partition('.')[0]}"
    foretold = (kind.FORETELLS or "").partition(".")[2]
    values = f"CAST(json_extract_string({column}, '$[*].{foretold}') AS DOUBLE[])"
    return known + _SO_FAR.format(times=_times(kind, column), values=values)


def steps_of(kind: type[Predictor], of: str = "") -> str | None:
    """Write of how many steps a prediction is; nothing for a model without.

    Parameters
    ----------
    kind
        The model's predictor.
    of
        What stands before the names of columns.
    """
    if kind.STEPS:
        return f"json_array_length({of}{RESULT}{kind.STEPS.partition('.')[0]})"
    return f"{of}{INPUT}{kind.WEEKS}" if kind.WEEKS else None


def _known(kind: type[Predictor], source: str) -> str:
    """Write what is known of the predictions ``p``, from the outcomes of a source."""
    told = ", ".join(
        f"{_last(name, _AT)} AS {name}, max({_AT}) FILTER ({name} IS NOT NULL) AS {name}_told"
        for name in _FIELDS
    )
    last = ", ".join(f"{_last(name, _rank(f'{name}_told'))} AS {name}" for name in _FIELDS)
    return f"""
    told AS ({_TOLD.format(fields=told, source=source)}),
    hits AS (
        SELECT p.prediction_id, 1 AS by_id, o.* FROM p JOIN told o
            ON o.outcome_of = p.prediction_id
        UNION ALL
        SELECT p.prediction_id, 0, o.* FROM p JOIN told o
            ON o.outcome_of IS NULL AND o.entity = p.entity AND {_belongs(kind)}
    ),
    by_step AS (
        SELECT prediction_id, {_step(kind)} AS step, {last}, max(told_at) AS told_at
        FROM hits GROUP BY ALL
    ),
    known AS (
        SELECT prediction_id, {_KNOWN},
               list(step ORDER BY step) FILTER (value IS NOT NULL) AS told_steps
        FROM by_step GROUP BY prediction_id
    )
    """


def has_steps(kind: type[Predictor]) -> bool:
    """Say whether an answer is about many times."""
    return bool(kind.STEPS or kind.WEEKS)


def _last(name: str, rank: str) -> str:
    return f"arg_max({name}, {rank}) FILTER ({name} IS NOT NULL)"


def _rank(at: str) -> str:
    """Write which outcome counts: one by prediction id before one by entity, then the later."""
    return f"by_id * 4000000000000000000 + epoch_us({at})"


def _step(kind: type[Predictor]) -> str:
    return "as_of" if has_steps(kind) else "NULL"


def needs(kind: type[Predictor]) -> str:
    """Name the columns that the join wants of predictions, as SQL lists them."""
    return ", ".join(_needed(kind))


def _needed(kind: type[Predictor]) -> list[str]:
    more = [RESULT + kind.STEPS.partition(".")[0]] if kind.STEPS else []
    more += [INPUT + kind.WEEKS] if kind.WEEKS else []
    return ["prediction_id", "entity", "as_of", *more]


def of_few(rows: Sequence[Mapping[str, Any]], kind: type[Predictor]) -> tuple[str, dict[str, Any]]:
    """Write the query that gives predictions their outcomes, by what they were read as.

    Parameters
    ----------
    rows
        Their rows of the log, with the columns of ``needs``.
    kind
        The model's predictor.

    Returns
    -------
    tuple of str and dict
        SQL that gives the columns of ``joined``, in which ``$files`` are those of the outcomes, and
        the values in it.
    """
    names = _needed(kind)
    columns = ", ".join(f"unnest(CAST(${name} AS {_type(name)}[])) AS {name}" for name in names)
    sql = joined_few(f"SELECT {columns}", kind, files="$files")
    return sql, {name: [row[name] for row in rows] for name in names}


def of_one(row: Mapping[str, Any], kind: type[Predictor]) -> tuple[str, dict[str, Any]]:
    """Write the query that gives one prediction its outcome, by what it was read as.

    Parameters
    ----------
    row
        Its row of the log.
    kind
        The model's predictor.

    Returns
    -------
    tuple of str and dict
        SQL that gives the columns of ``joined``, in which ``$files`` are those of the outcomes, and
        the values in it.
    """
    names = _needed(kind)
    sql = _OF_ONE.format(
        belongs=_belongs(kind, {name: f"CAST(${name} AS {_type(name)})" for name in names}),
        step=_step(kind),
        fields=", ".join(f"{_last(name, _rank(_AT))} AS {name}" for name in _FIELDS),
        known=_KNOWN,
    )
    return sql, {name: row[name] for name in names if f"${name}" in sql}


def about_one(row: Mapping[str, Any], kind: type[Predictor], made: datetime) -> list[Period]:
    """Give what outcomes may be about that belong to a prediction.

    Parameters
    ----------
    row
        Its row of the log.
    kind
        The model's predictor.
    made
        The time of its id.
    """
    periods: list[Period] = [(made, made)]
    as_of = row["as_of"]
    if kind.STEPS:
        # They follow what the release knew of the series, whenever it was asked.
        times = times_of(row, kind.STEPS)
        periods += [(min(times), max(times))] if times else []
    elif as_of is not None:
        # The weeks of an answer begin with it.
        periods.append((as_of, None if kind.WEEKS else as_of))
    return periods


def about_few(rows: Sequence[Mapping[str, Any]], kind: type[Predictor]) -> list[Period]:
    """Give what outcomes may be about that belong to some predictions.

    Parameters
    ----------
    rows
        Their rows of the log, with the columns of ``needs``.
    kind
        The model's predictor.

    Returns
    -------
    list of Period
        In order; those that lie near each other are one.
    """
    found: list[Period] = []
    periods = [one for row in rows for one in about_one(row, kind, time_of(row["prediction_id"]))]
    for since, until in sorted(periods, key=lambda one: one[0]):
        first, last = found[-1] if found else (since, since)
        if found and last is not None and since - last > _NEAR:
            found.append((since, until))
        else:
            end = None if last is None or until is None else max(last, until)
            found[-1:] = [(first, end)]
    return found


def about_many(
    scan: Scan, kind: type[Predictor], rows: Callable[[str], list[dict[str, Any]]]
) -> list[Period]:
    """Give what outcomes may be about that belong to the predictions of a scan.

    Parameters
    ----------
    scan
        The predictions, at least one.
    kind
        The model's predictor.
    rows
        Runs a query over the scan.
    """
    if kind.STEPS:
        # Each answer has times of its own.
        return []
    [of] = rows(f"SELECT min(as_of) AS first, max(as_of) AS last FROM {scan.source}")
    first, last = min(one.first_at for one in scan.facts), max(one.last_at for one in scan.facts)
    periods: list[Period] = [(first - ID_MARGIN, last + ID_MARGIN)]
    if of["first"] is not None:
        periods.append((of["first"], None if kind.WEEKS else of["last"]))
    return periods


def _belongs(kind: type[Predictor], of: Mapping[str, str] | None = None) -> str:
    """Write when an outcome by entity belongs to a prediction.

    Parameters
    ----------
    kind
        The model's predictor.
    of
        How the columns of the prediction are written; those of ``p`` without.
    """
    named = {name: f"p.{name}" for name in _needed(kind)} if of is None else of
    return _about_steps(kind, named) or f"(o.as_of IS NULL OR o.as_of = {named['as_of']})"


def _about_steps(kind: type[Predictor], named: Mapping[str, str]) -> str | None:
    """Write when an outcome is about one of many steps; nothing for a model without."""
    if kind.STEPS:
        column = named[RESULT + kind.STEPS.partition(".")[0]]
        return f"list_contains({_times(kind, column)}, o.as_of)"
    if kind.WEEKS:
        as_of, weeks = named["as_of"], named[INPUT + kind.WEEKS]
        end = f"{as_of} + to_days(CAST(7 * {weeks} AS INTEGER))"
        return f"o.as_of >= {as_of} AND o.as_of < {end}"
    return None


def _times(kind: type[Predictor], column: str) -> str:
    """Write the times of the steps that a column holds."""
    time = (kind.STEPS or "").partition(".")[2]
    return f"CAST(json_extract_string({column}, '$[*].{time}') AS TIMESTAMPTZ[])"


def unmatched(scan: Scan, kind: type[Predictor]) -> str:
    """Write the query that tells of each outcome to how many predictions it belongs.

    Parameters
    ----------
    scan
        The predictions.
    kind
        The model's predictor.
    """
    return f"""
    WITH o AS (SELECT *, row_number() OVER (ORDER BY "at") AS number FROM read_parquet($told)
               WHERE "at" >= $since AND "at" < $until),
    p AS ({_predictions(scan, kind)}),
    hits AS (
        SELECT o.number, count(*) AS predictions FROM o JOIN p ON p.prediction_id = o.outcome_of
        GROUP BY o.number
        UNION ALL
        SELECT o.number, count(*) FROM o JOIN p
            ON o.outcome_of IS NULL AND o.entity = p.entity AND {_belongs(kind)}
        GROUP BY o.number
    )
    SELECT o.* EXCLUDE (number), coalesce(h.predictions, 0) AS predictions
    FROM o LEFT JOIN hits h ON h.number = o.number
    """


def _predictions(scan: Scan, kind: type[Predictor]) -> str:
    """Write the predictions of a scan, with what the join wants of them."""
    if scan.files:
        return f"SELECT {needs(kind)} FROM {scan.source}"
    columns = ", ".join(f"NULL::{_type(name)} AS {name}" for name in _needed(kind))
    # The parameter must stand somewhere.
    return f"SELECT {columns} WHERE len($files) > 0"


def _type(name: str) -> str:
    """Give the type of a column that the join wants."""
    kinds = {"prediction_id": "BLOB", "as_of": "TIMESTAMPTZ"}
    return kinds.get(name, "BIGINT" if name.startswith(INPUT) else "VARCHAR")
