"""Keeps what a run measured as JSON, one file a model and data set.

The files are kept in git: the page of all models is rendered from them, and a run of one model
leaves the others' figures as they were, with the day on which they were measured.
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from bentos.catalog import CATALOG
from core import clock
from tests.quality.figure import Figure, Rival

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quality.md"
PICTURES = ROOT / "docs" / "quality"
RECORDS = PICTURES / "figures"
LIBRARIES = (
    "catboost", "lightgbm", "numpy", "prophet", "pyod", "scikit-learn", "scipy", "statsforecast",
    "statsmodels",
)  # fmt: skip
DIGITS = 10


@dataclass(frozen=True)
class Record:
    """What one test measured on one data set.

    Parameters
    ----------
    model
        Name of the model in the catalogue.
    data
        Name of the data set, as in the model's card.
    about
        The data, the split, and how it was measured; for a person.
    at
        When it was measured, in UTC.
    seconds
        How long the test took until then, references and simulation included.
    versions
        Of the libraries on which the figures depend.
    figures
        What was measured.
    """

    model: str
    data: str
    about: str
    at: datetime
    seconds: float
    versions: Mapping[str, str]
    figures: tuple[Figure, ...]


def keep(
    model: str,
    data: str,
    *,
    about: str,
    figures: Sequence[Figure],
    seconds: float,
    folder: Path = RECORDS,
) -> Record:
    """Write a record over the one of the same model and data set.

    Raises
    ------
    ValueError
        A figure holds a number that is not finite.
    """
    versions = {name: version_of(name) for name in LIBRARIES}
    versions["python"] = platform.python_version()
    record = Record(model, data, about, clock.now(), seconds, versions, tuple(figures))
    content = asdict(record) | {"at": record.at.isoformat(timespec="seconds")}
    content["figures"] = [_sparse(asdict(figure)) for figure in figures]
    text = json.dumps(_rounded(content), indent=1, ensure_ascii=False, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model}-{data}.json"
    # Two workers never write the same file; a reader never sees half of one.
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
    return record


def read_records(folder: Path = RECORDS) -> list[Record]:
    """Read all records, in the order of the catalogue and of their names."""
    records = [_read(path) for path in folder.glob("*.json")]

    def key(record: Record) -> tuple[int, str, list[tuple[int, str]]]:
        place = CATALOG.index(record.model) if record.model in CATALOG else len(CATALOG)
        return place, record.model, _natural(record.data)

    return sorted(records, key=key)


def _natural(name: str) -> list[tuple[int, str]]:
    """Part a name into words and numbers, so that 3000 comes before 20000."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split("_")]


def _read(path: Path) -> Record:
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = tuple(_figure(part) for part in content.pop("figures"))
    at = datetime.fromisoformat(content.pop("at"))
    return Record(**content, at=at, figures=figures)


def _figure(content: dict[str, Any]) -> Figure:
    rivals = tuple(Rival(**rival) for rival in content.pop("rivals", ()))
    seeds = tuple(content.pop("seeds", ()))
    return Figure(**content, rivals=rivals, seeds=seeds)


def _sparse(figure: dict[str, Any]) -> dict[str, Any]:
    """Leave out what stands at its default."""
    usual = {field.name: field.default for field in fields(Figure)}
    return {name: value for name, value in figure.items() if value != usual[name]}


def _rounded(value: Any) -> Any:
    """Round numbers to ten digits: the last bits say nothing and change with the machine."""
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
