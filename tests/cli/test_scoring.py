"""A file of rows becomes a file of answers; what cannot be answered says why, in its place."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bentos.release import Pointer, Release, open_release, read_pointer
from cli.scoring import score_file
from core.errors import SourceError
from tests.tiny import Shelf, TinyPredictor

HEADER = "client_id,as_of,tenure_months,hours,is_active,plan,region,left"
GOOD = "a-1,2026-01-31,12,10.5,true,pro,north,no"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.point("1")
    pointer = read_pointer(shelf.model_folder)
    assert isinstance(pointer, Pointer)
    return open_release(shelf.model_folder / "1", pointer=pointer, kind=TinyPredictor)


def table(tmp_path: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = tmp_path / "in.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_answered_beside_its_keys(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"

    tally = score_file(release, table(tmp_path, GOOD, GOOD), output=output)

    first, second = read(output)
    assert (tally.answered, tally.refused, tally.left_out) == (2, 0, ("left",))
    assert (first["entity"], first["line"], first["version"]) == ("a-1", "2", "1")
    assert 0 < float(first["probability"]) < 1
    assert first["probability"] == second["probability"]
    assert first["prediction_id"] != second["prediction_id"]
    assert first["problem"] == ""


def test_a_file_is_answered_as_http_answers_its_rows(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    score_file(release, table(tmp_path, GOOD), output=output)
    row = {
        "tenure_months": 12, "hours": 10.5, "is_active": True, "plan": "pro", "region": "north",
    }  # fmt: skip

    [answer] = release.predictor.predict([row])

    assert float(read(output)[0]["probability"]) == answer["result"]["probability"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a,2026-01-31,-1,1,true,pro,north,no", "tenure_months is the number -1"),
        ("a,2026-01-31,1.5,1,true,pro,north,no", "tenure_months is the number 1.5"),
        ("a,2026-01-31,many,1,true,pro,north,no", "tenure_months is the text 'many'"),
        ("a,2026-01-31,,1,true,pro,north,no", "tenure_months is null"),
        ("a,2026-01-31,1,1e999,true,pro,north,no", "a 64-bit float holds"),
        ("a,2026-01-31,NA,1,true,pro,north,no", "tenure_months is null"),
        ("a,2026-01-31,1,1,perhaps,pro,north,no", "is_active is the text 'perhaps'"),
        ("a,2026-01-31,1,1,true,gold,north,no", "one of basic, pro is allowed"),
        ("a,some day,1,1,true,pro,north,no", "as_of is 'some day', not a time with its zone"),
        ("a,2026-01-31,1,1,true,pro", "has 6 cells; the header has 8"),
        ("a,2026-01-31,13,1,true,pro,north,no", "failed"),
    ],
)
def test_a_bad_row_is_refused_in_its_place_and_touches_no_other(
    release: Release, tmp_path: Path, line: str, problem: str
) -> None:
    output = tmp_path / "out.csv"

    tally = score_file(release, table(tmp_path, GOOD, line, GOOD), output=output)

    rows = read(output)
    assert (tally.answered, tally.refused) == (2, 1)
    assert problem in rows[1]["problem"]
    assert rows[1]["probability"] == ""
    assert rows[0]["probability"] == rows[2]["probability"] != ""
    assert tally.first_refusals == [(3, rows[1]["problem"])]


def test_an_empty_cell_of_a_nullable_feature_is_null(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    tally = score_file(release, table(tmp_path, "a,2026-01-31,1,,true,pro,north,"), output=output)
    assert tally.refused == 0


def test_semicolons_and_a_byte_order_mark_are_understood(release: Release, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    text = f"{HEADER}\n{GOOD}".replace(",", ";")
    path.write_bytes(text.encode("utf-8-sig"))

    tally = score_file(release, path, output=tmp_path / "out.csv")

    assert tally.answered == 1


def test_drivers_are_added_when_asked_for(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    score_file(release, table(tmp_path, GOOD), output=output, explain=True)
    assert read(output)[0]["drivers"].count(";") == 2


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty; it needs a header and at least one row"),
        (b"tenure_months,hours\n1,2\n", "misses the columns is_active, plan, region"),
        (b"plan,plan\nbasic,pro\n", "has the column 'plan' twice"),
        (HEADER.encode() + b"\na,\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_the_model_is_refused_whole(
    release: Release, tmp_path: Path, content: bytes, fault: str
) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=fault):
        score_file(release, path, output=output)

    assert not output.exists()
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_that_is_not_there_is_named(release: Release, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: No such file"):
        score_file(release, tmp_path / "nowhere.csv", output=tmp_path / "out.csv")


def test_the_input_is_never_written_over(release: Release, tmp_path: Path) -> None:
    path = table(tmp_path, GOOD)
    with pytest.raises(SourceError, match="this is the input"):
        score_file(release, path, output=path)
