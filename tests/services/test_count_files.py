"""Counting on a disk that is full: no process ends for it, and what was counted is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from core.settings import ROOT
from services.count_files import FIRST_BYTES, Collected, CountFile
from tests.full_disk import fill, nothing_fits, small_disk

KEY = mmap_key("septet_shed", "septet_shed", [], [], "Refused.")
COUNTED = mmap_key("septet_asked", "septet_asked_total", [], [], "Asked.")
# More than the first size holds.
MANY = [f'["m", "m", {{"route": "{number:05d}"}}, "{"x" * 100}"]' for number in range(600)]

COUNT = """
import json, resource, sys
from pathlib import Path
from core.logs import configure_logs
from services.metrics import Metrics
from tests.full_disk import fill

configure_logs()

def shed():
    page = metrics.page(waiting={}, under_way=0).decode()
    return [line for line in page.splitlines() if line.startswith("septet_shed ")]

folder, how = Path(sys.argv[1]), sys.argv[2]
if how == "disk":
    filler = fill(folder)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
metrics = Metrics(["churn"])
metrics.shed.set(3)
said = [shed()]
if how == "disk":
    filler.unlink()
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
said.append(shed())
said.append(sorted(path.name.rsplit("_", 1)[0] for path in (folder / "counts").iterdir()))
print(json.dumps(said))
"""


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    CountFile.in_memory.clear()


def value_in(path: Path, key: str) -> float:
    """Give what a file holds under a key, as the process of another page of metrics reads it."""
    entries = MmapedDict.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
    found: dict[str, float] = {name: value for name, value, _, _ in entries}
    return found[key]


def count(file: CountFile, key: str, value: float) -> None:
    file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]


def test_every_block_of_a_file_is_reserved_when_it_is_made_and_when_it_grows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "counter_1.db"
    file = CountFile(str(path))
    assert path.stat().st_size == FIRST_BYTES
    assert path.stat().st_blocks * 512 >= FIRST_BYTES
    for number, key in enumerate(MANY):
        count(file, key, number)
    assert path.stat().st_size > FIRST_BYTES
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert [value_in(path, key) for key in MANY] == list(range(len(MANY)))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_another_process_of_the_same_number_counted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    count(CountFile(str(path)), KEY, 7)
    again = CountFile(str(path))
    assert again.read_value(KEY) == (7, 0)  # type: ignore[no-untyped-call]
    count(again, KEY, 8)
    assert value_in(path, KEY) == 8


def test_a_file_without_room_is_counted_in_memory_until_there_is_some(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    with nothing_fits():
        file = CountFile(str(path))
        count(file, KEY, 3)
        file.settle()
    assert file.fault == "File too large"
    assert list(tmp_path.iterdir()) == []
    assert [entry[:2] for entry in CountFile.read_all_values_from_file(str(path))] == [(KEY, 3)]
    file.settle()
    count(file, KEY, 4)
    assert value_in(path, KEY) == 4
    assert CountFile.in_memory == {}


def test_a_file_that_cannot_grow_is_left_as_it_was_and_counted_on_in_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "counter_1.db"
    file = CountFile(str(path))
    count(file, KEY, 1)
    with nothing_fits():
        for number, key in enumerate(MANY):
            count(file, key, number)
        count(file, KEY, 2)
    assert value_in(path, KEY) == 1
    file.settle()
    assert [value_in(path, key) for key in (KEY, *MANY)] == [2, *range(len(MANY))]


def test_a_process_that_begins_while_no_file_may_grow_counts_and_tells(tmp_path: Path) -> None:
    check(tmp_path, "limit")


def test_a_process_that_begins_on_a_full_disk_counts_and_tells(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as folder:
        check(folder, "disk")


def test_a_process_whose_disk_runs_full_later_counts_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as folder:
        file = CountFile(str(folder / "counter_1.db"))
        fill(folder)
        for number, key in enumerate(MANY):
            count(file, key, number)
        kept = {name: value for name, value, _, _ in file.entries()}
    assert kept == dict(zip(MANY, range(len(MANY)), strict=True))


def test_gauges_of_a_process_that_was_killed_are_not_told_any_more(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number in (gone.pid, os.getpid()):
        count(CountFile(str(tmp_path / f"gauge_livesum_{number}.db")), KEY, number)
    count(CountFile(str(tmp_path / f"counter_{gone.pid}.db")), COUNTED, 5)
    collected = Collected(None, path=str(tmp_path))  # type: ignore[no-untyped-call]
    told = {one.name: [sample.value for sample in one.samples] for one in collected.collect()}
    assert told == {"septet_shed": [os.getpid()], "septet_asked": [5]}


def check(folder: Path, how: str) -> None:
    """Let a process of its own count into a folder whose disk is full, and is not any more."""
    (folder / "counts").mkdir()
    command = [sys.executable, "-c", COUNT, str(folder), how]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder / "counts")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    # A process that falls on a page without a block ends by SIGBUS.
    assert done.returncode == 0
    full, freed, files = json.loads(done.stdout)
    assert full == freed == ["septet_shed 3.0"]
    assert files == ["gauge_livemax", "gauge_livesum", "histogram"]
    said = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert said == ["metrics_in_memory", "metrics_in_files_again"]
