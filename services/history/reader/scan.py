"""Which files a question has to read, and which columns they have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.logs import get_logger
from services.history.decoding import OUTCOMES, OUTCOMES_OF, REFUSALS, REFUSED
from services.history.lineage import Descriptions, releases_in
from services.history.log import PredictionLog, is_damage
from services.history.manifest import LogFile
from services.history.partition import ANY_TIME, utc_day
from services.history.predicted import FACTS, INPUT, RESULT
from services.history.store import Place

Hashed = Callable[[str], str]
# From when until when, or without end.
Period = tuple[datetime, datetime | None]
_MOST_FOOTERS = 20_000
# A backfill, or a clock that was set back, may put a row a little beside its day.
_MARGIN = timedelta(hours=1)
_OF_OUTCOMES, _OF_REFUSALS = frozenset(OUTCOMES.names), frozenset(REFUSALS.names)
# The first versions had no others.
_OF_PREDICTIONS = frozenset(FACTS.names) - {"as_of_offset_minutes", "masked"}
# What a description of a release names, and how its columns begin.
PARTS = {"inputs": INPUT, "result": RESULT}
_SQL = {"double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}
# A text that a bit was flipped in may be no UTF-8 any more, or no JSON.
_DAMAGE = (OSError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class Scan:
    """Files of one place of the log.

    Parameters
    ----------
    place
        Model, or another folder of the log.
    files
        Their addresses, the earliest first.
    facts
        What the manifests say of each.
    types
        Type of each column that any of them has.
    releases
        Who answered, by version.
    is_even
        Whether all have the same columns.
    left_out
        Files that could not be read.
    hashed
        How a text is written where ``history.masks`` hashes its column; nothing without a secret.
    mixed
        Columns that changed their kind, as from numbers to text.
    each
        Type of each column, by file.
    """

    place: str
    files: tuple[str, ...]
    facts: tuple[LogFile, ...]
    types: Mapping[str, pa.DataType]
    releases: Descriptions
    is_even: bool
    left_out: int = 0
    hashed: Hashed | None = None
    mixed: frozenset[str] = frozenset()
    each: tuple[Mapping[str, pa.DataType], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the answer must know: files that could not be read."""
        return (_note(self.left_out),) if self.left_out else ()

    def written(self, text: str) -> str:
        """Give a text as the log has it where its column is masked; as it is without masks."""
        return text if self.hashed is None else self.hashed(text)

    @property
    def source(self) -> str:
        """The files as SQL reads them; they are the parameter ``files``."""
        if self.is_even:
            return "read_parquet($files, hive_partitioning = false)"
        read = "read_parquet($files, hive_partitioning = false, union_by_name = true)"
        known = set().union(*self.each)
        # Of some files alone: others of the same scan have more columns.
        lacking = [
            f'NULL::{_SQL.get(str(kind), "VARCHAR")} AS "{name}"'
            for name, kind in self.types.items()
            if name not in known
        ]
        return f"(SELECT *, {', '.join(lacking)} FROM {read})" if lacking else read

    def among(self, wanted: Sequence[int]) -> Scan:
        """Give some of its files alone, by their places."""
        return replace(
            self,
            files=tuple(self.files[i] for i in wanted),
            facts=tuple(self.facts[i] for i in wanted),
            each=tuple(self.each[i] for i in wanted),
        )


@dataclass(frozen=True)
class _Footer:
    """What stands at the end of a file."""

    types: Mapping[str, pa.DataType]
    releases: Descriptions


