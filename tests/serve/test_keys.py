"""Keys in several real serving processes that share one database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.access.first_key import create_admin_key
from tests.serve.conftest import running

pytestmark = pytest.mark.serve

TARGET = "services.platform:Platform"


def test_a_key_made_and_revoked_in_one_process_is_so_in_the_other(
    tmp_path: Path, scratch: Path
) -> None:
    home = tmp_path / "home"
    admin = {"X-API-Key": create_admin_key(home)}
    with (
        running(TARGET, home=home, scratch=scratch, wait_for="/livez") as one,
        running(TARGET, home=home, scratch=scratch, wait_for="/livez") as other,
    ):
        grant = {"name": "shared", "role": "analyst", "models": ["churn"]}
        made = httpx.post(f"{one.url}/api/keys", json=grant, headers=admin)
        assert made.status_code == 201, made.text
        issued: dict[str, Any] = made.json()
        key = {"X-API-Key": issued["key"]}
        assert becomes(f"{other.url}/models", 200, key)
        refused = httpx.post(f"{other.url}/api/demand", json={}, headers=key)
        assert refused.json()["code"] == "ModelOutOfScope"
        path = f"/api/keys/{issued['record']['id']}"
        assert httpx.delete(f"{one.url}{path}", headers=admin).status_code == 200
        assert becomes(f"{other.url}/models", 401, key)
        assert becomes(f"{one.url}/models", 401, key)
        entries = httpx.get(f"{other.url}/api/audit", headers=admin).json()["entries"]
        assert {"key.created", "key.revoked", "request.refused"} <= {e["action"] for e in entries}
        for server in (one, other):
            assert issued["key"].split("_")[3][:20] not in server.log.read_text()


def becomes(url: str, status: int, headers: dict[str, str]) -> bool:
    """Say whether a path answers with a status before long; how long it took stands in the log."""
    for _ in range(100):
        if httpx.get(url, headers=headers).status_code == status:
            return True
        time.sleep(0.1)
    return False
