"""A model's contract: the row it takes in, built from its config."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, StrictBool, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from core.config import Feature, ModelConfig, example_of
from core.errors import ConfigError, FieldProblem, RowInvalid, meant
from core.task import Conflict, Task, Time

Row = dict[str, Any]
# A 64-bit float holds every integer up to here; beyond it digits would be lost in silence.
_LARGEST_INTEGER = 2**53
TEXT_LENGTH = 512


@dataclass(frozen=True)
class Shape:
    """One way in which a model may be asked.

    Parameters
    ----------
    mark
        The field whose presence chooses it; nothing for the usual question.
    row_type
        By which pydantic checks a row.
    example
        A row that it accepts, with its keys.
    """

    mark: str | None
    row_type: type[BaseModel]
    example: Row


class Contract:
    """What a model accepts, strictly.

    Numbers are numbers (``"3"`` and ``true`` are refused), extra fields are refused, null only
    where the config allows it. The entity and the as-of time may be sent along; they are echoed
    and not used as inputs.

    Parameters
    ----------
    config
        The model's config; an artifact's own when it is served.
    tasks
        What the model's task asks by nature; without any, or with marked ones only, the config's
        features alone are the usual question.
    """

    def __init__(self, config: ModelConfig, tasks: Sequence[type[Task]] = ()) -> None:
        self.config = config
        if all(task.MARK for task in tasks):
            tasks = (Task, *tasks)
        shapes = [_shape(config, task, alone=len(tasks) == 1) for task in tasks]
        features = config.asked_features
        self.usual = next(shape for shape in shapes if shape.mark is None)
        self.marked = tuple(shape for shape in shapes if shape.mark is not None)
        keys = [config.entity, *([config.as_of] if config.as_of else [])]
        self._texts = (*keys, *(n for n, f in features.items() if f.type == "category"))
        # Nothing but the keys and the features: no task's own fields, which may have parts.
        fields = set(self.row_type.model_fields)
        self._is_flat = not self.marked and fields == {*keys, *features}

    @property
    def row_type(self) -> type[BaseModel]:
        """Type of the usual question."""
        return self.usual.row_type

    def parse_row(self, value: object) -> Row:
        """Check one row.

        Parameters
        ----------
        value
            What strict JSON gave: an object of field names to values.

        Returns
        -------
        dict
            A value for every field (``None`` for null), and the keys when they were sent.

        Raises
        ------
        RowInvalid
            Every fault, each with its field, what is wrong and what is allowed.
        """
        if not isinstance(value, Mapping):
            raise RowInvalid(
                [FieldProblem("row", f"is {_kind(value)}", "an object of field names to values")]
            )
        shape = next((s for s in self.marked if s.mark in value), self.usual)
        try:
            row = shape.row_type.__pydantic_validator__.validate_python(value)
        except ValidationError as error:
            raise RowInvalid(self._problems(error, shape)) from None
        values: Row = vars(row)
        return values

    def parse_plain(self, body: bytes) -> Row | None:
        """Check a row straight from its JSON, in a third of the time.

        Parameters
        ----------
        body
            The bytes as they were sent.

        Returns
        -------
        dict or None
            What ``parse_row`` gives for what strict JSON gives; nothing where it refuses the row,
            and where only a closer look tells: then it is to be asked.
        """
        # Without a backslash every quote begins or ends a name or a text, so that a name that came
        # twice, of which the parser keeps the last, is found by counting.
        if not self._is_flat or b"\\" in body:
            return None
        try:
            row = self.usual.row_type.__pydantic_validator__.validate_json(body)
        except ValidationError:
            return None
        values: Row = vars(row)
        texts = sum([values[name] is not None for name in self._texts])
        return values if body.count(b'"') == 2 * (len(row.model_fields_set) + texts) else None

    def example(self) -> Row:
        """Give a row that this contract accepts, with its keys."""
        return dict(self.usual.example)

    def template_csv(self) -> str:
        """Give a CSV with a header line and one example row, for a user to fill.

        The columns bear the source's own names, as training reads them.
        """
        config = self.config
        row = _keys(config) | config.example_row()
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

    def _problems(self, error: ValidationError, shape: Shape) -> list[FieldProblem]:
        """Translate pydantic's faults into what a person reads."""
        problems: list[FieldProblem] = []
        for fault in error.errors(include_url=False):
            conflict = fault.get("ctx", {}).get("error")
            if isinstance(conflict, Conflict):
                problems += conflict.problems
                continue
            name = ".".join(str(part) for part in fault["loc"])[:120] or "row"
            if fault["type"] == "extra_forbidden":
                known = _siblings(shape.row_type, fault["loc"])
                hint = meant(str(fault["loc"][-1]), known) or "remove it"
                problems.append(FieldProblem(name, "is not a field of this model", hint))
            else:
                allowed = self._allowed(fault, shape)
                problems.append(FieldProblem(name, wrong_with(fault), allowed))
        return problems

    def _allowed(self, fault: ErrorDetails, shape: Shape) -> str:
        """Say what a field accepts."""
        name = str(fault["loc"][0]) if fault["loc"] else ""
        feature = self.config.features.get(name)
        if feature is not None:
            return describe(feature)
        if name == self.config.as_of:
            return "a time with its zone is allowed, such as 2026-01-31T00:00:00Z, or null"
        if name == self.config.entity:
            return f"a text of 1 to {TEXT_LENGTH} characters is allowed, or null"
        field = _field_at(shape.row_type, fault["loc"])
        about = "" if field is None or not field.description else f" ({field.description})"
        if fault["type"] == "missing":
            return f"it is needed{about}"
        if fault["type"].startswith(("datetime", "timezone", "value_error")):
            return f"a time with its zone is allowed, such as 2026-01-31T00:00:00Z{about}"
        return fault["msg"].replace("Input should", "it should") + about


