"""`septet keys`, `septet audit` and `septet migrate`, as a person or a script meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cli.exits import Exit
from core.refusals import AccessDenied
from core.settings import load_settings
from services.access.caller import Caller, Role
from services.access.keys import KeyStore
from services.records import Records
from tests.cli.test_main import septet


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def create(*options: str) -> str:
    """Make a key, and give what a script would take from standard output."""
    result = septet("keys", "create", *(options or ("report", "--role", "analyst")))
    assert result.exit_code == Exit.OK, result.output
    return result.stdout.strip()


def caller_of(key: str, address: str | None = None) -> Caller:
    """Identify a key as a serving process does."""
    records = Records(load_settings().records_url)
    store = KeyStore(records)
    assert store.refresh()
    records.close()
    return store.identify(key, address)


def id_of(key: str) -> str:
    return key.split("_")[2]


class TestCreate:
    def test_the_key_alone_stands_on_standard_output_and_opens_what_was_granted(self) -> None:
        key = create(
            "night", "--role", "analyst", "--models", "churn, revenue-leak", "--expires", "90d",
            "--network", "192.0.2.0/24", "--network", "2001:db8::/32", "--tier", "bulk",
        )  # fmt: skip
        caller = caller_of(key, "192.0.2.9")
        assert (caller.name, caller.role, caller.tier) == ("night", Role.ANALYST, "bulk")
        assert caller.models == frozenset({"churn", "revenue_leak"})
        assert len(caller.networks) == 2
        assert caller.expires_at is not None
        with pytest.raises(AccessDenied, match="does not open from"):
            caller_of(key, "198.51.100.1")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--role", "amdin"), "Did you mean 'admin'?"),
            (("--role", "admin", "--tier", "gold"), "one of bulk, standard is allowed"),
            (("--role", "admin", "--expires", "soon"), "a duration such as 90d"),
            (("--role", "admin", "--expires", "2001-01-01"), "is in the past"),
            (("--role", "admin", "--models", "chrun"), "Did you mean 'churn'?"),
            (("--role", "admin", "--network", "here"), "a network such as"),
            ((), "--role"),
        ],
    )
    def test_a_wrong_option_says_what_is_allowed(self, options: tuple[str, ...], said: str) -> None:
        result = septet("keys", "create", "x", *options)
        assert result.exit_code == Exit.USAGE
        assert said in " ".join(result.output.split())


class TestChange:
    def test_a_rotated_key_goes_on_for_the_overlap_beside_the_new_one(self) -> None:
        old = create()
        new = septet("keys", "rotate", id_of(old), "--overlap", "1h").stdout.strip()
        assert caller_of(old) == caller_of(new)
        last = septet("keys", "rotate", id_of(old), "--overlap", "0s").stdout.strip()
        assert caller_of(last) == caller_of(old)
        with pytest.raises(AccessDenied, match="was replaced"):
            caller_of(new)

    def test_a_revoked_key_opens_nothing_and_is_not_rotated(self) -> None:
        key = create()
        assert "is revoked" in septet("keys", "revoke", id_of(key)).stdout
        with pytest.raises(AccessDenied, match="was revoked"):
            caller_of(key)
        result = septet("keys", "rotate", id_of(key))
        assert result.exit_code == Exit.KEY_REFUSED
        assert "Create a new key instead" in result.output

    def test_the_last_admin_key_stays(self) -> None:
        key = create("boss", "--role", "admin")
        result = septet("keys", "revoke", id_of(key))
        assert result.exit_code == Exit.KEY_REFUSED
        create("other", "--role", "admin")
        assert septet("keys", "revoke", id_of(key)).exit_code == Exit.OK

    @pytest.mark.parametrize(
        "arguments", [("revoke", "nope"), ("rotate", "nope"), ("rotate", "x", "--overlap", "40d")]
    )
    def test_what_cannot_be_meant_is_told(self, arguments: tuple[str, ...]) -> None:
        assert septet("keys", *arguments).exit_code == Exit.USAGE


def test_the_list_names_every_key_and_shows_no_secret() -> None:
    keys = [create() for _ in range(3)]
    septet("keys", "revoke", id_of(keys[1]))
    shown = septet("keys", "list").stdout
    for key in keys:
        assert id_of(key) in shown
        assert key.split("_")[3][:10] not in shown
    assert shown.count("revoked since") == 1


class TestAudit:
    def test_it_shows_who_did_what_and_no_secret(self) -> None:
        key = create()
        septet("keys", "revoke", id_of(key))
        shown = septet("audit").stdout
        assert shown.index("key.revoked") < shown.index("key.created")
        assert "cli:" in shown
        assert key.split("_")[3][:10] not in shown
        assert "key.created" not in septet("audit", "--action", "key.revoked").stdout
        assert "key.created" not in septet("audit", "--until", "1d").stdout

    @pytest.mark.parametrize("ending", ["csv", "ndjson"])
    def test_all_of_it_is_written_to_a_file(self, tmp_path: Path, ending: str) -> None:
        for _ in range(3):
            create()
        path = tmp_path / f"audit.{ending}"
        assert septet("audit", "--export", str(path)).exit_code == Exit.OK
        text = path.read_text()
        rows = (
            list(csv.DictReader(text.splitlines()))
            if ending == "csv"
            else [json.loads(line) for line in text.splitlines()]
        )
        assert [row["action"] for row in rows] == ["key.created"] * 3

    def test_without_tables_it_says_what_to_run(self) -> None:
        result = septet("audit")
        assert result.exit_code == Exit.RECORDS_DOWN
        assert "septet migrate" in result.output

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        create()
        result = septet("audit", "--export", str(tmp_path / "audit.xlsx"))
        assert result.exit_code == Exit.USAGE
        assert ".csv or .ndjson" in result.output


class TestMigrate:
    def test_it_says_where_the_tables_are_and_at_which_revision(self, home: Path) -> None:
        result = septet("migrate")
        assert result.exit_code == Exit.OK
        assert f"{home}/records.db: revision " in result.stdout

    def test_a_database_that_is_not_reached_is_told_without_its_password(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = "postgresql://me:hunter2@127.0.0.1:9/septet"
        monkeypatch.setenv("SEPTET_RECORDS_ADDRESS", address)
        result = septet("migrate")
        assert result.exit_code == Exit.RECORDS_DOWN
        assert "me:***@127.0.0.1:9/septet" in "".join(result.output.split())
        assert "hunter2" not in result.output
        assert "hunter2" not in repr(load_settings())
