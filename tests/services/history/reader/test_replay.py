"""What was answered is answered again, byte for byte, by the very release that answered."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from bentos.answering import answer_rows, predict_rows, read_row
from bentos.catalog import CATALOG, predictor_type
from bentos.predictor import Predictor
from bentos.release import Release, open_release, read_pointer
from core import clock
from core.config import ModelConfig, parse_model_config
from core.history_faults import PredictionUnknown, ReleaseGone, ReplayImpossible
from core.registry import Registry
from services.history.answers import Prediction
from services.history.lineage import Descriptions
from services.history.questions import ReplayQuestion, RowsQuestion
from services.history.reader.archive import Archive
from services.history.reader.cursor import Sealer
from services.history.reader.database import Database
from services.history.reader.page import Pages
from services.history.reader.receipt import Receipts
from services.history.reader.replay import Replays, again, answer_of
from services.predictions.journal import Asked, Journal
from tests.conftest import tiny_config
from tests.contracts.questions import questions
from tests.services.history.conftest import CALLER, Pen, log_of, move, row, table_of
from tests.services.history.reader.tables import keep as keep_table
from tests.services.history.reader.tables import opened
from tests.tiny import CONTENT, Shelf, tiny_type
from training.fitting import Stages, read_frame
from training.progress import Silent

# Of MLflow's own parts, met when a registry is asked.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
COUNT = 10_000
MODEL_CONFIG = parse_model_config(CONTENT)


def keep(home: Path, release: Release, bodies: Sequence[bytes], name: str) -> list[bytes]:
    """Answer rows as the platform does, and keep them; give the answers as they were sent."""
    (home / "spool").mkdir(parents=True, exist_ok=True)
    pen = Pen(home / "spool" / f"{name}.open", time.time_ns())
    journal = Journal(pen)  # type: ignore[arg-type]  # what of a spool it asks for
    sent: list[bytes] = []
    for start in range(0, len(bodies), 50):
        part = bodies[start : start + 50]
        asked = [Asked(CALLER.key_id, time.perf_counter(), body) for body in part]
        rows = [read_row(release, json.loads(body)) for body in part]
        outcomes = predict_rows(release, rows, explain=start % 3 == 0)
        ends, _ = journal.outcomes(release, asked, outcomes)
        sent += [end for end in ends if isinstance(end, bytes)]
    pen.finish()
    return sent


def tiny_row(chance: random.Random, number: int) -> dict[str, Any]:
    """Give a row with all that is odd: nulls, levels never seen, offsets, no keys."""
    asked = row(number, tenure_months=chance.choice([3, 20, 119, 300]), hours=chance.random() * 300)
    if chance.random() < 0.2:
        asked["hours"] = chance.choice([None, 0, 1e-300, 7, 1.7e18, -0.0])
    if chance.random() < 0.2:
        asked["region"] = chance.choice(["=1+1", "ünï", "nowhere", '"'])
    if chance.random() < 0.3:
        asked["as_of"] = chance.choice(
            ["2026-01-31T10:00:00+05:30", "2026-01-31T10:00:00.123456-11:00", None]
        )
    if chance.random() < 0.1:
        del asked["client_id"]
    return asked


class House:
    """A log of three versions of the tiny model, and a registry without any.

    Parameters
    ----------
    home
        Where all lies.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.shelf = Shelf(home / "releases")
        self.log = log_of(home)
        self.database = Database(self.log)
        self.archive = Archive(
            home / "releases", home / "replays", Registry(f"sqlite:///{home / 'm.db'}"), tiny_type
        )
        self.receipts = Receipts(self.database, ["churn"], tiny_type, lambda _: MODEL_CONFIG)
        self.replays = Replays(self.receipts, self.archive)

    def answer(self, version: str, count: int, seed: int) -> list[bytes]:
        """Let a version answer some rows, and move them into the log."""
        chance = random.Random(seed)  # noqa: S311 - a seed tells which
        self.shelf.write(version, base=float(version) / 3)
        self.shelf.point(version)
        pointer = read_pointer(self.shelf.model_folder)
        assert pointer is not None
        release = open_release(
            self.shelf.model_folder / version, pointer=pointer, kind=tiny_type("churn")
        )
        bodies = [json.dumps(tiny_row(chance, i)).encode() for i in range(count)]
        sent = keep(self.home, release, bodies, f"v{version}")
        assert len(sent) == count
        return sent

    def everything(self) -> tuple[list[Prediction], Descriptions]:
        """Read the whole log, page by page."""
        pages = Pages(self.database, Sealer(b"x"))
        found: list[Prediction] = []
        cursor = None
        while True:
            question = RowsQuestion(model="churn", limit=1000, cursor=cursor)
            page = pages.read(question, tiny_type("churn"))
            found += page.predictions
            cursor = page.next
            if cursor is None:
                now = clock.now() + timedelta(hours=1)
                return found, self.database.scanner.scan("churn", until=now).releases


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home")
    yield house
    house.database.close()


