"""The platform in process: real gate, real app, real releases of the tiny model."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.types import ASGIApp

from bentos.predictor import Predictor
from bentos.problem import MEDIA_TYPE
from core.settings import Settings
from services.access.first_key import create_admin_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.services.bentos import TinyBento, addresses
from tests.tiny import Shelf, tiny_type

MODELS = ("churn", "revenue_leak")
TOPOLOGIES = ("colocated", "distributed")
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# One loop for all requests: connections between processes outlive a request.
RUNNER = asyncio.Runner()


@dataclass(frozen=True)
class Platform:
    """A started platform.

    Parameters
    ----------
    home
        Its home folder.
    shelf
        Where releases of ``churn`` are put; ``revenue_leak`` has none.
    key
        Opens it.
    runtime
        What it holds.
    app
        To be asked.
    bentos
        Who holds the models, when the platform does not.
    """

    home: Path
    shelf: Shelf
    key: str
    runtime: Runtime
    app: Gate
    bentos: dict[str, TinyBento] = field(default_factory=dict)

    def refresh(self) -> None:
        """Let every process look for what changed."""
        for bento in self.bentos.values():
            bento.lone.holder.refresh()
        holder: Any = self.runtime.champions
        holder.refresh()

    def predictor(self, model: str) -> Predictor:
        """Give the predictor that answers, wherever it is."""
        bento = self.bentos.get(model)
        holder = bento.lone.holder if bento else self.runtime.holder
        return holder.champion(model).predictor

    def close(self) -> None:
        """End it, and its bentos."""
        RUNNER.run(self.runtime.close())
        for bento in self.bentos.values():
            bento.close()


class Client:
    """Asks an ASGI app; starlette's own test client wants a package that nothing else needs.

    Parameters
    ----------
    app
        Who is asked.
    headers
        Sent with every request.
    """

    def __init__(self, app: ASGIApp, *, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = dict(headers or {})

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask once."""
        return RUNNER.run(self._request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Read."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send."""
        return self.request("POST", path, **options)

    def together(self, path: str, bodies: Sequence[object]) -> list[httpx.Response]:
        """Send many bodies at the same moment; give the answers in their order."""

        async def all_of_them() -> list[httpx.Response]:
            asked = [self._request("POST", path, json=body) for body in bodies]
            return list(await asyncio.gather(*asked))

        return RUNNER.run(all_of_them())

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://septet", headers=self._headers
        ) as asking:
            return await asking.request(method, path, **options)


def start(home: Path, topology: str = "colocated", *, configs: Path = CONFIGS) -> Platform:
    """Start a platform on a home folder."""
    key = create_admin_key(home)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    settings = Settings(home=home, configs=configs)
    bentos: dict[str, TinyBento] = {}
    if topology == "distributed":
        bentos = {model: TinyBento(model, settings, kind_of=tiny_type) for model in MODELS}
        settings = distributed(settings, bentos)
    runtime.start(settings)
    runtime.access_log.is_on = False
    inner = create_app(runtime, docs_files=docs_files())
    app = Gate(inner, runtime=runtime)
    shelf = Shelf(home / "releases")
    return Platform(home=home, shelf=shelf, key=key, runtime=runtime, app=app, bentos=bentos)


def distributed(settings: Settings, bentos: dict[str, TinyBento]) -> Settings:
    """Give the settings of a platform that asks these bentos."""
    configs = settings.home / "configs"
    shutil.copytree(settings.configs, configs)
    text = settings.platform_config_path.read_text()
    changed = text.replace("topology: colocated", "topology: distributed")
    assert changed != text
    (configs / "platform.yaml").write_text(changed)
    return settings.model_copy(update={"configs": configs, "bentos": addresses(bentos)})


@pytest.fixture(params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest) -> str:
    """Name the topology: what asks for a platform runs on each."""
    name: str = request.param
    return name


@pytest.fixture
def bare(tmp_path: Path, topology: str) -> Iterator[Platform]:
    """Start a platform on which nothing was trained."""
    started = start(tmp_path / "bare", topology)
    yield started
    started.close()


@pytest.fixture
def platform(tmp_path: Path, topology: str) -> Iterator[Platform]:
    """Start a platform whose churn model has version 1 as champion."""
    shelf = Shelf(tmp_path / "home" / "releases")
    shelf.write("1")
    shelf.point("1")
    started = start(tmp_path / "home", topology)
    yield started
    started.close()


@pytest.fixture
def client(platform: Platform) -> Client:
    """Ask the platform with its key."""
    return Client(platform.app, headers={"X-API-Key": platform.key})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    server: str = request.getfixturevalue("postgres")
    empty(server)
    return server


def empty(server: str) -> None:
    """Drop all that an earlier test left in a PostgreSQL."""
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


def assert_problem(answer: httpx.Response, status: int, code: str, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert said in problem["detail"]
