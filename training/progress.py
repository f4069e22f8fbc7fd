"""How a training run tells what it is doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """Told by the pipeline; drawn by whoever runs it."""

    def stage(self, name: str, text: str) -> None:
        """Begin a stage (read, check, fit, …) and say in a few words what it does."""

    def note(self, text: str) -> None:
        """Say something worth knowing that is no failure, such as rows left out."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, text: str) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""


_CURRENT: ContextVar[Progress | None] = ContextVar("progress", default=None)
_TWENTIETHS = 20
_BAR = "━"


@contextmanager
def told_to(progress: Progress) -> Iterator[None]:
    """Let what a recipe tells go to a progress."""
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def tell_share(done: int, count: int, *, what: str) -> None:
    """Tell from within a recipe how much of a long part is done; drawn as a bar.

    Parameters
    ----------
    done, count
        How many, and of how many.
    what
        Of what, in the plural.
    """
    progress = _CURRENT.get()
    step = max(count // _TWENTIETHS, 1)
    if progress is not None and (done % step == 0 or done == count):
        full = round(_TWENTIETHS * done / max(count, 1))
        bar = _BAR * full + "·" * (_TWENTIETHS - full)
        progress.stage("fit", f"{bar} {done:,} of {count:,} {what}")


def tell_note(text: str) -> None:
    """Tell from within a recipe something worth knowing that is no failure."""
    progress = _CURRENT.get()
    if progress is not None:
        progress.note(text)