def as_sent(found: Prediction, answer: dict[str, Any]) -> bytes:
    """Write an answer as the platform sends it."""
    drivers = {"drivers": answer["drivers"]} if "drivers" in answer else {}
    return orjson.dumps(
        {
            "prediction_id": found.prediction_id,
            "model": found.model,
            "version": found.version,
            "entity": answer["entity"],
            "as_of": answer["as_of"],
            "result": answer["result"],
            "flags": answer["flags"],
            **drivers,
        }
    )


def test_ten_thousand_predictions_of_three_versions_are_answered_again_byte_for_byte(
    house: House,
) -> None:
    sent: dict[str, bytes] = {}
    for version, count in (("1", 3000), ("2", 3500), ("3", COUNT - 6500)):
        for content in house.answer(version, count, seed=int(version)):
            sent[orjson.loads(content)["prediction_id"]] = content
        move(house.home)
    found, releases = house.everything()
    assert len(found) == len(sent) == COUNT
    assert {one.version for one in found} == {"1", "2", "3"}
    for version in ("1", "2", "3"):
        own = [one for one in found if one.version == version]
        told = again(house.archive.open("churn", version), own, releases)
        for one, (now, refused) in zip(own, told, strict=True):
            assert refused is None
            assert now is not None
            assert as_sent(one, now) == as_sent(one, answer_of(one)) == sent[one.prediction_id]


