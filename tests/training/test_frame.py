"""What is kept of a table, and what a person is told of the rest."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import clock
from core.errors import TrainingRefused
from tests.tables import HEADER, config_of, frame_of, good_lines, line, write

KEEP_MANY = {"max_bad_share": 0.5}


def told(tmp_path: Path, *bad: str) -> list[str]:
    """Give what the report says of bad lines that stand after 240 good ones."""
    path = write(tmp_path / "a.csv", *good_lines(), *bad)
    frame, report = frame_of(config_of(path, quality=KEEP_MANY), tmp_path)
    assert len(frame) == report.rows_kept == 240
    assert report.rows_left_out == len(bad)
    return [f"{p.field} {p.problem}; {p.allowed}" for p in report.problems]


class TestBadCells:
    @pytest.mark.parametrize(
        ("column", "cell", "said"),
        [
            ("hours", "ten", "'ten' is no number; a number of at least 0 is allowed, or null"),
            ("hours", "1e999", "'1e999' is infinite; a number of at least 0"),
            ("hours", "inf", "'inf' is no number; "),
            ("hours", "0x1F", "'0x1F' is no number; "),
            ("hours", "1_000", "'1_000' is no number; "),
            ("hours", "-1", "'-1' is below the minimum; a number of at least 0"),
            ("staff", "51", "'51' is above the maximum; an integer from 1 to 50 is allowed"),
            ("staff", "2.5", "'2.5' is no whole number; an integer from 1 to 50"),
            ("staff", "", "'' is null; an integer from 1 to 50"),
            ("staff", "NA", "'NA' is null; an integer from 1 to 50"),
            ("active", "maybe", "'maybe' is no boolean; true or false is allowed"),
            ("plan", "gold", "'gold' is an unknown category; one of None, pro is allowed"),
            ("plan", " ", "' ' is null; one of None, pro is allowed"),
            ("client", "", "'' is null; every row needs this key"),
            ("month", "", "'' is null; a time like 2026-01-31"),
            ("month", "soon", "'soon' is no time; a time like 2026-01-31"),
            ("month", "2023-02-30", "'2023-02-30' is no time; "),
            ("month", "0001-01-01T00:00:00+14:00", "is no time; "),
            ("left", "perhaps", "'perhaps' is neither yes nor no; yes or its opposite"),
            ("left", "", "'' is null; every row needs its outcome"),
        ],
    )
    def test_each_is_named_with_row_column_value_and_reason(
        self, column: str, cell: str, said: str, tmp_path: Path
    ) -> None:
        [sentence] = told(tmp_path, line(240, **{column: cell}))
        assert sentence.startswith(f"row 241, {column} ")
        assert said in sentence

    def test_a_date_in_the_future_is_named(self, tmp_path: Path) -> None:
        tomorrow = (clock.now() + timedelta(days=1)).isoformat()
        [sentence] = told(tmp_path, line(240, month=tomorrow))
        assert "lies in the future; a time up to now is allowed" in sentence

    def test_an_entity_and_time_that_stand_twice_are_named_with_both_rows(
        self, tmp_path: Path
    ) -> None:
        sentences = told(tmp_path, line(7), line(5), line(7))
        assert sentences == [
            "row 241, c7 has the entity and time of row 8; one row for an entity and a time",
            "row 242, c5 has the entity and time of row 6; one row for an entity and a time",
            "row 243, c7 has the entity and time of row 8; one row for an entity and a time",
        ]

    def test_a_good_row_is_kept_though_a_bad_one_has_its_key(self, tmp_path: Path) -> None:
        lines = [line(7, staff="many"), *good_lines()]
        path = write(tmp_path / "a.csv", *lines)
        frame, _ = frame_of(config_of(path, quality=KEEP_MANY), tmp_path)
        assert len(frame) == 240

    def test_a_row_with_two_bad_cells_is_left_out_once(self, tmp_path: Path) -> None:
        assert len(told(tmp_path, line(240, staff="x", hours="y"))) == 2

    def test_only_the_first_are_named_and_all_are_counted(self, tmp_path: Path) -> None:
        bad = [line(240 + i, hours="x") for i in range(100)]
        path = write(tmp_path / "a.csv", *good_lines(), *bad)
        _, report = frame_of(config_of(path, quality=KEEP_MANY), tmp_path)
        assert len(report.problems) == 20
        assert report.counts == {("hours", "is no number"): 100}
        assert report.summary() == "340 rows read, 100 left out: hours is no number (100)"

    def test_above_the_stated_share_the_training_refuses(self, tmp_path: Path) -> None:
        lines = [*good_lines(), *(line(240 + i, plan="gold") for i in range(4))]
        with pytest.raises(TrainingRefused) as caught:
            frame_of(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)
        assert "plan is an unknown category (4). That is 1.6%, over the 1.0%" in str(caught.value)
        assert "quality.max_bad_share" in str(caught.value)
        assert caught.value.problems[0].field == "row 241, plan"

    def test_rows_with_another_number_of_cells_count_as_well(self, tmp_path: Path) -> None:
        lines = [*good_lines(), *["a,b"] * 5]
        with pytest.raises(TrainingRefused, match=r"another number of cells than the header \(5\)"):
            frame_of(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)


class TestTypes:
    def test_cells_become_what_the_contract_says(self, tmp_path: Path) -> None:
        lines = [line(0, hours=" 1.5e2 ", staff="7.0", active="YES", plan=" pro ", region="")]
        path = write(tmp_path / "a.csv", *lines, *good_lines()[1:])

        frame, _ = frame_of(config_of(path), tmp_path)

        assert frame.columns["hours"][0] == 150.0
        assert frame.columns["staff"][0] == 7.0
        assert frame.columns["active"][0] == 1.0
        assert frame.columns["plan"][0] == "pro"
        assert frame.columns["region"][0] is None
        assert frame.as_of is not None
        assert frame.as_of.dtype == np.dtype("datetime64[us]")

    def test_a_level_called_none_and_a_region_called_na_are_no_nulls(self, tmp_path: Path) -> None:
        frame, _ = frame_of(config_of(write(tmp_path / "a.csv", *good_lines())), tmp_path)
        assert set(frame.columns["plan"]) == {"None", "pro"}
        assert set(frame.columns["region"]) == {"north", "NA", "south"}

    def test_times_with_a_zone_become_utc(self, tmp_path: Path) -> None:
        lines = [line(0, month="2023-01-01T01:30:00+02:00"), *good_lines()[1:]]
        frame, _ = frame_of(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)
        assert frame.as_of is not None
        assert str(frame.as_of[0]) == "2022-12-31T23:30:00.000000"

    def test_times_are_read_by_the_stated_format(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", *(line(i, month="31.12.2022") for i in range(240)))
        source = {"kind": "csv", "path": str(path), "time_format": "%d.%m.%Y"}
        frame, _ = frame_of(config_of(source=source), tmp_path)
        assert frame.as_of is not None
        assert str(frame.as_of[0])[:10] == "2022-12-31"

    def test_typed_columns_are_read_like_texts(self, tmp_path: Path) -> None:
        lines = [row.split(",") for row in good_lines()]
        plain = dict(zip(HEADER.split(","), map(list, zip(*lines, strict=True)), strict=True))
        table = pa.table(
            {
                **plain,
                "hours": pa.array([np.nan, 2.5] * 120),
                "staff": pa.array([1, 2] * 120, pa.int32()),
                "active": pa.array([True, False] * 120),
                "plan": pa.array(["pro", "None"] * 120).dictionary_encode(),
                "month": pa.array(np.full(240, "2023-01-01T00:00:00.000000001", "datetime64[ns]")),
            }
        )
        pq.write_table(table, tmp_path / "a.parquet")
        frame, report = frame_of(config_of(tmp_path / "a.parquet"), tmp_path)
        assert report.rows_left_out == 0
        assert np.isnan(frame.columns["hours"][0])
        assert frame.columns["active"][:2].tolist() == [1.0, 0.0]
        assert frame.columns["plan"][:2].tolist() == ["pro", "None"]

    @pytest.mark.parametrize(
        ("cell", "reason"),
        [(np.nan, "is null"), (np.inf, "is infinite"), (2.0**54, "is above the maximum")],
    )
    def test_a_bad_typed_number_is_named(self, cell: float, reason: str, tmp_path: Path) -> None:
        lines = [row.split(",") for row in good_lines()]
        plain = dict(zip(HEADER.split(","), map(list, zip(*lines, strict=True)), strict=True))
        pq.write_table(
            pa.table({**plain, "staff": pa.array([1.0] * 239 + [cell])}), tmp_path / "a.parquet"
        )
        _, report = frame_of(config_of(tmp_path / "a.parquet"), tmp_path)
        assert report.counts[("staff", reason)] == 1


class TestHopelessTables:
    def refusal(self, tmp_path: Path, lines: list[str], **changes: object) -> str:
        with pytest.raises(TrainingRefused) as caught:
            frame_of(config_of(write(tmp_path / "a.csv", *lines), **changes), tmp_path)
        return str(caught.value)

    def test_one_class_only_is_refused(self, tmp_path: Path) -> None:
        said = self.refusal(tmp_path, [line(i, left="no") for i in range(240)])
        assert "'left' has one class only (0 in every row)" in said
        assert "Check target.column and target.positive" in said

    def test_a_constant_target_is_refused(self, tmp_path: Path) -> None:
        lines = [line(i, left="2.5") for i in range(240)]
        said = self.refusal(tmp_path, lines, target={"positive": None})
        assert "'left' is constant (2.5 in every row): there is nothing to learn" in said

    def test_a_target_without_an_outcome_is_refused(self, tmp_path: Path) -> None:
        said = self.refusal(tmp_path, [line(i, left="") for i in range(240)])
        assert "'left' holds no outcome in any row" in said

    @pytest.mark.parametrize("column", ["hours", "staff", "plan", "region"])
    def test_a_column_of_nulls_is_refused(self, column: str, tmp_path: Path) -> None:
        said = self.refusal(tmp_path, [line(i, **{column: ""}) for i in range(240)])
        assert f"the feature {column!r} holds no " in said
        assert "in any row. Fill it" in said

    def test_too_few_rows_are_refused(self, tmp_path: Path) -> None:
        said = self.refusal(tmp_path, good_lines(19))
        assert "19 good rows are fewer than the 20 of quality.min_rows" in said


class TestDigest:
    def test_changes_with_any_cell_and_with_nothing_else(self, tmp_path: Path) -> None:
        def digest(*lines: str) -> str:
            return frame_of(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)[0].digest()

        plain = digest(*good_lines())
        assert digest(*good_lines()) == plain
        others = [
            digest(*good_lines()[:-1], line(239, **{column: cell}))
            for column, cell in (
                ("hours", 1), ("region", "west"), ("left", "yes"), ("client", "x"),
                ("month", "2022-01-01"),
            )
        ]  # fmt: skip
        assert len({plain, *others}) == 6
