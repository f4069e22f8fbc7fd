"""Servers and workers are killed again and again: what was acknowledged is in the log, once.

The client notes each acknowledged prediction, and each outcome that it told of one, in journals
that it brings to the disk itself. The checker reads manifests and Parquet files as any engine
would, and knows nothing of our code.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from core.settings import ROOT
from services.access.first_key import create_admin_key
from tests.serve.conftest import free_port
from tests.services.history.conftest import row
from tests.tiny import Shelf

KEEPER = """
import sys, threading
from pathlib import Path
from core.platform_config import History
from core.settings import Settings
from services.history import housekeeping
from services.history.keeper import build_history

housekeeping.MANY_FILES = 2
config = History(move_seconds=0.02, tidy_seconds=0.2, keep_days=1000)
build_history(Settings(home=Path(sys.argv[1])), config).run(threading.Event())
"""
CALLERS = 4
# A client tells what happened after every third of its answers.
TOLD_EACH = 3
FAULTS = ("lost", "doubled")


class Client:
    """Asks on one connection after the other, tells what happened, and notes what was answered."""

    def __init__(self, port: int, key: str, journal: Path, *, rows: int) -> None:
        self._port = port
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}
        self.predictions, self.outcomes = journal, journal.with_suffix(".outcomes")
        self._rows = rows
        self.stop = threading.Event()

    def run(self) -> None:
        """Ask until told to stop; whatever the server does."""
        number = 0
        with (
            self.predictions.open("ab", buffering=0) as predictions,
            self.outcomes.open("ab", buffering=0) as outcomes,
        ):
            while not self.stop.is_set():
                link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
                try:
                    while not self.stop.is_set():
                        number += 1
                        answered = self._ask(link, number)
                        note(predictions, answered)
                        if number % TOLD_EACH == 0:
                            note(outcomes, self._tell(link, answered[-1], number))
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
                finally:
                    link.close()

    def _ask(self, link: http.client.HTTPConnection, number: int) -> list[str]:
        asked: Any = row(number)
        path = "/api/churn"
        if self._rows > 1:
            path, asked = "/api/churn/batch", {"rows": [row(number)] * self._rows}
        said = self._post(link, path, asked)
        answers = [one["answer"] for one in said["rows"]] if self._rows > 1 else [said]
        return [one["prediction_id"] for one in answers]

    def _tell(self, link: http.client.HTTPConnection, key: str, number: int) -> list[str]:
        """Tell by turns of the prediction, and of an entity of that name, that it left."""
        whom = {"prediction_id": key} if number % 2 else {"entity": key}
        # The time tells outcomes apart.
        happened_at = datetime.fromtimestamp(number, UTC).isoformat()
        told = {"model": "churn", **whom, "value": True, "happened_at": happened_at}
        assert self._post(link, "/api/outcomes", told)["kept"] == 1
        return [f"{key} {number}"]

    def _post(self, link: http.client.HTTPConnection, path: str, content: Any) -> Any:
        link.request("POST", path, json.dumps(content), self._headers)
        answer = link.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        return said


def note(journal: IO[bytes], lines: list[str]) -> None:
    """Write lines, and bring them to the disk."""
    journal.write("".join(f"{line}\n" for line in lines).encode())
    os.fsync(journal.fileno())


class House:
    """A home with the tiny model, whose processes are started and killed."""

    def __init__(self, home: Path, durability: str) -> None:
        self.home = home
        self.port = free_port()
        self.key = create_admin_key(home)
        shelf = Shelf(home / "releases")
        shelf.write("1")
        shelf.point("1")
        configs = home / "configs"
        configs.mkdir()
        (configs / "platform.yaml").write_text(
            f"spool: {{durability: {durability}, segment_bytes: 65536, rotate_seconds: 0.1}}\n"
            "tiers: {standard: {requests_per_minute: 10000000, rows_per_minute: 10000000, "
            "burst_per_second: 1000000, concurrent: 64}}\n"
        )

    def server(self) -> subprocess.Popen[bytes]:
        """Start a server."""
        script = str(ROOT / "tests" / "faults" / "tiny_server.py")
        return self._start([sys.executable, script, str(self.home), str(self.port)])

    def keeper(self) -> subprocess.Popen[bytes]:
        """Start what moves predictions into the log."""
        return self._start([sys.executable, "-c", KEEPER, str(self.home)])

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / "log.txt").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log,
                stderr=log,
            )  # fmt: skip

    def wait_until_up(self) -> None:
        """Wait until somebody answers at the port."""
        for _ in range(600):
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                link.request("GET", "/models", headers={"X-API-Key": self.key})
                if link.getresponse().status == http.client.OK:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                link.close()
        raise AssertionError("it did not start")

    def wait_until_moved(self) -> None:
        """Wait until the spool is empty."""
        spool = self.home / "spool"
        for _ in range(600):
            if not [path for path in spool.iterdir() if path.suffix in {".seg", ".open"}]:
                return
            time.sleep(0.05)
        raise AssertionError("the spool is not emptied")


def rows_in_log(home: Path, place: str, columns: list[str]) -> list[dict[str, Any]]:
    """Read the rows of every file that a manifest names."""
    found: list[dict[str, Any]] = []
    folder = home / "predictions" / place
    for manifest in folder.glob("*.manifest.json"):
        for file in json.loads(manifest.read_text())["files"]:
            path = folder / file["day"] / file["name"]
            found += pq.read_table(path, columns=columns).to_pylist()
    return found


def predictions_in_log(home: Path) -> list[str]:
    """Give the ids of all predictions."""
    rows = rows_in_log(home, "churn", ["prediction_id"])
    return [str(UUID(bytes=one["prediction_id"])) for one in rows]


def outcomes_in_log(home: Path) -> list[str]:
    """Give of all outcomes whom they are of, and their number."""
    rows = rows_in_log(home, "churn.outcomes", ["outcome_of", "entity", "happened_at"])
    return [
        f"{one['entity'] or UUID(bytes=one['outcome_of'])} {one['happened_at'].timestamp():.0f}"
        for one in rows
    ]


def run(home: Path, *, kills: int, durability: str) -> dict[str, int]:
    """Kill server and keeper at random moments; give what was counted."""
    seed = int(os.environ.get("SEPTET_TEST_SEED", time.time_ns() % 2**32))
    print(f"SEPTET_TEST_SEED={seed}")  # noqa: T201 - to run it again
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    house = House(home, durability)
    clients = [
        Client(house.port, house.key, home / f"journal-{i}", rows=1 if i else 20)
        for i in range(CALLERS)
    ]
    threads = [threading.Thread(target=client.run) for client in clients]
    server, keeper = house.server(), house.keeper()
    try:
        house.wait_until_up()
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 0.5))
            if chance.random() < 0.5:
                server.send_signal(signal.SIGKILL)
                server.wait()
                server = house.server()
                house.wait_until_up()
            else:
                keeper.send_signal(signal.SIGKILL)
                keeper.wait()
                keeper = house.keeper()
                time.sleep(chance.uniform(0.5, 1.0))
    finally:
        for client in clients:
            client.stop.set()
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join()
        server.kill()
        server.wait()
    try:
        house.wait_until_moved()
    finally:
        keeper.kill()
        keeper.wait()
    return {
        "kills": kills,
        **counted("", [client.predictions for client in clients], predictions_in_log(home)),
        **counted("outcomes ", [client.outcomes for client in clients], outcomes_in_log(home)),
    }


def counted(what: str, journals: list[Path], kept: list[str]) -> dict[str, int]:
    """Hold what was acknowledged against what the log has."""
    acknowledged = [line for path in journals for line in path.read_text().splitlines()]
    return {
        f"{what}acknowledged": len(acknowledged),
        f"{what}kept": len(kept),
        f"{what}lost": len(set(acknowledged) - set(kept)),
        f"{what}doubled": len(kept) - len(set(kept)),
    }


def assert_whole(found: dict[str, int]) -> None:
    """Hold that nothing is lost, and nothing there twice."""
    print(found)  # noqa: T201 - the figures
    assert not any(found[f"{what}{fault}"] for what in ("", "outcomes ") for fault in FAULTS)


@pytest.mark.serve
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_nothing_that_was_acknowledged_is_lost_or_doubled(tmp_path: Path, durability: str) -> None:
    found = run(tmp_path, kills=10, durability=durability)
    assert_whole(found)
    assert found["acknowledged"] > 500
    assert found["outcomes acknowledged"] > 50
    assert not (tmp_path / "spool" / "quarantine").exists()


@pytest.mark.long
def test_the_same_over_five_hundred_kills(tmp_path: Path) -> None:
    assert_whole(run(tmp_path, kills=500, durability="process"))
