"""Answers batches that are plain tables, a column at a time; the rest goes row by row.

The answers are the very ones that ``bentos.answering`` gives: the same predictor computes them
from the same columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from uuid_utils import uuid7

from bentos.answering import firm_fields, ranked
from bentos.predictor import RowPredictor
from core.table import CloserLook, Form, Table

if TYPE_CHECKING:
    from bentos.release import Release

_SMALL = 16


@dataclass(frozen=True)
class Answers:
    """The answers of ``n`` rows, as columns.

    Parameters
    ----------
    ids
        Prediction ids.
    results
        One list a field of the model's result; NaN stands as null.
    flags
        One list of flags a row.
    """

    ids: list[str]
    results: Mapping[str, list[Any]]
    flags: list[list[dict[str, Any]]]


def read_body(form: Form, body: bytes) -> Table:
    """Read the body of a batch as a table.

    Parameters
    ----------
    form
        Of the release.
    body
        The bytes as they were sent.

    Raises
    ------
    CloserLook
        It is not strict JSON, has a name twice, or is no plain table.
    """
    # Without a backslash every colon of the text stands either behind a name or within a value,
    # so that counting them finds a name that came twice, of which the parser keeps the last.
    if b"\\" in body:
        raise CloserLook
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CloserLook from None
    if not isinstance(value, dict) or list(value) != ["rows"]:
        raise CloserLook
    rows = value["rows"]
    if not isinstance(rows, list) or len(rows) < _SMALL:
        raise CloserLook
    table, colons = form.read(rows)
    if body.count(b":") != 1 + table.size * len(rows[0]) + colons:
        raise CloserLook
    return table


def answer_table(release: Release, table: Table) -> Answers:
    """Answer a table.

    Parameters
    ----------
    release
        One that has a ``form``.
    table
        As the form read it.

    Raises
    ------
    CloserLook
        The model failed, or gave a number that is none: the rows are to be tried one by one.
    """
    predictor = release.predictor
    if not isinstance(predictor, RowPredictor):
        raise CloserLook
    try:
        scores = predictor.score(table.columns)
    except Exception as error:
        # Which row is to blame is found, and logged, when they are tried one by one.
        raise CloserLook from error
    results: dict[str, list[Any]] = {}
    for name, array in scores.items():
        if len(array) != table.size:
            raise CloserLook
        results[name] = _values(array)
    if any(None in results[name] for name in firm_fields(predictor.RESULT) if name in results):
        raise CloserLook
    ids = [str(uuid7()) for _ in range(table.size)]
    return Answers(ids, results, predictor.flags_of(table.columns))


def rows_of(table: Table, release: Release) -> list[object]:
    """Give a table's rows as JSON had them, to be tried one by one.

    Parameters
    ----------
    table
        What was asked.
    release
        Who is asked.
    """
    config = release.contract.config
    features = config.asked_features
    cells: dict[str, list[Any]] = {}
    for name, column in table.columns.items():
        values = [None if v is None or v != v else v for v in column.tolist()]  # noqa: PLR0124 - NaN
        kind = {"integer": int, "boolean": bool}.get(features[name].type)
        cells[name] = values if kind is None else [None if v is None else kind(v) for v in values]
    if table.entities is not None:
        cells[config.entity] = list(table.entities)
    if table.times is not None and config.as_of:
        cells[config.as_of] = list(table.times)
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def batch_json(release: Release, table: Table, answers: Answers) -> dict[str, Any]:
    """Put the answers of a table together as the JSON of a batch.

    Parameters
    ----------
    release
        Who answered.
    table
        What was asked.
    answers
        What was answered.
    """
    by = release.predictor.RANK_BY
    model, version, size = release.model, release.version, table.size
    entities = table.entities or [None] * size
    times = table.times or [None] * size
    names = tuple(answers.results)
    results = [
        dict(zip(names, row, strict=True)) for row in zip(*answers.results.values(), strict=True)
    ]
    rows = [
        {
            "index": i,
            "answer": {
                "prediction_id": made,
                "model": model,
                "version": version,
                "entity": entity,
                "as_of": as_of,
                "result": result,
                "flags": flags,
            },
            "problem": None,
        }
        for i, (made, entity, as_of, result, flags) in enumerate(
            zip(answers.ids, entities, times, results, answers.flags, strict=True)
        )
    ]
    return {
        "model": model,
        "version": version,
        "answered": size,
        "refused": 0,
        "rows": rows,
        "ranking": ranked(dict(enumerate(answers.results[by]))) if by else None,
        "summary": release.predictor.summarise(results),
    }


def _values(array: Any) -> list[Any]:
    """Give plain values, null for NaN; an infinite one is an answer to look at."""
    values: list[Any] = array.tolist()
    if array.dtype.kind == "f":
        if np.isinf(array).any():
            raise CloserLook
        if np.isnan(array).any():
            return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    return values
