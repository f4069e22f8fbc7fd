"""What the platform shows the historian, which answers nobody else."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from core.settings import Settings

NAME = "historian.token"
_BYTES = 32


def history_token(settings: Settings) -> str:
    """Give the token of this installation; it is made when there is none yet.

    Parameters
    ----------
    settings
        Its place, or the token itself.

    Raises
    ------
    OSError
        There is none, and the disk has no room for one.
    """
    if settings.history_token is not None:
        return settings.history_token.get_secret_value()
    path = settings.home / NAME
    # Looked for first: the platform asks for it with every question, also on a full disk.
    if not path.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        # Another process may have been first.
        with suppress(FileExistsError):
            _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """Make the token; whoever finds the file finds it whole."""
    draft = path.with_name(f".{NAME}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
