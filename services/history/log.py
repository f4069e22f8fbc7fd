"""The prediction log: Parquet files by model and day, in one place.

``<model>/<day>/<name>.parquet``, and beside the days a manifest for each month. One worker writes
them; it is told apart by ``owner``, so that workers of several machines may share a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from errno import ENOENT
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.logs import get_logger
from services.history.decoding import OUTCOMES_OF
from services.history.manifest import (
    SUFFIX,
    LogFile,
    Manifest,
    month_of,
    read_manifest,
    read_manifests,
    write_manifest,
)
from services.history.partition import ID, OUTCOME_OF, about, in_order, parted, span_of
from services.history.predicted import TEXT, TIME
from services.history.store import Place, Store, open_store

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Where files go that cannot be read.
QUARANTINE = "quarantine"

# Small enough that one row is found at once, large enough that columns are packed well.
ROWS_A_GROUP = 16_384
_ENTITY = "entity"
_TYPES = {"at": TIME, _ENTITY: TEXT, ID: pa.binary(16), OUTCOME_OF: pa.binary(16)}
# Stands before the term in a manifest's name.
_TERM = "~"


class PredictionLog:
    """Writes and finds the files of the log.

    Parameters
    ----------
    place
        Where it is: a folder, an address of fsspec, or the store itself.
    owner
        Who writes here: letters and digits.
    """

    def __init__(self, place: Place | Store, *, owner: str) -> None:
        self.store = open_store(place) if isinstance(place, str | Path) else place
        self.owner = owner
        # In whose name manifests are written: who has the spool, counted from the first.
        self._term = 0
        self._begun: set[str] = set()
        self._logger = get_logger(__name__)

    @property
    def address(self) -> str:
        """Where it is, as DuckDB names it."""
        return str(self.store.place("")).rstrip("/")

    @property
    def filesystem(self) -> AbstractFileSystem | None:
        """By what the addresses of ``files`` are opened; nothing where they are paths."""
        return self.store.filesystem

    def begin(self, term: int) -> None:
        """Write manifests from now on in the name of another term.

        A store elsewhere may carry out what a worker asked for that was killed meanwhile. Under a
        name of its own that is of a term that is over, and counts no longer. A folder has no such
        requests under way, and one name.

        Parameters
        ----------
        term
            Higher than that of any worker that has had the spool before.
        """
        if self.filesystem is not None:
            self._term = term
            self._begun.clear()

    def _manifests(self, pattern: str) -> list[str]:
        """Give the keys of manifests that count: of each the one of the latest term."""
        latest: dict[str, tuple[int, str]] = {}
        for key in self.store.keys(pattern):
            name, _, term = key.removesuffix(SUFFIX).partition(_TERM)
            latest[name] = max(latest.get(name, (-1, "")), (int(term or 0), key))
        return sorted(key for _, key in latest.values())

    def _own(self, model: str, month: str) -> list[str]:
        """Give the keys of this owner's manifests of a model and month, of every term."""
        name = f"{model}/{month}.{self.owner}"
        found = self.store.keys(f"{name}*{SUFFIX}")
        return [key for key in found if key.removesuffix(SUFFIX).partition(_TERM)[0] == name]

    def manifest(self, model: str, month: str) -> Manifest:
        """Read the manifest of a model and month."""
        if not self._term:
            return read_manifest(self.store, f"{model}/{month}.{self.owner}{SUFFIX}")
        own = set(self._own(model, month))
        for key in self._manifests(f"{model}/{month}.*{SUFFIX}"):
            if key in own:
                return read_manifest(self.store, key)
        return Manifest()

    def commit(self, model: str, month: str, manifest: Manifest) -> None:
        """Make the files of a manifest those of the log."""
        name = f"{model}/{month}.{self.owner}"
        key = f"{name}{_TERM}{self._term:012}{SUFFIX}" if self._term else f"{name}{SUFFIX}"
        write_manifest(self.store, key, manifest)
        if self._term and key not in self._begun:
            for old in self._own(model, month):
                if old < key:
                    self.store.delete(old)
            self._begun.add(key)

    def months(self, model: str) -> list[str]:
        """Name the months of which this owner has written, the earliest first."""
        found = self.store.keys(f"{model}/*.{self.owner}*{SUFFIX}")
        return sorted({_month(key) for key in found if _owner(key) == self.owner})

    def models(self) -> list[str]:
        """Name what the log has folders of: models, and refusals."""
        return sorted({key.partition("/")[0] for key in self.store.keys(f"*/*{SUFFIX}")})

    def owners(self) -> list[str]:
        """Name the workers that have written here."""
        return sorted({_owner(key) for key in self.store.keys(f"*/*{SUFFIX}")})

    def key(self, model: str, file: LogFile) -> str:
        """Give the key of a file."""
        return f"{model}/{file.day}/{file.name}"

    def files(
        self, model: str, *, since: date | None = None, until: date | None = None
    ) -> list[tuple[Place, LogFile]]:
        """Give the files of a model, of all owners, the earliest first.

        Parameters
        ----------
        model
            Its name.
        since, until
            First and last day that is wanted.
        """
        keys = [
            key
            for key in self._manifests(f"{model}/*{SUFFIX}")
            if (since is None or _month(key) >= month_of(since))
            and (until is None or _month(key) <= month_of(until))
        ]
        found = [
            (self.store.place(self.key(model, file)), file)
            for manifest in read_manifests(self.store, keys).values()
            for file in manifest.files
            if (since is None or file.day >= since) and (until is None or file.day <= until)
        ]
        return sorted(found, key=lambda one: (one[1].first_at, one[1].name))

    def read(
        self, model: str, file: LogFile, *, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read a file; nothing when it cannot be read, and then it is put aside.

        Parameters
        ----------
        model
            Its name.
        file
            One of its files.
        columns
            Those that are wanted, as far as the file has them; all without it.

        Raises
        ------
        OSError
            The disk failed.
        """
        key = self.key(model, file)
        reason = "it is not there"
        with suppress(FileNotFoundError):
            # Whatever else fails here is a fault of the store, and no damage of the file.
            source = self.store.source(key)
            try:
                with pq.ParquetFile(source, page_checksum_verification=True) as opened:
                    if _has_its_columns(opened.schema_arrow, model, file):
                        return opened.read(columns=None if columns is None else list(columns))
                reason = "its columns are others"
            except (OSError, ValueError, pa.ArrowException) as error:
                if not is_damage(error):
                    raise
                reason = str(error)[:200]
        self._logger.error("log_file_damaged", path=str(self.store.place(key)), reason=reason)
        self.store.move(key, f"{QUARANTINE}/{model}-{file.day}-{file.name}")
        return None

    def write(self, model: str, table: pa.Table) -> list[LogFile]:
        """Write rows, those that belong together into a file; no manifest names them yet.

        Parameters
        ----------
        model
            Its name.
        table
            Rows with a column ``at``.
        """
        return [self.write_part(model, day, part) for day, part in parted(table)]

    def write_part(self, model: str, day: date, table: pa.Table) -> LogFile:
        """Write rows into one file; no manifest names it yet.

        Parameters
        ----------
        model
            Its name.
        day
            Under which it lies, as ``services.history.partition`` says.
        table
            Rows with a column ``at``, at least one.
        """
        has_ids = ID in table.column_names
        table = in_order(table)
        name = f"{uuid4()}-{self.owner}.parquet"
        size = self.store.write(f"{model}/{day}/{name}", lambda file: _write_parquet(table, file))
        ids = table.column(ID) if has_ids else None
        first_at, last_at = span_of(table.column("at"))
        abouts = span_of(about(table)) if OUTCOME_OF in table.column_names else (None, None)
        return LogFile(
            name=name,
            day=day,
            rows=table.num_rows,
            size_bytes=size,
            first_at=first_at,
            last_at=last_at,
            first_id=ids[0].as_py().hex() if ids is not None else None,
            last_id=ids[-1].as_py().hex() if ids is not None else None,
            first_about=abouts[0],
            last_about=abouts[1],
        )

    def sweep(self, *, older_s: float) -> int:
        """Delete files that no manifest names: what a crash left behind; say how many.

        Parameters
        ----------
        older_s
            Younger files of others stay: another worker may be about to name them.
        """
        left = self._unnamed()
        if self._term:
            # A manifest of an earlier term that names one may yet come: it must count no longer.
            for model, day in {tuple(key.split("/")[:2]) for key in left if self._is_own(key)}:
                self.commit(model, day[:7], self.manifest(model, day[:7]))
            left &= self._unnamed()
        due = [key for key in left if self._is_own(key) or self.store.age_s(key) > older_s]
        for key in due:
            self.store.delete(key)
        return len(due)

    def _is_own(self, key: str) -> bool:
        return f"-{self.owner}.parquet" in key

    def _unnamed(self) -> set[str]:
        """Give the files of which no manifest knows."""
        # Listed first: a file that is named meanwhile must not seem to be named by none.
        keys = self.store.keys("*/*/*.parquet*")
        known = {model: self._known(model) for model in {key.partition("/")[0] for key in keys}}
        # A draft has more after its name.
        return {key for key in keys if _name_of(key) not in known[key.partition("/")[0]]}

    def _known(self, model: str) -> set[str]:
        """Give the names of files that are in the log, or were replaced a moment ago."""
        known = {file.name for _, file in self.files(model)}
        for month in self.months(model):
            known |= {_name_of(one.path) for one in self.manifest(model, month).retired}
        return known


def _name_of(key: str) -> str:
    return key.rpartition("/")[2]


def _owner(key: str) -> str:
    """Give who wrote a manifest."""
    return _name_of(key).removesuffix(SUFFIX).partition(_TERM)[0].partition(".")[2]


def _month(key: str) -> str:
    """Give the month of a manifest."""
    return _name_of(key).partition(".")[0]


def is_damage(error: Exception) -> bool:
    """Say whether a file is to blame for an error of Arrow, and not the disk, or want of memory."""
    # Arrow tells of damage by errors without a number.
    is_of_disk = getattr(error, "errno", None) not in {None, ENOENT}
    return not (is_of_disk or isinstance(error, MemoryError))


def _has_its_columns(schema: pa.Schema, model: str, file: LogFile) -> bool:
    """Say whether a file has what its rows are found by: no checksum is over their names."""
    needed = ["at"]
    if file.first_id is not None:
        needed += [ID, _ENTITY]
    elif model.endswith(OUTCOMES_OF):
        needed += [OUTCOME_OF, _ENTITY]
    types = dict(zip(schema.names, schema.types, strict=True))
    return all(types.get(name) == _TYPES[name] for name in needed)


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=3,
        row_group_size=ROWS_A_GROUP,
        write_page_index=True,
        write_page_checksum=True,
        **_packing(table, floats),
    )


def _packing(table: pa.Table, floats: list[str]) -> dict[str, Any]:
    """Choose how columns are packed: by a dictionary where values come again, else by bytes."""
    apart = [name for name in floats if not _comes_again(table.column(name))]
    plain = {*apart, ID, OUTCOME_OF}
    return {
        "use_dictionary": [name for name in table.column_names if name not in plain],
        "use_byte_stream_split": apart,
    }


def _comes_again(column: pa.ChunkedArray) -> bool:
    """Say whether a sample of a column holds the same values again and again."""
    sample = column.slice(0, ROWS_A_GROUP)
    return bool(4 * pc.count_distinct(sample).as_py() < len(sample))
