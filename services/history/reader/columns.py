"""Finds the column that a name in a question means, and how SQL names it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from bentos.predictor import Predictor
from core.refusals import QueryInvalid
from services.history.reader.scan import Scan, kind_of

INPUT, RESULT = "input_", "result_"
_NUMBERS = frozenset({"number", "integer"})
_TYPES = {"number": "DOUBLE", "integer": "DOUBLE", "boolean": "BOOLEAN"}
_GROUPS = {"version": "version", "caller": "caller", "source": "source"}


@dataclass(frozen=True)
class Column:
    """A column that a question is about.

    Parameters
    ----------
    name
        As a person names it.
    sql
        As SQL does.
    kind
        number, integer, boolean, text, time or json.
    """

    name: str
    sql: str
    kind: str


def headline(kind: type[Predictor]) -> str:
    """Give the SQL of the number by which a model's answers are followed.

    Parameters
    ----------
    kind
        The model's predictor.
    """
    field, _, part = kind.HEADLINE.partition(".")
    column = quoted(RESULT + field)
    if not part:
        return column
    return f"list_sum(CAST(json_extract({column}, '$[*].{part}') AS DOUBLE[]))"


def number(scan: Scan, kind: type[Predictor], name: str | None) -> Column:
    """Find the number that a question follows.

    Parameters
    ----------
    scan
        What is read.
    kind
        The model's predictor.
    name
        A field of the result, or ``input.<name>``; the headline without it.

    Raises
    ------
    QueryInvalid
        There is no such number.
    """
    if name is None or name == kind.HEADLINE:
        return Column(kind.HEADLINE, headline(kind), "number")
    found = _find(scan, name, in_result=True)
    if found is None or found.kind not in _NUMBERS:
        raise _unknown("field", name, _names(scan, _NUMBERS))
    return found


def level(scan: Scan, setting: str, name: str) -> Column:
    """Find a column whose values part predictions.

    Parameters
    ----------
    scan
        What is read.
    setting
        The parameter that names it.
    name
        An input, or ``result.<name>``.

    Raises
    ------
    QueryInvalid
        There is no such column.
    """
    if setting == "group" and name in _GROUPS:
        return Column(name, _GROUPS[name], "text")
    found = _find(scan, name, in_result=False)
    if found is None or found.kind == "json":
        known = frozenset({"text", "boolean", "integer", "number", "time"})
        groups = _GROUPS if setting == "group" else ()
        raise _unknown(setting, name, [*groups, *_names(scan, known)])
    return found


def quoted(name: str) -> str:
    """Write a name as SQL takes it for one."""
    return '"' + name.replace('"', '""') + '"'


def _find(scan: Scan, name: str, *, in_result: bool) -> Column | None:
    part, dot, rest = name.partition(".")
    if dot and part in {"input", "result"}:
        column = f"{part}_{rest}"
    else:
        column = (RESULT if in_result else INPUT) + name
    kind = kind_of(scan.releases, column)
    if kind is None or column not in scan.types:
        return None
    return Column(name, sql_of(scan, column, kind), kind)


def sql_of(scan: Scan, column: str, kind: str) -> str:
    """Name a column in SQL, in its latest kind where it had others.

    Parameters
    ----------
    scan
        What is read.
    column
        ``input_…`` or ``result_…``.
    kind
        Its latest kind.
    """
    if column not in scan.mixed:
        return quoted(column)
    return f"TRY_CAST({quoted(column)} AS {_TYPES.get(kind, 'VARCHAR')})"


def _names(scan: Scan, kinds: frozenset[str]) -> list[str]:
    """Name the columns of some kinds, as a question names them."""
    found = []
    for column in scan.types:
        part, _, name = column.partition("_")
        if part in {"input", "result"} and kind_of(scan.releases, column) in kinds:
            found.append(f"{part}.{name}")
    return found


def _unknown(setting: str, name: str, known: list[str]) -> QueryInvalid:
    fault = f"{name[:80]!r} is nothing that predictions of this time have"
    listed = ", ".join(sorted(known)) or "there are no predictions in this time"
    # By the last part alone: all inputs begin alike, and would be near to anything.
    part = "result" if setting == "field" else "input"
    order = sorted(known, key=lambda one: one.startswith(f"{part}."))
    tails = {one.rpartition(".")[2]: one for one in order}
    close = get_close_matches(name.rpartition(".")[2], tails, n=1)
    hint = f". Did you mean {tails[close[0]]!r}?" if close else ""
    return QueryInvalid(setting, fault, f"{listed}{hint}")
