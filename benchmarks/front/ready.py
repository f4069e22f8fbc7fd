"""How a server is started, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.front.model import Bench


@dataclass(frozen=True)
class Ready:
    """A server that can be started.

    Parameters
    ----------
    command
        What to run; ``{port}`` stands for the port.
    environment
        Its variables; ``{port}`` stands for the port there too.
    key
        Sent as ``X-API-Key``, if it wants one.
    """

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    key: str | None = None

    def at(self, port: int) -> tuple[list[str], dict[str, str]]:
        """Give the command and the variables for a port."""
        command = [part.replace("{port}", str(port)) for part in self.command]
        variables = {k: v.replace("{port}", str(port)) for k, v in self.environment.items()}
        return command, variables


def plain(bench: Bench) -> dict[str, str]:
    """Give what every server gets: the model's file, and one thread for its mathematics."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {"BOOSTER": str(bench.booster_file), **dict.fromkeys(threads, "1")}


def bentoml_home(folder: Path) -> dict[str, str]:
    """Give a BentoML its own folder, and leave its makers in peace."""
    return {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
