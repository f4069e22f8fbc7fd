"""Processes that are killed at a chosen call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_DISK = (os, ("rename", "replace", "unlink", "fsync", "mkdir"))
Calls = Sequence[tuple[Any, Sequence[str]]]


@contextmanager
def counted(number: int, calls: Calls = ()) -> Iterator[None]:
    """Kill this process at its n-th call that changes the disk, or that is named."""
    left = number

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return original(*given, **options)

        return call

    for owner, names in (_DISK, *calls):
        for name in names:
            setattr(owner, name, wrapped(getattr(owner, name)))
    yield


def killed_at(number: int, act: Callable[[], Any], *, calls: Calls = ()) -> bool:
    """Act in another process that is killed at its n-th call; say whether it was."""
    child = os.fork()
    if not child:
        with counted(number, calls):
            act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
