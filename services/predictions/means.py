"""What the desks of all models work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.access.limits import Limiter
    from services.metrics import Metrics
    from services.predictions.crew import Crew
    from services.predictions.journal import Journal


@dataclass(frozen=True, slots=True)
class Means:
    """Shared by all desks of a process.

    Parameters
    ----------
    metrics
        Counts what is answered.
    limiter
        Counts what each caller asks.
    crew
        Computes what takes long.
    journal
        Writes down what is predicted.
    json_depth
        Most lists and objects inside each other in a body.
    """

    metrics: Metrics
    limiter: Limiter
    crew: Crew
    journal: Journal
    json_depth: int
