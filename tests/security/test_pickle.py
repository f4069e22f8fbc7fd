"""No socket of ours reads a pickle: a canary offered to every one that anything listens on."""

from __future__ import annotations

import pickle
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.security.canary import SPELLINGS, Canary, Listener, listeners
from tests.serve.conftest import (
    Fleet,
    Home,
    environment,
    running_platform,
    serve,
    stop,
    wait_until_up,
)

pytestmark = [pytest.mark.serve, pytest.mark.timeout(300)]

MODELS = ("churn", "revenue_leak")
PATHS = (
    "/", "/predict", "/predict/", "//predict", "/explain", "/release", "/predict/submit",
    "/api/churn", "/api/churn/batch", "/api/revenue-leak", "/models", "/metrics", "/livez",
    "/readyz", "/docs.json", "/is_tired",
)  # fmt: skip

STOCK = """
    import bentoml

    @bentoml.service(name="inner", workers=1)
    class Inner:
        @bentoml.api
        def predict(self, rows: list) -> list:
            return rows

    @bentoml.service(name="outer", workers=1)
    class Outer:
        inner = bentoml.depends(Inner)

        @bentoml.api
        def predict(self, rows: list) -> list:
            return rows
"""


@pytest.fixture(scope="module")
def fleet(home: Home, scratch: Path) -> Iterator[Fleet]:
    with running_platform("distributed", home=home.path, scratch=scratch, models=MODELS) as started:
        yield started


def processes(fleet: Fleet) -> list[int]:
    return [fleet.platform.process.pid, *(bento.process.pid for bento in fleet.bentos.values())]


def offer(
    canary: Canary, listener: Listener, headers: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, ...], int | None]]:
    """Post the canary to a listener in every form; give path, content types and status."""
    for path in PATHS:
        for types in SPELLINGS:
            for body, more in canary.bodies():
                yield path, types, listener.post(path, body, types, {**headers, **more})


def test_a_canary_sings_when_it_is_read(tmp_path: Path) -> None:
    canary = Canary(tmp_path / "sang")
    body, _ = next(canary.bodies())
    assert not canary.sang
    pickle.loads(body)  # noqa: S301 - our own
    assert canary.sang


def test_the_search_finds_the_sockets_of_the_platform_and_of_each_bento(fleet: Fleet) -> None:
    found = {listener.place for listener in listeners(processes(fleet))}
    servers = [fleet.platform, *fleet.bentos.values()]
    for server in servers:
        host, port = server.url.removeprefix("http://").split(":")
        assert (host, int(port)) in found


@pytest.mark.parametrize("with_key", [False, True])
def test_no_socket_of_ours_reads_a_pickle(
    fleet: Fleet, home: Home, tmp_path: Path, *, with_key: bool
) -> None:
    canary = Canary(tmp_path / "sang")
    headers = home.headers if with_key else {}
    by_http = [listener for listener in listeners(processes(fleet)) if listener.speaks_http()]
    assert len(by_http) == 1 + len(MODELS)
    for listener in by_http:
        for path, types, status in offer(canary, listener, headers):
            assert not canary.sang, f"{listener.place} read the pickle: {path} {types}"
            assert status is not None
            assert 400 <= status < 500, f"{listener.place}{path} {types}: {status}"


def test_what_listens_beside_http_reads_no_pickle_either(fleet: Fleet, tmp_path: Path) -> None:
    canary = Canary(tmp_path / "sang")
    others = [listener for listener in listeners(processes(fleet)) if not listener.speaks_http()]
    for listener in others:
        for body, _ in canary.bodies():
            with listener.connect() as line:
                line.sendall(body)
            answer = listener.send_message(body)
            # The supervisor reads JSON, and answers that this is none; its bulletin is silent.
            assert answer is None or b"error" in answer
            assert not canary.sang, f"{listener.place} read the pickle"


def test_the_same_search_finds_the_socket_of_a_stock_composite_that_reads_pickles(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "stock.py").write_text(textwrap.dedent(STOCK))
    env = {**environment(None, scratch), "BENTOML_HOME": str(scratch / "bentoml-stock")}
    server = serve("stock:Outer", env=env, cwd=tmp_path)
    canary = Canary(tmp_path / "sang")
    try:
        wait_until_up(server, path="/readyz")
        for listener in filter(Listener.speaks_http, listeners([server.process.pid])):
            for _ in offer(canary, listener, {}):
                if canary.sang:
                    return
        pytest.fail("the canary was never read: the search is blind")
    finally:
        stop(server.process)
