"""Reads a training table from where the config says it is.

CSV cells are read as text, so that every bad one can be named later with its row and its value.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from core.config import FileSource, ModelConfig, SampleSource, SqlSource, fill_variables
from core.errors import FieldProblem, SourceError, nearest

_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none"]
_SQL_BLOCK = 50_000
_SNIFF_BYTES = 64 * 1024
_MOST_BROKEN = 20


@dataclass(frozen=True)
class RawTable:
    """A table as it was read, its columns under our names.

    Parameters
    ----------
    table
        Text columns (CSV) or typed ones; ``n`` rows.
    row_numbers
        Shape ``(n,)``: number of each row in its source, from 1, without the header.
    origin
        Where it came from, for a person; holds no password.
    broken
        Rows that could not be read at all.
    broken_count
        How many those are in all.
    """

    table: pa.Table
    row_numbers: npt.NDArray[np.int64]
    origin: str
    broken: tuple[FieldProblem, ...] = ()
    broken_count: int = 0


def read_source(config: ModelConfig, *, home: Path) -> RawTable:
    """Read the table of a model.

    Parameters
    ----------
    config
        The model's config.
    home
        Folder of the platform; the sample firm's tables are kept there.

    Raises
    ------
    SourceError
        The table is absent, empty, unreadable, or lacks a column; the sentence says which.
    """
    source = config.source
    if isinstance(source, SqlSource):
        return _read_sql(config, source)
    if isinstance(source, SampleSource):
        path = sample_table(source, home=home)
        return _read_parquet(config, [path], f"sample firm, table {source.table}")
    pattern = fill_variables(source.path)
    paths = sorted(Path(name) for name in glob.glob(pattern))  # noqa: PTH207 - any absolute glob
    if not paths:
        raise SourceError(pattern, "no such file. Give source.path an existing file or glob.")
    if source.kind == "parquet":
        return _read_parquet(config, paths, pattern)
    return _joined([_read_csv(config, source, path) for path in paths], pattern)


def sample_table(
    source: SampleSource, *, home: Path, progress: Callable[[str, float], None] | None = None
) -> Path:
    """Give the file of a sample table, simulating the firm when it was not yet.

    Parameters
    ----------
    source
        Which firm: size, months, seed.
    home
        Folder of the platform.
    progress
        Told the table under way and the share done.

    Raises
    ------
    SourceError
        The sample firm has no such table.
    """
    from training.sample import simulate  # noqa: PLC0415 - needed for the sample alone

    firm = source.model_dump(include={"clients", "months", "seed", "drift"})
    digest = hashlib.sha256(json.dumps(firm, sort_keys=True).encode()).hexdigest()[:12]
    folder = home / "sample" / digest
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Another process may simulate the same firm: the first to finish gives it its name.
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
        simulate(draft, progress=progress, **firm)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    path = folder / f"{source.table}.parquet"
    if not path.is_file() or source.table.startswith("truth_"):
        known = sorted(p.stem for p in folder.glob("*.parquet") if not p.stem.startswith("truth_"))
        fault = f"there is no such table.{nearest(source.table, known)} Known: {', '.join(known)}."
        raise SourceError(f"sample firm, table {source.table!r}", fault)
    return path


def _read_csv(config: ModelConfig, source: FileSource, path: Path) -> RawTable:
    header, delimiter = _read_header(path, source)
    wanted = _wanted(config, header, str(path))
    broken: list[FieldProblem] = []
    skipped: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        number = (row.number or 0) - 1
        skipped.append(number)
        if len(broken) < _MOST_BROKEN:
            fault = f"has {row.actual_columns} cells"
            broken.append(FieldProblem(f"row {number}", fault, f"{row.expected_columns} expected"))
        return "skip"

    try:
        table = pacsv.read_csv(
            path,
            # One thread: only then does a broken row know its number.
            read_options=pacsv.ReadOptions(encoding=source.encoding, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=skip, newlines_in_values=True
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=list(dict.fromkeys(wanted.values())),
                null_values=_NULLS,
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        fault = f"{str(error).splitlines()[0]}. It must be {source.encoding}: set source.encoding."
        raise SourceError(str(path), fault) from error
    if not table.num_rows and not skipped:
        raise SourceError(str(path), "the file has a header and no rows.")
    numbers = np.arange(1, table.num_rows + len(skipped) + 1, dtype=np.int64)
    numbers = np.delete(numbers, [n - 1 for n in skipped])
    return RawTable(
        _renamed(table, wanted), numbers, str(path), tuple(broken), broken_count=len(skipped)
    )


def _read_header(path: Path, source: FileSource) -> tuple[list[str], str]:
    """Give the names of the columns and the delimiter."""
    encoding = "utf-8-sig" if source.encoding.lower() in {"utf-8", "utf8"} else source.encoding
    try:
        with path.open(encoding=encoding, newline="") as file:
            text = file.read(_SNIFF_BYTES)
    except (UnicodeDecodeError, LookupError) as error:
        fault = f"it cannot be read as {source.encoding}: set source.encoding, such as latin-1."
        raise SourceError(str(path), fault) from error
    if not text.strip():
        raise SourceError(str(path), "the file is empty; it needs a header line and rows.")
    delimiter = source.delimiter or _sniff(text)
    header = next(csv.reader(text.splitlines(), delimiter=delimiter))
    doubles = sorted({name for name in header if header.count(name) > 1})
    if doubles:
        raise SourceError(str(path), f"the header names {doubles[0]!r} twice; rename one.")
    if _looks_like_data(header):
        fault = f"the first line is no header: {', '.join(header[:4])}… Put the names there."
        raise SourceError(str(path), fault)
    return header, delimiter


def _looks_like_data(header: Sequence[str]) -> bool:
    """Tell whether most cells of the first line are numbers or empty."""
    plain = [cell.strip().lstrip("-+").replace(".", "", 1) for cell in header]
    return 2 * sum(cell.isdigit() or not cell for cell in plain) >= len(plain)


def _sniff(text: str) -> str:
    """Find the delimiter: the one that parts the first line most often."""
    first = text.splitlines()[0]
    return max((",", ";", "\t", "|"), key=first.count)


def _read_parquet(config: ModelConfig, paths: Sequence[Path], origin: str) -> RawTable:
    tables = []
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            wanted = _wanted(config, file.schema_arrow.names, str(path))
            tables.append(_renamed(file.read(list(dict.fromkeys(wanted.values()))), wanted))
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(str(path), f"this is no whole Parquet file ({error}).") from error
    return _whole(pa.concat_tables(tables, promote_options="permissive"), origin)


def _read_sql(config: ModelConfig, source: SqlSource) -> RawTable:
    try:
        address = sqlalchemy.make_url(fill_variables(source.address))
    except SQLAlchemyError as error:
        raise SourceError("source.address", f"it is no SQLAlchemy address: {error}.") from error
    origin = address.render_as_string(hide_password=True)
    engine = sqlalchemy.create_engine(address)
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            result = connection.execute(sqlalchemy.text(source.query))
            names = list(result.keys())
            wanted = _wanted(config, names, origin)
            blocks = [_block(names, rows) for rows in result.partitions(_SQL_BLOCK)]
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        fault = f"the query fails ({reason}). Check source.address, source.query and that it runs."
        raise SourceError(origin, fault) from error
    finally:
        engine.dispose()
    if not blocks:
        raise SourceError(origin, "the query returns nothing; check its WHERE and its table.")
    table = pa.concat_tables(blocks, promote_options="permissive")
    return _whole(_renamed(table, wanted), origin)


def _block(names: Sequence[str], rows: Iterable[Sequence[object]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table({name: _array(column) for name, column in zip(names, columns, strict=True)})


def _array(values: Sequence[object]) -> pa.Array:
    """Give a typed array, or one of texts where a column mixes types (SQLite may)."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _wanted(config: ModelConfig, present: Sequence[str], origin: str) -> dict[str, str]:
    """Map our names to the source's, and refuse a table that lacks one."""
    wanted = {name: config.source.columns.get(name, name) for name in config.table_columns}
    for ours, theirs in wanted.items():
        if theirs not in present:
            needed = f"column {theirs!r}" + (f" (our {ours!r})" if ours != theirs else "")
            raise SourceError(
                origin,
                f"{needed} is missing.{nearest(theirs, present)} It has: {', '.join(present)}. "
                "Map a column under source.columns.",
            )
    return wanted


def _renamed(table: pa.Table, wanted: dict[str, str]) -> pa.Table:
    return pa.table({ours: table.column(theirs) for ours, theirs in wanted.items()})


def _whole(table: pa.Table, origin: str) -> RawTable:
    if not table.num_rows:
        raise SourceError(origin, "the table has no rows.")
    return RawTable(table, np.arange(1, table.num_rows + 1, dtype=np.int64), origin)


def _joined(parts: Sequence[RawTable], origin: str) -> RawTable:
    """Put several files together; rows are numbered through."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(p.row_numbers) + p.broken_count for p in parts[:-1])])
    return RawTable(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([p.row_numbers + o for p, o in zip(parts, offsets, strict=True)]),
        origin,
        tuple(problem for part in parts for problem in part.broken)[:_MOST_BROKEN],
        broken_count=sum(part.broken_count for part in parts),
    )
