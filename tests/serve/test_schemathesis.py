"""The whole document against a real server, by schemathesis: every route, good and bad requests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from tests.serve.conftest import BIN, ROOT, Home, Server, running

pytestmark = pytest.mark.serve

CONFIG = Path(__file__).with_name("schemathesis.toml")
TARGET = "services.platform:Platform"
WRONG_KEY = "sep_live_000000000000_" + "0" * 49
# So high that no limit hides what is behind it.
NO_LIMITS = {
    "tiers": {
        "standard": {
            "requests_per_minute": 100_000_000,
            "rows_per_minute": 10_000_000_000,
            "burst_per_second": 1_000_000,
            "concurrent": 4096,
        }
    },
    "access": {"address_requests_per_minute": 100_000_000},
}


@pytest.fixture(scope="module")
def server(home: Home, scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    configs = tmp_path_factory.mktemp("configs") / "configs"
    shutil.copytree(ROOT / "configs", configs)
    behaviour = configs / "platform.yaml"
    behaviour.write_text(yaml.safe_dump(yaml.safe_load(behaviour.read_text()) | NO_LIMITS))
    more = {"SEPTET_CONFIGS": str(configs)}
    with running(TARGET, home=home.path, scratch=scratch, more=more) as started:
        yield started


def hold_to_document(
    server: Server, home: Home, folder: Path, *options: str, headers: Mapping[str, str]
) -> None:
    """Let schemathesis ask a server all that its document allows, and all that it does not."""
    document = folder / "openapi.json"
    page = httpx.get(f"{server.url}/openapi.json", headers=home.headers)
    document.write_bytes(page.content)
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [str(BIN / "schemathesis"), "--config-file", str(CONFIG), "run", str(document)]
    command += ["--url", server.url, "--no-color", "--continue-on-failure", "--no-shrink"]
    command += ["--phases", "examples,coverage,fuzzing", *options, *sent]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
    count = sum(len(operations) for operations in page.json()["paths"].values())
    assert f"Tested: {count}\n" in done.stdout
    log = server.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "request_failed" not in log


@pytest.mark.timeout(240)
def test_with_a_key_the_server_keeps_to_its_document(
    server: Server, home: Home, tmp_path: Path
) -> None:
    options = ("--max-examples", "15", "--seed", "1")
    hold_to_document(server, home, tmp_path, *options, headers=home.headers)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": WRONG_KEY}], ids=["without", "wrong"])
def test_without_a_key_that_opens_the_server_keeps_to_its_document(
    server: Server, home: Home, tmp_path: Path, headers: Mapping[str, str]
) -> None:
    options = ("--max-examples", "2", "--seed", "1")
    hold_to_document(server, home, tmp_path, *options, headers=headers)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_in_the_long_run_the_server_keeps_to_its_document(
    server: Server, home: Home, tmp_path: Path
) -> None:
    hold_to_document(server, home, tmp_path, "--max-time", "900", headers=home.headers)
