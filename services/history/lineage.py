"""What a file of the log tells of the releases whose answers are in it.

It stands in the file's own metadata: years later nothing else may be left that knows the kind of a
column, or what a release was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

_KEY = b"septet.releases"
Descriptions = dict[str, dict[str, Any]]


def with_releases(table: pa.Table, releases: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Note in a table which releases answered.

    Parameters
    ----------
    table
        Rows of one model.
    releases
        What ``services.predictions.description`` says of each, by version.
    """
    return table.replace_schema_metadata({_KEY: orjson.dumps(dict(releases))})


def releases_in(schema: pa.Schema) -> Descriptions:
    """Read which releases answered; empty where none is noted.

    Parameters
    ----------
    schema
        Of a table, or of a file of the log.
    """
    noted = (schema.metadata or {}).get(_KEY)
    return {} if noted is None else dict(orjson.loads(noted))


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Put rows of one model together; columns that only some have are null in the others.

    Parameters
    ----------
    tables
        At least one.

    Raises
    ------
    pyarrow.ArrowException
        A column changed its kind, from numbers to text.
    """
    releases: Descriptions = {}
    for table in tables:
        releases |= releases_in(table.schema)
    whole = pa.concat_tables(tables, promote_options="permissive")
    return with_releases(whole, releases) if releases else whole
