"""Switching the champion by MLflow's own client, under load; and artifacts tampered with."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from core.artifact import RELEASE
from core.registry import Registry, RunRecord
from tests.serve.conftest import (
    ROOT,
    TOPOLOGIES,
    Home,
    Server,
    environment,
    running_platform,
    stop,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [
    pytest.mark.serve,
    # MLflow's own use of SQLAlchemy and of its own older parts.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

MODEL = "churn"
MOST_SECONDS = 10.0
CALLERS = 8


@dataclass(frozen=True)
class Stage:
    """A platform and its worker, on a registry with three versions of one model."""

    home: Home
    server: Server
    client: MlflowClient
    example: dict[str, Any]

    def move_alias(self, version: str) -> None:
        """Do what a person does in MLflow's UI."""
        self.client.set_registered_model_alias(MODEL, "champion", version)

    def info(self) -> dict[str, Any]:
        """Ask what is served."""
        answer = httpx.get(f"{self.server.url}/models/{MODEL}/info", headers=self.home.headers)
        said: dict[str, Any] = answer.json()
        return said


@pytest.fixture(scope="module", params=TOPOLOGIES)
def stage(
    request: pytest.FixtureRequest,
    home: Home,
    tmp_path_factory: pytest.TempPathFactory,
    scratch: Path,
) -> Iterator[Stage]:
    from mlflow import MlflowClient  # takes seconds: not when tests are only collected

    folder = tmp_path_factory.mktemp("switch")
    path = folder / "home"
    path.mkdir()
    shutil.copy(home.path / "records.db", path)
    address = f"sqlite:///{path / 'mlflow' / 'mlflow.db'}"
    registry = Registry(address)
    figures = folder / "figures"
    figures.mkdir()
    artifact = folder / "artifact"
    [version] = [p for p in (home.path / "releases" / MODEL).iterdir() if p.is_dir()]
    shutil.copytree(version, artifact, ignore=shutil.ignore_patterns(RELEASE))
    record = RunRecord(params={}, metrics={}, tags={}, artifact=artifact, figures=figures, texts={})
    for _ in range(3):
        registry.register(MODEL, record)
    registry.promote(MODEL, "1")
    log = (scratch / "worker.log").open("wb")
    worker = subprocess.Popen(
        [sys.executable, "-m", "services.worker"],
        cwd=ROOT,
        env=environment(path, scratch),
        stdout=log,
        stderr=log,
    )
    here = Home(path=path, key=home.key)
    try:
        with running_platform(request.param, home=path, scratch=scratch, models=(MODEL,)) as fleet:
            server = fleet.platform
            page = httpx.get(f"{server.url}/openapi.json", headers=here.headers).json()
            body = page["paths"][f"/api/{MODEL}"]["post"]["requestBody"]
            client = MlflowClient(tracking_uri=address, registry_uri=address)
            yield Stage(
                home=here,
                server=server,
                client=client,
                example=body["content"]["application/json"]["example"],
            )
    finally:
        assert stop(worker) == 0, (scratch / "worker.log").read_text()[-3000:]
        log.close()


@dataclass
class Tally:
    """What the callers saw."""

    versions: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def first_seen(self, version: str) -> float | None:
        """When a version answered first."""
        return next((at for at, seen in self.versions if seen == version), None)


@asynccontextmanager
async def load(stage: Stage) -> AsyncIterator[Tally]:
    """Keep callers asking, each as soon as it has its answer, until the block ends."""
    tally = Tally()
    is_over = asyncio.Event()

    async def call(asking: httpx.AsyncClient) -> None:
        while not is_over.is_set():
            try:
                answer = await asking.post(f"/api/{MODEL}", json=stage.example)
            except httpx.TransportError as error:
                tally.failures.append(repr(error))
                continue
            if answer.status_code == 200:
                tally.versions.append((time.monotonic(), answer.json()["version"]))
            else:
                tally.failures.append(answer.text)

    async with httpx.AsyncClient(
        base_url=stage.server.url, headers=stage.home.headers, timeout=10
    ) as asking:
        callers = [asyncio.create_task(call(asking)) for _ in range(CALLERS)]
        try:
            yield tally
        finally:
            is_over.set()
            await asyncio.gather(*callers)


async def switch_under_load(stage: Stage, version: str) -> tuple[Tally, float]:
    """Move the alias while callers ask; give what they saw and when it was moved."""
    async with load(stage) as tally:
        await asyncio.sleep(1)
        await asyncio.to_thread(stage.move_alias, version)
        moved = time.monotonic()
        for _ in range(int(20 * MOST_SECONDS)):
            await asyncio.sleep(0.1)
            if tally.first_seen(version) is not None:
                break
        await asyncio.sleep(1)
    return tally, moved


def test_a_moved_alias_is_served_within_ten_seconds_and_no_request_is_dropped(
    stage: Stage,
) -> None:
    tally, moved = asyncio.run(switch_under_load(stage, "2"))
    assert not tally.failures
    assert {version for _, version in tally.versions} == {"1", "2"}
    seen = tally.first_seen("2")
    assert seen is not None
    assert seen - moved < MOST_SECONDS
    assert tally.versions[-1][1] == "2"


def test_a_tampered_artifact_is_refused_and_told_and_the_old_champion_goes_on(
    stage: Stage,
) -> None:
    before = stage.info()["version"]
    source = Path(stage.client.get_model_version_download_uri(MODEL, "3").removeprefix("file://"))
    victim = next(p for p in sorted(source.iterdir()) if p.name != "manifest.json")
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    stage.move_alias("3")
    deadline = time.monotonic() + MOST_SECONDS
    reason = None
    while reason is None and time.monotonic() < deadline:
        reason = stage.client.get_model_version(MODEL, "3").tags.get("septet.refused")
        time.sleep(0.2)
    assert reason is not None
    assert f"{victim.name!r} is not the one that was written" in reason
    assert stage.info()["version"] == before
    answer = httpx.post(
        f"{stage.server.url}/api/{MODEL}", json=stage.example, headers=stage.home.headers
    )
    assert answer.json()["version"] == before


def test_a_release_damaged_between_worker_and_server_is_refused_and_told(stage: Stage) -> None:
    before = stage.info()["version"]
    releases = stage.home.path / "releases" / MODEL
    forged = releases / "99"
    shutil.copytree(releases / before, forged)
    (forged / "config.json").write_text("{}")
    pointer = (releases / "champion.json").read_text()
    draft = releases / ".champion.json.forged"
    draft.write_text(pointer.replace(f'"{before}"', '"99"'))
    draft.replace(releases / "champion.json")
    deadline = time.monotonic() + MOST_SECONDS
    while stage.info()["refused"] is None and time.monotonic() < deadline:
        time.sleep(0.1)
    info = stage.info()
    assert info["version"] == before
    assert info["refused"]["version"] == "99"
    assert "'config.json' is not the one that was written" in info["refused"]["reason"]
