"""The token of the historian: whole or not there, also on a disk that has no room for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.settings import Settings
from services.history.token import NAME, history_token
from tests.full_disk import nothing_fits


def test_a_full_disk_leaves_no_draft_and_the_token_is_made_once_there_is_room(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(OSError, match="File too large"), nothing_fits():
        history_token(settings)
    assert list(tmp_path.iterdir()) == []
    token = history_token(settings)
    assert len(token) == 64
    assert history_token(settings) == token
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_token_that_is_there_is_given_without_a_write(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    token = history_token(settings)
    changed_ns = tmp_path.stat().st_mtime_ns
    with nothing_fits():
        assert history_token(settings) == token
    assert tmp_path.stat().st_mtime_ns == changed_ns


def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    history_token(Settings(home=tmp_path))
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
