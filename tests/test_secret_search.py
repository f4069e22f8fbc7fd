"""The search that ends every run finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.access.secret import new_id, new_key
from tests.secret_search import secrets_in


@pytest.mark.parametrize("around", [b"%s", b'{"key": "%s"}', b"x" * 5_000_000 + b"%s\n"])
def test_a_key_is_found_wherever_it_stands(tmp_path: Path, around: bytes) -> None:
    key = new_key(new_id())
    file = tmp_path / "deep" / "down" / "platform.log"
    file.parent.mkdir(parents=True)
    file.write_bytes(around.replace(b"%s", key.encode()))
    found = secrets_in(tmp_path)
    # Not left behind for the search that ends this very run.
    file.unlink()
    assert found == [(file, key[:21])]


def test_what_is_no_key_is_not_found(tmp_path: Path) -> None:
    key = new_key(new_id())
    (tmp_path / "audit.csv").write_text(f"{key[:21]}\nsep_live_***\n{key[:-1]}x\n")
    assert secrets_in(tmp_path) == []


def test_what_was_shown_to_a_person_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "shown-1.txt").write_text(new_key(new_id()))
    assert secrets_in(tmp_path) == []
