"""A platform, what was asked of it, and the historian that tells of it, a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bentos.catalog import CATALOG
from core import clock
from core.platform_config import History
from core.settings import Settings
from services.access.audit import Actor
from services.access.caller import Role
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.history.keeper import HistoryKeeper, build_history
from tests.conftest import ROOT
from tests.services.conftest import Client, Platform, start
from tests.services.history.conftest import row
from tests.tiny import CONTENT, Shelf

SECONDS = 30.0
PAST = clock.now().replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(days=6)
PORT = "SEPTET_HISTORY_PORT"


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def prepared(home: Path) -> Shelf:
    """Write two versions of the tiny model, the first of them champion, and its configs."""
    shelf = Shelf(home / "releases")
    shelf.write("1")
    shelf.write("9", base=0.7)
    shelf.point("1")
    shutil.copytree(ROOT / "configs", home / "configs")
    target = {**CONTENT["target"], "horizon_days": 90}
    text = yaml.safe_dump({**CONTENT, "target": target})
    (home / "configs" / "models" / "churn.yaml").write_text(text)
    return shelf


@dataclass
class Historian:
    """A historian over the tiny model.

    Parameters
    ----------
    home
        Whose history.
    port
        Where it listens.
    part_rows
        Rows of a part of a backtest.
    """

    home: Path
    port: int
    part_rows: int = 2000
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        script = str(Path(__file__).with_name("tiny_historian.py"))
        command = [sys.executable, script, str(self.home), str(self.port), str(self.part_rows)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.home / "historian.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        wait_until(self._is_up, "the historian did not come up")

    def kill(self) -> None:
        """End it, as it may end at any moment."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/livez", timeout=2).is_success
        except httpx.TransportError:
            return False


@dataclass
class House:
    """All of it.

    Parameters
    ----------
    platform
        In this process.
    historian
        Tells of it.
    keeper
        Moves what was asked into the log, when it is told to.
    """

    platform: Platform
    historian: Historian
    keeper: HistoryKeeper
    keys: dict[str, str] = field(default_factory=dict)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def client(self, who: str = "admin") -> Client:
        """Give who asks with a key."""
        return Client(self.platform.app, headers={"X-API-Key": self.keys[who]})

    def get(self, path: str, who: str = "admin", **query: Any) -> httpx.Response:
        """Ask the history."""
        return self.client(who).get(f"/api/history/{path}", params=query)

    def home_of(self, version: str) -> Path:
        """Give the folder of a release."""
        return self.platform.shelf.model_folder / version

    def day_of(self, prediction_id: str) -> str:
        """Give the day at which a prediction was answered, UTC; its id begins with the time."""
        milliseconds = int(prediction_id.replace("-", "")[:12], 16)
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC).date()}"

    def play(self, count: int, *, days: int) -> None:
        """Ask rows one by one now, and batches on days that are past."""
        client = self.client()
        regions = ["north", "south", "=1+1"]
        rows = [
            row(i, region=regions[i % 3], tenure_months=300 if i % 5 == 0 else 20 + i)
            for i in range(count * (days + 1))
        ]
        for one in rows[:count]:
            answer = client.post("/api/churn?explain=true", json=one).json()
            self._note(answer, one)
        for day in range(days):
            batch = rows[count * (day + 1) : count * (day + 2)]
            when = (PAST + timedelta(days=day)).isoformat()
            told = client.post(
                "/api/churn/batch", json={"rows": batch}, headers={"Septet-Backfill-At": when}
            )
            for one, answered in zip(batch, told.json()["rows"], strict=True):
                self._note(answered["answer"], one)
        assert client.post("/api/churn", json=row(1, tenure_months=15)).status_code == 409

    def _note(self, answer: dict[str, Any], asked: dict[str, Any]) -> None:
        self.asked[answer["prediction_id"]] = asked
        self.answers[answer["prediction_id"]] = answer

    def settle(self, is_there: Callable[[], bool]) -> None:
        """Move what waits until something is in the log."""

        def moved() -> bool:
            self.keeper.step()
            return is_there()

        wait_until(moved, "what was asked did not come into the log")

    def close(self) -> None:
        """End it."""
        self.historian.kill()
        self.keeper.close()
        self.platform.close()


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Look again and again."""
    until_s = time.monotonic() + SECONDS
    while time.monotonic() < until_s:
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail(otherwise)


def build_house(home: Path, *, part_rows: int = 2000) -> House:
    """Start all of it; the port of the historian stays in the environment while this runs."""
    prepared(home)
    historian = Historian(home, free_port(), part_rows)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(PORT, str(historian.port))
        platform = start(home, configs=home / "configs")
    keeper = build_history(Settings(home=home, configs=home / "configs"), History())
    house = House(platform, historian, keeper)
    house.keys = {"admin": platform.key, **more_keys(platform)}
    return house


def more_keys(platform: Platform) -> dict[str, str]:
    """Make a key of each role, and one for another model alone."""
    ledger = KeyLedger(platform.runtime.records)

    def make(role: Role, **fields: Any) -> str:
        grant = Grant.model_validate({"name": "test", "role": role.label, **fields})
        return ledger.create(grant, by=Actor("cli:test")).key

    found = {role.label: make(role) for role in Role if role is not Role.ADMIN}
    found["another model"] = make(Role.OPERATOR, models=["revenue_leak"])
    found["churn alone"] = make(Role.VIEWER, models=["churn"])
    found["admin of churn"] = make(Role.ADMIN, models=["churn"])
    found["admin of each"] = make(Role.ADMIN, models=list(CATALOG))
    platform.runtime.keys.refresh()
    return found
