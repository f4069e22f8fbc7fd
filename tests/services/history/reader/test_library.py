"""Tables of predictions as the historian gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from core.history_faults import ExportsBusy
from core.settings import Settings
from services.history.answers import NOTES, Series
from services.history.historian import build_library
from services.history.log import PredictionLog
from services.history.questions import (
    PAGE_ROWS,
    CompareQuestion,
    EntityQuestion,
    FeatureQuestion,
    RowsQuestion,
    TrendsQuestion,
)
from services.history.reader.export import LARGE_AT_ONCE
from services.history.reader.library import Answer, Asking, Library
from tests.services.history.archive_house import prepared
from tests.services.history.reader.small_log import DAY, SPAN, rows
from tests.services.history.reader.tables import START, keep, predicted, table_of
from tests.tiny import tiny_type


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Keep predictions of two days, a file each."""
    log = PredictionLog(tmp_path / "predictions", owner="me")
    return keep(log, "churn", predicted(rows(7)), predicted(rows(5, day=1)))


@pytest.fixture
def library(tmp_path: Path, paths: list[Path]) -> Iterator[Library]:
    """Open it as the historian does."""
    assert paths
    prepared(tmp_path)
    found = build_library(Settings(home=tmp_path, configs=tmp_path / "configs"), kind_of=tiny_type)
    yield found
    found.close()


def table(library: Library, **asked: Any) -> Answer:
    return library.rows(RowsQuestion(**{**SPAN, "format": "csv", **asked}), Asking())


def test_a_large_table_is_refused_while_others_are_written_and_a_small_one_is_not(
    library: Library,
) -> None:
    whole = table(library, limit=PAGE_ROWS + 1)
    with ExitStack() as under_way:
        for _ in range(LARGE_AT_ONCE):
            under_way.enter_context(library.turns.of(PAGE_ROWS + 1))
        with pytest.raises(ExportsBusy, match="Try again in a few seconds"):
            table(library, limit=PAGE_ROWS + 1)
        assert table(library, limit=PAGE_ROWS).content == whole.content
    assert table(library, limit=PAGE_ROWS + 1).content == whole.content


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_a_table_without_the_rows_of_a_damaged_file_says_so_in_a_header(
    library: Library, paths: list[Path], form: str
) -> None:
    assert NOTES not in (table(library, format=form).headers or {})
    paths[0].write_bytes(paths[0].read_bytes()[:-40])
    headers = table(library, format=form).headers or {}
    assert headers[NOTES].startswith("1 file of the log could not be read and is left out")
    assert headers[NOTES].isascii()


def read(answer: Answer) -> Series:
    return Series.model_validate_json(answer.content)


def units(series: Series) -> dict[str, str | None]:
    return {column.name: column.unit for column in series.columns}


def test_each_series_knows_the_units_of_the_model_s_config(library: Library) -> None:
    asking = Asking("c1")
    trends = read(library.trend(TrendsQuestion(**SPAN, measure=["value"]), asking))
    assert units(trends)["median"] == "ratio"
    compared = read(
        library.compare(CompareQuestion(**SPAN, field="input.hours", versus="region:r1"), asking)
    )
    found = {row["measure"]: row["unit"] for row in table_of(compared)}
    assert (found["input.hours, mean"], found["input.hours, median"]) == ("hours", "hours")
    times = {name: SPAN[name] for name in ("since", "until")}
    seen = table_of(read(library.entity(EntityQuestion(**times), asking)))
    assert {row["unit"] for row in seen} == {"ratio"}


@pytest.mark.parametrize("name", ["hours", "input.hours"])
def test_an_input_has_its_unit_its_steps_and_its_filters(library: Library, name: str) -> None:
    asked = {**SPAN, "since": START + DAY / 2, "where": ["region:r1"], "by": "day"}
    whole = read(library.feature(FeatureQuestion(**{**asked, "since": START}), Asking(name)))
    assert whole.title == "churn (region r1): input hours by day"
    assert whole.chart.step == "day"
    of_input = {"median", "low", "high", "training_median", "training_low", "training_high"}
    assert {units(whole)[column] for column in of_input} == {"hours"}
    assert units(whole)["training_share"] == "ratio"
    cut = read(library.feature(FeatureQuestion(**asked | {"by": "week"}), Asking(name)))
    assert cut.notes[-1] == "The week is not whole."
