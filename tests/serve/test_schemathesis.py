"""The whole document against a real server, by schemathesis: every route, good and bad requests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import yaml

from core.settings import Settings
from tests.serve.conftest import (
    BIN,
    ROOT,
    Home,
    Server,
    environment,
    free_port,
    make_key,
    running,
    stop,
)

pytestmark = pytest.mark.serve

CONFIG = Path(__file__).with_name("schemathesis.toml")
TARGET = "services.platform:Platform"
WRONG_KEY = "sep_live_000000000000_" + "0" * 49


def open_wide(configs: Path) -> None:
    """Set limits so high that none hides what is behind it."""
    behaviour = configs / "platform.yaml"
    content = yaml.safe_load(behaviour.read_text())
    content["tiers"] = {
        "standard": {
            "requests_per_minute": 100_000_000,
            "rows_per_minute": 10_000_000_000,
            "burst_per_second": 1_000_000,
            "concurrent": 4096,
        }
    }
    content["access"]["address_requests_per_minute"] = 100_000_000
    content["access"]["lockout"] = {"failures": 1000}
    behaviour.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Give a home of its own: keys are made and revoked in it."""
    path = tmp_path_factory.mktemp("asked") / "septet"
    shutil.copytree(tiny_home / "releases", path / "releases")
    return Home(path=path, key=make_key(Settings(home=path)))


@pytest.fixture(scope="module")
def server(home: Home, scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    configs = tmp_path_factory.mktemp("configs") / "configs"
    shutil.copytree(ROOT / "configs", configs)
    open_wide(configs)
    port = free_port()
    more = {"SEPTET_CONFIGS": str(configs), "SEPTET_HISTORY_PORT": str(port)}
    env = environment(home.path, scratch) | more
    with ExitStack() as helpers:
        for module in ("services.worker", "services.history.historian"):
            helpers.enter_context(helper(module, env, scratch))
        wait_until_there(f"http://127.0.0.1:{port}/livez")
        with running(TARGET, home=home.path, scratch=scratch, more=more) as started:
            yield started


@contextmanager
def helper(module: str, env: dict[str, str], scratch: Path) -> Iterator[None]:
    """Run what stands beside the platform: the history is answered by a process of its own."""
    with (scratch / f"{module}.log").open("wb") as log:
        command = [sys.executable, "-m", module]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        stop(process)
    said = (scratch / f"{module}.log").read_text(errors="replace")
    assert "question_failed" not in said, said[-5000:]


def wait_until_there(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url, timeout=2)
            return
        time.sleep(0.2)
    pytest.fail(f"nobody answers at {url}")


def key_of(role: str, server: Server, home: Home) -> str:
    """Give a key of a role; one that opens nothing for ``wrong``, and none for ``nobody``."""
    known = {"admin": home.key, "wrong": WRONG_KEY, "nobody": ""}
    if role in known:
        return known[role]
    grant = {"name": f"a {role}", "role": role}
    answer = httpx.post(f"{server.url}/api/keys", json=grant, headers=home.headers)
    key: str = answer.json()["key"]
    return key


def hold_to_document(server: Server, home: Home, folder: Path, *options: str, key: str) -> None:
    """Let schemathesis ask a server all that its document allows, and all that it does not."""
    document = folder / "openapi.json"
    page = httpx.get(f"{server.url}/openapi.json", headers=home.headers)
    document.write_bytes(page.content)
    sent = ["-H", f"X-API-Key: {key}"] if key else []
    command = [str(BIN / "schemathesis"), "--config-file", str(CONFIG), "run", str(document)]
    command += ["--url", server.url, "--no-color", "--continue-on-failure", "--no-shrink"]
    command += [*options, *sent]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
    count = sum(len(operations) for operations in page.json()["paths"].values())
    assert f"Tested: {count}\n" in done.stdout
    assert httpx.get(f"{server.url}/models", headers=home.headers).status_code == httpx.codes.OK
    log = server.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "request_failed" not in log


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("admin", "--phases examples,coverage,fuzzing --max-examples 10"),
        ("viewer", "--phases examples,fuzzing --max-examples 3"),
        ("wrong", "--phases examples,fuzzing --max-examples 2"),
        ("nobody", "--phases examples,fuzzing --max-examples 2"),
    ],
)
def test_the_server_keeps_to_its_document_whoever_asks(
    server: Server, home: Home, tmp_path: Path, role: str, options: str
) -> None:
    given = (*options.split(), "--seed", "1")
    hold_to_document(server, home, tmp_path, *given, key=key_of(role, server, home))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_in_the_long_run_the_server_keeps_to_its_document(
    server: Server, home: Home, tmp_path: Path
) -> None:
    phases = ("--phases", "examples,coverage,fuzzing")
    hold_to_document(server, home, tmp_path, *phases, "--max-time", "900", key=home.key)
