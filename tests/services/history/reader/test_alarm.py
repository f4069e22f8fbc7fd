"""A question has one time, however many queries it takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.history_faults import HistoryTooLarge
from services.history.log import PredictionLog
from services.history.reader.alarm import LOOKS
from services.history.reader.database import ANSWER_SECONDS, Database
from services.history.remote import ASK_SECONDS
from tests.services.history.reader.tables import START, keep, predicted


def test_all_that_one_question_reads_is_held_to_its_time(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    keep(log, "churn", predicted([{"at": START}]))
    database = Database(log, memory_mib=200, threads=1, seconds=0.5)
    scan = database.scanner.scan("churn")

    def ask(times: int = 1) -> None:
        for _ in range(times):
            database.rows(
                "SELECT sum(sin(range)) AS s FROM range(5000000) WHERE len($files) > 0", {}, scan
            )

    def ask_apart(times: int) -> None:
        with database.question():
            for _ in range(times):
                database.ask(ask)

    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(HistoryTooLarge):
            database.ask(lambda: ask(200))
        with pytest.raises(HistoryTooLarge):
            ask_apart(200)
    assert time.monotonic() - began < 10
    ask()
    database.close()


def test_the_platform_waits_until_a_question_that_is_too_large_was_refused() -> None:
    last_look_s = ANSWER_SECONDS * (1 + 1 / LOOKS)
    to_answer_s = 2.0
    assert last_look_s + to_answer_s < ASK_SECONDS
