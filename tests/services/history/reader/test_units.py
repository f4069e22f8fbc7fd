"""Units of what models answer: as the configs of this repository name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentos.catalog import CATALOG, predictor_type
from core.config import ModelConfig, load_model_config
from core.errors import ConfigError
from services.history.reader.units import if_readable, unit_of, unit_of_outcome
from tests.conftest import ROOT


def config_of(model: str) -> ModelConfig:
    return load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")


HEADLINES = {
    "churn": "ratio", "profitability": "home currency", "pricing": "home currency",
    "revenue_leak": "home currency", "budget": "thousand EUR", "demand": "hours", "anomaly": None,
}  # fmt: skip
OUTCOMES = {
    "churn": "ratio", "profitability": "home currency", "pricing": "ratio", "revenue_leak": "ratio",
    "budget": "thousand EUR", "demand": "hours", "anomaly": "ratio",
}  # fmt: skip


@pytest.mark.parametrize("model", CATALOG)
def test_each_model_s_headline_and_outcome_have_their_unit(model: str) -> None:
    config = config_of(model)
    assert unit_of(config, predictor_type(model), None) == HEADLINES[model]
    assert unit_of_outcome(config) == OUTCOMES[model]


@pytest.mark.parametrize(
    ("model", "field", "unit"),
    [
        ("churn", "input.tenure_months", "months"),
        ("churn", "input.monthly_amount", "home currency a month"),
        ("churn", "input.nobody", None),
        ("churn", "result.probability", "ratio"),
        ("pricing", "win_probability_low", "ratio"),
        ("pricing", "result.profit_uplift_amount", "home currency"),
        ("pricing", "expected_volume", None),
        ("profitability", "margin_ratio", "ratio"),
        ("revenue_leak", "probability", "ratio"),
    ],
)
def test_other_fields_have_the_unit_of_the_config_or_of_their_name(
    model: str, field: str, unit: str | None
) -> None:
    assert unit_of(config_of(model), predictor_type(model), field) == unit


def test_amounts_of_several_units_have_none_that_is_known() -> None:
    config = config_of("pricing")
    cost = config.features["cost_amount"].model_copy(update={"unit": "USD"})
    mixed = config.model_copy(update={"features": {**config.features, "cost_amount": cost}})
    assert unit_of(mixed, predictor_type("pricing"), None) is None


def test_a_config_that_is_wrong_or_gone_costs_the_unit_alone(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("model: [")
    with pytest.raises(ConfigError):
        load_model_config(wrong)

    def config(model: str) -> ModelConfig:
        path = tmp_path / f"{model}.yaml"
        assert path.stat()
        return load_model_config(path)

    for model in ("wrong", "gone"):
        assert (found := if_readable(config)(model)) is None
        assert unit_of(found, predictor_type("churn"), None) is None
        assert unit_of_outcome(found) is None
