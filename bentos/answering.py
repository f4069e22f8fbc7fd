"""From a row as it was sent to the answer that is sent back: the same for one bento and for all.

Knows no HTTP. A batch is answered row by row in its effect: a row that breaks the contract, or
that the model fails on, is refused with its own problem and touches no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from uuid_utils import uuid7

from bentos.release import Release, ReleaseFacts
from bentos.strict_json import read_json
from core.contract import Row
from core.errors import AnswerRefused, FieldProblem, RowInvalid, SeptetError
from core.logs import get_logger
from core.refusals import RowUnanswered

Answer = dict[str, Any]
_MOST_NAMED = 5


@dataclass(slots=True)
class Outcome:
    """What became of one row: an answer, or the error for which it was refused.

    Parameters
    ----------
    answer
        The answer, or nothing.
    error
        Why there is none, or nothing.
    """

    answer: Answer | None
    error: SeptetError | None

    @property
    def end(self) -> Answer | SeptetError:
        """What the caller gets."""
        if self.answer is not None:
            return self.answer
        return self.error or SeptetError("The server gave no answer to this row.")

    def to_json(self) -> dict[str, Any]:
        """Give the plain data that is sent: one of the two is null."""
        problem = None if self.error is None else self.error.to_problem()
        return {"answer": self.answer, "problem": problem}


def answer_row(release: Release, value: object, *, explain: bool = False) -> Answer:
    """Answer one row.

    Parameters
    ----------
    release
        The release that answers.
    value
        The row as strict JSON gave it.
    explain
        Whether to add the reasons.

    Returns
    -------
    dict
        ``prediction_id``, ``model``, ``version``, the row's keys, ``result``, ``flags`` and, when
        asked for, ``drivers``.

    Raises
    ------
    RowInvalid
        The row breaks the contract.
    AnswerRefused
        The history that was learned from cannot answer it, or has no number so far outside of it.
    RowUnanswered
        The model failed on it.
    """
    row = read_row(release, value)
    return _predict_one(release, row, explain=explain)


def answer_rows(
    release: Release, values: Sequence[object], *, explain: bool = False
) -> list[Outcome]:
    """Answer many rows, each on its own.

    Parameters
    ----------
    release
        The one release that answers all of them.
    values
        ``n`` rows as strict JSON gave them.
    explain
        Whether to add the reasons.

    Returns
    -------
    list of Outcome
        ``n`` outcomes, in the order of the rows.
    """
    outcomes: list[Outcome | None] = [None] * len(values)
    rows: list[Row] = []
    places: list[int] = []
    for place, value in enumerate(values):
        try:
            rows.append(read_row(release, value))
            places.append(place)
        except (RowInvalid, AnswerRefused) as error:
            outcomes[place] = Outcome(answer=None, error=error)
    for place, outcome in zip(places, predict_rows(release, rows, explain=explain), strict=True):
        outcomes[place] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def read_rows(value: object) -> list[object]:
    """Take the rows out of the body of a batch.

    Parameters
    ----------
    value
        What strict JSON gave.

    Raises
    ------
    RowInvalid
        It is not ``{"rows": [...]}`` and nothing else, or there are no rows.
    """
    shape = 'send {"rows": [{...}, ...]} and nothing else'
    if not isinstance(value, dict):
        raise RowInvalid([FieldProblem("body", "is not an object", shape)])
    strangers = [str(name)[:80] for name in value if name != "rows"]
    if strangers:
        raise RowInvalid(
            [FieldProblem(name, "is not a field of a batch", shape) for name in strangers]
        )
    rows = value.get("rows")
    if rows is None:
        raise RowInvalid([FieldProblem("rows", "is missing", shape)])
    if not isinstance(rows, list):
        raise RowInvalid([FieldProblem("rows", "is not a list", shape)])
    if not rows:
        raise RowInvalid([FieldProblem("rows", "is empty", "send at least one row")])
    return rows


def ranking(release: ReleaseFacts, outcomes: Sequence[Outcome]) -> list[int] | None:
    """Order the answered rows by what the model ranks by, the highest first.

    Returns
    -------
    list of int or None
        Indexes of the answered rows; nothing for a model that ranks by nothing.
    """
    field = release.kind.RANK_BY
    if field is None:
        return None
    return ranked(
        {i: o.answer["result"][field] for i, o in enumerate(outcomes) if o.answer is not None}
    )


def ranked(values: Mapping[int, float | None]) -> list[int]:
    """Order rows by a value, the highest first; without one a row goes last.

    Parameters
    ----------
    values
        By the index of the row; ties keep their order.
    """
    known = {i: value for i, value in values.items() if value is not None}
    first = sorted(known, key=lambda i: -known[i])
    return first + [i for i in values if i not in known]


def read_row_of(release: Release, body: bytes, *, max_depth: int) -> Row:
    """Check a row in the body of a request; as ``read_row``.

    Parameters
    ----------
    release
        Who is asked.
    body
        The bytes as they were sent.
    max_depth
        Most lists and objects inside each other.

    Raises
    ------
    JsonInvalid
        It is not strict JSON.
    """
    row = release.contract.parse_plain(body)
    if row is None:
        return read_row(release, read_json(body, max_depth=max_depth))
    release.predictor.check(row)
    return row


def read_row(release: Release, value: object) -> Row:
    """Check a row against the contract, and against what the release knows.

    Raises
    ------
    RowInvalid
        The row breaks the contract.
    AnswerRefused
        The history that was learned from cannot answer it.
    """
    row = release.contract.parse_row(value)
    release.predictor.check(row)
    return row


def predict_rows(release: Release, rows: Sequence[Row], *, explain: bool) -> list[Outcome]:
    """Answer valid rows together; when that fails, one by one, to find the row that is to blame.

    Parameters
    ----------
    release
        The release that answers all of them.
    rows
        ``n`` rows that ``read_row`` gave.
    explain
        Whether to add the reasons.

    Returns
    -------
    list of Outcome
        ``n`` outcomes, in the order of the rows.
    """
    try:
        bodies = release.predictor.predict(rows, explain=explain)
        firm = firm_fields(release.predictor.RESULT)
        if len(bodies) == len(rows) and all(_is_sound(body, firm) for body in bodies):
            pairs = zip(rows, bodies, strict=True)
            return [Outcome(answer=_dress(release, row, body), error=None) for row, body in pairs]
    except Exception as error:  # noqa: BLE001 - logged; each row is tried on its own below
        _log_failure(release, error)
    outcomes = []
    for row in rows:
        try:
            answer = _predict_one(release, row, explain=explain)
        except (RowUnanswered, AnswerRefused) as refused:
            outcomes.append(Outcome(answer=None, error=refused))
        else:
            outcomes.append(Outcome(answer=answer, error=None))
    return outcomes


def _predict_one(release: Release, row: Row, *, explain: bool) -> Answer:
    """Answer one valid row."""
    try:
        [body] = release.predictor.predict([row], explain=explain)
    except Exception as error:
        _log_failure(release, error)
        raise RowUnanswered(release.model, release.version) from error
    if not _is_sound(body, firm_fields(release.predictor.RESULT)):
        raise _no_number(release, body)
    return _dress(release, row, body)


def _dress(release: Release, row: Row, body: Mapping[str, Any]) -> Answer:
    """Put the id, the release and the row's keys around what the predictor said."""
    config = release.contract.config
    as_of = row.get(config.as_of) if config.as_of else None
    return {
        "prediction_id": str(uuid7()),
        "model": release.model,
        "version": release.version,
        "entity": row.get(config.entity),
        "as_of": as_of.isoformat() if isinstance(as_of, datetime) else None,
        **body,
    }


