"""What the platform's pages ask of the champions, wherever these are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bentos.holder import Refusal
    from bentos.release import ReleaseFacts


class Champions(Protocol):
    """The champions of all models: ``bentos.holder.Holder`` here, ``RemoteHolder`` elsewhere."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        ...

    @property
    def versions(self) -> tuple[tuple[str, str, str], ...]:
        """Model, version and manifest of all that is known: changes with any switch."""
        ...

    def champion(self, model: str) -> ReleaseFacts:
        """Give the release that answers now.

        Raises
        ------
        NoChampion
            There is none.
        ModelUnreachable
            Its bento does not answer.
        """
        ...

    def find(self, model: str) -> ReleaseFacts | None:
        """Give the release that answers now, or answered last, if there is one."""
        ...

    def is_serving(self, model: str) -> bool:
        """Whether a model answers."""
        ...

    def refusal(self, model: str) -> Refusal | None:
        """Give the last release that was not taken, until another one is."""
        ...

    def stop(self) -> None:
        """Stop following."""
        ...
