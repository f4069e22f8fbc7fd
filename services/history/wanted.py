"""Which rows of the log are about an entity that is to be erased."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from services.history.partition import OUTCOME_OF

# From the SHA-256 of an entity to what the log has in its place, where its column is masked.
Conceal = Callable[[str], str]


class Asked(Protocol):
    """What is known of an erasure."""

    @property
    def entity_sha256(self) -> str:
        """The entity, as its SHA-256 in hex."""

    @property
    def asked_us(self) -> int:
        """When it was asked, in microseconds since 1970."""

    @property
    def predictions(self) -> tuple[str, ...]:
        """Ids of the entity's predictions, in hex, as far as they are known."""


class Wanted:
    """Finds the rows of some erasures in a table.

    Parameters
    ----------
    erasures
        Whose rows are wanted: those that are not later than the erasure.
    conceal
        How the log writes an entity whose column is masked; nothing where none ever was.
    links
        Columns that may name an entity beside the one that the row is about.
    """

    def __init__(
        self, erasures: Iterable[Asked], conceal: Conceal | None, links: Collection[str] = ()
    ) -> None:
        self._erasures = tuple(erasures)
        self._columns = ("entity", *links)
        self._until: dict[str, int] = {}
        for erasure in self._erasures:
            names = [erasure.entity_sha256]
            names += [conceal(erasure.entity_sha256)] if conceal else []
            for name in names:
                self._until[name] = max(self._until.get(name, 0), erasure.asked_us)
        self._is_masked = conceal is not None
        self.latest_us = max(self._until.values(), default=0)

    def __bool__(self) -> bool:
        """Say whether anything is wanted."""
        return bool(self._until)

    def rows(self, table: pa.Table, ids: Collection[bytes] = ()) -> pa.ChunkedArray | None:
        """Say of each row whether it is wanted; nothing when none is.

        Parameters
        ----------
        table
            With the columns ``entity`` and ``at``, or without both; links where it has some.
        ids
            Predictions; what happened after them is wanted too, whenever it was told. After those
            that the erasures name it is wanted as far as it was told before they were asked.
        """
        found = [
            self._by_name(table, column)
            for column in self._columns
            if column in table.column_names and pa.types.is_string(table.schema.field(column).type)
        ]
        if OUTCOME_OF in table.column_names:
            found.append(self._by_id(table))
            if ids:
                values = pa.array(list(ids), pa.binary(16))
                found.append(pc.is_in(table.column(OUTCOME_OF), value_set=values))
        wanted = None
        for one in found:
            if one is not None:
                wanted = one if wanted is None else pc.or_(wanted, one)
        return wanted if wanted is not None and pc.any(wanted).as_py() else None

    def _by_name(self, table: pa.Table, column: str) -> pa.ChunkedArray | None:
        until = {
            entity: at_us
            for entity in pc.unique(table.column(column)).drop_null().to_pylist()
            if (at_us := self.until_us(entity)) is not None
        }
        if not until:
            return None
        values = pa.array(list(until), pa.string())
        return _until(table, column, values, pa.array(until.values(), pa.int64()))

    def _by_id(self, table: pa.Table) -> pa.ChunkedArray | None:
        values, limits = self._ids
        return _until(table, OUTCOME_OF, values, limits) if len(values) else None

    @cached_property
    def _ids(self) -> tuple[pa.Array, pa.Array]:
        """The predictions that the erasures name, and until when: outcomes alone ask for them."""
        until: dict[bytes, int] = {}
        for erasure in self._erasures:
            for one in map(bytes.fromhex, erasure.predictions):
                until[one] = max(until.get(one, 0), erasure.asked_us)
        return pa.array(list(until), pa.binary(16)), pa.array(until.values(), pa.int64())

    def until_us(self, entity: str) -> int | None:
        """Give until when an entity is erased, in microseconds since 1970; nothing for others."""
        found = self._until.get(digest_of(entity))
        if found is None and self._is_masked:
            found = self._until.get(entity)
        return found


def _until(table: pa.Table, column: str, values: pa.Array, limits_us: pa.Array) -> pa.ChunkedArray:
    """Say of each row whether it has one of some values, and is not later than that one's time."""
    at = table.column("at")
    places = pc.index_in(table.column(column), value_set=values)
    limits = pc.take(limits_us.cast(at.type), places)
    return pc.fill_null(pc.less_equal(at, limits), fill_value=False)


def digest_of(entity: str) -> str:
    """Give the name by which an entity is known when it is erased: its SHA-256, in hex."""
    return sha256(entity.encode()).hexdigest()
