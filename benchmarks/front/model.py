"""The one model that every server answers with, its rows, and its files.

A LightGBM booster of 300 trees with 31 leaves on 20 numbers, trained on a synthetic table with a
fixed seed. Rivals read the same text file; ours reads it out of a release.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np

from benchmarks.synthetic import write_config, write_table
from bentos.predictor import ENCODER, RANGES
from bentos.release import POINTER, Identity, Pointer
from core import clock
from core.artifact import RELEASE, DataFacts, Draft, manifest_sha256
from core.config import ModelConfig, load_model_config
from core.encoding import Encoder, FloatArray
from training.fitting import fit_only

TREES, LEAVES, FEATURES = 300, 31, 20
TRAINING_ROWS, ASKED_ROWS = 20_000, 64
NAMES = tuple(f"number_{i}" for i in range(FEATURES))
BOOSTER = "booster.txt"
_CHURN_ROWS, _CHURN_NUMBERS, _CHURN_CATEGORIES = 20_000, 15, 5


@dataclass(frozen=True)
class Bench:
    """The model, and what is asked of it.

    Parameters
    ----------
    folder
        Holds the booster's text file and everything that servers write.
    rows
        Shape ``(64, 20)``: rows that are asked by turns, none of them seen in training.
    expected
        Shape ``(64,)``: what the booster says of them.
    """

    folder: Path
    rows: FloatArray
    expected: FloatArray

    @property
    def booster_file(self) -> Path:
        """The model as LightGBM's text."""
        return self.folder / BOOSTER


def build(folder: Path) -> Bench:
    """Train the booster and write it down."""
    random = np.random.default_rng(11)
    matrix = random.normal(size=(TRAINING_ROWS, FEATURES)).round(4)
    target = np.sin(matrix[:, :5]).sum(axis=1) + matrix[:, 5] * matrix[:, 6]
    target += 0.1 * random.normal(size=TRAINING_ROWS)
    options = {
        "objective": "regression", "num_leaves": LEAVES, "num_threads": 1, "seed": 7,
        "deterministic": True, "verbose": -1,
    }  # fmt: skip
    booster = lightgbm.train(options, lightgbm.Dataset(matrix, target), num_boost_round=TREES)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        folder=folder,
        rows=random.normal(size=(ASKED_ROWS, FEATURES)).round(4),
        expected=np.empty(0),
    )
    booster.save_model(str(bench.booster_file))
    read = lightgbm.Booster(model_file=str(bench.booster_file))
    expected = np.asarray(read.predict(bench.rows, num_threads=1), dtype=np.float64)
    return Bench(folder=folder, rows=bench.rows, expected=expected)


def write_release(bench: Bench, home: Path) -> None:
    """Write the booster as a release of a model of its own, and make it the champion."""
    content = {
        "model": "churn",
        "title": "The benchmark's booster",
        "description": "One booster, to compare servers by.",
        "source": {"kind": "csv", "path": "none.csv"},
        "entity": "client_id",
        "target": {"column": "target", "description": "A made-up number."},
        "features": {
            name: {"type": "number", "description": name, "example": 0.5} for name in NAMES
        },
        "split": {"rule": "entity", "test_share": 0.2},
        "gate": {"metric": "log_loss_error"},
        "serving": {"max_batch_rows": 10_000},
    }
    config = ModelConfig.model_validate(content)
    folder = home / "releases" / "churn" / "1"
    draft = Draft(folder)
    draft.write_text(BOOSTER, bench.booster_file.read_text(encoding="utf-8"))
    draft.write_json(ENCODER, Encoder(NAMES, {}).to_json())
    draft.write_json(RANGES, {name: [-6.0, 6.0] for name in NAMES})
    facts = DataFacts(
        digest="0" * 64, source="none.csv", rows_train=TRAINING_ROWS, rows_calibration=1,
        rows_test=1, entities=TRAINING_ROWS, first=None, last=None, left_out=0,
    )  # fmt: skip
    draft.finish(config, data=facts, versions={"septet": "0"}, metrics={"log_loss_error": 0.5})
    _make_champion(folder)


def write_churn_release(bench: Bench, home: Path) -> None:
    """Train the product's own churn model on a synthetic table, and make it the champion."""
    table, yaml = bench.folder / "churn.parquet", bench.folder / "churn.yaml"
    write_table(table, rows=_CHURN_ROWS, numbers=_CHURN_NUMBERS, categories=_CHURN_CATEGORIES)
    write_config(yaml, table, numbers=_CHURN_NUMBERS, categories=_CHURN_CATEGORIES)
    folder = home / "releases" / "churn" / "1"
    fit_only(load_model_config(yaml), home=home, folder=folder)
    _make_champion(folder)


def _make_champion(folder: Path) -> None:
    digest = manifest_sha256(folder)
    identity = Identity(
        model="churn", version="1", run_id="benchmark", registered_at=clock.now(),
        manifest_sha256=digest,
    )  # fmt: skip
    (folder / RELEASE).write_text(identity.model_dump_json(), encoding="utf-8")
    pointer = Pointer(version="1", manifest_sha256=digest)
    (folder.parent / POINTER).write_text(pointer.model_dump_json(), encoding="utf-8")
