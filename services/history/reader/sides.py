"""The two sides of a comparison: the filters as asked, and the same with one thing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ValidationError

from bentos.predictor import Predictor
from core.refusals import QueryInvalid
from services.fields import query_refusal
from services.history.questions import CompareQuestion, Filters, Period
from services.history.reader.columns import level
from services.history.reader.filters import Condition, condition
from services.history.reader.scan import Scan

_FACTS = ("version", "caller", "source", "entity")
_PARAMETER = re.compile(r"\$([a-z]\w*)")
_FORMS = "`version:2`, `region:south` or `period:2026-01-01T00:00:00Z/2026-02-01T00:00:00Z`"


@dataclass(frozen=True)
class Sides:
    """What is compared.

    Parameters
    ----------
    a
        As asked.
    b
        The other side.
    names
        Both in words.
    is_rest
        Whether the first side is everything that is not on the other one.
    """

    a: Filters
    b: Filters
    names: tuple[str, str]
    is_rest: bool

    def conditions(self, scan: Scan, kind: type[Predictor]) -> tuple[str, str, Condition]:
        """Write both sides as SQL.

        Parameters
        ----------
        scan
            What is read.
        kind
            The model's predictor.

        Returns
        -------
        tuple
            SQL of either side, and SQL of both together with the parameters of all.

        Raises
        ------
        QueryInvalid
            A filter names a column that there is not, or a value that the column cannot have.
        """
        of_a, params = condition(self.a, scan, kind)
        of_b, more = condition(self.b, scan, kind)
        of_b = _PARAMETER.sub(r"$other_\1", of_b)
        params |= {f"other_{name}": value for name, value in more.items()}
        if self.is_rest:
            of_a = f"({of_a}) AND ({of_b}) IS NOT TRUE"
        return of_a, of_b, (f"({of_a}) OR ({of_b})", params)


def sides_of(question: CompareQuestion) -> Sides:
    """Read what is compared.

    Parameters
    ----------
    question
        What was asked.

    Raises
    ------
    QueryInvalid
        ``versus`` cannot be understood, or is the side as asked itself.
    """
    name, colon, value = question.versus.partition(":")
    if not colon or not name or not value:
        raise QueryInvalid("versus", f"is {question.versus[:80]!r}", _FORMS)
    fields = question.model_dump(include=set(Filters.model_fields))
    # Now is the same for both.
    since, until = question.span
    a = Filters.model_construct(**{**fields, "since": since, "until": until})
    if name == "period":
        return _periods(a, value)
    if name in _FACTS:
        own = getattr(a, name)
        b = a.model_copy(update={name: value})
    else:
        own = next((m.partition(":")[2] for m in a.where if _bare(m) == _bare(name)), None)
        kept = [match for match in a.where if _bare(match) != _bare(name)]
        b = a.model_copy(update={"where": [*kept, f"{name}:{value}"]})
    if own == value:
        raise QueryInvalid("versus", "is the very side that is asked for", "another value")
    first = f"{name} {own}" if own is not None else f"any {name} but {value}"
    return Sides(a, b, (first, f"{name} {value}"), own is None)


def check_versus(question: CompareQuestion, scan: Scan) -> None:
    """Refuse an input that there is not.

    Parameters
    ----------
    question
        What was asked.
    scan
        What is read.

    Raises
    ------
    QueryInvalid
        There is no such input.
    """
    name = question.versus.partition(":")[0]
    if name not in {*_FACTS, "period"}:
        level(scan, "versus", name)


def _periods(a: Filters, value: str) -> Sides:
    since, slash, until = value.partition("/")
    try:
        period = Period.model_validate({"since": since, "until": until if slash else None})
    except ValidationError as error:
        [fault] = query_refusal(error.errors()).problems
        which = f"{fault.field.removeprefix('?')} {fault.problem}; {fault.allowed}"
        raise QueryInvalid("versus", f"is no period: {which}", _FORMS) from error
    start, end = period.span
    first, last = a.span
    if start < last and first < end:
        raise QueryInvalid(
            "versus", "overlaps since and until", "a period that shares no time with them"
        )
    b = a.model_copy(update={"since": start, "until": end})
    return Sides(a, b, (_words(a), _words(b)), is_rest=False)


def _words(filters: Filters) -> str:
    since, until = (f"{end:%Y-%m-%d %H:%M}".removesuffix(" 00:00") for end in filters.span)
    return f"{since} to {until}"


def _bare(match: str) -> str:
    """Give the name of an input, however it is written."""
    return match.partition(":")[0].removeprefix("input.")
