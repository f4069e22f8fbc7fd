"""Looks for API keys in clear in what the tests left behind: logs, databases, anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from services.access.secret import fault_of

_KEY = re.compile(rb"sep_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
# Files that a person was shown a key in, by the only command that shows it.
SHOWN = re.compile(r"(^|/)shown-[^/]*$")
_BLOCK_BYTES = 1 << 22
_OVERLAP_BYTES = 128


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
        if path.is_file() and not path.is_symlink() and not SHOWN.search(str(path)):
            found += [(path, key[:21]) for key in _keys_in(path)]
    return found


def _keys_in(path: Path) -> Iterator[str]:
    seen: set[bytes] = set()
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            for match in _KEY.findall(rest + block):
                if match not in seen and fault_of(match.decode()) is None:
                    seen.add(match)
                    yield match.decode()
            rest = block[-_OVERLAP_BYTES:]
