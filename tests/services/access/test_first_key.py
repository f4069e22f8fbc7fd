"""The first key of an installation, and the keys it had before there were records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from core import clock
from core.errors import ConfigError
from core.settings import Settings
from services.access.audit import Actor
from services.access.caller import Role
from services.access.first_key import (
    OLD_FILE,
    create_admin_key,
    import_old_keys,
    make_first_key,
    prepare_records,
)
from services.access.keys import KeyStore
from services.access.secret import digest_of, new_id, new_key
from services.records import AUDIT, Records
from tests.services.access.conftest import BY


def opened(home: Path) -> KeyStore:
    """Give the keys of a home as a serving process reads them."""
    store = KeyStore(Records(Settings(home=home).records_url))
    assert store.refresh()
    return store


def old_file(home: Path) -> tuple[Path, str]:
    """Write a file of keys as an earlier version did; give it and its key."""
    key_id = new_id()
    key = new_key(key_id)
    record = {
        "id": key_id,
        "name": "from before",
        "sha256": digest_of(key).hex(),
        "created_at": clock.now().isoformat(),
    }
    home.mkdir(parents=True, exist_ok=True)
    path = home / OLD_FILE
    path.write_text(json.dumps({"keys": [record]}))
    return path, key


def test_the_first_key_is_an_admins_and_opens(tmp_path: Path) -> None:
    caller = opened(tmp_path).identify(key) if (key := create_admin_key(tmp_path)) else None
    assert caller is not None
    assert (caller.name, caller.role) == ("admin", Role.ADMIN)


def test_a_second_one_is_made_only_when_asked_for(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = make_first_key(settings)
    assert first is not None
    assert make_first_key(settings) is None
    second = make_first_key(settings, anew=True)
    assert second is not None
    assert opened(tmp_path).identify(first).name == opened(tmp_path).identify(second).name


def test_the_keys_of_an_earlier_version_go_on_and_its_file_goes(tmp_path: Path) -> None:
    path, key = old_file(tmp_path)
    records = prepare_records(Settings(home=tmp_path), by=Actor("cli:me"))
    assert not path.exists()
    caller = opened(tmp_path).identify(key)
    assert (caller.name, caller.role) == ("from before", Role.ADMIN)
    with records.reading() as connection:
        [entry] = connection.execute(sa.select(AUDIT)).all()
    assert (entry.action, entry.actor, entry.target) == ("key.imported", "cli:me", caller.key_id)
    assert make_first_key(Settings(home=tmp_path)) is None


def test_a_run_that_ended_before_the_file_was_removed_is_gone_on_with(
    records: Records, tmp_path: Path
) -> None:
    path, key = old_file(tmp_path / "home")
    content = path.read_bytes()
    assert import_old_keys(records, path.parent, by=BY) == 1
    path.write_bytes(content)
    assert import_old_keys(records, path.parent, by=BY) == 0
    assert not path.exists()
    store = KeyStore(records)
    store.refresh()
    assert store.identify(key).name == "from before"


def test_a_file_that_cannot_be_understood_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / OLD_FILE
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"access.json.*does not hold keys; move it away"):
        create_admin_key(tmp_path)
    assert path.read_text() == "{"
