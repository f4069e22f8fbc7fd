"""What may be asked of the history, and how it is checked before anything is read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bentos.catalog import CATALOG
from core import clock
from core.contract import TEXT_LENGTH
from core.errors import meant
from core.task import Time
from services.query import Number, Whole, YesOrNo

PAGE_ROWS = 1000
EXPORT_ROWS = 100_000
USUAL_DAYS = 30
Text = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH)]
_NAME = r"[a-z][a-z0-9_]{0,62}"
_MATCH = r"^[a-z][a-z0-9_.]{0,90}:.{1,512}$"


def _match(value: object) -> object:
    """Say what a pattern cannot."""
    if isinstance(value, str) and re.match(_MATCH, value) is None:
        raise ValueError("it should be a name and a value, such as region:north")
    return value


# `region:north`, `result.risk_band:high`.
Match = Annotated[str, BeforeValidator(_match), Field(pattern=_MATCH, max_length=620)]


def _model(text: str) -> str:
    """Take a name with hyphens; one that is none of a model at all is refused with those known."""
    name = text.replace("-", "_")
    if re.fullmatch(_NAME, name) is None:
        hint = meant(name.lower(), list(CATALOG))
        raise ValueError(f"one of {', '.join(CATALOG)} is allowed{hint and f'; {hint}'}")
    return name


# One that is well written and nobody's is told as such by who knows the models.
ModelAsked = Annotated[str, AfterValidator(_model)]
Picture = Literal["json", "png", "svg"]
UUID_VERSION = 7
# Nothing was predicted before, and a step or a margin leads to no year that there is not.
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _identity(value: object) -> object:
    """Check that a text is an id as answers have it."""
    try:
        found = UUID(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, UUID) or found.version != UUID_VERSION:
        raise ValueError("it should be the prediction_id of an answer, a UUID of version 7")
    return str(found)


PredictionId = Annotated[str, BeforeValidator(_identity)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Period(_Asked):
    """From when until when."""

    since: Time | None = Field(
        default=None, description="From when, with its zone; 30 days before `until` without it."
    )
    until: Time | None = Field(default=None, description="Before when; now without it.")

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        for given in (self.since, self.until):
            if given is not None and given < _FIRST:
                name = "since" if given == self.since else "until"
                raise ValueError(f"{name} lies before 2000; it should lie in 2000 or later")
        since, until = self.span
        if self.since is None and until >= _LAST:
            raise ValueError("until lies beyond 2199; it should lie before 2200")
        if since > clock.now() and self.since is None:
            raise ValueError(
                f"until lies more than {USUAL_DAYS} days in the future, and since, which is that "
                "long before it, as well; it should be earlier, or since be given"
            )
        if since > clock.now():
            raise ValueError("since lies in the future; it should lie before now")
        if since >= until:
            raise ValueError("since does not lie before until; it should lie before until")
        if until >= _LAST:
            raise ValueError("until lies beyond 2199; it should lie before 2200")
        return self

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Both ends, UTC."""
        until = self.until or clock.now()
        return self.since or until - timedelta(days=USUAL_DAYS), until


class Filters(Period):
    """Which predictions of a model are meant."""

    model: ModelAsked = Field(description="Name of the model.")
    version: Text | None = Field(default=None, description="Release that answered.")
    entity: Text | None = Field(default=None, description="Whom they are about.")
    caller: Text | None = Field(default=None, description="Public id of the key that asked.")
    source: Literal["row", "batch", "backfill"] | None = Field(
        default=None, description="How it was asked."
    )
    flagged: YesOrNo | None = Field(
        default=None, description="Only those with an input outside of the training range, or none."
    )
    field: Text | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_.]*$",
        description="A number of the result, or an input as `input.<name>`; the model's own "
        "headline without it.",
    )
    least: Number | None = Field(
        default=None, allow_inf_nan=False, description="Least value of `field`."
    )
    most: Number | None = Field(
        default=None, allow_inf_nan=False, description="Largest value of `field`."
    )
    where: list[Match] = Field(
        default_factory=list,
        max_length=8,
        description="An input or a field of the result that has a value, as `region:north` or "
        "`result.risk_band:high`; may be given again.",
    )

    @model_validator(mode="after")
    def _least_is_no_more_than_most(self) -> Self:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("least is more than most; it should be at most as large")
        return self


