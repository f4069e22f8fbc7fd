"""What really happened, joined to what was predicted.

An outcome by prediction id belongs to that prediction; one by entity and time to every prediction
of the entity that was made as of that time, or, where an answer is about many steps, whose steps
hold it. Of several with the same key the one received last counts, field by field; one by
prediction id counts before one by entity.
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
    on = _about_steps(kind) or "o.as_of IS NOT DISTINCT FROM p.as_of"
    return f"""
    WITH told AS ({_TOLD.format(only=only)}),
    p AS ({predictions}),
    by_key AS (
        SELECT p.prediction_id, sum(o.value) AS value, sum(o.amount) AS amount, count(*) AS steps,
               max(o.happened_at) AS happened_at, max(o.told_at) AS told_at
        FROM p JOIN told o ON o.outcome_of IS NULL AND o.entity = p.entity AND {on}
        GROUP BY p.prediction_id
    )
    SELECT p.*, coalesce(i.value, k.value) AS outcome_value,
           coalesce(i.amount, k.amount) AS outcome_amount,
           CASE WHEN i.outcome_of IS NOT NULL THEN 1 ELSE coalesce(k.steps, 0) END AS outcome_steps,
           coalesce(i.happened_at, k.happened_at) AS outcome_at,
           greatest(i.told_at, k.told_at) AS outcome_told_at
    FROM p LEFT JOIN told i ON i.outcome_of = p.prediction_id
           LEFT JOIN by_key k ON k.prediction_id = p.prediction_id
    """


def needs(kind: type[Predictor]) -> str:
    """Name the columns that the join wants of predictions."""
    more = [f"result_{kind.STEPS.partition('.')[0]}"] if kind.STEPS else []
    more += [f"input_{kind.WEEKS}"] if kind.WEEKS else []
    return ", ".join(["prediction_id", "entity", "as_of", *more])


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
    on = _about_steps(kind) or "o.as_of IS NOT DISTINCT FROM p.as_of"
    return f"""
    WITH o AS (SELECT *, row_number() OVER (ORDER BY "at") AS number FROM read_parquet($told)
               WHERE "at" >= $since AND "at" < $until),
    p AS ({_predictions(scan, kind)}),
    hits AS (
        SELECT o.number, count(*) AS predictions FROM o JOIN p ON p.prediction_id = o.outcome_of
        GROUP BY o.number
        UNION ALL
        SELECT o.number, count(*) FROM o JOIN p
            ON o.outcome_of IS NULL AND o.entity = p.entity AND {on}
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
