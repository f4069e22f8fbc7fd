"""The journal: what stands in the spool tells all of a prediction, and of who was refused."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from bentos.answering import Outcome
from bentos.release import Release, open_release, read_pointer
from core.errors import AnswerRefused, FieldProblem, RowInvalid
from core.overload import SpoolFull
from core.platform_config import Spooling
from services.access.caller import Caller
from services.predictions.journal import Asked, Journal, row_form
from services.predictions.segment import Kind, Record, read_segment
from services.predictions.spool import Spool
from tests.tiny import Shelf, TinyPredictor

CALLER = Caller("0123456789ab", "somebody")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("3")
    shelf.point("3")
    pointer = read_pointer(shelf.model_folder)
    assert pointer is not None
    return open_release(shelf.model_folder / "3", pointer=pointer, kind=TinyPredictor)


def kept(folder: Path, body: Any, **options: Any) -> list[Record]:
    """Let a body use a journal, and read what it kept."""

    async def run() -> None:
        spool = Spool(folder, Spooling(**{"segment_bytes": 1 << 16, **options}))
        spool.start()
        try:
            body(Journal(spool))
        finally:
            spool.stop()

    asyncio.run(run())
    return [
        one
        for path in sorted(folder.glob("*.seg"))
        for one in read_segment(path)
        if isinstance(one, Record)
    ]


def test_rows_answered_together_are_one_record(tmp_path: Path, release: Release) -> None:
    started_s = time.perf_counter() - 0.25
    asked = [Asked(f"{i:012d}", started_s, b'{"hours": %d}' % i) for i in range(3)]
    refused = AnswerRefused("no history")
    outcomes = [
        Outcome({"prediction_id": "p0"}, None),
        Outcome(None, refused),
        Outcome({"prediction_id": "p2"}, None),
    ]

    def body(journal: Journal) -> None:
        ends, waits = journal.outcomes(release, asked, outcomes)
        assert waits is None
        assert ends == [b'{"prediction_id":"p0"}', refused, b'{"prediction_id":"p2"}']

    told, rows = kept(tmp_path / "spool", body)
    assert (told.kind, rows.kind) == (Kind.RELEASE, Kind.ROWS)
    assert json.loads(rows.meta) == ["churn", "3"]
    form = row_form(2)
    size, *facts = form.unpack_from(rows.body)
    assert size == 2
    assert [facts[0], facts[4]] == [b"000000000000", b"000000000002"]
    assert all(240_000 < took_us < 5_000_000 for took_us in (facts[1], facts[5]))
    assert rows.body[form.size :] == asked[0].body + asked[2].body
    assert [facts[2], facts[3]] == [len(asked[0].body), len(ends_of(0))]
    assert rows.answer == ends_of(0) + ends_of(2)


def ends_of(number: int) -> bytes:
    return b'{"prediction_id":"p%d"}' % number


def test_a_batch_is_kept_as_it_came_and_as_it_went(tmp_path: Path, release: Release) -> None:
    kinds = (b"application/vnd.apache.parquet", b"application/json")

    def body(journal: Journal) -> None:
        parts = (b"PAR1", b"{}")
        assert journal.batch(release, CALLER, time.perf_counter(), kinds, parts) is None

    _, batch = kept(tmp_path / "spool", body)
    assert batch.kind is Kind.BATCH
    assert json.loads(batch.meta) == ["churn", "3", CALLER.key_id, *(k.decode() for k in kinds)]
    assert (batch.body, batch.answer) == (b"PAR1", b"{}")


def test_of_a_refusal_its_kind_is_kept_and_not_what_was_asked(
    tmp_path: Path, release: Release
) -> None:
    error = RowInvalid([FieldProblem("hours", "is the text 'secret'", "a number")])

    def body(journal: Journal) -> None:
        journal.refused(release, CALLER, time.perf_counter(), error)

    _, refused = kept(tmp_path / "spool", body)
    assert refused.kind is Kind.REFUSED
    assert json.loads(refused.meta) == ["churn", "3", CALLER.key_id, "RowInvalid"]
    assert (refused.body, refused.answer) == (b"", b"")


def test_a_segment_tells_what_its_releases_take_and_say(tmp_path: Path, release: Release) -> None:
    def body(journal: Journal) -> None:
        journal.rows(release, [Asked("0" * 12, 0.0, b"{}")], [b"{}"])

    told, _ = kept(tmp_path / "spool", body)
    said = json.loads(told.meta)
    assert (said["model"], said["version"], said["entity"]) == ("churn", "3", "client_id")
    assert said["as_of"] == "as_of"
    assert said["inputs"] == {
        "tenure_months": "integer",
        "hours": "number",
        "is_active": "boolean",
        "plan": "text",
        "region": "text",
    }
    assert said["result"] == {"probability": "number", "band": "text"}
    assert said["manifest_sha256"] == release.identity.manifest_sha256


def test_without_room_rows_are_refused_and_refusals_are_not_kept(
    tmp_path: Path, release: Release
) -> None:
    asked, answers = [Asked("0" * 12, 0.0, b"x" * 2**21)], [b"{}"]

    def body(journal: Journal) -> None:
        with pytest.raises(SpoolFull):
            journal.rows(release, asked, answers)
        journal.refused(release, CALLER, 0.0, AnswerRefused("no"))

    kept(tmp_path / "spool", body, most_bytes=2**20)


def test_without_a_spool_nothing_is_kept(release: Release) -> None:
    journal = Journal(None)
    assert journal.rows(release, [Asked("0" * 12, 0.0, b"{}")], [b"{}"]) is None
    journal.refused(release, CALLER, 0.0, AnswerRefused("no"))
