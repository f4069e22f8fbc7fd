"""Tables of predictions read back as they were, and nothing in them is run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.history_faults import ExportsBusy
from services.history.log import PredictionLog
from services.history.questions import EXPORT_ROWS, PAGE_ROWS, RowsQuestion
from services.history.reader.cursor import Sealer
from services.history.reader.export import LARGE_AT_ONCE, Turns, write_table
from services.history.reader.page import Pages
from tests.services.history.reader.tables import START, keep, opened, predicted
from tests.tiny import TinyPredictor

FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "\uff1d1+1",
    '=HYPERLINK("http://x","y")', "-5",
]  # fmt: skip
PLAIN = ["a,b", 'say "x"', "two\nlines", "ünï", " 1", "c1;2", "'x"]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    log = PredictionLog(tmp_path, owner="me")
    rows = [
        {
            "at": START + timedelta(seconds=i), "entity": text, "region": text, "band": text,
            "hours": -1.5, "tenure_months": i, "is_active": i % 2 == 0, "probability": 1e-7,
        }
        for i, text in enumerate(FORMULAS + PLAIN)
    ]  # fmt: skip
    rows.append({"at": START + timedelta(hours=1), "entity": None})
    keep(log, "churn", predicted(rows))
    with opened(log) as database:
        yield Pages(database, Sealer(b"secret"))


def table(pages: Pages, **asked: Any) -> pa.Table:
    span = {"since": START, "until": START + timedelta(days=1)}
    question = RowsQuestion(**{"model": "churn", **span, "limit": 1000, **asked})
    return pages.table(question, TinyPredictor)[0]


def cells(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_no_cell_of_a_csv_starts_a_formula(pages: Pages) -> None:
    rows = cells(write_table(table(pages), "csv"))
    assert len(rows) == len(FORMULAS + PLAIN) + 1
    told = list(reversed(rows))
    for text, row in zip(FORMULAS + PLAIN, told, strict=False):
        expected = f"'{text}" if text in FORMULAS else text
        assert row["entity"] == row["input_region"] == row["result_band"] == expected
    assert {row["input_hours"] for row in rows[1:]} == {"-1.5"}
    assert {row["input_is_active"] for row in rows[1:]} == {"true", "false"}
    assert float(rows[1]["result_probability"]) == 1e-7
    assert rows[0]["entity"] == rows[0]["input_region"] == rows[0]["input_hours"] == ""


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_parquet_and_arrow_give_the_very_cells(pages: Pages, form: str) -> None:
    content = io.BytesIO(write_table(table(pages), form))
    found = pq.read_table(content) if form == "parquet" else pa.ipc.open_stream(content).read_all()
    asked = RowsQuestion(model="churn", since=START, until=START + timedelta(days=1), limit=1000)
    page = pages.read(asked, TinyPredictor).predictions
    assert found["prediction_id"].to_pylist() == [one.prediction_id for one in page]
    assert found["at"].to_pylist() == [one.at for one in page]
    assert found["entity"].to_pylist() == [one.entity for one in page]
    assert found["input_hours"].to_pylist() == [one.input["hours"] for one in page]
    assert found["result_band"].to_pylist() == [one.result["band"] for one in page]
    assert found.schema.field("input_tenure_months").type == pa.int64()


@pytest.mark.parametrize("asked", [{"entity": "nobody"}, {"model": "pricing"}])
def test_a_table_of_no_rows_is_one_that_reads(pages: Pages, asked: dict[str, Any]) -> None:
    empty = table(pages, **asked)
    assert cells(write_table(empty, "csv")) == []
    assert pq.read_table(io.BytesIO(write_table(empty, "parquet"))).num_rows == 0
    stream = pa.ipc.open_stream(write_table(empty, "arrow"))
    assert stream.read_all().num_rows == 0


def test_few_large_tables_are_written_at_once_and_small_ones_always() -> None:
    turns = Turns()
    with ExitStack() as under_way:
        for _ in range(LARGE_AT_ONCE):
            under_way.enter_context(turns.of(EXPORT_ROWS))
        with pytest.raises(ExportsBusy) as refused, turns.of(PAGE_ROWS + 1):
            pass
        assert refused.value.headers == {"Retry-After": "5"}
        with turns.of(PAGE_ROWS), turns.of(PAGE_ROWS):
            pass
    with pytest.raises(ZeroDivisionError), turns.of(EXPORT_ROWS):
        raise ZeroDivisionError
    for _ in range(LARGE_AT_ONCE + 1):
        with turns.of(EXPORT_ROWS):
            pass
