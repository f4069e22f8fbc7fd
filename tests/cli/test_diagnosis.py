"""The doctor finds what is wrong, and says what mends it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
import yaml

from bentos.release import POINTER
from cli.diagnosis import Finding, compare_versions, examine
from services.access.first_key import create_admin_key
from services.migration import migrate
from services.records import Records
from tests.tiny import CONTENT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configs = tmp_path / "configs"
    (configs / "models").mkdir(parents=True)
    (configs / "models" / "churn.yaml").write_text(yaml.safe_dump(CONTENT))
    (configs / "platform.yaml").write_text("limits: {}\n")
    home = tmp_path / "home"
    (home / "releases" / "churn").mkdir(parents=True)
    monkeypatch.setenv("SEPTET_HOME", str(home))
    monkeypatch.setenv("SEPTET_CONFIGS", str(configs))
    monkeypatch.delenv("SEPTET_TRACKING_URI", raising=False)
    return home


def finding(subject: str) -> Finding:
    return next(found for found in examine() if found.subject == subject)


@pytest.mark.parametrize(
    "subject", ["Python", "LightGBM", "settings", "home", "clock", "predictions"]
)
@pytest.mark.usefixtures("home")
def test_a_sound_installation_is_ok(subject: str) -> None:
    assert finding(subject).level == "ok"


@pytest.mark.usefixtures("home")
def test_every_finding_that_is_not_ok_says_its_fix() -> None:
    for found in examine():
        assert found.level == "ok" or found.fix, found


def test_libraries_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "colourless==1.0 ; sys_platform == 'none' \\\n    --hash=sha256:00\n"
        f"pytest=={pytest.__version__} \\\n    --hash=sha256:00\n"
    )
    [found] = compare_versions(lock)
    assert found.level == "ok"


def test_another_version_is_a_warning_and_a_missing_library_a_failure(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("pytest==0.1 \\\n    --hash=sha256:00\n")
    [other] = compare_versions(lock)
    lock.write_text("no-such-library==0.1\n")
    [missing] = compare_versions(lock)

    assert (other.level, missing.level) == ("warn", "fail")
    assert f"pytest {pytest.__version__} instead of 0.1" in other.text
    assert "no-such-library missing instead of 0.1" in missing.text


def test_a_file_from_the_future_tells_that_the_clock_is_wrong(home: Path) -> None:
    pointer = home / "releases" / "churn" / POINTER
    pointer.write_text("{}")
    tomorrow = time.time() + 86400
    os.utime(pointer, (tomorrow, tomorrow))

    found = finding("clock")

    assert found.level == "fail"
    assert "Set the clock" in found.fix


def test_a_wrong_config_is_named_with_its_key(home: Path) -> None:
    path = home.parent / "configs" / "models" / "churn.yaml"
    path.write_text(path.read_text() + "\nfeatues: {}\n")

    found = finding("churn.yaml")

    assert found.level == "fail"
    assert "featues" in found.text
    assert "features" in found.text


def test_a_mask_of_a_column_that_there_is_not_is_named(home: Path) -> None:
    path = home.parent / "configs" / "platform.yaml"
    path.write_text("history:\n  masks: {churn: {nothing_like_it: drop}}\n")
    found = finding("platform.yaml")
    assert found.level == "fail"
    assert "history.masks.churn.nothing_like_it" in found.text


@pytest.mark.usefixtures("home")
def test_a_port_of_somebody_else_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        monkeypatch.setenv("SEPTET_PORT", str(port))
        listener.listen(0)
        with socket.create_connection(("127.0.0.1", port)):  # fills the queue: nobody answers
            found = finding(f"port {port}")

    assert found.level == "fail"
    assert "in use by another process" in found.text


def test_a_pointer_that_is_garbage_is_a_failure(home: Path) -> None:
    (home / "releases" / "churn" / POINTER).write_text("garbage")

    found = finding("churn release")

    assert found.level == "fail"
    assert found.fix == "septet train churn"


@pytest.mark.usefixtures("home")
def test_a_model_without_a_champion_is_a_warning() -> None:
    found = finding("churn release")
    assert (found.level, found.text) == ("warn", "no champion yet")


def test_a_damaged_store_of_mlflow_is_a_failure(home: Path) -> None:
    (home / "mlflow").mkdir()
    (home / "mlflow" / "mlflow.db").write_bytes(b"no database at all, but long enough" * 100)

    found = finding("MLflow")

    assert found.level == "fail"
    assert "cannot be read" in found.text


def test_the_records_are_ok_once_an_admin_key_opens(home: Path) -> None:
    assert "is made by the first start" in finding("records").text
    records = Records(f"sqlite:///{home / 'records.db'}")
    migrate(records)
    found = finding("records")
    assert (found.level, found.fix) == ("warn", "septet keys create NAME --role admin")
    create_admin_key(home)
    assert finding("records").level == "ok"


@pytest.mark.usefixtures("home")
def test_records_that_are_not_reached_are_a_failure_without_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEPTET_RECORDS_ADDRESS", "postgresql://me:hunter2@127.0.0.1:9/septet")
    found = finding("records")
    assert found.level == "fail"
    assert "hunter2" not in found.text


@pytest.mark.usefixtures("home")
def test_a_log_that_is_not_reached_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_PREDICTIONS", "nothing://bucket/log")

    found = finding("predictions")

    assert found.level == "fail"
    assert "nothing://bucket/log" in found.text


@pytest.mark.usefixtures("home")
def test_a_setting_that_is_wrong_ends_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_MLFLOW_PORT", "70000")

    *_, last = examine()

    assert (last.level, last.subject) == ("fail", "settings")
    assert "SEPTET_MLFLOW_PORT" in last.text
