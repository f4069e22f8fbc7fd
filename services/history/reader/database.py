"""DuckDB over the files of the log, locked: it reads that folder, and nothing else of the machine.

No text from outside becomes SQL: names of columns are looked up in the files, values are parameters
(DuckDB 2.0, securing: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from core import clock
from core.errors import SeptetError
from core.history_faults import HistoryTooLarge
from core.logs import get_logger
from services.history.log import PredictionLog
from services.history.reader.alarm import Alarm
from services.history.reader.naming import ColumnsOf, no_columns, with_names
from services.history.reader.scan import Hashed, Scan, Scanner

Params = Mapping[str, Any]
Found = TypeVar("Found")

# With the alarm's delay less than the platform waits (`remote.ASK_SECONDS`): who asks too much is
# told so, and not that nobody answers.
ANSWER_SECONDS = 15.0
_TRIES = 3
# The spool has to find room on the same disk.
_SPILL_MIB = 2048
_OURS = (SeptetError, duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException)


class Database:
    """Runs the questions; may be used by many threads.

    Parameters
    ----------
    log
        What is read.
    hashed
        How a text is written where its column is masked.
    memory_mib
        How much memory all questions together may take.
    threads
        How many processors they may take.
    seconds
        How long one question may take.
    spill
        Where what is too large for memory is put meanwhile, up to a bound; nowhere without.
    columns_of
        Gives what a model's config has.
    """

    def __init__(
        self,
        log: PredictionLog,
        *,
        hashed: Hashed | None = None,
        memory_mib: int = 400,
        threads: int = 2,
        seconds: float = ANSWER_SECONDS,
        spill: Path | None = None,
        columns_of: ColumnsOf = no_columns,
    ) -> None:
        self._columns_of = columns_of
        self.scanner = Scanner(log, hashed)
        self._seconds = seconds
        self._alarm = Alarm(seconds)
        self._connection = duckdb.connect(":memory:")
        if log.filesystem is not None:
            self._connection.register_filesystem(log.filesystem)
        self._idle: list[duckdb.DuckDBPyConnection] = []
        set_to = self._connection.execute
        # Else it would be a folder of where we were started, with what callers sent.
        set_to("SET temp_directory = $1", ["" if spill is None else str(spill)])
        set_to("SET allowed_directories = $1", [[f"{log.address}/"]])
        for setting in (
            # Without the word it is of this connection alone, and not of its cursors.
            "GLOBAL TimeZone = 'UTC'",
            f"memory_limit = '{memory_mib}MiB'",
            f"threads = {threads}",
            f"max_temp_directory_size = '{_SPILL_MIB}MiB'",
            "preserve_insertion_order = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            set_to(f"SET {setting}")
        # The first time that is read brings in what Arrow reads it with, which takes a second.
        self._connection.sql(
            "SELECT $at AS at", params={"at": clock.now()}
        ).to_arrow_table().to_pylist()

    def naming(self, scan: Scan) -> Scan:
        """Give what names are looked up in: a scan itself, or all of the model if it is empty.

        Parameters
        ----------
        scan
            Of predictions.
        """
        if scan.files:
            return scan
        return with_names(self.scanner.scan(scan.place), self._columns_of(scan.place))

    def close(self) -> None:
        """Let go of all."""
        self._alarm.close()
        self._connection.close()

    def table(self, sql: str, params: Params, scan: Scan) -> pa.Table:
        """Run a query over the files of a scan.

        Parameters
        ----------
        sql
            Ours; values stand in it as ``$name``.
        params
            The values; the files are added.
        scan
            What it reads.

        Raises
        ------
        HistoryTooLarge
            It took more time or memory than a question may.
        """
        with self._cursor() as cursor:
            given = {**params, "files": list(scan.files)}
            return cursor.sql(sql, params=given).to_arrow_table()

    def rows(self, sql: str, params: Params, scan: Scan) -> list[dict[str, Any]]:
        """Run a query over the files of a scan; give its rows by name."""
        with self._cursor() as cursor:
            # Not by way of Arrow, which takes longer for a few rows.
            cursor.execute(sql, {**params, "files": list(scan.files)})
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor that is interrupted when it takes too long."""
        # A new one costs a small question a twentieth of its time.
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self._connection.cursor()
        try:
            with self._alarm.over(cursor):
                yield cursor
            self._idle.append(cursor)
        except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
            raise HistoryTooLarge(self._seconds) from error

    def ask(self, question: Callable[[], Found], *scans: Callable[[], Scan]) -> Found:
        """Answer a question again when files were replaced meanwhile, or cannot be read.

        Parameters
        ----------
        question
            Scans and queries.
        scans
            What it reads, to find the file that is to blame.

        Raises
        ------
        HistoryTooLarge
            It took more time or memory than a question may.
        """
        with self.question():
            return self._ask(question, scans)

    @contextmanager
    def question(self) -> Iterator[None]:
        """Hold all that is asked meanwhile to the time of one question."""
        with self._alarm.question():
            yield

    def _ask(self, question: Callable[[], Found], scans: Sequence[Callable[[], Scan]]) -> Found:
        for number in range(_TRIES):
            try:
                return question()
            except _OURS:
                raise
            except Exception as error:
                # Whatever cells may do of which a bit was flipped; all else is raised again.
                # The first time files may have been put together since the manifest was read.
                if number == _TRIES - 1 or (number and not self._leave_out(scans)):
                    raise
                get_logger(__name__).warning("question_again", reason=str(error)[:200])
        raise AssertionError

    def _leave_out(self, scans: Sequence[Callable[[], Scan]]) -> bool:
        """Leave out what cannot be read; say whether there was anything."""
        found = [self.scanner.leave_out(scan(), self._reads) for scan in scans]
        # To find what is damaged took more than a question may, and is done once.
        self._alarm.begin_anew()
        return any(found)

    def _reads(self, path: str) -> bool:
        """Say whether DuckDB can read a file to its end, which has been read without it."""
        cursor = self._connection.cursor()
        try:
            query = "SELECT count(COLUMNS(*)) FROM read_parquet($file)"
            cursor.sql(query, params={"file": path}).fetchall()
        except duckdb.Error as error:
            return "No files found" in str(error)
        finally:
            cursor.close()
        return True
