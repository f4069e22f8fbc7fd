"""The platform in process: real gate, real app, real releases of the tiny model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.types import ASGIApp

from bentos.problem import MEDIA_TYPE
from core.settings import Settings
from services.access.first_key import create_admin_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.tiny import Shelf, tiny_type

MODELS = ("churn", "revenue_leak")


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
    """

    home: Path
    shelf: Shelf
    key: str
    runtime: Runtime
    app: Gate


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
        return asyncio.run(self._request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Read."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send."""
        return self.request("POST", path, **options)

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://septet", headers=self._headers
        ) as asking:
            return await asking.request(method, path, **options)


def start(home: Path) -> Platform:
    """Start a platform on a home folder."""
    key = create_admin_key(home)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    configs = Path(__file__).resolve().parents[2] / "configs"
    runtime.start(Settings(home=home, configs=configs))
    inner = create_app(runtime, docs_files=docs_files())
    app = Gate(inner, runtime=runtime)
    return Platform(home=home, shelf=Shelf(home / "releases"), key=key, runtime=runtime, app=app)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Platform]:
    """Start a platform on which nothing was trained."""
    started = start(tmp_path / "bare")
    yield started
    started.runtime.stop()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Start a platform whose churn model has version 1 as champion."""
    shelf = Shelf(tmp_path / "home" / "releases")
    shelf.write("1")
    shelf.point("1")
    started = start(tmp_path / "home")
    yield started
    started.runtime.stop()


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
