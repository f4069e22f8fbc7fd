"""A model's contract: the row it takes in, built from its config."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails

from core.config import Feature, ModelConfig, example_of
from core.errors import FieldProblem, RowInvalid, nearest

Row = dict[str, Any]
# A 64-bit float holds every integer up to here; beyond it digits would be lost in silence.
_LARGEST_INTEGER = 2**53
_TEXT_LENGTH = 512


class Contract:
    """What a model accepts, strictly.

    Numbers are numbers (``"3"`` and ``true`` are refused), extra fields are refused, null only
    where the config allows it. The entity and the as-of time may be sent along; they are echoed
    and not used as inputs.

    Parameters
    ----------
    config
        The model's config; an artifact's own when it is served.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.row_type = _row_type(config)
        self._validator = self.row_type.__pydantic_validator__

    def parse_row(self, value: object) -> Row:
        """Check one row.

        Parameters
        ----------
        value
            What strict JSON gave: an object of field names to values.

        Returns
        -------
        dict
            A value for every feature (``None`` for null), and the keys when they were sent.

        Raises
        ------
        RowInvalid
            Every fault, each with its field, what is wrong and what is allowed.
        """
        if not isinstance(value, Mapping):
            raise RowInvalid(
                [FieldProblem("row", f"is {_kind(value)}", "an object of field names to values")]
            )
        try:
            row = self._validator.validate_python(value)
        except ValidationError as error:
            raise RowInvalid(self._problems(error)) from None
        values: Row = vars(row)
        return values

    def example(self) -> Row:
        """Give a row that this contract accepts, with its keys."""
        row: Row = {self.config.entity: "example-1"}
        if self.config.as_of:
            row[self.config.as_of] = "2026-01-31T00:00:00Z"
        return row | self.config.example_row()

    def template_csv(self) -> str:
        """Give a CSV with a header line and one example row, for a user to fill.

        The columns bear the source's own names, as training reads them.
        """
        config = self.config
        row = self.example()
        row[config.target.column] = 1 if config.target.positive is None else config.target.positive
        for extra in (config.target.amount, config.split.column):
            if extra:
                row[extra] = 0 if extra == config.target.amount else config.split.test_value
        named = config.source.columns
        cells = {named.get(n, n): "" if row[n] is None else row[n] for n in config.table_columns}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([cells.keys(), cells.values()])
        return text.getvalue()

    def _problems(self, error: ValidationError) -> list[FieldProblem]:
        """Translate pydantic's faults into what a person reads."""
        known = list(self.row_type.model_fields)
        problems = []
        for fault in error.errors(include_url=False):
            name = str(fault["loc"][0])
            if fault["type"] == "extra_forbidden":
                hint = nearest(name, known).strip().lower() or "remove it"
                problems.append(FieldProblem(name[:80], "is not a field of this model", hint))
            else:
                problems.append(FieldProblem(name, _wrong(fault), self._allowed(name)))
        return problems

    def _allowed(self, name: str) -> str:
        """Say what a field accepts."""
        feature = self.config.features.get(name)
        if feature is not None:
            return describe(feature)
        if name == self.config.as_of:
            return "a time with its zone is allowed, such as 2026-01-31T00:00:00Z, or null"
        return f"a text of 1 to {_TEXT_LENGTH} characters is allowed, or null"


def describe(feature: Feature) -> str:
    """Say in words what a feature accepts."""
    unit = f" in {feature.unit}" if feature.unit else ""
    null = ", or null" if feature.nullable else ""
    if feature.type == "boolean":
        return f"true or false is allowed{null}"
    if feature.type == "category":
        if feature.categories is None:
            return f"a text of 1 to {_TEXT_LENGTH} characters is allowed{null}"
        return f"one of {', '.join(feature.categories)} is allowed{null}"
    kind = "an integer" if feature.type == "integer" else "a number"
    low, high = feature.minimum, feature.maximum
    if low is not None and high is not None:
        span = f" from {low:g} to {high:g}"
    elif low is not None:
        span = f" of at least {low:g}"
    else:
        span = f" of at most {high:g}" if high is not None else ""
    return f"{kind}{span}{unit} is allowed{null}"


def field_type(feature: Feature) -> Any:
    """Give the annotation by which pydantic checks a feature, strictly."""
    base: Any
    if feature.type == "boolean":
        base = StrictBool
    elif feature.type == "category":
        if feature.categories is not None:
            base = Literal[feature.categories]
        else:
            base = Annotated[str, Field(strict=True, min_length=1, max_length=_TEXT_LENGTH)]
    else:
        number: type = int if feature.type == "integer" else float
        low, high = feature.minimum, feature.maximum
        if number is int:
            low = -_LARGEST_INTEGER if low is None else low
            high = _LARGEST_INTEGER if high is None else high
        bounds = Field(strict=True, ge=low, le=high, allow_inf_nan=False)
        if number is int:
            bounds = Field(strict=True, ge=low, le=high)
        base = Annotated[number, bounds]
    return base | None if feature.nullable else base


def _row_type(config: ModelConfig) -> type[BaseModel]:
    """Build the pydantic type of a row."""
    fields: dict[str, Any] = {}
    key = Annotated[str, Field(strict=True, min_length=1, max_length=_TEXT_LENGTH)] | None
    fields[config.entity] = (key, Field(default=None, description="Whom the row is about; echoed."))
    if config.as_of:
        fields[config.as_of] = (
            Annotated[AwareDatetime, BeforeValidator(_time_text)] | None,
            Field(default=None, description="As of when the row holds, with its zone; echoed."),
        )
    for name, feature in config.features.items():
        unit = f" Unit: {feature.unit}." if feature.unit else ""
        text = f"{feature.description.rstrip('.')}.{unit}"
        default: Any = None if feature.nullable else ...
        fields[name] = (field_type(feature), Field(default=default, description=text))
    title = "".join(part.title() for part in config.model.split("_")) + "Row"
    row_config = ConfigDict(
        extra="forbid", title=title, json_schema_extra={"example": _example(config)}
    )
    return create_model(title, __config__=row_config, **fields)


def _time_text(value: object) -> object:
    """Refuse what pydantic would read as seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - pydantic turns only this into a fault
    return value


def _example(config: ModelConfig) -> Row:
    keys: Row = {config.entity: "example-1"}
    if config.as_of:
        keys[config.as_of] = "2026-01-31T00:00:00Z"
    return keys | {name: example_of(feature) for name, feature in config.features.items()}


def _wrong(fault: ErrorDetails) -> str:
    """Say what is wrong with a value, naming the value when it is short and plain."""
    value = fault["input"]
    if fault["type"] == "missing":
        return "is missing"
    if isinstance(value, str) and fault["type"].startswith(("datetime", "timezone")):
        return f"is {_shown(value)}, not a time with its zone"
    if _is_beyond(value):
        return "is a number of more digits than a 64-bit float holds"
    plain = isinstance(value, bool | int | float | str)
    return f"is {_kind(value)} {_shown(value)}" if plain else f"is {_kind(value)}"


def _is_beyond(value: object) -> bool:
    """Tell whether a 64-bit float cannot hold a number exactly, or at all."""
    if isinstance(value, float):
        return math.isinf(value)
    return isinstance(value, int) and abs(value) > _LARGEST_INTEGER


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - width of a line


def _kind(value: object) -> str:
    """Name a JSON type."""
    if value is None:
        return "null"
    names: tuple[tuple[type, str], ...] = (
        (bool, "the boolean"), (int, "the number"), (float, "the number"), (str, "the text"),
        (list, "a list"), (dict, "an object"), (datetime, "a time"),
    )  # fmt: skip
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)
