"""What holds for every model of the catalog."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.catalog import CATALOG, contract_of, predictor_type
from bentos.predictor import Predictor, RowPredictor
from core.artifact import open_artifact
from core.contract import Row
from core.encoding import rows_to_columns
from tests.conftest import tiny_config
from tests.contracts.questions import questions
from training.fitting import Stages, read_frame
from training.progress import Silent

_ROWS = 60
_SECTIONS = ("Parameters", "Returns", "Raises", "References", "Examples")


@pytest.fixture(scope="session", params=CATALOG)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def predictor(model: str, tiny_home: Path) -> Predictor:
    [folder] = [p for p in (tiny_home / "releases" / model).iterdir() if p.is_dir()]
    return predictor_type(model)(open_artifact(folder))


@pytest.fixture(scope="session")
def row_predictor(predictor: Predictor) -> RowPredictor:
    if not isinstance(predictor, RowPredictor):
        pytest.skip(f"{predictor.MODEL} answers no rows of features")
    return predictor


@pytest.fixture(scope="session")
def rows(model: str, predictor: Predictor, tiny_home: Path) -> list[Row]:
    """Give questions about the sample firm as a caller would send them, each checked."""
    config = tiny_config(model)
    frame, _ = read_frame(config, home=tiny_home, stages=Stages(Silent()))
    contract = contract_of(config)
    picked = frame.take(np.linspace(0, len(frame) - 1, _ROWS).astype(int))
    asked = config.asked_features
    plain = [_sent(picked.columns, i, asked) for i in range(_ROWS)]
    rows = [contract.parse_row(row) for row in questions(model, picked, plain)]
    for row in rows:
        predictor.check(row)
    return rows


def _sent(columns: Any, i: int, features: Any) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, feature in features.items():
        value = columns[name][i]
        if value is None or (isinstance(value, float) and np.isnan(value)):
            row[name] = None
        elif feature.type == "category":
            row[name] = str(value)
        elif feature.type == "boolean":
            row[name] = bool(value)
        else:
            row[name] = int(value) if feature.type == "integer" else float(value)
    return row


def test_gives_one_result_for_each_row_and_none_for_none(
    predictor: Predictor, rows: list[Row]
) -> None:
    assert len(predictor.predict(rows)) == len(rows)
    assert predictor.predict([]) == []


def test_the_fields_of_a_result_come_in_the_order_of_its_type(
    predictor: Predictor, rows: list[Row]
) -> None:
    for body in predictor.predict(rows):
        assert list(body["result"]) == list(predictor.RESULT.model_fields)


def test_a_batch_gives_what_single_rows_give(predictor: Predictor, rows: list[Row]) -> None:
    singles = [predictor.predict([row], explain=True)[0] for row in rows]
    together = predictor.predict(rows, explain=True)
    assert [a["result"] for a in together] == [a["result"] for a in singles]
    for one, other in zip(together, singles, strict=True):
        assert one["drivers"]["total"] == other["drivers"]["total"]


@pytest.mark.parametrize("size", [2, 7, 33])
def test_batches_of_any_size_give_the_same_bits(
    size: int, predictor: Predictor, rows: list[Row]
) -> None:
    whole = predictor.predict(rows)
    for start in range(0, len(rows), size):
        part = predictor.predict(rows[start : start + size])
        assert part == whole[start : start + size]


def test_the_order_of_rows_changes_nothing(predictor: Predictor, rows: list[Row]) -> None:
    backwards = predictor.predict(rows[::-1])[::-1]
    assert backwards == predictor.predict(rows)


def test_the_inputs_stay_as_they_were(predictor: Predictor, rows: list[Row]) -> None:
    before = copy.deepcopy(rows)
    predictor.predict(rows, explain=True)
    assert rows == before


def test_the_columns_stay_as_they_were(row_predictor: RowPredictor, rows: list[Row]) -> None:
    columns = rows_to_columns(rows, row_predictor.features)
    before = {name: values.copy() for name, values in columns.items()}
    row_predictor.score(columns)
    row_predictor.drivers(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_the_order_of_the_fields_changes_nothing(predictor: Predictor, rows: list[Row]) -> None:
    turned = [dict(reversed(row.items())) for row in rows]
    assert predictor.predict(turned) == predictor.predict(rows)


def test_asking_twice_gives_the_same_answer(predictor: Predictor, rows: list[Row]) -> None:
    assert predictor.predict(rows) == predictor.predict(rows)


def test_opening_the_artifact_again_gives_the_same_answer(
    predictor: Predictor, rows: list[Row]
) -> None:
    again = type(predictor)(open_artifact(predictor.artifact.folder))
    assert again.predict(rows) == predictor.predict(rows)


def test_every_result_keeps_to_its_declared_ranges(predictor: Predictor, rows: list[Row]) -> None:
    for answer in predictor.predict(rows):
        predictor.RESULT.model_validate(answer["result"])


def test_each_field_of_the_result_is_described_and_has_no_default(predictor: Predictor) -> None:
    for name, field in predictor.RESULT.model_fields.items():
        assert field.description, name
        assert field.is_required(), name


def test_the_drivers_sum_to_the_prediction(predictor: Predictor, rows: list[Row]) -> None:
    for answer in predictor.predict(rows, explain=True):
        reasons = answer["drivers"]
        total = reasons["base"] + sum(d["contribution"] for d in reasons["contributions"])
        assert abs(total - reasons["total"]) <= 1e-9 * max(abs(reasons["total"]), 1)


def test_the_example_of_the_config_is_answered(predictor: Predictor) -> None:
    contract = contract_of(predictor.config)
    [answer] = predictor.predict([contract.parse_row(contract.example())])
    predictor.RESULT.model_validate(answer["result"])


def test_nulls_where_they_are_allowed_are_answered(predictor: Predictor) -> None:
    contract = contract_of(predictor.config)
    nullable = [name for name, f in predictor.features.items() if f.nullable]
    for names in (*([name] for name in nullable), nullable):
        row = contract.parse_row(contract.example() | dict.fromkeys(names))
        [answer] = predictor.predict([row], explain=True)
        predictor.RESULT.model_validate(answer["result"])


def test_a_nullable_field_that_is_left_out_counts_as_null(predictor: Predictor) -> None:
    contract = contract_of(predictor.config)
    nullable = [name for name, f in predictor.features.items() if f.nullable]
    short = {name: value for name, value in contract.example().items() if name not in nullable}
    nulls = contract.example() | dict.fromkeys(nullable)
    left_out, null = (contract.parse_row(row) for row in (short, nulls))
    assert predictor.predict([left_out]) == predictor.predict([null])


def test_a_level_never_seen_is_answered_and_flagged(predictor: Predictor) -> None:
    contract = contract_of(predictor.config)
    for name, feature in predictor.features.items():
        if feature.type == "category" and feature.categories is None:
            row = contract.parse_row(contract.example() | {name: "never seen before"})
            [answer] = predictor.predict([row])
            predictor.RESULT.model_validate(answer["result"])
            assert {"feature": name, "flag": "level_not_seen", "seen": None} in answer["flags"]


def test_a_number_beyond_the_training_range_is_answered_and_flagged(predictor: Predictor) -> None:
    contract = contract_of(predictor.config)
    open_ended = (
        n for n, f in predictor.features.items() if f.type == "number" and f.maximum is None
    )
    name = next(open_ended, None)
    if name is None:
        pytest.skip(f"{predictor.MODEL} asks for no number without a limit")
    [answer] = predictor.predict([contract.parse_row(contract.example() | {name: 1e9})])
    predictor.RESULT.model_validate(answer["result"])
    assert [f["flag"] for f in answer["flags"] if f["feature"] == name] == ["above_training_range"]


def test_the_docstring_is_a_whole_contract(predictor: Predictor) -> None:
    text = type(predictor).__doc__ or ""
    for section in _SECTIONS:
        assert re.search(rf"^\s*{section}\n\s*-+$", text, re.MULTILINE), section
    assert re.search(r"\(\d{4}\)", text), "no reference with its year"
    assert "fail" in text.lower() or "wrong" in text.lower(), "when it fails is not said"
