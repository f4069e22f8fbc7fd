"""Which names a question may use about a time that has no predictions to tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa

from services.history.reader.scan import PARTS, Scan

# Of a model, by its config: the kinds of its inputs and of the fields of its result.
Columns = Mapping[str, Mapping[str, str]]
ColumnsOf = Callable[[str], Columns]


def no_columns(_model: str) -> Columns:
    """Know no model."""
    return {part: {} for part in PARTS}


def with_names(whole: Scan, columns: Columns) -> Scan:
    """Give a scan without files that has every name of a model.

    Parameters
    ----------
    whole
        All that the log has of the model.
    columns
        Those that it has now.
    """
    now = {prefix + name: pa.null() for part, prefix in PARTS.items() for name in columns[part]}
    return replace(
        whole,
        files=(),
        facts=(),
        each=(),
        types={**whole.types, **now},
        releases={**whole.releases, "now": {part: dict(columns[part]) for part in PARTS}},
    )