@dataclass
class Scanner:
    """Finds files; remembers their footers, because a file never changes.

    Parameters
    ----------
    log
        The log.
    hashed
        As in ``Scan``.
    """

    log: PredictionLog
    hashed: Hashed | None = None
    _footers: OrderedDict[str, _Footer] = field(default_factory=OrderedDict)
    # What each looked like when it could not be read: one that was put right may be read again.
    _damaged: dict[str, object] = field(default_factory=dict)

    def scan(
        self,
        place: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        holding: str | None = None,
        about: Sequence[Period] = (),
    ) -> Scan:
        """Give the files that may hold rows of a time.

        Parameters
        ----------
        place
            Model, or another folder of the log.
        since, until
            Both ends; all there is without them.
        holding
            A prediction id in hex that the files may hold.
        about
            Periods, one of which the outcomes are about that the files may hold; all without.
        """
        found = self._within(place, since, until)
        files: list[str] = []
        facts: list[LogFile] = []
        footers: list[_Footer] = []
        left_out = 0
        for path, fact in found:
            if (since and fact.last_at < since) or (until and fact.first_at > until):
                continue
            if holding and not (fact.first_id or "") <= holding <= (fact.last_id or ""):
                continue
            if about and not _is_about(fact, about):
                continue
            footer = self._footer(str(path), place)
            if footer is None:
                left_out += 1
                continue
            files.append(str(path))
            facts.append(fact)
            footers.append(footer)
        types: dict[str, pa.DataType] = {}
        releases: Descriptions = {}
        for footer in footers:
            types |= footer.types
            releases |= footer.releases
        is_even = all(footer.types == footers[0].types for footer in footers)
        mixed = frozenset() if is_even else _mixed(footers)
        each = tuple(footer.types for footer in footers)
        return Scan(
            place,
            tuple(files),
            tuple(facts),
            types,
            releases,
            is_even,
            left_out,
            self.hashed,
            mixed,
            each,
        )

    def _within(
        self, place: str, since: datetime | None, until: datetime | None
    ) -> list[tuple[Place, LogFile]]:
        """Give the files of the days of a period; all of outcomes, which do not lie by day."""
        if place.endswith(OUTCOMES_OF):
            return self.log.files(place)
        return self.log.files(
            place,
            since=None if since is None else utc_day(since - _MARGIN),
            until=None if until is None else utc_day(until + _MARGIN),
        )

    def leave_out(self, scan: Scan, reads: Callable[[str], bool]) -> bool:
        """Look which files of a scan cannot be read, and leave them out from now on.

        Parameters
        ----------
        scan
            Whose files.
        reads
            Says whether what asked can read a file: it may stumble where we do not.

        Returns
        -------
        bool
            Whether there was one: then the question may be asked again.
        """
        broken = []
        for path in scan.files:
            # Before it is read: it may be put right meanwhile.
            look = self._look(path)
            if not (self._reads(path) and reads(path)):
                get_logger(__name__).error("log_file_unreadable", path=path)
                self._damaged[path] = look
                broken.append(path)
        # A file that is gone was forgotten, and is looked for once more.
        return bool(broken) or any(path not in self._footers for path in scan.files)

    def _footer(self, path: str, place: str) -> _Footer | None:
        """Read the footer of a file; nothing when it cannot be."""
        if path in self._damaged:
            if self._damaged.get(path) == self._look(path):
                return None
            self._damaged.pop(path, None)
            self._footers.pop(path, None)
        known = self._footers.get(path)
        if known is not None:
            self._footers.move_to_end(path)
            return known
        try:
            with self._opened(path) as file:
                schema = pq.read_schema(file)
            footer = _Footer({one.name: one.type for one in schema}, releases_in(schema))
            # No checksum is over the footer itself: a name in it may be damaged too.
            if not _is_whole(footer, place):
                raise ValueError("it lacks columns")
        except FileNotFoundError:
            if all(str(one) != path for one, _ in self.log.files(place)):
                # Put together with others since the manifest was read: the caller reads it again.
                raise
            get_logger(__name__).error("log_file_gone", path=path)
            return None
        except _DAMAGE as error:
            if is_damage(error):
                self._damaged[path] = self._look(path)
            get_logger(__name__).error("log_file_unreadable", path=path)
            return None
        self._footers[path] = footer
        if len(self._footers) > _MOST_FOOTERS:
            self._footers.popitem(last=False)
        return footer

    def _opened(self, path: str) -> Any:
        """Open a file of the log."""
        filesystem = self.log.filesystem
        return open(path, "rb") if filesystem is None else filesystem.open(path)  # noqa: PTH123 - the caller closes it

    def _look(self, path: str) -> object:
        """Give what changes when a file is written again, be it as large and as old as before."""
        filesystem = self.log.filesystem
        try:
            if filesystem is not None:
                return filesystem.info(path)
            found = Path(path).stat()
        except OSError as error:
            return type(error).__name__
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino

    def _reads(self, path: str) -> bool:
        """Say whether a file can be read to its end; one that is gone is no damage."""
        try:
            with self._opened(path) as file:
                pq.ParquetFile(file, page_checksum_verification=True).read()
        except FileNotFoundError:
            self._footers.pop(path, None)
            return True
        except _DAMAGE as error:
            return not is_damage(error)
        return True


def _is_whole(footer: _Footer, place: str) -> bool:
    """Say whether a footer names all columns that a file of its place and its releases has."""
    needed = _OF_REFUSALS if place == REFUSED else _OF_PREDICTIONS
    if place.endswith(OUTCOMES_OF):
        needed = _OF_OUTCOMES
    for description in footer.releases.values():
        if not description.keys() >= PARTS.keys():
            return False
        needed |= {prefix + name for part, prefix in PARTS.items() for name in description[part]}
    return footer.types.keys() >= needed


def _is_about(fact: LogFile, periods: Sequence[Period]) -> bool:
    """Say whether a file may hold outcomes about one of some periods."""
    first, last = fact.first_about, fact.last_about
    if first is None or last is None or first <= ANY_TIME:
        return True
    return any(last >= since and (until is None or first <= until) for since, until in periods)


def _mixed(footers: Sequence[_Footer]) -> frozenset[str]:
    """Name the columns that are numbers in one file and something else in another."""
    found: dict[str, set[str]] = {}
    for footer in footers:
        for name, kind in footer.types.items():
            is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            found.setdefault(name, set()).add("number" if is_number else str(kind))
    return frozenset(name for name, kinds in found.items() if len(kinds) > 1)


def _note(left_out: int) -> str:
    if left_out == 1:
        return "1 file of the log could not be read and is left out; the historian's log names it."
    return (
        f"{left_out} files of the log could not be read and are left out; the historian's log "
        "names them."
    )


def kind_of(releases: Mapping[str, Mapping[str, Any]], column: str) -> str | None:
    """Give the kind of a column as the releases describe it, the latest first.

    Parameters
    ----------
    releases
        By version.
    column
        ``input_…`` or ``result_…``.
    """
    part, _, name = column.partition("_")
    for description in reversed(list(releases.values())):
        kinds = description["inputs" if part == "input" else "result"]
        if name in kinds:
            return str(kinds[name])
    return None
