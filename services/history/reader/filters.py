"""From the filters of a question to the condition of a query; values are parameters throughout."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from bentos.predictor import Predictor
from core.cells import parse_boolean
from core.refusals import QueryInvalid
from services.history.questions import Filters
from services.history.reader.columns import Column, level, number
from services.history.reader.scan import Scan

Condition = tuple[str, dict[str, Any]]
# What an answer without any rows notes.
NOTHING = "No predictions in this time."


def condition(filters: Filters, scan: Scan, kind: type[Predictor]) -> Condition:
    """Write the condition that filters mean.

    Parameters
    ----------
    filters
        As they were asked for.
    scan
        What is read.
    kind
        The model's predictor.

    Returns
    -------
    tuple
        SQL, and its parameters.

    Raises
    ------
    QueryInvalid
        A filter names a column that there is not, or a value that the column cannot have.
    """
    since, until = filters.span
    parts = ['"at" >= $since', '"at" < $until']
    params: dict[str, Any] = {"since": since, "until": until}
    if filters.entity is not None:
        parts.append(_is("entity", "entity", filters.entity, scan, params))
    for name in ("version", "caller", "source"):
        if (value := getattr(filters, name)) is not None:
            parts.append(f"{name} = ${name}")
            params[name] = value
    if filters.flagged is not None:
        parts.append("flags IS NOT NULL" if filters.flagged else "flags IS NULL")
    followed = number(scan, kind, filters.field).sql
    for name, sign in (("least", ">="), ("most", "<=")):
        if (bound := getattr(filters, name)) is not None:
            parts.append(f"{followed} {sign} ${name}")
            params[name] = bound
    for place, match in enumerate(filters.where):
        name, _, value = match.partition(":")
        column = level(scan, "where", name)
        wanted = value_of(column, value)
        parts.append(_is(column.sql, f"where{place}", wanted, scan, params))
    return " AND ".join(parts), params


def _is(sql: str, name: str, wanted: str | float, scan: Scan, params: dict[str, Any]) -> str:
    """Write that a column has a value, also where it is masked; its parameters are added."""
    params[name] = wanted
    if scan.hashed is None or not isinstance(wanted, str):
        return f"{sql} = ${name}"
    params[f"{name}_hashed"] = scan.hashed(wanted)
    return f"{sql} IN (${name}, ${name}_hashed)"


def value_of(column: Column, text: str) -> str | float | bool:
    """Read a value as a column has it.

    Parameters
    ----------
    column
        Which.
    text
        As it was sent.

    Raises
    ------
    QueryInvalid
        It is none of the column's kind.
    """
    if column.kind == "boolean":
        found = parse_boolean(text)
        if found is None:
            raise QueryInvalid("where", f"{column.name} is no {text[:40]!r}", "true or false")
        return bool(found)
    if column.kind in {"number", "integer"}:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not isfinite(value):
            fault = f"{column.name} is no {text[:40]!r}"
            raise QueryInvalid("where", fault, "a number, such as 12.5")
        return value
    return text
