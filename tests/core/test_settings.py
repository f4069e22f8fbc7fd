from pathlib import Path

import pytest

from core.errors import ConfigError
from core.settings import Settings, load_settings


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


MODELS = ("churn", "revenue_leak")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no address of churn; add churn=http://host:port"),
        ("churn=http://a:1", "has no address of revenue_leak; add revenue_leak=http://host:port"),
        ("chrun=http://a:1", "'chrun', which there is not. Did you mean 'churn'?"),
        ("churn=http://a:1,churn=http://a:2", "names churn twice"),
        ("churn", "gives churn the address '', which is no http:// address"),
        ("churn=a:1", "is no http:// address; write churn=http://host:port"),
        ("churn=ftp://a:1", "is no http:// address"),
        ("churn=http://", "is no http:// address"),
        ("churn=http://a:0", "is no http:// address"),
        ("churn=http://a:99999", "Port out of range"),
        ("churn=http://a:1/predict", "has more than a host and a port"),
        ("churn=http://me:secret@a:1", "has more than a host and a port"),
        ("churn=http://a:1?x=1", "has more than a host and a port"),
    ],
)
def test_a_wrong_address_of_a_bento_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(bentos=text).bento_addresses(MODELS)
    assert said in refused.value.detail
    assert "secret" not in refused.value.detail


def test_the_addresses_of_bentos_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    given = " churn = http://127.0.0.1:8811/ , revenue_leak=https://[::1]:8812,"
    monkeypatch.setenv("SEPTET_BENTOS", given)
    assert load_settings().bento_addresses(MODELS) == {
        "churn": "http://127.0.0.1:8811",
        "revenue_leak": "https://[::1]:8812",
    }
