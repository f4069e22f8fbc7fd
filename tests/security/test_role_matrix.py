"""Every route of the app, asked by every kind of caller: each cell is asserted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from core import clock
from services.access.audit import Actor
from services.access.caller import Role
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.access.rules import RULES
from services.app import create_app
from services.docs import docs_files
from services.gate import OPEN_PATHS
from services.records import Records
from services.runtime import Runtime
from tests.services.conftest import RUNNER, Platform, start
from tests.tiny import Shelf

BY = Actor("cli:matrix")
APP = create_app(Runtime(("churn",)), docs_files=docs_files())
ROUTES = sorted(
    (method, "/docs/files/{path:path}" if isinstance(route.original_route, Mount) else route.path)
    for route in iter_route_contexts(APP.router.routes)
    for method in (route.methods or {"GET"})
    if route.path is not None
)
# What a caller is let in as; nothing for one who is not let in at all.
CALLERS: dict[str, Role | None] = {
    "nobody": None,
    "a wrong key": None,
    "an expired key": None,
    "a revoked key": None,
    "a replaced key": None,
    "a key of another network": None,
    "viewer": Role.VIEWER,
    "analyst": Role.ANALYST,
    "operator": Role.OPERATOR,
    "admin": Role.ADMIN,
    "admin of churn": Role.ADMIN,
    "admin of another model": Role.ADMIN,
}


@dataclass(frozen=True)
class Stage:
    """A platform, and a key of every kind."""

    platform: Platform
    keys: dict[str, str]

    def ask(self, who: str, method: str, path: str) -> httpx.Response:
        return RUNNER.run(self._ask(who, method, path))

    async def _ask(self, who: str, method: str, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.platform.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://septet") as asking:
            key = self.keys[who]
            headers = {"X-API-Key": key} if key else {}
            return await asking.request(method, path, headers=headers, json={})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home: Path = tmp_path_factory.mktemp("matrix") / "home"
    shelf = Shelf(home / "releases")
    shelf.write("1")
    shelf.point("1")
    platform = start(home)
    keys = make_keys(platform.runtime.records)
    platform.runtime.keys.refresh()
    yield Stage(platform, keys)
    platform.close()


def make_keys(records: Records) -> dict[str, str]:
    ledger = KeyLedger(records)

    def make(role: Role = Role.ADMIN, **fields: object) -> str:
        grant = Grant.model_validate({"name": "matrix", "role": role.label, **fields})
        return ledger.create(grant, by=BY).key

    past = KeyLedger(records, now=lambda: clock.now() - timedelta(days=2))
    expiring = Grant(name="old", role=Role.ADMIN.label, expires_at=clock.now() - timedelta(days=1))
    replaced, revoked = make(), make()
    ledger.rotate(replaced.split("_")[2], overlap=timedelta(0), by=BY)
    ledger.revoke(revoked.split("_")[2], by=BY)
    return {
        "nobody": "",
        "a wrong key": revoked[:-20] + "x" * 20,
        "an expired key": past.create(expiring, by=BY).key,
        "a revoked key": revoked,
        "a replaced key": replaced,
        "a key of another network": make(networks=["198.51.100.0/24"]),
        **{role.label: make(role) for role in Role},
        "admin of churn": make(models=["churn"]),
        "admin of another model": make(models=["revenue_leak"]),
    }


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize(("method", "template"), ROUTES)
def test_a_cell(stage: Stage, method: str, template: str, who: str) -> None:
    path = template.replace("{model}", "churn").replace("{path:path}", "swagger-ui.css")
    path = path.replace("{prediction_id}", "01a208e3-aa18-7595-b18e-361f686aad6c")
    # A key that is not there: what is asked here must change nothing for the next cell.
    answer = stage.ask(who, method, path.replace("{key_id}", "A" * 12))
    role = CALLERS[who]
    if template in OPEN_PATHS:
        assert answer.status_code == httpx.codes.OK
    elif role is None:
        assert answer.status_code in {401, 429}
    else:
        rule = RULES["GET" if method == "HEAD" else method, template]
        assert rule.least is not None
        out_of_scope = rule.is_scoped and who == "admin of another model"
        out_of_scope |= rule.is_whole and who.startswith("admin of")
        assert (answer.status_code == httpx.codes.FORBIDDEN) == (role < rule.least or out_of_scope)
        assert answer.status_code not in {401, 429}
        # What would read the log does not run here: who gets so far was let in.
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            assert template.startswith("/api/history/")
            assert answer.json()["code"] == "HistoryDown"


def test_the_routes_are_all_there() -> None:
    assert len(ROUTES) >= len(RULES) - 5
