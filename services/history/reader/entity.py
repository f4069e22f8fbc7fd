"""One entity, as all models saw it: what each said of it, and what then happened.

Models name what they are about differently: a churn is a client's, a leak an invoice line's, whose
client is one of its inputs. A row counts when it is about the entity, or when an input that bears
the name of some model's key holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bentos.predictor import Predictor
from services.history.answers import Chart, Series, SeriesColumn
from services.history.questions import EntityQuestion
from services.history.reader import outcomes
from services.history.reader.columns import INPUT, headline, quoted
from services.history.reader.database import Database
from services.history.reader.scan import Period, Scan, kind_of
from services.history.reader.units import ConfigOf, no_config, unit_of
from services.history.reader.wording import words_of_field

_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("at", "time"), ("model", "text"), ("version", "text"), ("measure", "text"),
    ("value", "number"), ("unit", "text"), ("outcome", "number"), ("outcome_value", "number"),
    ("outcome_amount", "number"), ("as_of", "time"), ("flagged", "boolean"), ("found_by", "text"),
    ("prediction_id", "text"),
)  # fmt: skip
_NOT_DRAWN = (
    "outcome is what happened where that is of the unit of value; outcome_value and "
    "outcome_amount are all that was told."
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Entities:
    """Finds what was said of an entity.

    Parameters
    ----------
    database
        Reads the log.
    models
        Names of the models.
    kind_of
        Gives the predictor class of a model.
    config_of
        Gives the config of a model, which knows units.
    """

    database: Database
    models: Collection[str]
    kind_of: Callable[[str], type[Predictor]]
    config_of: ConfigOf = no_config

    def read(self, question: EntityQuestion, entity: str, models: Collection[str] | None) -> Series:
        """Give one row a prediction, the newest last.

        Parameters
        ----------
        question
            What was asked.
        entity
            Whom it is about.
        models
            Those that the caller may read; nothing means all.
        """
        since, until = question.span
        asked = question.model_copy(update={"since": since, "until": until})
        keys = self._keys(asked)
        rows: list[Row] = []
        notes: dict[str, None] = {}
        with self.database.question():
            for model in self.models:
                if models is None or model in models:
                    found, more = self._read(asked, entity, model, keys)
                    rows += found
                    notes |= dict.fromkeys(more)
        rows.sort(key=lambda row: (row["at"], row["prediction_id"]))
        if len(rows) > question.limit:
            rows = rows[-question.limit :]
        if len(rows) == question.limit:
            notes[f"The newest {question.limit:,} predictions; there may be earlier ones."] = None
        if not rows:
            notes["No model was asked about it in this time."] = None
        if any(row["outcome"] is None and _is_told(row) for row in rows):
            notes[_NOT_DRAWN] = None
        return _series(entity, rows, list(notes))

    def _keys(self, question: EntityQuestion) -> list[str]:
        """Name the keys of all models in this time, readable or not."""
        since, until = question.span
        found = {
            str(release["entity"])
            for model in self.models
            for release in self.database.scanner.scan(
                model, since=since, until=until
            ).releases.values()
        }
        return sorted(found)

    def _read(
        self, question: EntityQuestion, entity: str, model: str, keys: list[str]
    ) -> tuple[list[Row], tuple[str, ...]]:
        """Read what a model said."""
        since, until = question.span
        kind = self.kind_of(model)
        about: list[Period] = []

        def scan() -> Scan:
            return self.database.scanner.scan(model, since=since, until=until)

        def happened() -> Scan:
            return self.database.scanner.scan(outcomes.place_of(model), about=about)

        def ask() -> tuple[list[Row], tuple[str, ...]]:
            found = scan()
            if not found.files:
                return [], found.notes
            query = _query(found, kind, keys, question.limit)
            params: Row = {"since": since, "until": until, "entity": entity}
            params["hashed"] = found.written(entity)
            rows = self.database.rows(query, params, found)
            if not rows:
                return [], found.notes
            about[:] = outcomes.about_few(rows, kind)
            told = happened()
            known = self._known(rows, kind, told)
            unit = unit_of(self.config_of(model), kind, None)
            facts = {"model": model, "unit": unit}
            seen = [
                facts | _row(row, known.get(row["prediction_id"], {}), model, kind, found)
                for row in rows
            ]
            return seen, (*found.notes, *told.notes)

        return self.database.ask(ask, scan, happened)

    def _known(self, rows: list[Row], kind: type[Predictor], told: Scan) -> dict[bytes, Row]:
        """Give what is known to have happened after predictions, by their ids."""
        if not told.files:
            return {}
        query, params = outcomes.of_few(rows, kind)
        return {row["prediction_id"]: row for row in self.database.rows(query, params, told)}


def _query(scan: Scan, kind: type[Predictor], keys: list[str], limit: int) -> str:
    """Write the query of a model's rows, the newest alone."""
    inputs = [key for key in keys if kind_of(scan.releases, INPUT + key) == "text"]
    known_as = "IN ($entity, $hashed)"
    held = [f"{quoted(INPUT + key)} {known_as}" for key in inputs]
    by = " ".join(f"WHEN {test} THEN {_text(key)}" for test, key in zip(held, inputs, strict=True))
    found_by = f"CASE WHEN entity {known_as} THEN NULL {by} END"
    any_of = " OR ".join([f"entity {known_as}", *held])
    return f"""
        SELECT "at", version, {headline(kind)} AS value, flags IS NOT NULL AS flagged,
               {found_by} AS found_by, {outcomes.needs(kind)}
        FROM {scan.source}
        WHERE "at" >= $since AND "at" < $until AND ({any_of})
        ORDER BY "at" DESC, prediction_id DESC LIMIT {limit}
    """


def _text(name: str) -> str:
    """Write a name of a column as SQL has a text."""
    return "'" + name.replace("'", "''") + "'"


def _is_told(row: Row) -> bool:
    return row["outcome_value"] is not None or row["outcome_amount"] is not None


def _row(row: Row, known: Row, model: str, kind: type[Predictor], scan: Scan) -> Row:
    release = scan.releases.get(row["version"], {})
    told = {name: known.get(name) for name in ("outcome_value", "outcome_amount")}
    return {
        **row,
        **told,
        "measure": f"{model}: {words_of_field(kind.HEADLINE)}",
        "found_by": row["found_by"] or release.get("entity"),
        # Of the unit of what was said, so that both can be drawn beside each other.
        "outcome": None if (name := _same_unit(kind)) is None else told[name],
        "prediction_id": str(UUID(bytes=row["prediction_id"])),
    }


def _same_unit(kind: type[Predictor]) -> str | None:
    """Name what is told of the outcome in the unit of the headline; nothing where nothing is."""
    if kind.FORETELLS == kind.HEADLINE:
        return "outcome_value"
    return "outcome_amount" if kind.HEADLINE.endswith("_amount") else None


def _series(entity: str, rows: list[Row], notes: list[str]) -> Series:
    names = [name for name, _ in _COLUMNS]
    return Series(
        title=f"{entity[:80]}, as all models saw it",
        columns=[SeriesColumn(name=name, kind=kind, unit=None) for name, kind in _COLUMNS],
        rows=[[_cell(row[name]) for name in names] for row in rows],
        chart=Chart(
            kind="line", x="at", y=["value"], low=None, high=None, by=None, panels="measure",
            unit="unit", reference=["outcome"],
        ),
        notes=notes,
    )  # fmt: skip


def _cell(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
