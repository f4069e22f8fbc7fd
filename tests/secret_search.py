"""Looks for API keys in clear in what the tests left behind: logs, databases, anything."""

from __future__ import annotations

import re
from pathlib import Path

from services.access.secret import fault_of

_KEY = re.compile(rb"sep_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
# What a command printed for a person: the only place where a key is shown, once.
_SHOWN = re.compile(r"(^|/)shown-[^/]*$")
# The supervisor's own sockets speak no HTTP, and log what they do not understand. Only a test that
# posts to every socket there is sends a key to them.
_NOT_OURS = re.compile(rb"\[cli\] got unexpected message [^\n]*")


def secrets_in(folder: Path) -> list[tuple[Path, str]]:
    """Find every file below a folder that holds a whole, valid key.

    Parameters
    ----------
    folder
        Searched to the bottom.

    Returns
    -------
    list of path and str
        The file, and the key's public part.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not _SHOWN.search(str(path)):
            found += [(path, key[:21]) for key in _keys_in(path)]
    return found


def _keys_in(path: Path) -> list[str]:
    found = {match.decode() for match in _KEY.findall(_NOT_OURS.sub(b"", path.read_bytes()))}
    return sorted(key for key in found if fault_of(key) is None)
