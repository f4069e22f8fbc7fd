"""A bit of a file's footer flips, which no checksum is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.history.decoding import OUTCOMES_OF
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import Housekeeper
from services.history.log import PredictionLog
from services.history.mover import Mover
from tests.services.history.conftest import rows_of
from tests.services.history.reader.tables import START, identity, keep, keep_outcomes, predicted
from tests.services.history.wishes import ask, erasure_of, later

OUTCOMES = "churn" + OUTCOMES_OF


def fill(log: PredictionLog) -> None:
    """Keep two files of predictions, and two of what happened."""
    for who in ("c1", "c2"):
        keep(log, "churn", predicted([{"at": START, "entity": who, "probability": 0.5}]))
        keep_outcomes(log, "churn", {"at": START, "entity": who, "as_of": START, "value": 1.0})
        keep_outcomes(log, "churn", {"at": START, "outcome_of": identity(START), "value": 1.0})


def flip(path: Path, name: bytes, old: bytes, new: bytes) -> None:
    """Write a name of the footer otherwise, wherever it stands there."""
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:]
    assert name in footer
    path.write_bytes(content[:start] + footer.replace(name, name.replace(old, new)))


@pytest.mark.parametrize("new", [b"x", b"\xf4"])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("churn", b"entity"), ("churn", b"at"), ("churn", b"prediction_id"),
        (OUTCOMES, b"entity"), (OUTCOMES, b"at"), (OUTCOMES, b"outcome_of"),
    ],
)  # fmt: skip
def test_the_file_is_set_aside_and_an_erasure_deletes_it(
    tmp_path: Path, place: str, name: bytes, new: bytes
) -> None:
    log = PredictionLog(tmp_path / "predictions", owner="me")
    fill(log)
    paths = [Path(path) for path, file in log.files(place)]
    for path in paths:
        flip(path, name, name[-1:], new)
    identity = ask(tmp_path / "spool", "c1")
    erasures = Erasures(log)
    mover = Mover(tmp_path / "spool", log, erasures=erasures)
    eraser = Eraser(log, erasures, spool=tmp_path / "spool")
    mover.step()
    eraser.step()
    with later():
        Housekeeper(log, keep_days=None).step()
        eraser.finish()
    mover.close()
    proof = erasure_of(log, identity)
    assert (proof.state, len(proof.deleted)) == ("done", len(paths))
    assert rows_of(log, place) == []
    assert not any(path.exists() for path in paths)
    assert not list((tmp_path / "predictions" / "quarantine").iterdir())


def test_the_others_are_put_together_without_it(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "predictions", owner="me")
    for who in ("c1", "c2", "c3"):
        keep(log, "churn", predicted([{"at": START, "entity": who, "probability": 0.5}]))
    flip(Path(log.files("churn")[0][0]), b"entity", b"y", b"x")
    kept = Housekeeper(log, keep_days=None).step()
    assert (kept.damaged, kept.compacted) == (1, 2)
    assert "entitx" not in rows_of(log)[0]
