"""Runs hand-written SQL with DuckDB as it comes: ``python -m benchmarks.history.rival``.

Takes a query and its parameters a line, as JSON; says how long it took until its rows were there,
and which they are.
"""

from __future__ import annotations

import sys
import time
from typing import Any
from uuid import UUID

import duckdb
import orjson


def main() -> int:
    """Answer until there are no more lines."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    for line in sys.stdin.buffer:
        asked = orjson.loads(line)
        params = [_value(one) for one in asked["params"]]
        began = time.perf_counter()
        rows = connection.execute(asked["sql"], params).fetchall()
        took_ms = 1000 * (time.perf_counter() - began)
        told = orjson.dumps({"ms": took_ms, "rows": rows}, default=_plain)
        sys.stdout.buffer.write(told + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _value(given: Any) -> Any:
    return UUID(given["id"]).bytes if isinstance(given, dict) else given


def _plain(value: object) -> str:
    return str(UUID(bytes=value)) if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    sys.exit(main())
