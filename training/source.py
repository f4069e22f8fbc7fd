"""Reads a training table from where the config says it is.

CSV cells are read as text, so that every bad one can be named later with its row and its value.
"""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.artifact import sha256_of
from core.config import ModelConfig, SampleSource, SqlSource, fill_variables
from core.errors import FieldProblem, SourceError, nearest
from training.csv_table import CsvTable, read_csv
from training.sql_table import read_sql

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
        The first rows that could not be read at all.
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
        return _whole(read_sql(source, choose=lambda names, at: wanted_of(config, names, at)))
    if isinstance(source, SampleSource):
        path = sample_table(source, home=home)
        return _whole((_read_parquet(config, [path]), f"sample firm, table {source.table}"))
    pattern = fill_variables(source.path)
    paths = sorted(Path(name) for name in glob.glob(pattern))  # noqa: PTH207 - any absolute glob
    if not paths:
        raise SourceError(pattern, "no such file. Give source.path an existing file or glob.")
    if source.kind == "parquet":
        return _whole((_read_parquet(config, paths), pattern))
    parts = [
        read_csv(source, path, choose=lambda names, at: wanted_of(config, names, at))
        for path in paths
    ]
    return _numbered_through(parts, pattern)


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
    # Another simulator makes another firm: what an older one left is not taken for it.
    simulator = [sha256_of(file) for file in sorted(Path(__file__).parent.glob("sample/*.py"))]
    facts = json.dumps([firm, simulator], sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    folder = home / "sample" / digest
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Another process may simulate the same firm: the first to finish gives it its name.
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
        try:
            simulate(draft, progress=progress, **firm)
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    path = folder / f"{source.table}.parquet"
    if not path.is_file() or source.table.startswith("truth_"):
        known = sorted(p.stem for p in folder.glob("*.parquet") if not p.stem.startswith("truth_"))
        fault = f"there is no such table.{nearest(source.table, known)} Known: {', '.join(known)}."
        raise SourceError(f"sample firm, table {source.table!r}", fault)
    return path


def wanted_of(config: ModelConfig, present: Sequence[str], origin: str) -> dict[str, str]:
    """Map our names of the columns to the source's.

    Raises
    ------
    SourceError
        The source lacks a column, or has one twice.
    """
    wanted = {name: config.source.columns.get(name, name) for name in config.table_columns}
    for ours, theirs in wanted.items():
        if ours == config.target.column and config.target.optional and theirs not in present:
            continue
        needed = f"column {theirs!r}" + (f" (our {ours!r})" if ours != theirs else "")
        if theirs not in present:
            raise SourceError(
                origin,
                f"{needed} is missing.{nearest(theirs, present)} It has: {', '.join(present)}. "
                "Map a column under source.columns.",
            )
        if list(present).count(theirs) > 1:
            raise SourceError(origin, f"{needed} stands twice; give one of them another name.")
    return {ours: theirs for ours, theirs in wanted.items() if theirs in present}


def _read_parquet(config: ModelConfig, paths: Sequence[Path]) -> pa.Table:
    tables = []
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            wanted = wanted_of(config, file.schema_arrow.names, str(path))
            table = file.read(list(dict.fromkeys(wanted.values())))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise SourceError(str(path), f"this is no whole Parquet file ({reason}).") from error
        tables.append(pa.table({ours: table.column(theirs) for ours, theirs in wanted.items()}))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        fault = f"the files do not have the same types of columns ({error}). Write them alike."
        raise SourceError(str(paths[0].parent), fault) from error


def _whole(read: tuple[pa.Table, str]) -> RawTable:
    """Number the rows of a table of which every row could be read."""
    table, origin = read
    if not table.num_rows:
        raise SourceError(origin, "the table has no rows.")
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            fault = f"the column {name!r} holds {kind}; numbers, texts, yes/no or times are wanted."
            raise SourceError(origin, fault)
    return RawTable(table, np.arange(1, table.num_rows + 1, dtype=np.int64), origin)


def _numbered_through(parts: Sequence[CsvTable], origin: str) -> RawTable:
    """Put several files together; rows are numbered through."""
    numbers, start = [], 0
    broken: list[FieldProblem] = []
    for part in parts:
        rows = np.arange(1, part.table.num_rows + len(part.skipped) + 1, dtype=np.int64)
        numbers.append(np.delete(rows, [number - 1 for number in part.skipped]) + start)
        for number, cells in list(part.skipped.items())[:_MOST_BROKEN]:
            wanted = f"{part.width} expected"
            broken.append(FieldProblem(f"row {number + start}", f"has {cells} cells", wanted))
        start += len(rows)
    table = pa.concat_tables([part.table for part in parts])
    return RawTable(
        table,
        np.concatenate(numbers),
        origin,
        tuple(broken[:_MOST_BROKEN]),
        broken_count=start - table.num_rows,
    )
