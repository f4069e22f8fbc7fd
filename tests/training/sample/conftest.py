import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.sample import simulate


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    """Give the tables of a firm by name."""
    paths = simulate(tmp_path_factory.mktemp("firm"), clients=1500, months=36, seed=11)
    return {name: pq.read_table(path) for name, path in paths.items()}
