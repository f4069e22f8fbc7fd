"""What the history answers with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# The header of a table, which has no other room for what its reader must know.
NOTES = "Septet-Notes"


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeriesColumn(_Page):
    """A column of a series."""

    name: str = Field(description="Its name.")
    kind: Literal["time", "number", "integer", "text", "boolean"] = Field(
        description="What its cells are; any may be null."
    )
    unit: str | None = Field(description="Unit of its numbers; null where they have none.")


class Chart(_Page):
    """How a series is best drawn; the names are those of its columns."""

    kind: Literal["line", "bar", "interval"] = Field(
        description="line over x; bar a value of x; interval: a point with low and high a row."
    )
    x: str = Field(description="Along the axis.")
    y: list[str] = Field(description="What is drawn, a panel each.")
    low: str | None = Field(description="Lower end of a band or interval.")
    high: str | None = Field(description="Upper end of a band or interval.")
    by: str | None = Field(description="A line, or a colour, for each of its values.")
    panels: str | None = Field(
        default=None, description="A panel, with an axis of its own, for each of its values."
    )
    unit: str | None = Field(
        default=None, description="Names the unit of the first of y, where panels differ in it."
    )
    step: Literal["hour", "day", "week", "month"] | None = Field(
        default=None,
        description="Length of a step of x: over one that has no row leads no line.",
    )
    reference: list[str] = Field(
        default_factory=list,
        description="What y is held against, drawn dashed: what begins with the name of one of y, "
        "such as `psi_by_chance`, beside that one, all else beside the first.",
    )


class Series(_Page):
    """A table that is ready to be drawn."""

    title: str = Field(description="What it shows.")
    columns: list[SeriesColumn] = Field(description="In the order of the cells.")
    rows: list[list[Any]] = Field(description="The cells, a list a row.")
    chart: Chart = Field(description="How to draw it.")
    notes: list[str] = Field(description="What a reader must know.")


class OutcomeSeen(_Page):
    """What really happened, as far as it is known."""

    value: float | None = Field(description="The target; 1 or 0 where it is yes or no.")
    amount: float | None = Field(description="The amount, where the model has one.")
    steps: int = Field(description="Outcomes in it; more than one for an answer about many steps.")
    of_steps: int | None = Field(
        description="Steps that the answer is about; null where it is not about many."
    )
    happened_at: datetime | None = Field(description="When it happened.")
    told_at: datetime = Field(description="When it came in last.")


class Prediction(_Page):
    """One prediction, as it stands in the log."""

    prediction_id: str = Field(description="Id of the answer.")
    at: datetime = Field(description="When it was answered, UTC.")
    model: str = Field(description="Name of the model.")
    version: str = Field(description="Release that answered.")
    entity: str | None = Field(description="Whom it is about.")
    as_of: datetime | None = Field(description="As of when, as it was sent.")
    caller: str = Field(description="Public id of the key that asked.")
    source: str = Field(description="row, batch or backfill.")
    latency_ms: float = Field(description="Until the answer; of the whole batch.")
    flags: list[dict[str, Any]] = Field(description="Inputs outside of the training range.")
    drivers: dict[str, Any] | None = Field(description="Reasons, where they were asked for.")
    masked: list[str] = Field(description="Columns that are not kept, or only as a digest.")
    input: dict[str, Any] = Field(description="What was asked.")
    result: dict[str, Any] = Field(description="What was answered.")


class PredictionsPage(_Page):
    """Predictions, the newest first."""

    predictions: list[Prediction] = Field(description="At most `limit`.")
    next: str | None = Field(description="`cursor` of the following page; null on the last.")
    notes: list[str] = Field(description="What a reader must know.")


class Lineage(_Page):
    """Where an answer comes from."""

    run_id: str = Field(description="The training run in MLflow.")
    manifest_sha256: str = Field(description="Digest of the artifact.")
    data_sha256: str = Field(description="Digest of the rows it was trained on.")


class Receipt(Prediction):
    """A prediction with all that is known of it."""

    lineage: Lineage | None = Field(description="Null for a release that was not noted.")
    outcome: OutcomeSeen | None = Field(description="What really happened; null until it is told.")
    outcome_due_at: datetime | None = Field(
        description="When the outcome can be known, of many steps that of the last; null where "
        "the model has no horizon, or after the year 9999."
    )
    notes: list[str] = Field(description="What a reader must know.")


class Difference(_Page):
    """A field in which two answers differ."""

    field: str = Field(description="Its name; with dots for parts.")
    was: Any = Field(description="What was answered then.")
    now: Any = Field(description="What is answered now.")


class ReplayPage(_Page):
    """A prediction, asked again."""

    prediction_id: str = Field(description="Which.")
    model: str = Field(description="Name of the model.")
    version: str = Field(description="Release that answered then.")
    replayed_version: str = Field(description="Release that answers now.")
    identical: bool = Field(description="Whether both answers are the same, byte for byte.")
    was: dict[str, Any] = Field(description="entity, as_of, result, flags and drivers of then.")
    now: dict[str, Any] | None = Field(description="The same of now; null where it refuses.")
    refused: str | None = Field(description="Why the other version refuses the row.")
    differences: list[Difference] = Field(description="Fields that differ.")
    notes: list[str] = Field(description="What a reader must know.")


class OutcomeLine(_Page):
    """One outcome, as it came in."""

    at: datetime = Field(description="When it came in.")
    caller: str = Field(description="Public id of the key that told it.")
    prediction_id: str | None = Field(description="The prediction it is about.")
    entity: str | None = Field(description="The entity it is about.")
    as_of: datetime | None = Field(description="The time it is about.")
    value: float | None = Field(description="The target; 1 or 0 where it is yes or no.")
    amount: float | None = Field(description="The amount.")
    happened_at: datetime | None = Field(description="When it happened.")
    predictions: int = Field(description="Predictions it belongs to.")


class ToldPage(_Page):
    """Outcomes, the latest first."""

    outcomes: list[OutcomeLine] = Field(description="At most `limit`.")
    matched: int = Field(description="How many in the period belong to a prediction.")
    unmatched: int = Field(description="How many belong to none, so far.")
    notes: list[str] = Field(description="What a reader must know.")


class BacktestPage(_Page):
    """A version, asked again what was asked over a period."""

    backtest_id: str = Field(description="Its id.")
    state: Literal["running", "done", "failed"] = Field(description="How far it is.")
    model: str = Field(description="Name of the model.")
    against: str = Field(description="Version that answers again.")
    rows: int = Field(description="Predictions that were asked again so far.")
    refused: int = Field(description="Rows that the version refuses.")
    left_out: int = Field(description="Rows that are masked, and cannot be asked again.")
    changed: int = Field(description="Rows whose answer is not the same, byte for byte.")
    told: int = Field(description="Rows whose outcome is known, that of each step if of many.")
    was_error: float | None = Field(
        description="Error of what was answered then, over rows whose outcome is known: mean "
        "squared error of a probability (Brier 1950), mean absolute error of a number."
    )
    now_error: float | None = Field(description="The same of what is answered now.")
    series: Series | None = Field(description="By day; null until it is done.")
    reason: str | None = Field(description="Why it failed.")
    notes: list[str] = Field(description="What a reader must know.")


class ErasurePage(_Page):
    """An entity that is to be erased, and the proof that it was."""

    erasure_id: str = Field(description="Its id.")
    state: Literal["asked", "running", "done"] = Field(description="How far it is.")
    proofs: list[dict[str, Any]] = Field(
        description="What each worker rewrote: files with their SHA-256 before and after, rows "
        "that were erased and those that remain, the entity as its SHA-256."
    )
