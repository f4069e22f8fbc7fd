"""Exit codes are a public surface: each has a meaning, and stands in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

import core.errors
from cli.exits import Exit, exit_of
from cli.faults import GateClosed, NothingTrained
from core.errors import (
    ConfigError,
    ModelUnknown,
    NoChampion,
    PortInUse,
    RegistryDown,
    SeptetError,
    SourceError,
    TrainingRefused,
)
from core.settings import Settings

PAGE = Path(core.errors.__file__).parents[1] / "docs" / "cli.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("it is wrong"), 3),
        (SourceError("clients.csv", "is not there"), 4),
        (TrainingRefused("churn", "one class only"), 5),
        (NoChampion("churn"), 6),
        (PortInUse(8800, "the platform", "SEPTET_PORT"), 7),
        (RegistryDown("http://mlflow", "refused"), 8),
        (ModelUnknown("chrun", ["churn"]), 2),
        (NothingTrained({"churn": "one class only"}), 5),
        (GateClosed("churn", "too slow"), 10),
        (SeptetError("something else"), 1),
    ],
)
def test_each_kind_of_error_has_its_code(error: SeptetError, code: int) -> None:
    assert exit_of(error) == code


def test_the_page_lists_every_code_with_its_meaning() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for code in Exit:
        assert f"| {int(code)} | {code.meaning} |" in text


def test_the_page_lists_every_setting() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`SEPTET_{name.upper()}`" in text
