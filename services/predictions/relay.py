"""A problem that a bento told, as the error it was there: the caller meets the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import errors as e
from core import overload as o
from core import refusals as r

_KINDS: Mapping[str, type[e.SeptetError]] = {
    kind.__name__: kind
    for kind in (
        e.RowInvalid,
        e.AnswerRefused,
        e.NoChampion,
        r.RowUnanswered,
        r.BatchTooLarge,
        r.JsonInvalid,
        r.DeadlinePassed,
    )
}
_TOO_BUSY = frozenset({429, 503})


def error_of(problem: object, *, model: str, status: int = 0) -> e.SeptetError:
    """Give the error behind a problem document of a bento.

    Parameters
    ----------
    problem
        Plain data: what stands in a row's ``problem``, or the body of a refusal.
    model
        Name of the model that was asked.
    status
        HTTP status of a refusal.

    Returns
    -------
    SeptetError
        Of the same class, with the same sentence; ``Overloaded`` for one too busy to say why, and
        a plain failure for anything that no row of ours can meet.
    """
    told: Mapping[str, Any] = problem if isinstance(problem, Mapping) else {}
    kind = _KINDS.get(str(told.get("code")))
    detail = told.get("detail")
    if kind is None or not isinstance(detail, str):
        if status in _TOO_BUSY:
            return o.Overloaded(f"The bento of {model} has as much to do as it can.")
        return e.SeptetError(
            f"The bento of {model} failed on this request; the reason stands in its log."
        )
    # Past the class's own constructor, which would build the sentence anew from parts that a
    # problem document does not have.
    error = kind.__new__(kind)
    e.SeptetError.__init__(error, detail, problems=_problems(told.get("problems")))
    return error


def _problems(given: object) -> list[e.FieldProblem]:
    if not isinstance(given, list):
        return []
    return [e.FieldProblem(**{name: str(one.get(name)) for name in _FIELDS}) for one in given]


_FIELDS = ("field", "problem", "allowed")
