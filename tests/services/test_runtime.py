"""What a serving process refuses to start with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import ConfigError
from core.settings import ROOT, Settings
from services.access.first_key import create_admin_key
from services.runtime import Runtime
from tests.services.conftest import MODELS
from tests.tiny import tiny_type


def start(home: Path, **given: object) -> None:
    create_admin_key(home)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    settings = Settings(home=home, configs=ROOT / "configs")
    try:
        runtime.start(settings.model_copy(update=given))
    finally:
        runtime.stop()


def test_several_processes_that_each_count_for_themselves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SEPTET_LIMITS_ADDRESS=redis://"):
        start(tmp_path, workers=2)


def test_with_a_shared_store_they_are_not(tmp_path: Path) -> None:
    start(tmp_path, workers=2, limits_address=SecretStr("redis://127.0.0.1:1/0"))


def test_an_address_of_something_else_is_refused_and_not_shown(tmp_path: Path) -> None:
    address = SecretStr("postgresql://me:hunter2@somewhere/db")
    with pytest.raises(ConfigError, match="no address like redis://") as caught:
        start(tmp_path, limits_address=address)
    assert "hunter2" not in str(caught.value)
