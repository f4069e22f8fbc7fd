"""The way to the historian: what it says of an answer or a refusal reaches who asks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from core import history_faults
from core.errors import SeptetError
from core.history_faults import HistoryDown, LogOfLaterVersion
from core.settings import Settings
from services.history.answers import NOTES
from services.history.historian import Counter, Questions
from services.history.questions import RowsQuestion
from services.history.reader.library import Answer, Asking
from services.history.remote import Historian, Told
from services.history.token import history_token
from services.openapi.samples import sample
from tests.services.history.archive_house import SECONDS, free_port

KINDS = [
    kind
    for kind in vars(history_faults).values()
    if isinstance(kind, type)
    and issubclass(kind, SeptetError)
    and kind.__module__ == history_faults.__name__
    # Told of by the platform itself, and in the historian's log alone: it names a file.
    and kind not in {HistoryDown, LogOfLaterVersion}
]


@contextmanager
def serving(settings: Settings, questions: Questions) -> Iterator[None]:
    """Answer questions on the port of the historian meanwhile."""
    app = Counter(questions, token=history_token(settings)).app()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=settings.history_port, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until_s = time.monotonic() + SECONDS
    while not server.started and time.monotonic() < until_s:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def told(tmp_path: Path, *, answer: Answer | Exception) -> Told:
    """Give what the platform gets of an answer or a refusal."""
    settings = Settings(home=tmp_path, history_port=free_port())

    def rows(_question: RowsQuestion, _asking: Asking) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask() -> Told:
        historian = Historian(settings)
        try:
            return await historian.ask("rows", {"question": {"model": "churn"}})
        finally:
            await historian.close()

    with serving(settings, {"rows": (RowsQuestion, rows)}):
        return asyncio.run(ask())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_refusal_of_the_history_comes_as_it_was_raised(
    tmp_path: Path, kind: type[SeptetError]
) -> None:
    raised: Any = sample(kind)
    with pytest.raises(kind) as met:
        told(tmp_path, answer=raised)
    assert type(met.value) is kind
    assert (met.value.detail, met.value.headers) == (raised.detail, raised.headers)


def test_what_fails_in_the_historian_is_told_as_a_fault_and_not_as_one_that_is_down(
    tmp_path: Path,
) -> None:
    with pytest.raises(SeptetError, match="failed on this question; its log says why") as met:
        told(tmp_path, answer=ZeroDivisionError())
    assert (met.value.code, met.value.status, met.value.headers) == ("SeptetError", 500, {})


def test_what_a_table_says_beside_its_rows_comes_with_it(tmp_path: Path) -> None:
    headers = {NOTES: "1 file is left out.", "Link": "<?a>", "X-Of-Its-Own": "1"}
    found = told(tmp_path, answer=Answer(b"rows", "text/csv", headers))
    assert (found.content, found.media_type.partition(";")[0]) == (b"rows", "text/csv")
    assert {name.lower(): value for name, value in found.headers.items()} == {
        "septet-notes": "1 file is left out.", "link": "<?a>",
    }  # fmt: skip
