"""Small client tables written to disk, and the config that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.clock import now
from core.config import ModelConfig
from training.frame import Frame, QualityReport, build_frame
from training.source import RawTable, read_source

CONTENT: dict[str, Any] = {
    "model": "churn",
    "title": "Who leaves?",
    "description": "Clients of a small firm.",
    "source": {"kind": "csv", "path": "clients.csv"},
    "entity": "client",
    "as_of": "month",
    "target": {"column": "left", "description": "Left within a quarter.", "positive": "yes"},
    "features": {
        "hours": {"type": "number", "description": "Hours worked", "minimum": 0, "nullable": True},
        "staff": {"type": "integer", "description": "People on it", "minimum": 1, "maximum": 50},
        "active": {"type": "boolean", "description": "Whether active"},
        "plan": {"type": "category", "description": "Plan", "categories": ["None", "pro"]},
        "region": {"type": "category", "description": "Region", "nullable": True},
    },
    "split": {"rule": "time", "test_share": 0.25},
    "quality": {"min_rows": 20},
    "gate": {"metric": "auc_score"},
}  # fmt: skip
HEADER = "client,month,left,hours,staff,active,plan,region"


def config_of(path: Path | None = None, **changes: Any) -> ModelConfig:
    """Give the config, with some keys replaced; a mapping is merged into the one it replaces."""
    content = dict(CONTENT)
    if path is not None:
        kind = "parquet" if path.suffix == ".parquet" else "csv"
        content["source"] = {"kind": kind, "path": str(path)}
    for key, value in changes.items():
        old = content.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and "kind" not in value:
            content[key] = {**old, **value}
        else:
            content[key] = value
    return ModelConfig.model_validate(content)


def line(number: int, **cells: object) -> str:
    """Give a good line of the table, with some cells replaced."""
    year, month = 2023 + number // 12 % 2, number % 12 + 1
    row: dict[str, object] = {
        "client": f"c{number}",
        "month": f"{year}-{month:02d}-01",
        "left": "yes" if number % 3 == 0 else "no",
        "hours": 10.5 + number,
        "staff": 1 + number % 9,
        "active": "true" if number % 2 else "false",
        "plan": "pro" if number % 2 else "None",
        "region": ("north", "NA", "south")[number % 3],
    }
    row.update(cells)
    return ",".join(str(row[name]) for name in HEADER.split(","))


def write(path: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    """Write a CSV file."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def good_lines(count: int = 240) -> list[str]:
    """Give good lines."""
    return [line(number) for number in range(count)]


def read(config: ModelConfig, home: Path) -> RawTable:
    """Read the config's source."""
    return read_source(config, home=home)


def frame_of(config: ModelConfig, home: Path) -> tuple[Frame, QualityReport]:
    """Read and check the config's source."""
    return build_frame(read(config, home), config, latest=now())
