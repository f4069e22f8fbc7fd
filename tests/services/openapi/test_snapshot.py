"""The document in git is the one that the code makes."""

from __future__ import annotations

from services.openapi.snapshot import SNAPSHOT, render_snapshot


def test_the_document_in_git_is_the_one_that_the_code_makes() -> None:
    assert SNAPSHOT.read_text(encoding="utf-8") == render_snapshot(), "run `make openapi`"


def test_it_is_the_same_each_time_it_is_made() -> None:
    assert render_snapshot() == render_snapshot()
