"""Records are judged by what is usual, by how values go together, and by labels if any."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from bentos.anomaly.predictor import AnomalyPredictor
from core.artifact import open_artifact
from core.errors import ConfigError
from tests.bentos.anomaly.records import config_of, frame_of, train
from training.fitting import Fitted


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return train(frame_of(), tmp_path_factory.mktemp("anomaly") / "artifact")


def predictor_of(fitted: Fitted) -> AnomalyPredictor:
    assert isinstance(fitted.predictor, AnomalyPredictor)
    return fitted.predictor


def test_wrong_combinations_of_valid_values_are_ranked_first(fitted: Fitted) -> None:
    wrong = fitted.split.test.amount
    assert wrong is not None
    assert average_precision_score(wrong, fitted.outputs["score"]) > 0.9


def test_as_many_usual_records_are_flagged_as_was_stated(fitted: Fitted) -> None:
    wrong = fitted.split.test.amount
    assert wrong is not None
    assert np.mean(fitted.outputs["is_anomaly"][wrong == 0]) <= 0.02
    assert fitted.metrics["false_alarm_error"] < 0.03


def test_a_flagged_record_names_what_is_wrong_beside_what_is_usual(fitted: Fitted) -> None:
    row = {"grade": "senior", "hours": 8.0, "rate": 160.0, "amount": 2600.0}
    [answer] = predictor_of(fitted).predict([row], explain=True)
    result = answer["result"]
    assert result["is_anomaly"]
    assert result["p_value"] < 0.01
    named = {found["feature"] for found in result["unusual_features"]}
    assert named <= {"amount", "hours", "rate"}
    first = result["unusual_features"][0]
    assert first["usual_low"] < first["usual_high"]


def test_a_usual_record_is_not_flagged(fitted: Fitted) -> None:
    row = {"grade": "junior", "hours": 7.0, "rate": 70.0, "amount": 490.0}
    [answer] = predictor_of(fitted).predict([row])
    assert not answer["result"]["is_anomaly"]
    assert answer["result"]["unusual_features"] == []


def test_nulls_and_unknown_levels_are_judged(fitted: Fitted) -> None:
    rows: list[dict[str, Any]] = [
        {"grade": None, "hours": 7.0, "rate": 70.0, "amount": 490.0},
        {"grade": "intern", "hours": None, "rate": None, "amount": None},
    ]
    for answer in predictor_of(fitted).predict(rows, explain=True):
        fitted.predictor.RESULT.model_validate(answer["result"])


def test_a_batch_keeps_false_discoveries_down(fitted: Fitted) -> None:
    predictor = predictor_of(fitted)
    usual = {"grade": "senior", "hours": 8.0, "rate": 160.0, "amount": 1280.0}
    rows = [usual] * 20 + [usual | {"amount": 4000.0}]
    summary = predictor.summarise([a["result"] for a in predictor.predict(rows)])
    assert summary is not None
    assert summary["flagged"] == [20]


def test_labels_are_learned_from_where_there_are_enough(tmp_path: Path) -> None:
    fitted = train(frame_of(labelled=True), tmp_path / "artifact")
    assert open_artifact(tmp_path / "artifact").read_json("mixture.json")["is_labelled"]
    assert fitted.metrics["pr_auc_score"] > 0.9


def test_the_same_data_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        train(frame_of(600), tmp_path / name)
        digests.append(open_artifact(tmp_path / name).manifest.files)
    assert digests[0] == digests[1]


def test_an_unknown_option_is_refused() -> None:
    from training.options import read_options
    from training.recipes.anomaly import Options

    with pytest.raises(ConfigError, match="Did you mean 'trees'"):
        read_options(config_of(treess=3), Options)
