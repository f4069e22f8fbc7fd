"""A churn table of any size with a known signal, and the YAML that describes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

LEVELS = ("alpha", "beta", "gamma", "delta", "epsilon")
_BLOCK = 100_000


def write_table(path: Path, *, rows: int, numbers: int, categories: int, seed: int = 7) -> None:
    """Write a Parquet file block by block, so that making it needs no memory to speak of.

    Parameters
    ----------
    path
        The file.
    rows
        How many rows.
    numbers, categories
        How many feature columns of each kind.
    seed
        Seed of the generator.
    """
    random = np.random.default_rng(seed)
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - start)
        block = _block(random, start, count, numbers, categories)
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
    if writer is not None:
        writer.close()


def _block(
    random: np.random.Generator, start: int, count: int, numbers: int, categories: int
) -> pa.Table:
    values = random.normal(size=(count, numbers)).round(4)
    codes = random.integers(len(LEVELS), size=(count, categories))
    raw = values[:, : min(5, numbers)].sum(axis=1) * 0.5 - 1.5 + 0.3 * (codes[:, 0] == 1)
    label = random.random(count) < 1 / (1 + np.exp(-raw))
    columns: dict[str, pa.Array] = {
        "client_id": pa.array([f"c{start + i}" for i in range(count)]),
        "churned": pa.array(label.astype(np.int64)),
    }
    for i in range(numbers):
        columns[f"number_{i}"] = pa.array(values[:, i])
    names = np.array(LEVELS)
    for i in range(categories):
        columns[f"category_{i}"] = pa.array(names[codes[:, i]])
    return pa.table(columns)


def write_config(path: Path, table: Path, *, numbers: int, categories: int) -> None:
    """Write the churn YAML for such a table."""
    features: dict[str, object] = {
        f"number_{i}": {"type": "number", "description": f"number {i}", "example": 0.5}
        for i in range(numbers)
    }
    for i in range(categories):
        features[f"category_{i}"] = {
            "type": "category",
            "categories": list(LEVELS),
            "description": f"category {i}",
        }
    config = {
        "model": "churn",
        "title": "Synthetic churn",
        "description": "A table with a known signal, for benchmarks.",
        "source": {"kind": "parquet", "path": str(table)},
        "entity": "client_id",
        "target": {"column": "churned", "description": "left"},
        "features": features,
        "split": {"rule": "entity", "test_share": 0.2},
        "gate": {"metric": "log_loss_error", "floors": {"auc_score": 0.6}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
