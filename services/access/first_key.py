"""The way into an installation: its tables, the keys it had before, its first admin key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core.errors import ConfigError
from core.logs import get_logger
from core.settings import Settings
from services.access.audit import Actor, Entry, write_entries
from services.access.caller import Role
from services.access.grant import STANDARD_TIER, Grant
from services.access.ledger import KeyLedger
from services.access.secret import ID_LENGTH
from services.durable import sync_folder
from services.migration import migrate
from services.records import KEYS, KEYS_COUNTER, Records, next_revision

# Where keys were kept before there were records.
OLD_FILE = "access.json"

_KeyId = Annotated[str, Field(pattern=rf"^[0-9A-Za-z]{{{ID_LENGTH}}}$")]


class _OldKey(BaseModel):
    """What was kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _KeyId
    name: str = Field(min_length=1, max_length=80)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: AwareDatetime


class _OldFile(BaseModel):
    """What stood in ``access.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[_OldKey, ...]


def prepare_records(settings: Settings, *, by: Actor) -> Records:
    """Migrate the records, and take over the keys of an earlier version.

    Parameters
    ----------
    settings
        Where the records are.
    by
        Who does it.

    Returns
    -------
    Records
        Open; whoever asked closes it.

    Raises
    ------
    ConfigError
        The address is none, or ``access.json`` stands there and cannot be understood.
    RecordsDown
        The database does not answer.
    """
    records = Records(settings.records_url)
    migrate(records)
    import_old_keys(records, settings.home, by=by)
    return records


def create_admin_key(home: Path, *, name: str = "admin") -> str:
    """Make an admin key for the embedded records of a home folder, and give it back.

    Parameters
    ----------
    home
        The folder of everything the platform writes.
    name
        What the key is for.

    Raises
    ------
    ConfigError
        ``access.json`` stands there and cannot be understood.
    RecordsDown
        The records cannot be written.
    """
    settings = Settings(home=home, records_address=None)
    key = make_first_key(settings, anew=True, name=name)
    if key is None:
        raise RuntimeError("a key that is made anew is always made")
    return key


def make_first_key(settings: Settings, *, anew: bool = False, name: str = "admin") -> str | None:
    """Make an admin key when there is none that opens.

    Parameters
    ----------
    settings
        Where the records are; they are migrated when they are not.
    anew
        Whether to make one in any case.
    name
        What the key is for.

    Returns
    -------
    str or None
        The key, the only time it is seen; nothing when there was one.

    Raises
    ------
    ConfigError
        ``access.json`` stands there and cannot be understood.
    RecordsDown
        The records cannot be written.
    """
    by = Actor.shell()
    records = prepare_records(settings, by=by)
    try:
        ledger = KeyLedger(records)
        if ledger.has_admin() and not anew:
            return None
        return ledger.create(Grant(name=name, role=Role.ADMIN.label), by=by).key
    finally:
        records.close()


def import_old_keys(records: Records, home: Path, *, by: Actor) -> int:
    """Take over the keys of ``access.json`` once, then remove the file.

    Parameters
    ----------
    records
        The database, migrated.
    home
        The folder that may hold the file.
    by
        Who does it.

    Returns
    -------
    int
        How many keys were taken over.

    Raises
    ------
    ConfigError
        The file stands there and cannot be understood.
    RecordsDown
        The records cannot be written.
    """
    path = home / OLD_FILE
    if not path.exists():
        return 0
    old = _read(path)
    with records.writing() as connection:
        revision = next_revision(connection, KEYS_COUNTER)
        # A run that ended between the commit and the removal has written them already.
        known = set(connection.execute(sa.select(KEYS.c.id)).scalars())
        new = [key for key in old.keys if key.id not in known]
        rows = [
            {
                **key.model_dump(),
                "role": Role.ADMIN.label,
                "tier": STANDARD_TIER,
                "networks": [],
                "retiring": [],
                "created_by": by.name,
                "revision": revision,
            }
            for key in new
        ]
        if rows:
            connection.execute(sa.insert(KEYS), rows)
        entries = [Entry(by, "key.imported", key.id, detail={"name": key.name}) for key in new]
        write_entries(connection, entries)
    path.unlink()
    sync_folder(home)
    get_logger(__name__).info("old_keys_imported", keys=len(new))
    return len(new)


def _read(path: Path) -> _OldFile:
    """Read ``access.json``."""
    try:
        return _OldFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"it cannot be read ({error.strerror})", file=str(path)) from error
    except ValidationError as error:
        raise ConfigError(
            "it does not hold keys; move it away, and run `septet migrate` again", file=str(path)
        ) from error
