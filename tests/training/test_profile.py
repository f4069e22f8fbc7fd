"""How inputs were distributed in training, as an artifact tells it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bentos.catalog import CATALOG
from bentos.release import read_pointer
from core.config import load_model_config, parse_model_config
from tests.tiny import CONTENT
from training.profile import PROFILE, STEPS, profile_of

CONFIG = parse_model_config(CONTENT)
ROOT = Path(__file__).parents[2]


def test_numbers_have_edges_of_equal_groups() -> None:
    values = np.concatenate([np.arange(1001.0), [np.nan] * 99])
    profile = profile_of(CONFIG, columns(hours=values))["hours"]
    assert profile["rows"] == 1100
    assert profile["nulls"] == pytest.approx(99 / 1100)
    assert profile["edges"] == pytest.approx(np.linspace(0, 1000, STEPS + 1))


def test_levels_have_shares_the_most_frequent_first() -> None:
    levels = np.array(["south"] * 6 + ["north"] * 3 + [None], dtype=object)
    profile = profile_of(CONFIG, columns(region=levels))["region"]
    assert list(profile["shares"].items()) == [
        ("south", pytest.approx(2 / 3)),
        ("north", pytest.approx(1 / 3)),
    ]
    assert profile["nulls"] == pytest.approx(0.1)


def test_yes_or_no_has_shares_of_what_is_known() -> None:
    profile = profile_of(CONFIG, columns(is_active=np.array([1.0, 0.0, 1.0, np.nan])))["is_active"]
    assert profile["shares"] == {"true": pytest.approx(2 / 3), "false": pytest.approx(1 / 3)}


def test_a_column_without_any_value_says_so() -> None:
    empty = np.array([np.nan, np.nan])
    assert profile_of(CONFIG, columns(hours=empty))["hours"] == {
        "rows": 2, "nulls": 1.0, "edges": [],
    }  # fmt: skip


@pytest.mark.parametrize("model", CATALOG)
def test_every_artifact_tells_of_what_a_request_has(model: str, tiny_home: Path) -> None:
    pointer = read_pointer(tiny_home / "releases" / model)
    assert pointer is not None
    path = tiny_home / "releases" / model / pointer.version / PROFILE
    config = load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")
    profile = json.loads(path.read_bytes())
    assert set(profile) == set(config.asked_features)
    for name, one in profile.items():
        if config.features[name].type in {"number", "integer"}:
            assert one["edges"] == sorted(one["edges"])
        elif one["shares"]:
            assert 0 < sum(one["shares"].values()) <= 1 + 1e-9


def columns(**given: np.ndarray) -> dict[str, np.ndarray]:
    """Give the tiny model's columns, those given and others of one row."""
    usual = {
        "tenure_months": np.zeros(1), "hours": np.zeros(1), "is_active": np.zeros(1),
        "plan": np.array(["pro"], dtype=object), "region": np.array(["north"], dtype=object),
    }  # fmt: skip
    return {**usual, **given}