class RowsQuestion(Filters):
    """A page of predictions, the newest first."""

    limit: Whole = Field(
        default=100,
        ge=1,
        le=EXPORT_ROWS,
        description="Most rows: of json up to 1,000; of csv, parquet and arrow up to 100,000, over "
        "1,000 for operators.",
    )
    cursor: Text | None = Field(default=None, description="`next` of the page before this one.")
    format: Literal["json", "csv", "parquet", "arrow"] = Field(
        default="json", description="json, or a table as csv, parquet or arrow."
    )

    @model_validator(mode="after")
    def _is_no_large_json(self) -> Self:
        # Rows of JSON take many times the memory of a table, and no bound of DuckDB's is over it.
        if self.format == "json" and self.limit > PAGE_ROWS:
            raise ValueError(
                f"limit is more than the {PAGE_ROWS:,} rows of a page of json; it should be at "
                f"most {PAGE_ROWS:,}, or the format csv, parquet or arrow, which take up to "
                f"{EXPORT_ROWS:,}"
            )
        return self


Measure = Literal["volume", "value", "flagged", "latency", "errors", "outcomes"]
Step = Literal["hour", "day", "week", "month"]


class TrendsQuestion(Filters):
    """How predictions went over time."""

    by: Step = Field(default="day", description="Length of a step, UTC; weeks begin on Monday.")
    measure: list[Measure] = Field(
        default=["volume", "value"],
        min_length=1,
        max_length=6,
        description="What is measured: volume, value (mean and quantiles of `field`), flagged, "
        "latency, errors, outcomes; may be given again.",
    )
    group: Text | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_.]*$",
        description="One line for each `version`, `caller` or `source`, or for each level of an "
        "input such as `region`.",
    )
    format: Picture = Field(default="json", description="Data, or a picture.")


class CompareQuestion(Filters):
    """Two versions, two periods or two segments beside each other."""

    versus: Text = Field(
        description="What differs on the other side: `version:2`, `region:south`, or "
        "`period:<since>/<until>`. Everything else is as asked for.",
        max_length=620,
    )
    format: Picture = Field(default="json", description="Data, or a picture.")


class FeatureQuestion(Filters):
    """How an input was distributed over time, against training."""

    by: Step = Field(default="week", description="Length of a step, UTC.")
    format: Picture = Field(default="json", description="Data, or a picture.")


class EntityQuestion(Period):
    """One entity, as all models saw it."""

    limit: Whole = Field(default=500, ge=1, le=5000, description="Most predictions, the newest.")
    format: Picture = Field(default="json", description="Data, or a picture.")


class OutcomesQuestion(Period):
    """Outcomes, and the predictions that they belong to."""

    model: ModelAsked = Field(description="Name of the model.")
    state: Literal["all", "matched", "unmatched"] = Field(
        default="all", description="Whether a prediction is there that they belong to."
    )
    limit: Whole = Field(default=100, ge=1, le=PAGE_ROWS, description="Most rows, the newest.")


class ReplayQuestion(_Asked):
    """Which version answers again."""

    version: Text | None = Field(
        default=None, description="Another version; the very one that answered without it."
    )


class BacktestView(_Asked):
    """In which form a backtest is told."""

    format: Picture = Field(default="json", description="Data; once it is done, or a picture.")


class BacktestQuestion(Filters):
    """Which past traffic a version is asked again."""

    against: Text = Field(description="Version that answers what was asked in the period.")
