"""Which files make up the log: one manifest for each model and month, replaced whole.

Nobody lists folders: a file counts once a manifest names it, and no longer once it does not. What a
crash leaves behind is named by none, and is swept up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core.errors import SeptetError
from services.history.store import Place, Store

SUFFIX = ".manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
            f"{path} is not what the worker wrote. Put it back from a backup; the files beside it "
            "are untouched."
        )


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
        It was not written by us.
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
        One was not written by us.
    """
    found = {}
    for key, content in store.read_all(keys).items():
        try:
            found[key] = _parsed(content)
        except ValidationError as error:
            raise ManifestCorrupt(store.place(key)) from error
    return found


# The same bytes are the same manifest: every question reads those of its months.
@lru_cache(maxsize=256)
def _parsed(content: bytes) -> Manifest:
    return Manifest.model_validate_json(content)


def write_manifest(store: Store, key: str, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, in one step."""
    content = manifest.model_dump_json().encode()
    store.write(key, lambda file: file.write(content))