def _field_at(kind: type[BaseModel], path: Sequence[int | str]) -> FieldInfo | None:
    """Find a field of a request by its path; list places and keys of a mapping are passed over."""
    found: FieldInfo | None = None
    inner: type[BaseModel] | None = kind
    for part in path:
        if inner is not None and part in inner.model_fields:
            found = inner.model_fields[str(part)]
            inner = _model_in(found.annotation)
    return found


def _siblings(kind: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Name the fields that stand beside the last part of a path."""
    parent = _field_at(kind, path[:-1])
    inner = kind if parent is None else _model_in(parent.annotation)
    return [] if inner is None else list(inner.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the type of a part in an annotation such as ``list[Point] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((kind for kind in found if kind is not None), None)


def describe(feature: Feature) -> str:
    """Say in words what a feature accepts."""
    unit = f" in {feature.unit}" if feature.unit else ""
    null = ", or null" if feature.nullable else ""
    if feature.type == "boolean":
        return f"true or false is allowed{null}"
    if feature.type == "category":
        if feature.categories is None:
            return f"a text of 1 to {TEXT_LENGTH} characters is allowed{null}"
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
            base = Annotated[str, Field(strict=True, min_length=1, max_length=TEXT_LENGTH)]
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


def _shape(config: ModelConfig, task: type[Task], *, alone: bool) -> Shape:
    """Build one way of asking: the keys, the features it asks for, and the task's own fields."""
    fields: dict[str, Any] = {}
    key = Annotated[str, Field(strict=True, min_length=1, max_length=TEXT_LENGTH)] | None
    fields[config.entity] = (key, Field(default=None, description="Whom the row is about; echoed."))
    if config.as_of:
        fields[config.as_of] = (
            Time | None,
            Field(default=None, description="As of when the row holds, with its zone; echoed."),
        )
    example = _keys(config)
    for name, feature in config.asked_features.items() if task.ASKS_FEATURES else ():
        unit = f" Unit: {feature.unit}." if feature.unit else ""
        text = f"{feature.description.rstrip('.')}.{unit}"
        default: Any = None if feature.nullable else ...
        fields[name] = (field_type(feature), Field(default=default, description=text))
        example[name] = example_of(feature)
    own = set(task.model_fields) & set(fields)
    if own:
        raise ConfigError(
            f"{config.model} takes the field {min(own)!r} itself; name the column otherwise and "
            "map it under source.columns",
            key=min(own),
        )
    example |= task.EXAMPLE
    title = "".join(part.title() for part in config.model.split("_"))
    title += "Row" if alone or task.MARK is None else f"{task.MARK.title()}Row"
    options: dict[str, Any] = {"title": title, "json_schema_extra": {"example": example}}
    row_type = create_model(title, __base__=task, __cls_kwargs__=options, **fields)
    return Shape(task.MARK, row_type, example)


def _keys(config: ModelConfig) -> Row:
    keys: Row = {config.entity: "example-1"}
    if config.as_of:
        keys[config.as_of] = "2026-01-31T00:00:00Z"
    return keys


def wrong_with(fault: ErrorDetails) -> str:
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
