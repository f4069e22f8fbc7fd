"""The prediction log: Parquet files by model and day, under a folder.

``<folder>/<model>/<day>/<name>.parquet``, and beside the days a manifest for each month. One worker
writes them; it is told apart by ``owner``, so that workers of several machines may share a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core import clock
from services.durable import sync_folder
from services.history.manifest import (
    SUFFIX,
    LogFile,
    Manifest,
    month_of,
    read_manifest,
    write_manifest,
)

# Small enough that one row is found at once, large enough that columns are packed well.
ROWS_A_GROUP = 16_384
_ID = "prediction_id"


class PredictionLog:
    """Writes and finds the files of the log.

    Parameters
    ----------
    folder
        Where it is.
    owner
        Who writes here: letters and digits.
    """

    def __init__(self, folder: Path, *, owner: str) -> None:
        self.folder = folder
        self._owner = owner

    @property
    def address(self) -> str:
        """Where it is, as DuckDB and Arrow name it."""
        return str(self.folder)

    @property
    def filesystem(self) -> Any:
        """Through which it is read; nothing for the disk."""
        return None

    def manifest_path(self, model: str, month: str) -> Path:
        """Give where the manifest of a model and month stands."""
        return self.folder / model / f"{month}.{self._owner}{SUFFIX}"

    def manifest(self, model: str, month: str) -> Manifest:
        """Read the manifest of a model and month."""
        return read_manifest(self.manifest_path(model, month))

    def commit(self, model: str, month: str, manifest: Manifest) -> None:
        """Make the files of a manifest those of the log."""
        write_manifest(self.manifest_path(model, month), manifest)

    def months(self, model: str) -> list[str]:
        """Name the months of which this owner has written, the earliest first."""
        found = (self.folder / model).glob(f"*.{self._owner}{SUFFIX}")
        return sorted(path.name.partition(".")[0] for path in found)

    def models(self) -> list[str]:
        """Name what the log has folders of: models, and refusals."""
        if not self.folder.is_dir():
            return []
        return sorted({path.parent.name for path in self.folder.glob(f"*/*{SUFFIX}")})

    def path(self, model: str, file: LogFile) -> Path:
        """Give where a file lies."""
        return self.folder / model / f"{file.day}" / file.name

    def files(
        self, model: str, *, since: date | None = None, until: date | None = None
    ) -> list[tuple[Path, LogFile]]:
        """Give the files of a model, of all owners, the earliest first.

        Parameters
        ----------
        model
            Its name.
        since, until
            First and last day that is wanted.
        """
        found = []
        for path in (self.folder / model).glob(f"*{SUFFIX}"):
            month = path.name.partition(".")[0]
            if (since and month < month_of(since)) or (until and month > month_of(until)):
                continue
            found += [
                (self.path(model, file), file)
                for file in read_manifest(path).files
                if (since is None or file.day >= since) and (until is None or file.day <= until)
            ]
        return sorted(found, key=lambda one: (one[1].first_at, one[1].name))

    def write(self, model: str, table: pa.Table) -> list[LogFile]:
        """Write rows, each day's into a file of its own; no manifest names them yet.

        Parameters
        ----------
        model
            Its name.
        table
            Rows with a column ``at``.
        """
        return [self._write_day(model, day, part) for day, part in by_day(table)]

    def _write_day(self, model: str, day: date, table: pa.Table) -> LogFile:
        folder = self.folder / model / f"{day}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            sync_folder(folder.parent)
        has_ids = _ID in table.column_names
        table = table.sort_by(_ID if has_ids else "at")
        name = f"{uuid4()}.parquet"
        draft = folder / f".{name}"
        _write_parquet(table, draft)
        draft.rename(folder / name)
        sync_folder(folder)
        ids = table.column(_ID) if has_ids else None
        span = pc.min_max(table.column("at"))
        return LogFile(
            name=name,
            day=day,
            rows=table.num_rows,
            size_bytes=(folder / name).stat().st_size,
            first_at=span["min"].as_py(),
            last_at=span["max"].as_py(),
            first_id=ids[0].as_py().hex() if ids is not None else None,
            last_id=ids[-1].as_py().hex() if ids is not None else None,
        )

    def sweep(self, model: str, *, older_s: float) -> int:
        """Delete files that no manifest names: what a crash left behind; say how many.

        Parameters
        ----------
        model
            Its name.
        older_s
            Younger files stay: another worker may be about to name them.
        """
        known = {file.name for _, file in self.files(model)}
        swept = 0
        for path in (self.folder / model).glob("*/*.parquet"):
            if path.name not in known and clock.now_s() - path.stat().st_mtime > older_s:
                path.unlink(missing_ok=True)
                swept += 1
        return swept


def by_day(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Part a table by the day of ``at``, UTC."""
    days = pc.floor_temporal(table.column("at"), unit="day")
    for day in sorted(pc.unique(days).to_pylist()):
        yield day.astimezone(UTC).date(), table.filter(pc.equal(days, pa.scalar(day, days.type)))


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Write a file and bring it to the disk."""
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    with path.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=3,
            row_group_size=ROWS_A_GROUP,
            write_page_index=True,
            **_packing(table, floats),
        )
        file.flush()
        os.fsync(file.fileno())


def _packing(table: pa.Table, floats: list[str]) -> dict[str, Any]:
    """Choose how columns are packed: by a dictionary where values come again, else by bytes."""
    apart = [name for name in floats if not _comes_again(table.column(name))]
    plain = {*apart, _ID}
    return {
        "use_dictionary": [name for name in table.column_names if name not in plain],
        "use_byte_stream_split": apart,
    }


def _comes_again(column: pa.ChunkedArray) -> bool:
    """Say whether a sample of a column holds the same values again and again."""
    sample = column.slice(0, ROWS_A_GROUP)
    return bool(4 * pc.count_distinct(sample).as_py() < len(sample))


def utc_day(at: datetime) -> date:
    """Give the day of a time, UTC."""
    return at.astimezone(UTC).date()
