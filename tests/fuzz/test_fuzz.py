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


# A program inherits the peak memory of the process that starts it, and the fuzzer stops at a peak:
# these tests may have trained models before. Between the two a shell, which never was large.
APART = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


def fuzz(name: str, seconds: int, folder: Path) -> None:
    command = [*APART, sys.executable, "-m", "tests.fuzz.run", name, str(seconds)]
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


def test_a_fuzzer_is_not_blamed_for_the_memory_of_who_starts_it(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(
        "import subprocess, sys\n"
        "hog = bytearray(600 << 20)\n"
        "del hog\n"
        "peak = 'import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)'\n"
        "subprocess.run([*sys.argv[1:], sys.executable, '-c', peak], check=True)\n"
    )
    command = [sys.executable, str(starter), *APART]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 << 10


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_as_promised(name: str, tmp_path: Path) -> None:
    fuzz(name, 5, tmp_path)


@needs_atheris
@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_as_promised_in_the_long_run(name: str, tmp_path: Path) -> None:
    fuzz(name, 60, tmp_path)
