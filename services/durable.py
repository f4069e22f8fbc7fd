"""A file that is replaced whole or not at all, also when the power goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO
from uuid import uuid4

Fill = Callable[[IO[bytes]], object]


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put new content in a file's place in one step.

    Parameters
    ----------
    path
        The file; its folder is made when absent.
    content
        All of its bytes.
    mode
        Its permissions; never wider, not even for a moment.
    """
    fill_file(path, lambda file: file.write(content), mode=mode)


def fill_file(path: Path, fill: Fill, *, mode: int = 0o644) -> int:
    """Put what a function writes in a file's place in one step; say how many bytes.

    Parameters
    ----------
    path
        The file; its folder is made when absent.
    fill
        Writes all of its bytes.
    mode
        Its permissions; never wider, not even for a moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            size = os.fstat(file.fileno()).st_size
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return size


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
