from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.sample import simulate


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    """Give the tables of a firm by name."""
    paths = simulate(tmp_path_factory.mktemp("firm"), clients=1500, months=36, seed=11)
    return {name: pq.read_table(path) for name, path in paths.items()}


@pytest.fixture(scope="session")
def tables(firm: dict[str, pa.Table]) -> dict[str, dict[str, Any]]:
    """Give the same tables as arrays, by name and column."""
    return {
        name: {c: table[c].to_numpy(zero_copy_only=False) for c in table.column_names}
        for name, table in firm.items()
    }
