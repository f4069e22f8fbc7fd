"""What can go wrong with `septet up` itself; the rest of the tree stands in `core.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cli.exits import Exit
from cli.processes import Ended
from core.errors import SeptetError


class ProgramDied(SeptetError):
    """A program of `septet up` ended by itself.

    Parameters
    ----------
    ended
        Which, and how.
    """

    title = "A program ended by itself"
    exit = Exit.PROGRAM_DIED

    def __init__(self, ended: Ended) -> None:
        super().__init__(
            f"The {ended.program.name} {ended.reason}; the others were stopped. The end of its "
            f"log, {ended.program.log}:\n\n{ended.last_lines()}\n\n`septet doctor` looks for the "
            "usual causes."
        )


class NeverReady(SeptetError):
    """A program runs, but does not become ready.

    Parameters
    ----------
    seconds
        How long it was waited for.
    log
        Its log.
    program
        What a person calls it.
    """

    title = "A program does not become ready"
    exit = Exit.PROGRAM_DIED

    def __init__(self, seconds: float, log: Path, *, program: str = "platform") -> None:
        super().__init__(
            f"The {program} was started {seconds:.0f} seconds ago and /readyz is still not 200. "
            f"Its log, {log}, says why; `septet doctor` checks the releases."
        )


class NothingTrained(SeptetError):
    """No model could be trained, so there is nothing to serve.

    Parameters
    ----------
    reasons
        Model and reason.
    """

    title = "No model could be trained"
    exit = Exit.TRAINING_REFUSED

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = "\n".join(f"{model}: {reason}" for model, reason in reasons.items())
        super().__init__(f"{listed}\n\nMend this, and run `septet up` again.")


class AlreadyUp(SeptetError):
    """Another `septet up` works on the same folder.

    Parameters
    ----------
    home
        The folder.
    """

    title = "Septet is up already"
    exit = Exit.PORT_IN_USE

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"Another `septet up` runs on {home}. Use that one, stop it, or choose another folder: "
            "SEPTET_HOME=/path/to/folder."
        )


class GateClosed(SeptetError):
    """A first model was trained, but does not reach the floors of its config.

    Parameters
    ----------
    model
        Name of the model.
    reason
        What the gate said.
    """

    title = "The gate did not let the model pass"
    exit = Exit.KEPT_CHAMPION

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"{model} was trained, but the gate did not let it pass: {reason}. Its run in MLflow "
            f"shows more; give it better data, or change the gate in configs/models/{model}.yaml."
        )
