"""The audit as a file."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import clock
from services.access.audit import Kept
from services.access.export import as_csv, as_ndjson, safe_cell

STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


def kept(number: int, actor: str = "someone") -> Kept:
    return Kept(
        id=number, at=clock.now(), actor=actor, key_id=None, role=None, address=None,
        action="a.b", target="x", outcome="done", request_id=None, detail={"note": actor},
    )  # fmt: skip


@given(start=st.sampled_from(STARTS), rest=st.text())
def test_no_cell_starts_a_formula(start: str, rest: str) -> None:
    assert safe_cell(start + rest) == "'" + start + rest


@given(st.text().filter(lambda text: not text.startswith(tuple(STARTS))))
def test_any_other_text_is_left_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
def test_every_line_is_written_once_in_order(count: int) -> None:
    entries = [kept(number) for number in range(count)]
    table = b"".join(as_csv(entries)).decode()
    assert [int(row["id"]) for row in csv.DictReader(io.StringIO(table))] == list(range(count))
    lines = b"".join(as_ndjson(entries)).decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(count))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_a_caller_wrote_comes_back_from_json_and_stays_in_its_cell(actor: str) -> None:
    line = b"".join(as_ndjson([kept(1, actor)])).decode()
    assert json.loads(line)["actor"] == actor
    table = b"".join(as_csv([kept(1, actor)])).decode()
    [row] = csv.DictReader(io.StringIO(table, newline=""))
    assert row["actor"] == safe_cell(actor)
