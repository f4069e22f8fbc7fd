from pathlib import Path

import pytest

from core.errors import ConfigError
from core.settings import load_settings


def test_the_home_moves_with_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEPTET_HOME", str(tmp_path))
    monkeypatch.delenv("SEPTET_TRACKING_URI", raising=False)
    settings = load_settings()
    assert settings.releases == tmp_path / "releases"
    assert settings.mlflow_address == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_PORT", "99999")
    with pytest.raises(ConfigError, match="SEPTET_PORT='99999'"):
        load_settings()
