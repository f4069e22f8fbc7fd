"""The file in which the jobs stand, where they stand in SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.database import BUSY_SECONDS

_SQLITE = "sqlite:///"


@dataclass
class JobsFile:
    """A file of SQLite.

    Parameters
    ----------
    path
        Where it lies.
    """

    path: Path
    _is_scrubbed: bool = True

    @classmethod
    def of(cls, address: str) -> Self | None:
        """Give the file behind an address; nothing where it is none."""
        return cls(Path(address.removeprefix(_SQLITE))) if address.startswith(_SQLITE) else None

    def make(self) -> None:
        """Make it, for its user alone, and such that readers and the one writer do not wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as database:
            # It stays with the file.
            database.execute("PRAGMA journal_mode=WAL")

    def scrub(self, *, anew: bool) -> None:
        """Let nothing stand in the file, or beside it, of what was deleted.

        Parameters
        ----------
        anew
            Whether anything was deleted; else only what failed before is done.
        """
        self._is_scrubbed = self._is_scrubbed and not anew
        if self._is_scrubbed:
            return
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as database:
            database.execute("VACUUM")
            [[is_busy, *_]] = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._is_scrubbed = not is_busy
