"""Locks on files, which the kernel frees however their holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.faults import AlreadyUp


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold a home folder, so that no second worker or watcher works on it.

    Parameters
    ----------
    home
        Folder of everything the platform writes; made when absent.

    Raises
    ------
    AlreadyUp
        Another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyUp(home) from error
        yield


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Wait until no other process holds a file, and hold it.

    Parameters
    ----------
    path
        The file; its folder is made when absent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
