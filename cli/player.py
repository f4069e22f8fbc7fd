"""Plays the sample firm's life through a platform: asks, and tells what then happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from cli.asking import PlatformRefused
from services.predictions.backfill import NAME as BACKFILL

if TYPE_CHECKING:
    from cli.asking import Asker
    from training.demo.outcomes import Outcome
    from training.demo.play import Batch, Play

_OUTCOMES = "/api/outcomes"
_TOGETHER = 5_000
_NO_CHAMPION = "NoChampion"

Fields = dict[str, Any]


@dataclass
class Tally:
    """What was played of one model.

    Parameters
    ----------
    answered, refused
        Rows.
    told, untold
        Outcomes that were kept, and that were refused.
    left_out
        Why it does not play; nothing while it does.
    """

    answered: int = 0
    refused: int = 0
    told: int = 0
    untold: int = 0
    left_out: str | None = None


class Player:
    """Sends a play to a platform.

    Parameters
    ----------
    asker
        Asks the platform, with an admin's key.
    models
        Names of the models that play.
    """

    def __init__(self, asker: Asker, models: Sequence[str]) -> None:
        self._asker = asker
        self.tallies = {model: Tally() for model in models}
        self._to_tell: list[tuple[Outcome, Fields]] = []
        self._seen: dict[str, Counter[str]] = {}

    def play(self, play: Play, *, after_day: Callable[[], None]) -> None:
        """Ask all that is asked.

        Parameters
        ----------
        play
            What is played.
        after_day
            Called after each day.

        Raises
        ------
        PlatformDown, PlatformRefused
            The platform does not play along.
        """
        for _, batches in play.days():
            for batch in batches:
                if self.tallies[batch.model].left_out is None:
                    self._ask(batch)
            after_day()
        for model, outcome in play.of_steps():
            if self.tallies[model].left_out is None:
                self._to_tell.append((outcome, {"model": model, **outcome.content}))

    def tell(self) -> None:
        """Tell what happened: first all that was told first, then what puts it right.

        Of one request only the last word on a prediction counts, so corrections come after.

        Raises
        ------
        PlatformDown, PlatformRefused
            The platform does not play along.
        """
        ordered = sorted(self._to_tell, key=lambda one: one[0].told_on)
        for is_correction in (False, True):
            chosen = [fields for one, fields in ordered if one.is_correction == is_correction]
            for start in range(0, len(chosen), _TOGETHER):
                self._tell(chosen[start : start + _TOGETHER])

    @property
    def best_known(self) -> str | None:
        """The entity that most models were asked about, and of those the most often."""
        return max(
            self._seen,
            key=lambda one: (len(self._seen[one]), self._seen[one].total()),
            default=None,
        )

    def _ask(self, batch: Batch) -> None:
        """Ask a batch, and note what is to be told of its rows."""
        tally = self.tallies[batch.model]
        try:
            said = self._asker.post(batch.path, batch.body, {BACKFILL: batch.at.isoformat()})
        except PlatformRefused as error:
            if error.code != _NO_CHAMPION:
                raise
            tally.left_out = "it has no champion yet"
            return
        tally.answered += said["answered"]
        tally.refused += said["refused"]
        for row, outcomes in zip(said["rows"], batch.outcomes, strict=True):
            if row["answer"] is None:
                continue
            entity = row["answer"]["entity"]
            self._seen.setdefault(entity, Counter())[batch.model] += 1
            about = {"model": batch.model, "prediction_id": row["answer"]["prediction_id"]}
            self._to_tell += [(one, about | one.content) for one in outcomes]

    def _tell(self, outcomes: Sequence[Fields]) -> None:
        said = self._asker.post(_OUTCOMES, orjson.dumps({"outcomes": outcomes}))
        refused = _indexes(said["rows"])
        for place, outcome in enumerate(outcomes):
            tally = self.tallies[outcome["model"]]
            tally.told += place not in refused
            tally.untold += place in refused


def _indexes(rows: Iterable[Fields]) -> frozenset[int]:
    """Give the places of outcomes that were refused."""
    return frozenset(row["index"] for row in rows)
