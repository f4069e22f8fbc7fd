"""Which files make up the log: one manifest for each model and month, replaced whole.

Nobody lists folders: a file counts once a manifest names it, and no longer once it does not. What a
crash leaves behind is named by none, and is swept up. So a name in a manifest must not change
unnoticed: a checksum is over all of it.

What a later version adds to a file of the log is passed over, and lost when this version writes the
file anew. Where that must not be, the later version counts ``FORMAT`` up, and this one refuses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from zlib import crc32

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.errors import SeptetError
from core.history_faults import LogOfLaterVersion
from services.history.store import Place, Store

SUFFIX = ".manifest.json"
FORMAT = 1
_CHECKSUM = re.compile(rb',"checksum":"([0-9a-f]{8})"}\Z')


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Stamp(_Frozen):
    # Nothing in files that were written before there were formats.
    format: int = Field(default=0, ge=0)


class LogFile(_Frozen):
    """One Parquet file of the log."""

    name: str = Field(pattern=r"^[0-9A-Za-z-]+\.parquet$")
    day: date
    rows: int = Field(ge=1)
    size_bytes: int = Field(ge=1)
    first_at: AwareDatetime
    last_at: AwareDatetime
    # Prediction ids, in hex: they begin with their time. Nothing where rows have none.
    first_id: str | None
    last_id: str | None
    # Of outcomes: what they are about, as `services.history.partition.about` has it.
    first_about: AwareDatetime | None = None
    last_about: AwareDatetime | None = None


class Retired(_Frozen):
    """A file that was replaced, and is deleted once nobody can still be reading it."""

    path: str
    at: AwareDatetime


class Manifest(_Frozen):
    """The files of one model and month.

    ``moved`` names the segments whose rows are in them already: those that a crash kept from being
    deleted.
    """

    files: tuple[LogFile, ...] = ()
    moved: frozenset[str] = frozenset()
    retired: tuple[Retired, ...] = ()


class ManifestCorrupt(SeptetError):
    """A manifest of the log cannot be understood.

    Parameters
    ----------
    path
        Where it stands.
    """

    title = "The prediction log is damaged"

    def __init__(self, path: Place) -> None:
        super().__init__(
            f"{path} is not what the worker wrote; the files beside it are untouched. Stop the "
            "worker, copy those files elsewhere, and put it back from a backup: files that the "
            "backup does not name yet are deleted when the worker starts."
        )


class NewerFormat(ValueError):
    """A file of the log is of a format that this version does not know.

    Parameters
    ----------
    found
        The format, later than ``FORMAT``.
    """

    def __init__(self, found: int) -> None:
        super().__init__(f"format {found}")
        self.format = found


def month_of(day: date) -> str:
    """Name the month of a day, as manifests are named."""
    return f"{day:%Y-%m}"


def read_manifest(store: Store, key: str) -> Manifest:
    """Read a manifest; an empty one when there is none yet.

    Parameters
    ----------
    store
        Where the log lies.
    key
        Where in it the manifest stands.

    Raises
    ------
    ManifestCorrupt
        It was not written by us, or is damaged.
    LogOfLaterVersion
        A later version wrote it.
    """
    return next(iter(read_manifests(store, [key]).values()), Manifest())


def read_manifests(store: Store, keys: Sequence[str]) -> dict[str, Manifest]:
    """Read the manifests that are there, by key.

    Parameters
    ----------
    store
        Where the log lies.
    keys
        Where in it they stand.

    Raises
    ------
    ManifestCorrupt
        One was not written by us, or is damaged.
    LogOfLaterVersion
        A later version wrote one.
    """
    found = {}
    for key, content in store.read_all(keys).items():
        try:
            found[key] = _parsed(content)
        except NewerFormat as newer:
            raise LogOfLaterVersion(str(store.place(key)), newer.format, FORMAT) from newer
        except ValueError as error:
            raise ManifestCorrupt(store.place(key)) from error
    return found


# The same bytes are the same manifest, and need no other look at their checksum: every question
# reads those of its months.
@lru_cache(maxsize=256)
def _parsed(content: bytes) -> Manifest:
    seal = _CHECKSUM.search(content)
    if seal is not None and crc32(content[: seal.start()]) != int(seal[1], 16):
        raise ValueError("its checksum is of other bytes")
    if format_of(content) and seal is None:
        raise ValueError("it has no checksum")
    return Manifest.model_validate_json(content)


def write_manifest(store: Store, key: str, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, in one step."""
    body = stamped(manifest.model_dump_json().encode())[:-1]
    content = b'%b,"checksum":"%08x"}' % (body, crc32(body))
    store.write(key, lambda file: file.write(content))


def stamped(content: bytes) -> bytes:
    """Put the format before all else that a JSON object of the log says, which is something."""
    return b'{"format":%d,%b' % (FORMAT, content[1:])


def format_of(content: bytes) -> int:
    """Give the format of a JSON object of the log; 0 of one that says none.

    Parameters
    ----------
    content
        As it stands in the log.

    Raises
    ------
    NewerFormat
        It is none that this version reads.
    ValueError
        It is no JSON object.
    """
    found = _Stamp.model_validate_json(content).format
    if found > FORMAT:
        raise NewerFormat(found)
    return found
