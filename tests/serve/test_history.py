"""`septet demo` fills a new installation, and every route of the history answers on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.settings import Settings
from tests.serve.conftest import PLATFORM, ROOT, environment, free_port, make_key, running, stop

pytestmark = pytest.mark.serve
SECONDS = 60.0


@dataclass(frozen=True)
class Played:
    """An installation with a history.

    Parameters
    ----------
    url, key
        Of the platform.
    said
        What the demo printed.
    """

    url: str
    key: str
    said: str

    def get(self, path: str, **query: Any) -> httpx.Response:
        """Ask the history."""
        answer = httpx.get(
            f"{self.url}/api/history/{path}",
            params=query,
            headers={"X-API-Key": self.key},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(scope="module")
def played(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("played")
    home = folder / "home"
    shutil.copytree(tiny_home / "releases", home / "releases")
    shutil.copytree(tiny_home / "mlflow", home / "mlflow")
    (home / "sample").symlink_to(tiny_home / "sample")
    key = make_key(Settings(home=home))
    port = free_port()
    more = {"SEPTET_HISTORY_PORT": str(port)}
    env = environment(home, folder) | more
    helpers = []
    with (folder / "helpers.log").open("wb") as log:
        for module in ("services.worker", "services.history.historian"):
            command = [sys.executable, "-m", module]
            helpers.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log))
        try:
            with running(PLATFORM, home=home, scratch=folder, more=more) as server:
                said = play(server.url, key, env)
                played = Played(server.url, key, said)
                wait_until_moved(home, port)
                yield played
        finally:
            for helper in helpers:
                helper.send_signal(signal.SIGTERM)
            for helper in helpers:
                stop(helper)


def play(url: str, key: str, env: dict[str, str]) -> str:
    """Play two months; give what was said."""
    command = [sys.executable, "-m", "cli.main", "demo", "--months", "2", "--drift-at", "30d"]
    told = subprocess.run(
        [*command, "--url", url],
        cwd=ROOT, env={**os.environ, **env, "SEPTET_KEY": key}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return told.stdout


def wait_until_moved(home: Path, port: int) -> None:
    """Wait until all that was played is in the log, and the historian is there."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        waiting = list((home / "spool").glob("*.seg"))
        moved = list((home / "predictions").glob("*.outcomes/*.manifest.json"))
        if not waiting and moved and is_up(port):
            # What the last segment held comes after it was handed on.
            time.sleep(4)
            if not list((home / "spool").glob("*.seg")):
                return
        time.sleep(0.5)
    pytest.fail("what was played never came into the log")


def is_up(port: int) -> bool:
    """Say whether the historian answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


QUESTIONS = [
    ("trends", {"model": "churn", "by": "week"}),
    ("trends", {"model": "anomaly", "group": "segment", "measure": ["value", "flagged"]}),
    ("trends", {"model": "demand", "measure": ["volume", "outcomes"]}),
    ("trends", {"model": "budget", "measure": ["volume", "latency", "errors"]}),
    ("compare", {"model": "churn", "versus": "region:south", "where": "region:north"}),
    ("features/nps", {"model": "churn"}),
    ("features/region", {"model": "churn"}),
]


@pytest.mark.parametrize(("path", "query"), QUESTIONS)
def test_every_series_has_rows_and_a_picture(
    played: Played, path: str, query: dict[str, Any]
) -> None:
    series = played.get(path, **query).json()
    names = [column["name"] for column in series["columns"]]
    assert series["rows"]
    assert all(len(row) == len(names) for row in series["rows"])
    assert {series["chart"]["x"], *series["chart"]["y"]} <= set(names)
    png = played.get(path, **query, format="png")
    assert png.headers["content-type"] == "image/png"
    assert png.content.startswith(b"\x89PNG")
    svg = played.get(path, **query, format="svg")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert b"<svg" in svg.content


def test_the_drift_is_seen_from_its_date_on(played: Played) -> None:
    series = played.get("features/nps", model="churn", by="week", since=days_ago(60)).json()
    names = [column["name"] for column in series["columns"]]
    medians = {row[0]: row[names.index("median")] for row in series["rows"]}
    ordered = [medians[step] for step in sorted(medians)]
    before, after = ordered[:3], ordered[-3:]
    assert min(before) > max(after)


def test_each_model_has_predictions_with_receipts_that_replay(played: Played) -> None:
    for model in (
        "profitability", "churn", "revenue_leak", "pricing", "budget", "demand", "anomaly",
    ):  # fmt: skip
        [found] = played.get("predictions", model=model, limit=1).json()["predictions"]
        assert found["source"] == "backfill"
        receipt = played.get(f"predictions/{found['prediction_id']}").json()
        assert receipt["result"] == found["result"]
        assert receipt["lineage"]["run_id"]
        answer = httpx.post(
            f"{played.url}/api/history/predictions/{found['prediction_id']}/replay",
            json={}, headers={"X-API-Key": played.key}, timeout=60,
        )  # fmt: skip
        assert answer.json()["identical"], answer.text


def test_the_client_that_the_demo_names_was_seen_by_several_models(played: Played) -> None:
    [line] = [one for one in played.said.splitlines() if "/entities/" in one]
    entity = line.strip().rpartition("/entities/")[2].partition("?")[0]
    series = played.get(f"entities/{entity}", since=days_ago(70)).json()
    names = [column["name"] for column in series["columns"]]
    assert len({row[names.index("model")] for row in series["rows"]}) >= 2


def test_outcomes_belong_to_predictions(played: Played) -> None:
    page = played.get("outcomes", model="anomaly").json()
    assert page["matched"] > 50
    assert page["unmatched"] == 0


def test_a_backtest_of_the_same_version_changes_nothing(played: Played) -> None:
    begun = httpx.post(
        f"{played.url}/api/history/backtests",
        json={"model": "anomaly", "against": "1", "since": days_ago(30)},
        headers={"X-API-Key": played.key},
        timeout=60,
    )
    assert begun.status_code == 202, begun.text
    deadline = time.monotonic() + SECONDS
    while True:
        page = played.get(f"backtests/{begun.json()['backtest_id']}").json()
        if page["state"] != "running" or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert page["state"] == "done"
    assert page["rows"] > 500
    assert page["changed"] == 0


def days_ago(days: int) -> str:
    """Give a time in the past, as a query has it."""
    at = time.time() - days * 86_400
    return time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(at))
