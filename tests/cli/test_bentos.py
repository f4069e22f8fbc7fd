"""`septet up` in the topology distributed: a bento a model, started, shown, and ended."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from bentos.catalog import CATALOG, path_name
from cli.bentos import free_ports, placed
from cli.exits import Exit
from core.errors import ConfigError
from core.settings import ROOT, Settings
from tests.cli.test_up import curl_line, free_port, running, send


def configs(folder: Path, topology: str) -> Path:
    """Copy the configs, with another topology."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    path = folder / "configs" / "platform.yaml"
    path.write_text(path.read_text().replace("topology: colocated", f"topology: {topology}"))
    return folder / "configs"


def test_colocated_there_is_no_bento_to_start(tmp_path: Path) -> None:
    settings = Settings(configs=configs(tmp_path, "colocated"))
    assert placed(settings) == (settings, {})


def test_each_bento_gets_a_port_of_its_own_and_the_platform_its_address(tmp_path: Path) -> None:
    settings, ports = placed(Settings(configs=configs(tmp_path, "distributed")))
    assert list(ports) == list(CATALOG)
    assert len(set(ports.values())) == len(CATALOG)
    addresses = settings.bento_addresses(CATALOG)
    assert addresses == {model: f"http://127.0.0.1:{port}" for model, port in ports.items()}


def test_bentos_that_run_elsewhere_are_not_started_here(tmp_path: Path) -> None:
    text = ",".join(f"{model}=http://bento-{path_name(model)}:80" for model in CATALOG)
    given = Settings(configs=configs(tmp_path, "distributed"), bentos=text)
    assert placed(given) == (given, {})


def test_a_wrong_address_is_said_before_anything_starts(tmp_path: Path) -> None:
    given = Settings(configs=configs(tmp_path, "distributed"), bentos="churn=http://a:1")
    with pytest.raises(ConfigError, match="has no address of profitability"):
        placed(given)


def test_a_port_that_is_taken_is_passed_over() -> None:
    first, second = free_ports(2)
    with socket.create_server(("127.0.0.1", first)):
        assert free_ports(1)[0] == second


def test_without_enough_ports_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="name them in SEPTET_BENTOS"):
        free_ports(2000)


@pytest.mark.serve
@pytest.mark.timeout(400)
def test_up_starts_a_bento_a_model_and_leaves_none_behind(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    monkeypatch.setenv("SEPTET_CONFIGS", str(configs(tmp_path, "distributed")))
    with running(home, "--no-mlflow", ports=(free_port(), free_port())) as up:
        up.wait_ready(240)
        key = next(line.strip() for line in up.text.splitlines() if "sep_live_" in line)
        assert send(curl_line(up.text), SEPTET_KEY=key).status_code == 200
        for model in CATALOG:
            assert f"{model} bento: " in up.text
            assert (home / "logs" / f"bento-{path_name(model)}.log").stat().st_size
        names = [" ".join(process.cmdline()) for process in up.family()]
        for model in CATALOG:
            assert any(f"serve bentos.{model}.service:" in name for name in names)
        up.process.terminate()
        assert up.wait_gone() == []
        assert up.process.returncode == Exit.OK


@pytest.mark.serve
@pytest.mark.timeout(400)
def test_a_bento_that_dies_ends_the_others_and_is_named(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    monkeypatch.setenv("SEPTET_CONFIGS", str(configs(tmp_path, "distributed")))
    with running(home, "--no-mlflow", ports=(free_port(), free_port())) as up:
        up.wait_ready(240)
        [bento] = [
            process
            for process in up.family()
            if "serve bentos.churn.service:Churn" in " ".join(process.cmdline())
        ]
        bento.kill()
        assert up.process.wait(timeout=60) == Exit.PROGRAM_DIED
        assert up.wait_gone() == []
        assert "The churn bento was ended by SIGKILL" in " ".join(up.text.replace("│", "").split())
