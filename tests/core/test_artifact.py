import random
from pathlib import Path

import numpy as np
import pytest

from core.artifact import DataFacts, Draft, open_artifact
from core.config import ModelConfig
from core.errors import ArtifactCorrupt

CONFIG = ModelConfig.model_validate(
    {
        "model": "churn",
        "title": "Churn",
        "description": "Will the client leave?",
        "source": {"kind": "csv", "path": "x.csv"},
        "entity": "client_id",
        "target": {"column": "churned", "description": "left"},
        "features": {"hours": {"type": "number", "description": "hours a week"}},
        "split": {"rule": "entity", "test_share": 0.2},
        "gate": {"metric": "log_loss_error"},
    }
)
DATA = DataFacts(
    digest="d", source="s", rows_train=1, rows_calibration=1, rows_test=1, entities=1,
    first=None, last=None, left_out=0,
)  # fmt: skip


def write(folder: Path) -> Path:
    draft = Draft(folder)
    draft.write_json("knots.json", {"b": [1, 2], "a": "ü"})
    draft.write_arrays("weights.npz", w=np.arange(4.0), codes=np.array([1, 2]))
    draft.write_text("model.txt", "tree\n")
    draft.finish(CONFIG, data=DATA, versions={"numpy": "2"}, metrics={"auc_score": 0.8})
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    artifact = open_artifact(write(tmp_path / "a"))
    assert artifact.read_json("knots.json") == {"a": "ü", "b": [1, 2]}
    assert artifact.read_arrays("weights.npz")["w"].tolist() == [0, 1, 2, 3]
    assert artifact.config == CONFIG
    assert artifact.manifest.metrics == {"auc_score": 0.8}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a"), write(tmp_path / "b")
    names = sorted(p.name for p in one.iterdir())
    assert names == sorted(p.name for p in two.iterdir())
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)


def test_objects_are_never_pickled_into_arrays(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="holds objects"):
        Draft(tmp_path / "a").write_arrays("x.npz", w=np.array([{}], dtype=object))


def test_no_flipped_bit_and_no_cut_is_ever_loaded(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    files = sorted(folder.iterdir())
    chance = random.Random(20261123)  # noqa: S311 - the seed makes a failure repeatable
    for round_ in range(200):
        file = chance.choice(files)
        whole = file.read_bytes()
        where = chance.randrange(len(whole))
        if round_ % 4 == 0:
            file.write_bytes(whole[:where])
        else:
            damaged = bytearray(whole)
            damaged[where] ^= 1 << chance.randrange(8)
            file.write_bytes(bytes(damaged))
        try:
            reopened = open_artifact(folder)
        except ArtifactCorrupt:
            reopened = None
        # A flip inside the manifest's free texts leaves a valid manifest: the registry's digest
        # of the manifest is what catches that; every other file must be refused here.
        assert reopened is None or file.name == "manifest.json", f"{file.name} at {where}"
        file.write_bytes(whole)
    assert open_artifact(folder).config == CONFIG


@pytest.mark.parametrize(
    ("name", "says"),
    [("stranger.bin", "does not name"), ("model.txt", "missing"), ("manifest.json", "cannot be")],
)
def test_a_missing_or_foreign_file_is_refused_by_name(tmp_path: Path, name: str, says: str) -> None:
    folder = write(tmp_path / "a")
    if name == "stranger.bin":
        (folder / name).write_bytes(b"x")
    else:
        (folder / name).unlink()
    with pytest.raises(ArtifactCorrupt, match=says):
        open_artifact(folder)


def test_a_file_name_never_leads_out_of_the_artifact(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "a")
    for name in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ArtifactCorrupt, match="plain file name"):
            draft.write_text(name, "x")
