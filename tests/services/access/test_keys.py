"""API keys: made, stored, compared."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.refusals import AccessDenied
from services.access import keys
from services.access.keys import FILE, KeyStore, create_admin_key, has_keys


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setattr(keys, "RECHECK_SECONDS", 0.0)
    return KeyStore(tmp_path / FILE)


def test_a_key_opens_after_it_is_made_and_says_who_holds_it(
    tmp_path: Path, store: KeyStore
) -> None:
    key = create_admin_key(tmp_path, name="first")
    caller = store.identify(key)
    assert caller.name == "first"
    assert key.startswith(f"sep_live_{caller.key_id}_")


def test_a_second_key_leaves_the_first_one_valid(tmp_path: Path, store: KeyStore) -> None:
    first = create_admin_key(tmp_path)
    assert store.identify(first).name == "admin"
    second = create_admin_key(tmp_path, name="second")
    assert store.identify(second).name == "second"
    assert store.identify(first).name == "admin"


def test_only_the_hash_is_stored_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    key = create_admin_key(tmp_path)
    path = tmp_path / FILE
    secret = key.rsplit("_", 1)[1]
    assert secret not in path.read_text()
    assert secret[:20] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_a_home_has_keys_once_one_was_made(tmp_path: Path) -> None:
    assert not has_keys(tmp_path)
    create_admin_key(tmp_path)
    assert has_keys(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: "", "No API key was sent"),
        (lambda _: "hunter2", "not an API key of Septet"),
        (lambda key: key + "x", "not an API key of Septet"),
        (lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"), "mistyped or cut off"),
        (lambda key: key[:30] + ("a" if key[30] != "a" else "b") + key[31:], "mistyped or cut off"),
        (lambda key: key.replace("sep_live", "\u017fep_live"), "not an API key of Septet"),
    ],
)
def test_a_wrong_key_is_refused_with_what_is_wrong(
    tmp_path: Path, store: KeyStore, change: Callable[[str], str], said: str
) -> None:
    key = create_admin_key(tmp_path)
    with pytest.raises(AccessDenied, match=said):
        store.identify(change(key))


def test_a_key_of_another_installation_is_refused(tmp_path: Path, store: KeyStore) -> None:
    create_admin_key(tmp_path)
    foreign = create_admin_key(tmp_path / "elsewhere")
    with pytest.raises(AccessDenied, match="not known here"):
        store.identify(foreign)


def test_nobody_passes_before_a_key_was_made(tmp_path: Path, store: KeyStore) -> None:
    foreign = create_admin_key(tmp_path / "elsewhere")
    with pytest.raises(AccessDenied):
        store.identify(foreign)


def test_a_key_taken_out_of_the_file_opens_no_more(tmp_path: Path, store: KeyStore) -> None:
    key = create_admin_key(tmp_path)
    store.identify(key)
    (tmp_path / FILE).write_text(json.dumps({"keys": []}))
    with pytest.raises(AccessDenied):
        store.identify(key)


def test_a_damaged_file_leaves_the_keys_that_were_read(tmp_path: Path, store: KeyStore) -> None:
    key = create_admin_key(tmp_path)
    store.identify(key)
    (tmp_path / FILE).write_text("{")
    assert store.identify(key).name == "admin"


def test_a_damaged_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ConfigError, match=r"access.json.*does not hold keys.*septet up"):
        create_admin_key(tmp_path)
    assert (tmp_path / FILE).read_text() == "{"
