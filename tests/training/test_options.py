import pytest
from pydantic import Field

from core.config import ModelConfig
from core.errors import ConfigError
from tests.tiny import CONTENT
from training.options import RecipeOptions, read_options


class TreeOptions(RecipeOptions):
    leaf_rows: int = Field(default=20, ge=1)
    learning_rate: float = 0.1


def config_of(**options: object) -> ModelConfig:
    return ModelConfig.model_validate({**CONTENT, "training": {"options": options}})


def test_what_is_not_given_keeps_its_default() -> None:
    assert read_options(config_of(leaf_rows=5), TreeOptions) == TreeOptions(leaf_rows=5)


def test_an_unknown_option_names_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'leaf_rows'.*learning_rate") as caught:
        read_options(config_of(leaf_row=5), TreeOptions)
    assert "training.options.leaf_row" in caught.value.detail


def test_a_value_out_of_bounds_is_refused_with_its_bound() -> None:
    with pytest.raises(ConfigError, match=r"0 is not allowed: .*greater than or equal to 1"):
        read_options(config_of(leaf_rows=0), TreeOptions)
