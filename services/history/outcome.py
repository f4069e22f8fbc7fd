"""What really happened: the truth that a prediction is held against, as callers tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, Any
from uuid import RFC_4122, UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails

from core import clock
from core.config import ModelConfig, Target
from core.contract import TEXT_LENGTH, wrong_with
from core.errors import FieldProblem
from core.refusals import FieldsInvalid
from core.task import Time
from services.fields import ModelName, read_fields

# Clocks of two machines differ by no more.
_MOST_AHEAD = timedelta(minutes=5)
MOST_AT_ONCE = 10_000
# No model means more: beyond it a single slip would drown every mean.
_MOST_VALUE = 1e15
_UUID_VERSION, _UUID_TIME_SHIFT = 7, 80
_EXAMPLE: JsonDict = {
    "model": "churn",
    "prediction_id": "01909c65-9a00-7d53-8a4c-3f5e5b7a2d10",
    "value": True,
}

ConfigOf = Callable[[str], ModelConfig]


def _utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time of the years 1 to 9999, UTC, is allowed") from None


def _past(time: datetime) -> datetime:
    if time > clock.now() + _MOST_AHEAD:
        raise ValueError("a time that has come is allowed")
    return time


def _own_id(text: str) -> str:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise ValueError("the prediction_id of an answer is allowed")
    if found.version != _UUID_VERSION or found.variant != RFC_4122:
        raise ValueError("the prediction_id of an answer is allowed: a UUID of version 7")
    # Compared as a number: 48 bits of milliseconds reach beyond what a datetime holds.
    if found.int >> _UUID_TIME_SHIFT > (clock.now() + _MOST_AHEAD).timestamp() * 1000:
        raise ValueError(
            "the id of a prediction that was made is allowed; this one's time is ahead"
        )
    return text.lower()


def _bounded(value: float) -> float:
    if abs(value) > _MOST_VALUE:
        raise ValueError("a number from -1e15 to 1e15 is allowed")
    return value


def _value(value: object) -> bool | int | float | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and isfinite(value):
        return _bounded(value)
    raise ValueError("true or false, or a number, as the model's target is, or null is allowed")


_OwnId = Annotated[str, AfterValidator(_own_id), Field(json_schema_extra={"format": "uuid"})]
_Moment = Annotated[Time, AfterValidator(_utc)]
_Value = Annotated[
    bool | int | float | None,
    PlainValidator(_value),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "null"}]}),
]


class Outcome(BaseModel):
    """What really happened, of one prediction or of all of an entity as of a time."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"example": _EXAMPLE},
    )

    model: ModelName = Field(description="Name of the model that predicted it.")
    prediction_id: _OwnId | None = Field(
        default=None,
        description="The prediction it is about, as its answer named it; or give `entity`.",
    )
    entity: str | None = Field(
        default=None,
        min_length=1,
        max_length=TEXT_LENGTH,
        description="Whom it is about, as the predictions named it; or give `prediction_id`.",
    )
    as_of: _Moment | None = Field(
        default=None,
        description="With `entity`: as of when the predictions were that it is about; all of the "
        "entity without it. For a model of steps or weeks: the time of the step, always needed.",
    )
    value: _Value = Field(
        default=None,
        description="What happened: true or false where the model's target is one, else a number "
        "in the target's unit. Null or left out: not known yet.",
    )
    amount: Annotated[float, AfterValidator(_bounded)] | None = Field(
        default=None,
        description="The true amount, for a model whose target has one. Null or left out: not "
        "known yet. Like `value` from -1e15 to 1e15.",
    )
    happened_at: Annotated[_Moment, AfterValidator(_past)] | None = Field(
        default=None, description="When it happened, with its zone; not before `as_of`."
    )

    def record(self) -> dict[str, Any]:
        """Give it as the journal keeps it, and ``services.history.decoding`` reads it."""
        named = self.prediction_id
        return {
            "outcome_of": None if named is None else named.replace("-", ""),
            "entity": self.entity,
            "as_of": None if self.as_of is None else self.as_of.isoformat(),
            "value": None if self.value is None else float(self.value),
            "amount": self.amount,
            "happened_at": None if self.happened_at is None else self.happened_at.isoformat(),
        }


