"""How a training run tells what it is doing."""

from __future__ import annotations

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