@cache
def firm_fields(kind: type[BaseModel]) -> tuple[str, ...]:
    """Name the fields of a result that are never null.

    Parameters
    ----------
    kind
        Type of the result.
    """
    fields = kind.model_fields.items()
    return tuple(name for name, field in fields if NoneType not in get_args(field.annotation))


def _no_number(release: Release, body: Mapping[str, Any]) -> SeptetError:
    """Tell why an answer holds no number: by the inputs when they are to blame, else the model."""
    beyond = [
        f"{flag['feature']} (trained on {flag['seen'][0]:g} to {flag['seen'][1]:g})"
        for flag in body.get("flags", ())
        if flag["seen"] is not None
    ]
    if not beyond:
        return RowUnanswered(release.model, release.version)
    return AnswerRefused(
        f"{release.model} has no finite answer so far outside of what it was trained on: "
        f"{', '.join(beyond[:_MOST_NAMED])}. Check these values."
    )


def _is_sound(body: Mapping[str, Any], firm: Sequence[str]) -> bool:
    """Say whether every number of an answer is there, and can be written as JSON.

    Parameters
    ----------
    body
        What the predictor said of one row.
    firm
        Names of the fields that may not be null.
    """
    result = body["result"]
    if not _is_finite(result) or any(result.get(name) is None for name in firm):
        return False
    drivers = body.get("drivers")
    if drivers is None:
        return True
    parts = [driver["contribution"] for driver in drivers["contributions"]]
    return all(isfinite(number) for number in (drivers["base"], drivers["total"], *parts))


def _is_finite(value: object) -> bool:
    """Say whether no number in plain data is infinite or absent."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


def _log_failure(release: Release, error: Exception) -> None:
    get_logger(__name__).error(
        "prediction_failed", model=release.model, version=release.version, exc_info=error
    )
