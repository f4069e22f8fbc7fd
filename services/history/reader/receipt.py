"""The receipt of one prediction: what was asked, what was said, by whom, and what then happened."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bentos.predictor import Predictor
from core import clock
from core.config import ModelConfig
from core.history_faults import PredictionUnknown
from services.history.answers import OutcomeSeen, Prediction, Receipt
from services.history.lineage import Descriptions
from services.history.reader import outcomes
from services.history.reader.columns import INPUT
from services.history.reader.database import Database
from services.history.reader.prediction import lineage_of, prediction_of
from services.history.reader.scan import Scan
from services.history.reader.times import time_of, times_of

Notes = tuple[str, ...]
_Found = tuple[Prediction, dict[str, Any], Scan]


@dataclass(frozen=True)
class Receipts:
    """Finds single predictions.

    Parameters
    ----------
    database
        Reads the log.
    models
        Names of the models.
    kind_of
        Gives the predictor class of a model.
    config_of
        Gives the config of a model.
    """

    database: Database
    models: Collection[str]
    kind_of: Callable[[str], type[Predictor]]
    config_of: Callable[[str], ModelConfig]

    def find(
        self, prediction_id: str, models: Collection[str] | None
    ) -> tuple[Prediction, Descriptions, Notes]:
        """Find a prediction, who answered, and what a reader must know.

        Parameters
        ----------
        prediction_id
            Its id.
        models
            Those that the caller may read; nothing means all.

        Raises
        ------
        PredictionUnknown
            None of these models has it.
        """
        found, _, scan = self._row(prediction_id, models)
        return found, scan.releases, scan.notes

    def read(self, prediction_id: str, models: Collection[str] | None) -> Receipt:
        """Give all that is known of a prediction.

        Raises
        ------
        PredictionUnknown
            None of these models has it.
        """
        found, row, scan = self._row(prediction_id, models)
        target = self.config_of(found.model).target
        outcome, notes = self._outcome(found.model, row)
        return Receipt(
            **found.model_dump(),
            lineage=lineage_of(found.version, scan.releases),
            outcome=outcome,
            outcome_due_at=_due(found, row, target.horizon_days, self.kind_of(found.model)),
            notes=[*scan.notes, *notes],
        )

    def _row(self, prediction_id: str, models: Collection[str] | None) -> _Found:
        """Give a prediction, its row of the log, and what was read."""
        key = UUID(prediction_id).bytes
        # The largest time that an id can have is beyond what a calendar has.
        is_possible = (
            int.from_bytes(key[:6], "big") / 1000
            < clock.now_s() + outcomes.ID_MARGIN.total_seconds()
        )
        unread = 0
        for model in self.models if is_possible else ():
            if models is None or model in models:
                found = self._find_in(model, key)
                if not isinstance(found, int):
                    return found
                unread += found
        raise PredictionUnknown(prediction_id, unread)

    def _find_in(self, model: str, key: bytes) -> _Found | int:
        """Give a prediction; else how many files could not be read in which it may stand."""
        at = time_of(key)

        def scan() -> Scan:
            return self.database.scanner.scan(
                model,
                since=at - outcomes.ID_MARGIN,
                until=at + outcomes.ID_MARGIN,
                holding=key.hex(),
            )

        def ask() -> _Found | int:
            found = scan()
            if not found.files:
                return found.left_out
            query = f"SELECT * FROM {found.source} WHERE prediction_id = $key"
            rows = self.database.rows(query, {"key": key}, found)
            # Here, because a text that was damaged may be no JSON any more.
            if not rows:
                return found.left_out
            return prediction_of(model, rows[0], found.releases), rows[0], found

        return self.database.ask(ask, scan)

    def _outcome(self, model: str, row: dict[str, Any]) -> tuple[OutcomeSeen | None, Notes]:
        """Give what is known of what happened, and what a reader must know of that."""
        kind = self.kind_of(model)
        query, params = outcomes.of_one(row, kind)
        about = outcomes.about_one(row, kind, time_of(row["prediction_id"]))

        def scan() -> Scan:
            return self.database.scanner.scan(outcomes.place_of(model), about=about)

        def ask() -> tuple[list[dict[str, Any]], Notes]:
            told = scan()
            rows = self.database.rows(query, params, told) if told.files else []
            return rows, told.notes

        rows, notes = self.database.ask(ask, scan)
        if not rows or not rows[0]["outcome_steps"]:
            return None, notes
        happened = rows[0]
        seen = OutcomeSeen(
            value=happened["outcome_value"],
            amount=happened["outcome_amount"],
            steps=happened["outcome_steps"],
            of_steps=_steps_in(row, kind),
            happened_at=happened["outcome_at"],
            told_at=happened["outcome_told_at"],
        )
        return seen, notes


def _due(
    found: Prediction, row: dict[str, Any], horizon_days: int | None, kind: type[Predictor]
) -> datetime | None:
    """Give when an outcome can be known; nothing without a horizon, or beyond all calendars."""
    if horizon_days is None:
        return None
    try:
        steps = _begins(row, kind)
        return (steps[-1] if steps else found.as_of or found.at) + timedelta(days=horizon_days)
    except OverflowError:
        # A caller may send any `as_of` up to the year 9999.
        return None


def _steps_in(row: dict[str, Any], kind: type[Predictor]) -> int | None:
    """Count the steps of an answer; nothing where it is not about many, or nobody can know."""
    if kind.WEEKS:
        weeks = row[INPUT + kind.WEEKS]
        return None if weeks is None else int(weeks)
    return len(_begins(row, kind)) if kind.STEPS else None


def _begins(row: dict[str, Any], kind: type[Predictor]) -> list[datetime]:
    """Give when each step of an answer begins, in order; nothing where it is not about many."""
    if kind.STEPS:
        return sorted(times_of(row, kind.STEPS))
    weeks = row[INPUT + kind.WEEKS] if kind.WEEKS else None
    first = row["as_of"] or row["at"]
    # A number of weeks that is masked is not known.
    return [first + timedelta(weeks=week) for week in range(int(weeks or 0))]
