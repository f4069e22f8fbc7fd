"""From a row of the log to what was asked and answered, as JSON has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID

import orjson

from services.history.answers import Lineage, Prediction
from services.history.lineage import Descriptions
from services.history.reader.columns import INPUT, RESULT
from services.history.reader.scan import kind_of

Row = Mapping[str, Any]
_READ: dict[str, Callable[[str], Any]] = {"json": orjson.loads, "number": float}
# As DuckDB writes a boolean among texts, and among numbers.
_TRUE = frozenset({"true", "1", "1.0"})


def prediction_of(model: str, row: Row, releases: Descriptions) -> Prediction:
    """Read a row of the log.

    Parameters
    ----------
    model
        Whose.
    row
        Its columns, by name.
    releases
        Who answered, by version.
    """
    return Prediction(
        prediction_id=str(UUID(bytes=row["prediction_id"])),
        at=row["at"],
        model=model,
        version=row["version"],
        entity=row["entity"],
        as_of=as_of(row),
        caller=row["caller"],
        source=row["source"],
        latency_ms=row["latency_us"] / 1000,
        flags=[] if row["flags"] is None else orjson.loads(row["flags"]),
        drivers=None if row["drivers"] is None else orjson.loads(row["drivers"]),
        masked=[] if not row.get("masked") else row["masked"].split(","),
        input=part_of(row, releases, INPUT),
        result=part_of(row, releases, RESULT),
    )


def as_of(row: Row) -> Any:
    """Give the time that a row holds, with the offset it was sent with."""
    at, minutes = row["as_of"], row.get("as_of_offset_minutes")
    if at is None or minutes is None:
        return at
    return at.astimezone(timezone(timedelta(minutes=minutes)))


def part_of(row: Row, releases: Descriptions, prefix: str) -> dict[str, Any]:
    """Give what was asked, or what was answered.

    Parameters
    ----------
    row
        Of the log.
    releases
        Who answered, by version.
    prefix
        ``input_`` or ``result_``.

    Returns
    -------
    dict
        The fields of the release that answered, in its order.
    """
    description = releases.get(row["version"])
    if description is None:
        names = [name for name in row if name.startswith(prefix)]
    else:
        names = [prefix + name for name in description["inputs" if prefix == INPUT else "result"]]
    own = releases if description is None else {row["version"]: description}
    return {name.removeprefix(prefix): _value(row.get(name), kind_of(own, name)) for name in names}


def lineage_of(version: str, releases: Descriptions) -> Lineage | None:
    """Give where a release comes from; nothing when it was not noted."""
    description = releases.get(version)
    if description is None:
        return None
    return Lineage(**{name: description[name] for name in Lineage.model_fields})


def _value(value: Any, kind: str | None) -> Any:
    """Read a value as its own release has it: beside others its column may have another type."""
    if value is None or kind is None:
        return value
    if kind == "integer" and not isinstance(value, int):
        return int(float(value))
    if kind == "boolean" and not isinstance(value, bool):
        return str(value) in _TRUE
    if isinstance(value, str) and kind in _READ:
        return _READ[kind](value)
    return value
