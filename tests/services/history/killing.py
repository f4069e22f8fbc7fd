"""Processes that are killed at a chosen call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counted(number: int) -> Iterator[None]:
    """Kill this process at its n-th call that changes the disk."""
    left = number
    names = ("rename", "replace", "unlink", "fsync", "mkdir")
    originals = {name: getattr(os, name) for name in names}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return originals[name](*given, **options)

        return call

    for name in names:
        setattr(os, name, wrapped(name))
    yield


def killed_at(number: int, act: Callable[[], Any]) -> bool:
    """Act in another process that is killed at its n-th call; say whether it was."""
    child = os.fork()
    if not child:
        with counted(number):
            act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
