"""The leak predictor on a trained artifact."""

from pathlib import Path

import numpy as np
import pytest

from bentos.revenue_leak import predictor as predictor_module
from tests.billing import config_of, records
from tests.shop import rows_of, train
from training.fitting import Fitted

FIELDS = {"probability", "expected_missing_amount", "fair_bill_amount", "gap_amount"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return train(config_of(), records(1500), tmp_path_factory.mktemp("leak") / "artifact")


def test_results_lie_in_the_declared_range(fitted: Fitted) -> None:
    outputs = fitted.row_predictor.score(fitted.split.test.columns)
    assert set(outputs) == FIELDS
    for name, values in outputs.items():
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name
    assert (outputs["probability"] <= 1).all()


def test_missing_money_is_probability_times_gap(fitted: Fitted) -> None:
    outputs = fitted.row_predictor.score(fitted.split.test.columns)
    billed = fitted.split.test.columns["billed_amount"]
    gap = np.maximum(outputs["fair_bill_amount"] - billed, 0)
    assert np.array_equal(outputs["gap_amount"], gap)
    assert np.array_equal(outputs["expected_missing_amount"], outputs["probability"] * gap)


def test_a_batch_gives_the_bits_of_single_rows(fitted: Fitted) -> None:
    columns = fitted.split.test.columns
    together = fitted.row_predictor.score(columns)
    for row in range(0, 120, 7):
        alone = fitted.row_predictor.score({n: v[row : row + 1] for n, v in columns.items()})
        assert all(alone[name][0] == together[name][row] for name in FIELDS)


def test_blocks_change_no_answer(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = fitted.split.test.columns
    whole, reasons = fitted.row_predictor.score(columns), fitted.row_predictor.drivers(columns)
    monkeypatch.setattr(predictor_module, "BLOCK_ROWS", 100)
    for name, values in fitted.row_predictor.score(columns).items():
        assert np.array_equal(values, whole[name])
    assert np.array_equal(fitted.row_predictor.drivers(columns).total, reasons.total)


def test_reasons_add_up_to_the_log_odds(fitted: Fitted) -> None:
    columns = fitted.split.test.columns
    drivers = fitted.row_predictor.drivers(columns)
    probability = fitted.row_predictor.score(columns)["probability"]
    total = drivers.base + drivers.contributions.sum(axis=1)
    assert np.abs(total - drivers.total).max() < 1e-9
    assert np.allclose(1 / (1 + np.exp(-total)), probability, atol=1e-9)


def test_left_out_hours_are_the_first_reason_of_such_a_leak(fitted: Fitted) -> None:
    row = rows_of(fitted.split.test, 1)[0]
    row = {**row, "due_hours": 20.0, "billed_hours": 8.0}
    row["billed_amount"] = 8.0 * 50.0
    answer = fitted.predictor.predict([row], explain=True)[0]
    assert answer["drivers"]["scale"] == "log-odds"
    first = [part["feature"] for part in answer["drivers"]["contributions"][:3]]
    assert {"quantity_against_due", "bill_against_fair"} & set(first)


def test_unseen_levels_and_nulls_are_answered(fitted: Fitted) -> None:
    row = rows_of(fitted.split.test, 1)[0]
    odd = [{**row, "service": "never seen"}, {**row, "client": None, "billed_amount": None}]
    answers = fitted.predictor.predict(odd, explain=True)
    assert all(0 <= a["result"]["probability"] <= 1 for a in answers)
    assert answers[0]["flags"] == [{"feature": "service", "flag": "level_not_seen", "seen": None}]


def test_inputs_are_not_changed(fitted: Fitted) -> None:
    columns = fitted.split.test.columns
    before = {name: values.copy() for name, values in columns.items()}
    fitted.row_predictor.score(columns)
    fitted.row_predictor.drivers(columns)
    for name, values in columns.items():
        assert np.array_equal(values, before[name], equal_nan=values.dtype != object)


def test_without_labels_the_same_reasons_are_given(tmp_path: Path) -> None:
    fitted = train(config_of(), records(1500, audited=0.0), tmp_path / "artifact")
    columns = fitted.split.test.columns
    drivers = fitted.row_predictor.drivers(columns)
    total = drivers.base + drivers.contributions.sum(axis=1)
    probability = fitted.row_predictor.score(columns)["probability"]
    assert np.allclose(1 / (1 + np.exp(-total)), probability, atol=1e-9)
