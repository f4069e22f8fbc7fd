"""The audit as a file: CSV for a spreadsheet, NDJSON for a program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any

from services.access.audit import Kept

_COLUMNS = tuple(field.name for field in fields(Kept))
# A spreadsheet takes a cell that starts so for a formula, and would run what a caller wrote.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_LINES_AT_ONCE = 200


def as_csv(entries: Iterable[Kept]) -> Iterator[bytes]:
    """Write lines as CSV, with a header; no cell starts a formula.

    Parameters
    ----------
    entries
        In the order in which they are written.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for number, entry in enumerate(entries, start=1):
        writer.writerow([safe_cell(value) for value in _plain(entry).values()])
        if number % _LINES_AT_ONCE == 0:
            yield _taken(file)
    yield _taken(file)


def as_ndjson(entries: Iterable[Kept]) -> Iterator[bytes]:
    """Write each line as a JSON object of its own.

    Parameters
    ----------
    entries
        In the order in which they are written.
    """
    file = io.StringIO()
    for number, entry in enumerate(entries, start=1):
        file.write(json.dumps(_plain(entry)) + "\n")
        if number % _LINES_AT_ONCE == 0:
            yield _taken(file)
    yield _taken(file)


def safe_cell(value: object) -> str:
    """Give a cell that a spreadsheet shows and does not run.

    Parameters
    ----------
    value
        Plain data; a mapping is written as JSON, nothing as an empty cell.
    """
    if value is None:
        return ""
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _plain(entry: Kept) -> dict[str, Any]:
    return {**asdict(entry), "at": entry.at.isoformat()}


def _taken(file: io.StringIO) -> bytes:
    """Take what was written so far out of the buffer."""
    block = file.getvalue().encode("utf-8", "replace")
    file.seek(0)
    file.truncate()
    return block
