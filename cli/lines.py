"""A CSV or Parquet file as lines of text: every cell is what it says, and none is evaluated."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = ",;\t|"
_PARQUET = b"PAR1"
_BLOCK_BYTES, _BLOCK_ROWS = 1 << 20, 2000


@dataclass(frozen=True)
class Lines:
    """An opened file.

    Parameters
    ----------
    header
        Names of the columns, each once.
    lines
        Number and cells of each: in a CSV file the line, the header being the first; in a Parquet
        file the row, from 1.
    """

    header: Sequence[str]
    lines: Iterator[tuple[int, list[str]]]


@contextmanager
def open_csv(path: Path) -> Iterator[Lines]:
    """Open a CSV file with a header, in UTF-8.

    Parameters
    ----------
    path
        Of the file; read while it is gone through.

    Raises
    ------
    SourceError
        It cannot be read, is no CSV, is empty, or has a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield _read_csv(file, path)
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8 (byte {error.start}); save it as CSV UTF-8"
        raise SourceError(str(path), fault) from error
    except csv.Error as error:
        raise SourceError(str(path), f"is no CSV ({error}); save it as CSV UTF-8") from error
    except OSError as error:
        raise _unreadable(error, path) from error


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """Open a CSV or a Parquet file, whichever it is by its first bytes.

    Parameters
    ----------
    path
        Of the file; read while it is gone through.

    Raises
    ------
    SourceError
        As ``open_csv``, or it is a Parquet file that is damaged.
    """
    if not _is_parquet(path):
        if path.suffix.lower() == ".parquet":
            raise _damaged(path, "it does not begin with PAR1")
        with open_csv(path) as lines:
            yield lines
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield _read_parquet(file, path)
    except pa.ArrowException as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        # Arrow calls damage so as well, and then no system call has failed.
        raise (_unreadable(error, path) if error.errno else _damaged(path, str(error))) from error


def count_lines(path: Path) -> int:
    """Say how many lines a file has, or about how many: a CSV may have some within a cell.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    SourceError
        It cannot be read.
    """
    if _is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError):
            return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError as error:
        raise _unreadable(error, path) from error


def _damaged(path: Path, fault: str) -> SourceError:
    short = fault.splitlines()[0][:200].rstrip(".")
    return SourceError(
        str(path),
        f"is a Parquet file that cannot be read ({short}). It is damaged, or was not written to "
        "its end: write or copy it anew; `pyarrow.parquet.read_table` reads one that is whole",
    )


def _unreadable(error: OSError, path: Path) -> SourceError:
    fault = f"{error.strerror}; check the path, and that it may be read or written"
    return SourceError(str(error.filename or path), fault)


def _read_csv(file: IO[str], path: Path) -> Lines:
    first = file.readline()
    if not first.strip():
        raise SourceError(str(path), "is empty; it needs a header and at least one row")
    delimiter = max(_DELIMITERS, key=first.count)
    header = next(csv.reader([first], delimiter=delimiter, strict=True))
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    lines = ((reader.line_num + 1, cells) for cells in reader if cells)
    return Lines(_once_each(header, path), lines)


def _read_parquet(file: pa.parquet.ParquetFile, path: Path) -> Lines:
    import pyarrow as pa

    # What has parts is no cell; whoever needs the column is told that it is not there.
    names = [one.name for one in file.schema_arrow if not pa.types.is_nested(one.type)]
    return Lines(_once_each(names, path), _rows(file, names))


def _rows(file: pa.parquet.ParquetFile, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    import pyarrow as pa

    number = 0
    for batch in file.iter_batches(batch_size=_BLOCK_ROWS, columns=list(names)):
        texts = [column.cast(pa.string()).to_pylist() for column in batch.columns]
        for cells in zip(*texts, strict=True):
            number += 1
            yield number, [cell or "" for cell in cells]


def _once_each(header: Sequence[str], path: Path) -> list[str]:
    names = [name.strip() for name in header]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise SourceError(str(path), f"has the column {doubled[0]!r} twice; keep one of them")
    return names
