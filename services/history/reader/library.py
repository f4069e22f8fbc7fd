"""Everything that may be asked, by name: what is checked, who answers, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel

from bentos.predictor import Predictor
from core.config import ModelConfig
from core.errors import ModelUnknown
from services.history.answers import NOTES, Receipt, Series
from services.history.log import PredictionLog
from services.history.questions import (
    CompareQuestion,
    EntityQuestion,
    FeatureQuestion,
    OutcomesQuestion,
    ReplayQuestion,
    RowsQuestion,
    TrendsQuestion,
)
from services.history.reader import step
from services.history.reader.archive import Archive
from services.history.reader.backtest import Backtests
from services.history.reader.comparison import Comparisons
from services.history.reader.cursor import Sealer
from services.history.reader.database import Database
from services.history.reader.drawing import draw
from services.history.reader.entity import Entities
from services.history.reader.export import MEDIA_TYPES, Turns, write_table
from services.history.reader.feature import Features, ProfilesOf, no_profiles
from services.history.reader.naming import ColumnsOf, no_columns
from services.history.reader.page import Pages
from services.history.reader.proof import read_erasure
from services.history.reader.receipt import Receipts
from services.history.reader.replay import Replays
from services.history.reader.scan import Hashed
from services.history.reader.told import Outcomes
from services.history.reader.trends import Trends
from services.history.reader.units import if_readable, unit_of
from services.history.reader.wording import subject_of

JSON = "application/json"
PICTURES = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Answer:
    """What is sent.

    Parameters
    ----------
    content
        The body.
    media_type
        What it is.
    headers
        Others.
    """

    content: bytes
    media_type: str = JSON
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Asking:
    """Who asks about what, beside the question itself.

    Parameters
    ----------
    subject
        What the path names: an id, an entity, an input.
    models
        Models that the caller may read; nothing means all.
    """

    subject: str = ""
    models: Collection[str] | None = None


class Library:
    """Answers every question about the history.

    Parameters
    ----------
    log
        What is read.
    models
        Names of the models.
    kind_of
        Gives the predictor class of a model.
    config_of
        Gives the config of a model.
    archive
        Opens releases by version.
    secret
        Seals cursors.
    profiles_of
        Gives what training of a version noted of its inputs; nothing where that is not at hand.
    hashed
        How a text is written where its column is masked.
    spill, columns_of
        As in ``Database``.
    """

    def __init__(
        self,
        log: PredictionLog,
        *,
        models: Collection[str],
        kind_of: Callable[[str], type[Predictor]],
        config_of: Callable[[str], ModelConfig],
        archive: Archive,
        secret: bytes,
        profiles_of: ProfilesOf = no_profiles,
        hashed: Hashed | None = None,
        spill: Path | None = None,
        columns_of: ColumnsOf = no_columns,
    ) -> None:
        self._models = tuple(models)
        self._log = log
        self._kind_of = kind_of
        self.database = Database(log, hashed=hashed, spill=spill, columns_of=columns_of)
        self.pages = Pages(self.database, Sealer(secret))
        self.turns = Turns()
        self.receipts = Receipts(self.database, self._models, kind_of, config_of)
        self.replays = Replays(self.receipts, archive)
        self.backtests = Backtests(self.database, archive, kind_of)
        self._config_of = if_readable(config_of)
        self.trends = Trends(self.database, self._config_of)
        self.comparisons = Comparisons(self.database, self._config_of)
        self.features = Features(self.database, profiles_of)
        self.entities = Entities(self.database, self._models, kind_of, self._config_of)
        self.outcomes = Outcomes(self.database)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def rows(self, question: RowsQuestion, _: Asking) -> Answer:
        """Give a page of predictions."""
        kind = self._kind(question.model)
        if question.format == "json":
            return page_answer(self.pages.read(question, kind))
        with self.turns.of(question.limit):
            table, scan, following = self.pages.table(question, kind)
            content = write_table(table, question.format)
        name = f"{question.model}.{question.format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if scan.notes:
            headers[NOTES] = " ".join(scan.notes)
        if following is not None:
            headers["Link"] = f'<?{_query(question, following)}>; rel="next"'
        return Answer(content, MEDIA_TYPES[question.format], headers)

    def receipt(self, _question: BaseModel, asking: Asking) -> Answer:
        """Give the receipt of a prediction."""
        found: Receipt = self.receipts.read(asking.subject, asking.models)
        return page_answer(found)

    def replay(self, question: ReplayQuestion, asking: Asking) -> Answer:
        """Ask a prediction again."""
        return page_answer(self.replays.read(question, asking.subject, asking.models))

    def trend(self, question: TrendsQuestion, _: Asking) -> Answer:
        """Give how predictions went over time."""
        return series_answer(
            self.trends.read(question, self._kind(question.model)), question.format
        )

    def compare(self, question: CompareQuestion, _: Asking) -> Answer:
        """Give two sides beside each other."""
        found = self.comparisons.read(question, self._kind(question.model))
        return series_answer(found, question.format)

    def feature(self, question: FeatureQuestion, asking: Asking) -> Answer:
        """Give how an input was distributed."""
        kind = self._kind(question.model)
        found = self.features.read(question, asking.subject, kind)
        name = asking.subject.removeprefix("input.")
        unit = unit_of(self._config_of(question.model), kind, f"input.{name}")
        return series_answer(_of_input(found, question, kind, unit), question.format)

    def entity(self, question: EntityQuestion, asking: Asking) -> Answer:
        """Give one entity, as all models saw it."""
        found = self.entities.read(question, asking.subject, asking.models)
        return series_answer(found, question.format)

    def erasure(self, _question: BaseModel, asking: Asking) -> Answer:
        """Tell what became of an erasure."""
        return page_answer(read_erasure(self._log, asking.subject))

    def told(self, question: OutcomesQuestion, _: Asking) -> Answer:
        """Give outcomes, and to how many predictions they belong."""
        return page_answer(self.outcomes.read(question, self._kind(question.model)))

    def _kind(self, model: str) -> type[Predictor]:
        if model not in self._models:
            raise ModelUnknown(model, self._models)
        return self._kind_of(model)


def _query(question: RowsQuestion, cursor: str) -> str:
    """Write the query of the following page."""
    asked = question.model_dump(mode="json", exclude_unset=True) | {"cursor": cursor}
    plain = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in asked.items()
    }
    return urlencode(plain, doseq=True)


def page_answer(page: BaseModel) -> Answer:
    """Give a page as JSON."""
    return Answer(page.model_dump_json().encode())


def series_answer(series: Series, form: str) -> Answer:
    """Give a series as JSON, or as a picture."""
    return page_answer(series) if form == "json" else Answer(draw(series, form), PICTURES[form])


def _of_input(
    series: Series, question: FeatureQuestion, kind: type[Predictor], unit: str | None
) -> Series:
    """Say of the distribution of an input which predictions it is of, in which unit and steps."""
    times = [datetime.fromisoformat(row[0]) for row in series.rows]
    of_input = {part + name for part in ("", "training_") for name in ("low", "median", "high")}
    columns = [
        column.model_copy(update={"unit": unit})
        if column.name in of_input and column.unit is None
        else column
        for column in series.columns
    ]
    cut = step.cut(question.span, question.by, min(times), max(times)) if times else []
    subject = subject_of(question, kind.HEADLINE)
    return series.model_copy(
        update={
            "title": subject + series.title.removeprefix(question.model),
            "columns": columns,
            "chart": series.chart.model_copy(update={"step": question.by}),
            "notes": [*series.notes, *cut],
        }
    )


def questions_of(
    library: Library,
) -> dict[str, tuple[type[BaseModel], Callable[[Any, Asking], Answer]]]:
    """Give every question by name: what it is checked by, and who answers it."""
    return {
        "rows": (RowsQuestion, library.rows),
        "receipt": (ReplayQuestion, library.receipt),
        "replay": (ReplayQuestion, library.replay),
        "trends": (TrendsQuestion, library.trend),
        "compare": (CompareQuestion, library.compare),
        "feature": (FeatureQuestion, library.feature),
        "entity": (EntityQuestion, library.entity),
        "erasure": (ReplayQuestion, library.erasure),
        "outcomes": (OutcomesQuestion, library.told),
    }
