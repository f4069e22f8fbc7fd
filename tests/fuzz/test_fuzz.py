"""The readers of what anybody may send, by a fuzzer that follows the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.openapi.snapshot import ROOT
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
FEWEST_RUNS = 500
needs_atheris = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="atheris has no wheel for this Python; 3.11 fuzzes"
)


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_fuzzer_once_found_holds(name: str) -> None:
    seeds = sorted((CORPUS / name).iterdir())
    assert seeds
    for seed in seeds:
        TARGETS[name](seed.read_bytes())


def fuzz(name: str, seconds: int, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", name, str(seconds)]
    done = subprocess.run(
        [*command, str(folder), str(CORPUS / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    runs = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) > FEWEST_RUNS


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_as_promised(name: str, tmp_path: Path) -> None:
    fuzz(name, 5, tmp_path)


@needs_atheris
@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_as_promised_in_the_long_run(name: str, tmp_path: Path) -> None:
    fuzz(name, 60, tmp_path)
