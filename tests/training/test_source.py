"""Tables from files: what is read, and the sentence a person reads when it cannot be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import SourceError
from tests.tables import HEADER, config_of, good_lines, line, read, write
from training.source import sample_table


class TestCsv:
    def test_reads_every_cell_as_text_under_our_names(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", line(1), header=HEADER.replace("hours", "Std."))
        config = config_of(source={"kind": "csv", "path": str(path), "columns": {"hours": "Std."}})

        raw = read(config, tmp_path)

        assert raw.table.column("hours").to_pylist() == ["11.5"]
        assert raw.table.column("plan").to_pylist() == ["pro"]
        assert raw.row_numbers.tolist() == [1]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_finds_the_delimiter(self, delimiter: str, tmp_path: Path) -> None:
        lines = [text.replace(",", delimiter) for text in (HEADER, line(1), line(2))]
        path = write(tmp_path / "a.csv", *lines[1:], header=lines[0])

        assert read(config_of(path), tmp_path).table.num_rows == 2

    def test_takes_a_byte_order_mark_and_windows_line_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{line(1)}\r\n".encode())

        assert read(config_of(path), tmp_path).table.column("client").to_pylist() == ["c1"]

    def test_takes_a_line_end_within_quotes_and_names_that_are_not_ascii(
        self, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "a.csv", line(1, region='"Süd\nOst"'), line(2))

        assert read(config_of(path), tmp_path).table.column("region").to_pylist() == [
            "Süd\nOst",
            "south",
        ]

    def test_reads_the_encoding_that_the_config_names(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", line(1, region="Süd"), encoding="latin-1")
        source = {"kind": "csv", "path": str(path), "encoding": "latin-1"}

        raw = read(config_of(source=source), tmp_path)

        assert raw.table.column("region").to_pylist() == ["Süd"]

    @pytest.mark.parametrize("rows", [1, 5000])
    def test_says_what_to_set_when_the_encoding_is_another(self, rows: int, tmp_path: Path) -> None:
        lines = [*good_lines(rows), line(1, region="Süd")]
        path = write(tmp_path / "a.csv", *lines, encoding="latin-1")

        with pytest.raises(SourceError, match=r"cannot be read as utf-8.*set source.encoding"):
            read(config_of(path), tmp_path)

    def test_says_that_an_encoding_does_not_exist(self, tmp_path: Path) -> None:
        source = {"kind": "csv", "path": str(write(tmp_path / "a.csv")), "encoding": "utf-9"}
        with pytest.raises(SourceError, match=r"cannot be read as utf-9"):
            read(config_of(source=source), tmp_path)

    @pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
    def test_refuses_an_empty_file(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(SourceError, match=r"empty; it needs a header line and rows"):
            read(config_of(path), tmp_path)

    def test_refuses_a_header_without_rows(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"a header and no rows"):
            read(config_of(write(tmp_path / "a.csv")), tmp_path)

    def test_refuses_a_missing_header(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "2,3,0,5", header="1,2.5,-1,x")
        with pytest.raises(SourceError, match=r"the first line is no header: 1, 2.5, -1, x"):
            read(config_of(path), tmp_path)

    def test_refuses_a_doubled_header(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", line(1) + ",2", header=f"{HEADER},hours")
        with pytest.raises(SourceError, match=r"the header names 'hours' twice"):
            read(config_of(path), tmp_path)

    def test_names_the_nearest_column_when_one_is_missing(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", line(1), header=HEADER.replace("hours", "hour"))
        with pytest.raises(
            SourceError, match=r"column 'hours' is missing. Did you mean 'hour'\?.*source.columns"
        ):
            read(config_of(path), tmp_path)

    def test_names_rows_with_another_number_of_cells_by_their_number(self, tmp_path: Path) -> None:
        lines = [line(1), "a,b", line(3), line(4) + ",x"]

        raw = read(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)

        assert [f"{p.field} {p.problem}, {p.allowed}" for p in raw.broken] == [
            "row 2 has 2 cells, 8 expected",
            "row 4 has 9 cells, 8 expected",
        ]
        assert raw.row_numbers.tolist() == [1, 3]
        assert raw.broken_count == 2

    def test_refuses_a_quote_that_swallows_the_rest(self, tmp_path: Path) -> None:
        lines = [*good_lines(20), line(20, region='"north'), *good_lines(30)]
        with pytest.raises(SourceError, match=r"opened and not closed: 51 lines .* only 21 rows"):
            read(config_of(write(tmp_path / "a.csv", *lines)), tmp_path)

    def test_takes_a_lone_quote_within_a_text(self, tmp_path: Path) -> None:
        lines = [*good_lines(5), line(5, region='5" pipe'), *good_lines(5)]
        assert read(config_of(write(tmp_path / "a.csv", *lines)), tmp_path).table.num_rows == 11

    def test_reads_several_files_by_a_glob_and_numbers_them_through(self, tmp_path: Path) -> None:
        write(tmp_path / "1.csv", line(1), "a,b")
        write(tmp_path / "2.csv", "x", line(2))

        raw = read(config_of(tmp_path / "*.csv"), tmp_path)

        assert raw.row_numbers.tolist() == [1, 4]
        assert [problem.field for problem in raw.broken] == ["row 2", "row 3"]

    def test_says_that_there_is_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"no such file. Give source.path"):
            read(config_of(tmp_path / "none.csv"), tmp_path)

    def test_says_that_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").mkdir()
        with pytest.raises(SourceError, match=r"directory"):
            read(config_of(tmp_path / "a.csv"), tmp_path)


class TestParquet:
    def table(self, count: int, **columns: pa.Array) -> pa.Table:
        rows = [text.split(",") for text in good_lines(count)]
        plain = dict(zip(HEADER.split(","), map(list, zip(*rows, strict=True)), strict=True))
        return pa.table({**plain, **columns})

    def test_reads_several_files_whose_types_can_be_joined(self, tmp_path: Path) -> None:
        pq.write_table(self.table(2, hours=pa.array([1, 2])), tmp_path / "1.parquet")
        pq.write_table(self.table(1, hours=pa.array([2.5])), tmp_path / "2.parquet")

        raw = read(config_of(tmp_path / "*.parquet"), tmp_path)

        assert raw.table.column("hours").to_pylist() == [1.0, 2.0, 2.5]

    def test_refuses_files_whose_types_cannot_be_joined(self, tmp_path: Path) -> None:
        pq.write_table(self.table(2, hours=pa.array([1, 2])), tmp_path / "1.parquet")
        pq.write_table(self.table(1, hours=pa.array(["x"])), tmp_path / "2.parquet")
        with pytest.raises(SourceError, match=r"same types of columns.*hours"):
            read(config_of(tmp_path / "*.parquet"), tmp_path)

    def test_refuses_a_cut_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(self.table(20), path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(SourceError, match=r"no whole Parquet file"):
            read(config_of(path), tmp_path)

    def test_refuses_a_column_of_lists(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(self.table(1, hours=pa.array([[1.0]])), path)
        with pytest.raises(SourceError, match=r"column 'hours' holds list<.*numbers, texts"):
            read(config_of(path), tmp_path)

    def test_refuses_a_file_without_rows(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(self.table(1).slice(0, 0), path)
        with pytest.raises(SourceError, match=r"no rows"):
            read(config_of(path), tmp_path)


class TestSample:
    def test_simulates_once_and_names_the_tables_there_are(self, tmp_path: Path) -> None:
        source = {"kind": "sample", "table": "chrun", "clients": 50, "months": 24}
        config = config_of(source=source)

        with pytest.raises(SourceError, match=r"Did you mean 'churn'"):
            read(config, tmp_path)
        [folder] = (tmp_path / "sample").iterdir()
        before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        right = config.source.model_copy(update={"table": "churn"})
        sample_table(right, home=tmp_path)  # type: ignore[arg-type]  # it is the sample source

        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    def test_never_gives_the_truth_as_a_training_table(self, tmp_path: Path) -> None:
        source = {"kind": "sample", "table": "truth_churn", "clients": 50, "months": 24}
        with pytest.raises(SourceError, match=r"no such table"):
            read(config_of(source=source), tmp_path)
