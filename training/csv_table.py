"""Reads a CSV file as texts, and tells which of its rows could not be read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from core.config import FileSource
from core.errors import SourceError

_SNIFF_CHARACTERS = 64 * 1024
_DELIMITERS = (",", ";", "\t", "|")
# A row that is longer than a block cannot be read; this is far beyond any row of cells.
_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class CsvTable:
    """A file as it was read.

    Parameters
    ----------
    table
        Text columns under our names.
    skipped
        Rows with another number of cells than the header: number (from 1) -> cells.
    width
        Cells of the header.
    """

    table: pa.Table
    skipped: dict[int, int]
    width: int


def read_csv(
    source: FileSource, path: Path, *, choose: Callable[[Sequence[str], str], dict[str, str]]
) -> CsvTable:
    """Read the wanted columns of a file, every cell as text.

    Parameters
    ----------
    source
        Encoding and delimiter.
    path
        The file.
    choose
        Given the header and the file's name, maps our names to the header's.

    Raises
    ------
    SourceError
        The file is empty, has no header or a doubled one, is in another encoding, or leaves a
        quote open.
    """
    try:
        header, delimiter = _read_header(path, source)
        wanted = choose(header, str(path))
        read, skipped = _read_rows(path, source, header, wanted=wanted, delimiter=delimiter)
        if not read.num_rows and not skipped:
            raise SourceError(str(path), "the file has a header and no rows.")
        _refuse_swallowed(path, source, rows=read.num_rows + len(skipped))
    except (UnicodeError, LookupError) as error:
        raise SourceError(str(path), _encoding_fault(source)) from error
    except OSError as error:
        fault = f"{error.strerror or error}; check the path, and that it may be read."
        raise SourceError(str(path), fault) from error
    table = pa.table({ours: read.column(theirs) for ours, theirs in wanted.items()})
    return CsvTable(table, skipped, len(header))


def _read_rows(
    path: Path,
    source: FileSource,
    header: Sequence[str],
    *,
    wanted: dict[str, str],
    delimiter: str,
) -> tuple[pa.Table, dict[int, int]]:
    skipped: dict[int, int] = {}

    def skip(row: pacsv.InvalidRow) -> str:
        skipped[(row.number or 0) - 1] = row.actual_columns
        return "skip"

    try:
        table = pacsv.read_csv(
            path,
            # One thread: only then does a broken row know its number.
            read_options=pacsv.ReadOptions(
                encoding=source.encoding, use_threads=False, block_size=_BLOCK_BYTES
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=skip, newlines_in_values=True
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=list(dict.fromkeys(wanted.values())),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        fault = _encoding_fault(source) if "UTF8" in reason else f"this is no whole CSV ({reason})."
        raise SourceError(str(path), fault) from error
    return table, skipped


def _read_header(path: Path, source: FileSource) -> tuple[list[str], str]:
    """Give the names of the columns and the delimiter."""
    with path.open(encoding=_encoding(source), newline="") as file:
        text = file.read(_SNIFF_CHARACTERS).lstrip("\r\n")
    if not text.strip():
        raise SourceError(str(path), "the file is empty; it needs a header line and rows.")
    delimiter = source.delimiter or _sniff(text)
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    doubles = sorted({name for name in header if header.count(name) > 1})
    if doubles:
        fault = f"the header names {doubles[0]!r} twice; give one of them another name."
        raise SourceError(str(path), fault)
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
    return max(_DELIMITERS, key=first.count)


def _refuse_swallowed(path: Path, source: FileSource, *, rows: int) -> None:
    """Refuse a file in which a quote is left open: all lines after it would be one cell."""
    quotes = lines = 0
    with path.open(encoding=_encoding(source)) as file:
        for line in file:
            quotes += line.count('"')
            lines += not line.isspace()
    if quotes % 2 and lines > rows + 1:
        raise SourceError(
            str(path),
            f"a double quote is opened and not closed: {lines - 1:,} lines below the header make "
            f'only {rows:,} rows. Close it, or double a quote that belongs to a text ("").',
        )


def _encoding(source: FileSource) -> str:
    return "utf-8-sig" if source.encoding.lower() in {"utf-8", "utf8"} else source.encoding


def _encoding_fault(source: FileSource) -> str:
    return (
        f"it cannot be read as {source.encoding}. Save it as UTF-8, or set source.encoding to what "
        "it is, such as latin-1 or cp1252."
    )
