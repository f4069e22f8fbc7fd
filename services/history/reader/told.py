"""Outcomes as they came in, and whether a prediction is there that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bentos.predictor import Predictor
from services.history.answers import OutcomeLine, ToldPage
from services.history.questions import OutcomesQuestion
from services.history.reader import outcomes
from services.history.reader.database import Database
from services.history.reader.scan import Scan

_STATES = {"all": "true", "matched": "predictions > 0", "unmatched": "predictions = 0"}


@dataclass(frozen=True)
class Outcomes:
    """Lists outcomes.

    Parameters
    ----------
    database
        Reads the log.
    """

    database: Database

    def read(self, question: OutcomesQuestion, kind: type[Predictor]) -> ToldPage:
        """Give the outcomes that came in within a period, the latest first.

        Parameters
        ----------
        question
            What was asked.
        kind
            The model's predictor.
        """
        since, until = question.span
        place = outcomes.place_of(question.model)

        def scan() -> Scan:
            return self.database.scanner.scan(place, since=since, until=until)

        def predicted() -> Scan:
            return self.database.scanner.scan(question.model)

        def ask() -> ToldPage:
            told = scan()
            if not told.files:
                return ToldPage(outcomes=[], matched=0, unmatched=0, notes=list(told.notes))
            predictions = predicted()
            joined = outcomes.unmatched(predictions, kind)
            params = {"since": since, "until": until, "told": list(told.files)}
            # In one go: whom outcomes belong to is looked for among all predictions.
            query = f"""
                WITH j AS MATERIALIZED ({joined}),
                counts AS (SELECT count(*) FILTER (predictions > 0) AS matched,
                                  count(*) FILTER (predictions = 0) AS unmatched FROM j),
                lines AS (SELECT * FROM j WHERE {_STATES[question.state]}
                          ORDER BY "at" DESC LIMIT {question.limit})
                SELECT * FROM counts LEFT JOIN lines ON true ORDER BY "at" DESC
            """
            rows = self.database.rows(query, params, predictions)
            return ToldPage(
                outcomes=[_line(row) for row in rows if row["at"] is not None],
                matched=rows[0]["matched"],
                unmatched=rows[0]["unmatched"],
                notes=[*told.notes, *predictions.notes],
            )

        return self.database.ask(ask, scan, predicted)


def _line(row: dict[str, Any]) -> OutcomeLine:
    key = row["outcome_of"]
    given = {name: row[name] for name in OutcomeLine.model_fields if name in row}
    return OutcomeLine(prediction_id=None if key is None else str(UUID(bytes=key)), **given)
