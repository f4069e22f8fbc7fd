"""A cursor leads to the next page of its own question, and nowhere else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.refusals import QueryInvalid
from services.history.questions import RowsQuestion
from services.history.reader.cursor import Sealer
from tests.services.history.reader.tables import START

SEALER = Sealer(b"secret")
KEY = bytes(range(16))
ASKED: dict[str, Any] = {
    "model": "churn", "since": START, "until": START + timedelta(days=3), "where": ["region:north"],
}  # fmt: skip


def sealed(at: datetime = START, key: bytes = KEY) -> str:
    return SEALER.seal(RowsQuestion(**ASKED), at, key)


def opened(cursor: str, **changes: Any) -> tuple[datetime, bytes] | None:
    return SEALER.open(RowsQuestion(**{**ASKED, **changes}, cursor=cursor))


@given(
    st.datetimes(
        datetime(1970, 1, 1), datetime(2199, 1, 1),  # noqa: DTZ001 - zones are a strategy's own
        timezones=st.just(UTC),
    ),
    st.binary(min_size=16, max_size=16),
)  # fmt: skip
def test_what_was_sealed_is_opened(at: datetime, key: bytes) -> None:
    assert opened(sealed(at, key)) == (at, key)


def test_the_first_page_has_none() -> None:
    assert SEALER.open(RowsQuestion(**ASKED)) is None


@pytest.mark.parametrize("changes", [{"limit": 7}, {"format": "csv"}])
def test_size_and_form_may_change_from_page_to_page(changes: dict[str, Any]) -> None:
    assert opened(sealed(), **changes) == (START, KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "pricing"},
        {"where": ["region:south"]},
        {"where": []},
        {"version": "1"},
        {"flagged": True},
        {"least": 0.5},
        {"since": START + timedelta(microseconds=1)},
        {"since": None},
        {"until": START + timedelta(days=4)},
    ],
)
def test_one_of_another_question_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(QueryInvalid, match="send `next` of the page before it"):
        opened(sealed(), **changes)


def forged() -> list[str]:
    whole = sealed()
    raw = base64.urlsafe_b64decode(whole + "==")
    flipped = [bytes([*raw[:i], raw[i] ^ 1, *raw[i + 1 :]]) for i in range(len(raw))]
    texts = [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in flipped]
    cut = [whole[:size] for size in range(1, len(whole))]
    return [*texts, *cut, whole + "A", whole + "====", "=", "ü", "%00", "a" * 500, whole[::-1]]


def test_one_that_was_forged_or_cut_is_refused() -> None:
    for cursor in forged():
        with pytest.raises(QueryInvalid, match="cursor is none that this question gave"):
            opened(cursor)


def test_one_of_another_installation_is_refused() -> None:
    with pytest.raises(QueryInvalid):
        Sealer(b"another").open(RowsQuestion(**ASKED, cursor=sealed()))
