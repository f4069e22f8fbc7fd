"""Keys and the audit over HTTP: by whom, what with, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core import clock
from services.access.caller import Role
from services.access.ledger import KeyLedger
from services.access.rules import RULES
from tests.services.access.conftest import BY
from tests.services.conftest import Client, Platform, assert_problem

GRANT = {"name": "nightly", "role": "analyst"}
KEY_ROUTES = sorted(rule for rule in RULES if rule[1].startswith(("/api/keys", "/api/audit")))


def create(client: Client, **fields: object) -> dict[str, Any]:
    answer = client.post("/api/keys", json={**GRANT, **fields})
    assert answer.status_code == 201, answer.text
    issued: dict[str, Any] = answer.json()
    return issued


def opens(platform: Platform, key: str, path: str = "/models") -> httpx.Response:
    platform.runtime.keys.refresh()
    return Client(platform.app, headers={"X-API-Key": key}).get(path)


class TestRoles:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.OPERATOR])
    @pytest.mark.parametrize(("method", "template"), KEY_ROUTES)
    def test_only_an_admin_comes_near_keys_and_audit(
        self, platform: Platform, client: Client, role: Role, method: str, template: str
    ) -> None:
        key = create(client, role=role.label)["key"]
        platform.runtime.keys.refresh()
        asking = Client(platform.app, headers={"X-API-Key": key})
        for end in ("", "\n"):
            path = template.replace("{key_id}", key.split("_")[2]) + end.replace("\n", "%0A")
            answer = asking.request(method, path, json={})
            assert_problem(answer, 403, "RoleTooLow", f"the role {role.label}; this needs admin")

    def test_a_refusal_for_a_role_or_a_scope_stands_in_the_audit(
        self, platform: Platform, client: Client
    ) -> None:
        issued = create(client, models=["churn"])
        asking = Client(platform.app, headers={"X-API-Key": issued["key"]})
        platform.runtime.keys.refresh()
        assert_problem(asking.get("/api/keys"), 403, "RoleTooLow", "this needs admin")
        scoped = asking.post("/api/revenue-leak", json={})
        assert_problem(scoped, 403, "ModelOutOfScope", "only churn")
        entries = wait_for(client, "request.refused", count=2)
        assert {(e["target"], e["detail"]["reason"]) for e in entries} == {
            ("GET /api/keys", "RoleTooLow"),
            ("POST /api/{model}", "ModelOutOfScope"),
        }
        assert {e["key_id"] for e in entries} == {issued["record"]["id"]}
        assert {e["outcome"] for e in entries} == {"refused"}


class TestKeys:
    def test_a_key_is_made_shown_once_and_opens_what_was_granted(
        self, platform: Platform, client: Client
    ) -> None:
        issued = create(client, models=["churn"], networks=["127.0.0.0/8"], tier="bulk")
        record = issued["record"]
        assert (record["name"], record["role"], record["state"]) == ("nightly", "analyst", "active")
        assert record["created_by"] == "admin"
        assert opens(platform, issued["key"]).status_code == 200
        assert issued["key"] not in client.get("/api/keys").text
        assert issued["key"].split("_")[3] not in client.get(f"/api/keys/{record['id']}").text

    @pytest.mark.parametrize(
        ("change", "field", "said"),
        [
            ({"role": "amdin"}, "role", "Did you mean 'admin'?"),
            ({"role": 3}, "role", "it should be a valid string"),
            ({"name": ""}, "name", "at least 1 character"),
            ({"name": "a\u0007"}, "name", "only printable signs"),
            ({"models": ["chrun"]}, "models.0", "Did you mean 'churn'?"),
            ({"models": []}, "models", "at least 1 item"),
            ({"tier": "gold"}, "tier", "one of bulk, standard is allowed"),
            ({"networks": ["192.0.2.1/24"]}, "networks.0", "192.0.2.0/24 is allowed"),
            ({"networks": ["here"]}, "networks.0", "a network such as"),
            ({"expires_at": "2030-01-01T00:00:00"}, "expires_at", "a time with its zone"),
            ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "a time after"),
            ({"rôle": "admin"}, "rôle", "Did you mean 'role'?"),
        ],
    )
    def test_a_wrong_field_says_what_is_allowed(
        self, client: Client, change: dict[str, Any], field: str, said: str
    ) -> None:
        answer = client.post("/api/keys", json={**GRANT, **change})
        assert_problem(answer, 422, "FieldsInvalid", "")
        [problem] = answer.json()["problems"]
        assert problem["field"] == field
        assert said in problem["allowed"]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "JsonInvalid"),
            (b'{"name": "a", "name": "b", "role": "admin"}', 400, "JsonInvalid"),
            (b'{"name": NaN, "role": "admin"}', 400, "JsonInvalid"),
            (b'{"name": "\\ud800", "role": "admin"}', 400, "JsonInvalid"),
            (b"[]", 422, "FieldsInvalid"),
            (b"{}", 422, "FieldsInvalid"),
        ],
    )
    def test_a_body_that_is_no_object_of_fields_is_refused(
        self, client: Client, body: bytes, status: int, code: str
    ) -> None:
        headers = {"Content-Type": "application/json"}
        assert_problem(client.post("/api/keys", content=body, headers=headers), status, code, "")

    def test_a_rotated_key_has_a_new_secret_and_the_old_one_goes_on_for_the_overlap(
        self, platform: Platform, client: Client
    ) -> None:
        issued = create(client)
        path = f"/api/keys/{issued['record']['id']}/rotate"
        second = client.post(path, json={"overlap_seconds": 3600}).json()
        assert second["record"]["retiring_until"] is not None
        assert opens(platform, issued["key"]).status_code == 200
        third = client.post(path, json={"overlap_seconds": 0}).json()
        assert opens(platform, third["key"]).status_code == 200
        assert opens(platform, issued["key"]).status_code == 200
        assert_problem(opens(platform, second["key"]), 401, "AccessDenied", "was replaced")

    def test_a_revoked_key_opens_nothing_and_is_not_rotated(
        self, platform: Platform, client: Client
    ) -> None:
        issued = create(client)
        path = f"/api/keys/{issued['record']['id']}"
        assert client.request("DELETE", path).json()["state"] == "revoked"
        assert client.request("DELETE", path).json()["state"] == "revoked"
        assert_problem(opens(platform, issued["key"]), 401, "AccessDenied", "was revoked")
        assert_problem(client.post(f"{path}/rotate", json={}), 409, "KeyClosed", "is revoked")

    def test_the_last_admin_key_stays(self, platform: Platform, client: Client) -> None:
        last = platform.key.split("_")[2]
        answer = client.request("DELETE", f"/api/keys/{last}")
        assert_problem(answer, 409, "LastAdminKey", "Create another one first")
        second = create(client, role="admin")
        assert client.request("DELETE", f"/api/keys/{last}").status_code == 200
        assert opens(platform, second["key"], "/api/keys").status_code == 200

    @pytest.mark.parametrize("key_id", ["0123456789ab", "nope", "a%00b", "%F0%9F%94%91", "x" * 500])
    def test_an_unknown_key_is_not_found(self, client: Client, key_id: str) -> None:
        assert_problem(client.get(f"/api/keys/{key_id}"), 404, "KeyUnknown", "There is no key")
        answer = client.request("DELETE", f"/api/keys/{key_id}")
        assert_problem(answer, 404, "KeyUnknown", "There is no key")

    def test_pages_give_every_key_once(self, client: Client) -> None:
        made = [create(client)["record"]["id"] for _ in range(5)]
        seen, after = [], ""
        while True:
            page = client.get(f"/api/keys?limit=2{after}").json()
            seen += [key["id"] for key in page["keys"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen[1:] == made

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("limit=0", "?limit is the text '0'; it should be greater than or equal to 1"),
            ("limit=many", "?limit"),
            ("page=2", "?page is not known here"),
        ],
    )
    def test_a_wrong_query_is_refused(self, client: Client, query: str, said: str) -> None:
        assert_problem(client.get(f"/api/keys?{query}"), 400, "QueryInvalid", said)


class TestAudit:
    def test_every_change_of_a_key_stands_there_with_who_and_from_where(
        self, client: Client
    ) -> None:
        headers = {"X-Request-Id": "mine-7"}
        answer = client.post("/api/keys", json=GRANT, headers=headers)
        key_id = answer.json()["record"]["id"]
        client.post(f"/api/keys/{key_id}/rotate", json={})
        client.request("DELETE", f"/api/keys/{key_id}")
        entries = client.get("/api/audit").json()["entries"]
        assert [(e["action"], e["target"]) for e in entries[:3]] == [
            ("key.revoked", key_id), ("key.rotated", key_id), ("key.created", key_id),
        ]  # fmt: skip
        made = entries[2]
        assert (made["actor"], made["role"], made["address"]) == ("admin", "admin", "127.0.0.1")
        assert made["request_id"] == "mine-7"
        assert made["detail"]["role"] == "analyst"
        assert entries[-1]["actor"].startswith("cli:")

    def test_filters_and_pages_give_what_is_asked(self, client: Client) -> None:
        for _ in range(5):
            create(client)
        seen: list[int] = []
        cursor = ""
        while True:
            page = client.get(f"/api/audit?action=key.created&limit=2{cursor}").json()
            seen += [entry["id"] for entry in page["entries"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert len(seen) == 6
        assert seen == sorted(seen, reverse=True)
        assert len(client.get("/api/audit?actor=admin").json()["entries"]) == 5
        later = (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert client.get(f"/api/audit?since={later}").json()["entries"] == []
        assert len(client.get(f"/api/audit?until={later}").json()["entries"]) == 6

    def test_all_of_it_comes_as_ndjson_and_as_csv_without_formulas(self, client: Client) -> None:
        create(client, name="=cmd|calc")
        lines = client.get("/api/audit?format=ndjson")
        assert lines.headers["content-type"] == "application/x-ndjson"
        entries = [json.loads(line) for line in lines.text.splitlines()]
        assert entries[0]["detail"]["name"] == "=cmd|calc"
        table = client.get("/api/audit?format=csv")
        assert "audit.csv" in table.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [int(row["id"]) for row in rows] == [entry["id"] for entry in entries]
        cells = [cell for row in rows for cell in row.values()]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("since=yesterday", "?since is 'yesterday', not a time with its zone"),
            ("since=2030-01-01T00:00:00", "?since"),
            ("action=DROP", "?action"),
            ("actor=%00", "?actor"),
            ("format=xml", "?format"),
            ("cursor=99999999999999999999", "?cursor"),
            ("format=csv&limit=3", "?limit does not go with format=csv"),
        ],
    )
    def test_a_wrong_query_is_refused(self, client: Client, query: str, said: str) -> None:
        assert_problem(client.get(f"/api/audit?{query}"), 400, "QueryInvalid", said)

    def test_a_lock_out_stands_there(self, platform: Platform, client: Client) -> None:
        wrong = Client(platform.app, headers={"X-API-Key": "sep_live_guess"})
        answers = [wrong.get("/models") for _ in range(20)]
        assert [answer.status_code for answer in answers] == [401] * 19 + [429]
        assert answers[-1].headers["retry-after"] == "60"
        [entry] = wait_for(client, "network.locked", count=1)
        assert (entry["actor"], entry["target"]) == ("septet", "127.0.0.1")


class TestDown:
    def test_without_records_keys_are_503_and_predictions_go_on(
        self, platform: Platform, client: Client
    ) -> None:
        file = platform.runtime.records.file
        assert file is not None
        file.rename(file.with_name("away"))
        assert_problem(client.get("/api/keys"), 503, "RecordsBehind", "stands in the server's log")
        assert str(platform.home) not in client.get("/api/keys").text
        assert_problem(client.get("/api/audit?format=csv"), 503, "RecordsBehind", "")
        assert_problem(client.post("/api/churn", json={}), 422, "RowInvalid", "")


class TestDocument:
    def test_every_route_of_keys_and_audit_documents_its_errors_and_fields(
        self, client: Client
    ) -> None:
        document = client.get("/openapi.json").json()
        for method, template in KEY_ROUTES:
            operation = document["paths"][template][method.lower()]
            assert {"401", "403", "429", "500", "503"} <= set(operation["responses"])
            assert operation["summary"]
        body = document["paths"]["/api/keys"]["post"]["requestBody"]["content"]
        name = body["application/json"]["schema"]["$ref"].removeprefix("#/components/schemas/")
        properties = document["components"]["schemas"][name]["properties"]
        assert properties["role"]["enum"] == ["viewer", "analyst", "operator", "admin"]


def test_no_key_stands_in_records_or_logs(
    platform: Platform, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    made = [create(client, role=role.label)["key"] for role in Role]
    first = made[0].split("_")[2]
    made.append(client.post(f"/api/keys/{first}/rotate", json={}).json()["key"])
    made.append(KeyLedger(platform.runtime.records).rotate(first, overlap=timedelta(1), by=BY).key)
    for key in made:
        opens(platform, key)
        opens(platform, key[:-1])
    platform.runtime.stop()
    held = b"".join(file.read_bytes() for file in platform.home.rglob("*") if file.is_file())
    held += "".join(capfd.readouterr()).encode()
    for key in (*made, platform.key):
        assert key.split("_")[2].encode() in held
        assert key.split("_")[3][:20].encode() not in held


def wait_for(client: Client, action: str, *, count: int) -> list[dict[str, Any]]:
    """Give entries of the audit once so many are written."""
    entries: list[dict[str, Any]] = []
    for _ in range(100):
        entries = client.get(f"/api/audit?action={action}").json()["entries"]
        if len(entries) >= count:
            break
        time.sleep(0.05)
    return entries