class OutcomeBatch(BaseModel):
    """Outcomes that are taken together, each on its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    outcomes: list[Outcome] = Field(
        min_length=1,
        max_length=MOST_AT_ONCE,
        description="Of any models, in the order they were known.",
    )


def read_outcome(value: object, config_of: ConfigOf) -> Outcome:
    """Check an outcome against the target of its model.

    Parameters
    ----------
    value
        As strict JSON gave it.
    config_of
        Gives the config of a model.

    Raises
    ------
    FieldsInvalid
        Every fault, each with its field, what is wrong and what is allowed.
    """
    outcome = read_fields(Outcome, value)
    problems = list(_faults(outcome, config_of(outcome.model)))
    if problems:
        raise FieldsInvalid(problems)
    return outcome


def merged(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Gather outcomes that came at the same moment by model, one for each thing they are about.

    The log keeps when an outcome came, and no order among those of one moment: of each field the
    last that gives it counts, as it does between outcomes of different moments.

    Parameters
    ----------
    outcomes
        In their order.
    """
    found: dict[str, dict[tuple[object, ...], Outcome]] = {}
    for outcome in outcomes:
        about = (outcome.prediction_id, outcome.entity, outcome.as_of)
        known = found.setdefault(outcome.model, {})
        before = known.get(about, outcome)
        given = {name: value for name, value in outcome if value is not None}
        known[about] = before.model_copy(update=given)
    return {model: list(known.values()) for model, known in found.items()}


def _faults(outcome: Outcome, config: ModelConfig) -> Iterator[FieldProblem]:
    """Give what pydantic cannot know: what depends on other fields, or on the model's target."""
    yield from _faults_of_key(outcome, config)
    # The time in a prediction's id is no bound: it may be asked late about what is long past.
    if outcome.happened_at and outcome.as_of and outcome.happened_at < outcome.as_of:
        early = f"lies before as_of, {outcome.as_of.isoformat()}"
        yield FieldProblem("happened_at", early, "a time from as_of on is allowed, or null")
    target = config.target
    if outcome.value is None and outcome.amount is None:
        wanted = "value or amount" if target.amount else "value"
        yield FieldProblem(
            "value", "is missing", f"{wanted} is needed: {target.description.rstrip('.')}"
        )
    if outcome.value is not None and isinstance(outcome.value, bool) != is_yes_or_no(target):
        fault = ErrorDetails(type="value", loc=("value",), msg="", input=outcome.value)
        yield FieldProblem("value", wrong_with(fault), _allowed(target))
    if outcome.amount is not None and target.amount is None:
        yield FieldProblem("amount", f"is not known of {config.model}", "its outcome is a value")


def _faults_of_key(outcome: Outcome, config: ModelConfig) -> Iterator[FieldProblem]:
    """Give what is wrong with that by which the predictions are found."""
    by_id, by_entity = outcome.prediction_id is not None, outcome.entity is not None
    if not by_id and not by_entity:
        yield FieldProblem("prediction_id", "is missing", "it is needed, or entity")
    if by_id and by_entity:
        yield FieldProblem("entity", "stands beside prediction_id", "one of them is allowed")
    if config.split.rule != "steps":
        if by_id and outcome.as_of is not None:
            yield FieldProblem("as_of", "stands beside prediction_id", "it goes with entity")
        elif config.as_of is None and outcome.as_of is not None:
            yield FieldProblem("as_of", f"is not known of {config.model}", "entity is enough")
    elif outcome.as_of is None:
        yield FieldProblem("as_of", "is missing", "the time of the step is needed")
    elif outcome.as_of > clock.now() + _MOST_AHEAD:
        yield FieldProblem("as_of", "is in the future", "a step that has begun is allowed")


def is_yes_or_no(target: Target) -> bool:
    """Say whether a target's outcome is true or false, and no number.

    Parameters
    ----------
    target
        Of a model's config.
    """
    return target.positive is not None


def _allowed(target: Target) -> str:
    kind = "true or false" if is_yes_or_no(target) else "a number"
    unit = f" in {target.unit}" if target.unit else ""
    return f"{kind}{unit} ({target.description.rstrip('.')}) is allowed, or null"