def test_another_version_tells_the_difference(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    house.answer("2", 1, seed=6)
    move(house.home)
    identity = orjson.loads(first)["prediction_id"]
    same = house.replays.read(ReplayQuestion(), identity, None)
    assert same.identical
    assert same.differences == []
    other = house.replays.read(ReplayQuestion(version="2"), identity, None)
    assert not other.identical
    assert other.now is not None
    assert other.differences[0].field == "result.probability"
    assert other.differences[0].was == orjson.loads(first)["result"]["probability"]


def test_a_version_that_refuses_the_row_says_why(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    tenure = CONTENT["features"]["tenure_months"] | {"maximum": 2, "example": 1}
    features = CONTENT["features"] | {"tenure_months": tenure}
    house.shelf.write("7", content={"features": features})
    identity = orjson.loads(first)["prediction_id"]
    page = house.replays.read(ReplayQuestion(version="7"), identity, None)
    assert page.now is None
    assert not page.identical
    assert "tenure_months" in str(page.refused)


def test_a_version_without_an_input_is_asked_without_it(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    features = {name: one for name, one in CONTENT["features"].items() if name != "region"}
    house.shelf.write("7", content={"features": features, "entity": "customer"})
    sent = orjson.loads(first)
    page = house.replays.read(ReplayQuestion(version="7"), sent["prediction_id"], None)
    assert page.refused is None
    assert page.now is not None
    assert page.now["entity"] == sent["entity"]
    assert page.notes == ["Version 7 does not take region: asked without."]
    assert house.replays.read(ReplayQuestion(), sent["prediction_id"], None).notes == []


def test_a_missing_artifact_is_told(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    shutil.rmtree(house.shelf.model_folder / "1")
    identity = orjson.loads(first)["prediction_id"]
    with pytest.raises(ReleaseGone, match="churn version 1 cannot be loaded: MLflow has no such"):
        house.replays.read(ReplayQuestion(), identity, None)


def test_another_artifact_under_the_same_name_is_not_asked(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    shutil.rmtree(house.shelf.model_folder / "1")
    house.shelf.write("1", base=0.9)
    identity = orjson.loads(first)["prediction_id"]
    with pytest.raises(ReleaseGone, match="not the one that answered then"):
        house.replays.read(ReplayQuestion(), identity, None)


@pytest.mark.parametrize("version", ["../1", "..", "/etc", "1/../1", "\u0000", "1" * 300])
def test_a_version_from_outside_leads_to_no_other_folder(house: House, version: str) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    identity = orjson.loads(first)["prediction_id"]
    with pytest.raises(ReleaseGone):
        house.replays.read(ReplayQuestion(version=version), identity, None)


def test_a_masked_input_cannot_be_asked_again(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    found, releases, _ = house.receipts.find(orjson.loads(first)["prediction_id"], None)
    masked = found.model_copy(update={"masked": ["region"]})
    with pytest.raises(ReplayImpossible, match="region is masked"):
        again(house.archive.open("churn", "1"), [masked], releases)


def test_who_may_not_read_the_model_finds_nothing(house: House) -> None:
    [first] = house.answer("1", 1, seed=5)
    move(house.home)
    identity = orjson.loads(first)["prediction_id"]
    with pytest.raises(PredictionUnknown):
        house.replays.read(ReplayQuestion(), identity, ["pricing"])


@pytest.mark.parametrize("model", CATALOG)
def test_every_model_answers_again_byte_for_byte(
    model: str, tiny_home: Path, tmp_path: Path
) -> None:
    pointer = read_pointer(tiny_home / "releases" / model)
    assert pointer is not None
    kind: type[Predictor] = predictor_type(model)
    folder = tiny_home / "releases" / model / pointer.version
    release = open_release(folder, pointer=pointer, kind=kind)
    bodies = [orjson.dumps(one) for one in rows_of_firm(model, tiny_home)]
    outcomes = answer_rows(release, [orjson.loads(body) for body in bodies])
    answered = [b for b, one in zip(bodies, outcomes, strict=True) if one.answer is not None]
    assert len(answered) > 20
    sent = {
        orjson.loads(one)["prediction_id"]: one for one in keep(tmp_path, release, answered, "a")
    }
    move(tmp_path)
    database = Database(log_of(tmp_path))
    question = RowsQuestion(model=model, limit=1000)
    found = Pages(database, Sealer(b"x")).read(question, kind).predictions
    releases = database.scanner.scan(model).releases
    assert {one.prediction_id for one in found} == set(sent)
    told = [again(release, [one], releases)[0] for one in found]
    for one, (now, refused) in zip(found, told, strict=True):
        assert refused is None
        assert now is not None
        assert as_sent(one, now) == as_sent(one, answer_of(one)) == sent[one.prediction_id]
    database.close()


def rows_of_firm(model: str, home: Path) -> list[dict[str, Any]]:
    """Give questions about the sample firm, as a caller sends them."""
    config: ModelConfig = tiny_config(model)
    frame, _ = read_frame(config, home=home, stages=Stages(Silent()))
    picked = frame.take(np.linspace(0, len(frame) - 1, 60).astype(int))
    plain = []
    for i in range(len(picked)):
        asked: dict[str, Any] = {}
        for name, feature in config.asked_features.items():
            value = picked.columns[name][i]
            if value is None or (isinstance(value, float) and np.isnan(value)):
                asked[name] = None
            else:
                types: dict[str, type] = {"category": str, "boolean": bool, "integer": int}
                asked[name] = types.get(feature.type, float)(value)
        plain.append(asked)
    rows = questions(model, picked, plain)
    keys = [config.entity, *([config.as_of] if config.as_of else [])]
    return [
        {**one, **({} if any(k in one for k in keys) else _keys(config, number))}
        for number, one in enumerate(rows)
    ]


def _keys(config: ModelConfig, number: int) -> dict[str, Any]:
    keys: dict[str, Any] = {config.entity: f"e-{number}"}
    if config.as_of:
        keys[config.as_of] = f"2026-01-{1 + number % 28:02}T09:30:00+0{number % 3}:00"
    return keys


def test_a_file_that_cannot_be_read_is_told(house: House) -> None:
    [first, *_] = house.answer("1", 4, seed=1)
    move(house.home)
    [(broken, _)] = house.log.files("churn")
    # One more file that may hold the very prediction.
    keep_table(house.log, "churn", table_of(house.log))
    identity = orjson.loads(first)["prediction_id"]
    assert house.replays.read(ReplayQuestion(), identity, None).notes == []
    Path(str(broken)).write_bytes(b"")
    with opened(house.log) as database:
        receipts = Receipts(database, ["churn"], tiny_type, lambda _: MODEL_CONFIG)
        found = Replays(receipts, house.archive).read(ReplayQuestion(), identity, None)
    assert (found.identical, len(found.notes)) == (True, 1)
    assert "could not be read" in found.notes[0]
