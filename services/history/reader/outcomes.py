"""What really happened, joined to what was predicted.

An outcome by prediction id belongs to that prediction; one by entity to every prediction of it, or,
with a time, to those that were made as of then; where an answer is about many steps, to those whose
steps hold the time. Of several the one received last counts, field by field; one by prediction id
counts before one by entity.
"""

from __future__ import annotations

from bentos.predictor import Predictor
from services.history.decoding import OUTCOMES_OF
from services.history.reader.scan import Scan

# Of several outcomes with one key; each comes at a microsecond of its own.
_TOLD = """
    SELECT outcome_of, entity, as_of,
           arg_max(value, "at") FILTER (value IS NOT NULL) AS value,
           arg_max(amount, "at") FILTER (amount IS NOT NULL) AS amount,
           arg_max(happened_at, "at") FILTER (happened_at IS NOT NULL) AS happened_at,
           max("at") AS told_at
    FROM read_parquet($told) WHERE {only} GROUP BY ALL
"""


def place_of(model: str) -> str:
    """Name where the log keeps the outcomes of a model."""
    return model + OUTCOMES_OF


def joined(predictions: str, kind: type[Predictor], *, only: str = "true") -> str:
    """Write the query that gives predictions their outcomes.

    Parameters
    ----------
    predictions
        SQL of predictions with ``prediction_id``, ``entity``, ``as_of``, and, for answers about
        many steps, the column that tells of them. ``$told`` are the files of the outcomes.
    kind
        The model's predictor.
    only
        SQL that says which outcomes may belong to them.

    Returns
    -------
    str
        SQL of the same rows with ``outcome_value``, ``outcome_amount``, ``outcome_steps``,
        ``outcome_at`` and ``outcome_told_at``.
    """
    # One by prediction id goes before one by entity, then the later one.
    rank = "by_id * 4000000000000000000 + epoch_us(told_at)"
    last = ", ".join(
        f"arg_max({name}, {rank}) FILTER ({name} IS NOT NULL) AS {name}"
        for name in ("value", "amount", "happened_at")
    )
    step = "as_of" if _about_steps(kind) else "NULL"
    return f"""
    WITH told AS ({_TOLD.format(only=only)}),
    p AS ({predictions}),
    hits AS (
        SELECT p.prediction_id, 1 AS by_id, o.* FROM p JOIN told o
            ON o.outcome_of = p.prediction_id
        UNION ALL
        SELECT p.prediction_id, 0, o.* FROM p JOIN told o
            ON o.outcome_of IS NULL AND o.entity = p.entity AND {_belongs(kind)}
    ),
    by_step AS (
        SELECT prediction_id, {step} AS step, {last}, max(told_at) AS told_at
        FROM hits GROUP BY ALL
    ),
    known AS (
        SELECT prediction_id, sum(value) AS value, sum(amount) AS amount, count(*) AS steps,
               max(happened_at) AS happened_at, max(told_at) AS told_at
        FROM by_step GROUP BY prediction_id
    )
    SELECT p.*, k.value AS outcome_value, k.amount AS outcome_amount,
           coalesce(k.steps, 0) AS outcome_steps, k.happened_at AS outcome_at,
           k.told_at AS outcome_told_at
    FROM p LEFT JOIN known k ON k.prediction_id = p.prediction_id
    """


def needs(kind: type[Predictor]) -> str:
    """Name the columns that the join wants of predictions."""
    more = [f"result_{kind.STEPS.partition('.')[0]}"] if kind.STEPS else []
    more += [f"input_{kind.WEEKS}"] if kind.WEEKS else []
    return ", ".join(["prediction_id", "entity", "as_of", *more])


def _belongs(kind: type[Predictor]) -> str:
    """Write when an outcome by entity belongs to a prediction."""
    return _about_steps(kind) or "(o.as_of IS NULL OR o.as_of = p.as_of)"


def _about_steps(kind: type[Predictor]) -> str | None:
    """Write when an outcome is about one of many steps; nothing for a model without."""
    if kind.STEPS:
        steps, _, time = kind.STEPS.partition(".")
        times = f"CAST(json_extract_string(p.result_{steps}, '$[*].{time}') AS TIMESTAMPTZ[])"
        return f"list_contains({times}, o.as_of)"
    if kind.WEEKS:
        end = f"p.as_of + to_days(CAST(7 * p.input_{kind.WEEKS} AS INTEGER))"
        return f"o.as_of >= p.as_of AND o.as_of < {end}"
    return None


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
    columns = needs(kind).replace("prediction_id", "NULL::BLOB AS prediction_id")
    columns = columns.replace(" entity", " NULL::VARCHAR AS entity")
    columns = columns.replace(" as_of", " NULL::TIMESTAMPTZ AS as_of")
    columns = columns.replace(" result_", " NULL::VARCHAR AS result_")
    columns = columns.replace(" input_", " NULL::BIGINT AS input_")
    # The parameter must stand somewhere.
    return f"SELECT {columns} WHERE len($files) > 0"
