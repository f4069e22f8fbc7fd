"""One caller far over its limits, another within its own: the second notices nothing."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.settings import Settings
from services.access.audit import Actor
from services.access.first_key import prepare_records
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from tests.serve.conftest import PLATFORM, running

pytestmark = pytest.mark.serve

TIER = {"rows_per_minute": 100_000, "burst_per_second": 1_000}
CONFIG = {
    "tiers": {
        "narrow": {**TIER, "requests_per_minute": 60, "concurrent": 4},
        "wide": {**TIER, "requests_per_minute": 6_000, "concurrent": 16},
    }
}
NOISY, QUIET_ASKS = 8, 100


@dataclass(frozen=True)
class Pair:
    """A platform with a caller of each tier, and something to ask."""

    url: str
    noisy: str
    quiet: str
    row: dict[str, Any]


@pytest.fixture(scope="module")
def pair(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("fair")
    home, configs = folder / "septet", folder / "configs"
    shutil.copytree(tiny_home / "releases", home / "releases")
    configs.mkdir()
    (configs / "platform.yaml").write_text(json.dumps(CONFIG))
    records = prepare_records(Settings(home=home), by=Actor("tests"))
    ledger = KeyLedger(records)
    keys = [
        ledger.create(Grant(name=tier, role="admin", tier=tier), by=Actor("tests")).key
        for tier in ("narrow", "wide")
    ]
    records.close()
    with running(
        PLATFORM, home=home, scratch=folder, more={"SEPTET_CONFIGS": str(configs)}
    ) as server:
        document = httpx.get(f"{server.url}/openapi.json", headers={"X-API-Key": keys[1]}).json()
        body = document["paths"]["/api/churn"]["post"]["requestBody"]
        row = body["content"]["application/json"]["example"]
        yield Pair(server.url, keys[0], keys[1], row)


def hammer(pair: Pair, stop: threading.Event, seen: Counter[int], waits: list[str]) -> None:
    with httpx.Client(base_url=pair.url, headers={"X-API-Key": pair.noisy}) as asking:
        while not stop.is_set():
            answer = asking.post("/api/churn", json=pair.row)
            seen[answer.status_code] += 1
            if answer.status_code == 429:
                waits.append(answer.headers.get("retry-after", ""))


def test_a_noisy_key_is_held_to_its_limit_and_another_is_always_answered(pair: Pair) -> None:
    started_s = time.monotonic()
    stop, seen, waits = threading.Event(), Counter[int](), list[str]()
    threads = [
        threading.Thread(target=hammer, args=(pair, stop, seen, waits)) for _ in range(NOISY)
    ]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=pair.url, headers={"X-API-Key": pair.quiet}) as asking:
        answers = [asking.post("/api/churn", json=pair.row) for _ in range(QUIET_ASKS)]
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert set(seen) == {200, 429}
    # Far over, and not one more than the limit of each minute that began was let through.
    assert seen[200] <= 60 * ceil((time.monotonic() - started_s) / 60)
    assert seen[429] > seen[200]
    assert all(wait.isdigit() and 1 <= int(wait) <= 61 for wait in waits)
