"""One config per model: the single truth from which the rest follows.

A YAML file of ``configs/models`` names the features, the target, the key columns, the source, the
split, the gate and the limits. Everything else (request schema, OpenAPI page, checks of the
training table, CSV template) is built from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from core.document import read_document
from core.errors import ConfigError, nearest

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Scalar = bool | int | float | str
RESERVED = frozenset({"prediction_id", "model", "version", "index", "explain"})


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class Feature(_Frozen):
    """One input column of a model."""

    type: Literal["number", "integer", "boolean", "category"]
    description: str = Field(min_length=3, description="What it is, for a person.")
    unit: str | None = Field(default=None, description="Unit of a number: hours, EUR, ratio, …")
    minimum: float | None = Field(default=None, description="Least value accepted.")
    maximum: float | None = Field(default=None, description="Largest value accepted.")
    categories: tuple[str, ...] | None = Field(
        default=None, description="Levels of a closed category; without it levels are learned."
    )
    nullable: bool = Field(default=False, description="Whether null is accepted.")
    history_only: bool = Field(
        default=False, description="Whether only the training table has it, and no request."
    )
    monotone: Literal[-1, 0, 1] = Field(
        default=0, description="Known direction of its effect: 1 rising, -1 falling, 0 unknown."
    )
    example: Scalar | None = Field(default=None, description="A value for examples and templates.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        numeric = self.type in {"number", "integer"}
        if not numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum need a number, not a {self.type}")
        if not numeric and self.monotone:
            raise ValueError(f"monotone needs a number, not a {self.type}")
        if self.categories is not None:
            if self.type != "category":
                raise ValueError(f"categories need the type category, not {self.type}")
            if len(set(self.categories)) != len(self.categories) or not self.categories:
                raise ValueError("categories must be one or more different names")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimum {low} is above maximum {high}")
        return self._example_fits()

    def _example_fits(self) -> Self:
        value = self.example
        if value is None:
            return self
        kinds: dict[str, type | tuple[type, ...]] = {
            "number": (int, float), "integer": int, "boolean": bool, "category": str,
        }  # fmt: skip
        wrong_kind = not isinstance(value, kinds[self.type])
        if wrong_kind or (self.type in {"number", "integer"} and isinstance(value, bool)):
            raise ValueError(f"example {value!r} is no {self.type}")
        if self.categories is not None and value not in self.categories:
            raise ValueError(f"example {value!r} is none of the categories")
        if isinstance(value, int | float) and not isinstance(value, bool):
            below = self.minimum is not None and value < self.minimum
            above = self.maximum is not None and value > self.maximum
            if below or above:
                raise ValueError(f"example {value!r} is outside minimum and maximum")
        return self


class Target(_Frozen):
    """What the model learns to say."""

    column: Name
    description: str = Field(min_length=3)
    unit: str | None = None
    positive: Scalar | None = Field(default=None, description="The value that means yes.")
    unknown: Scalar | None = Field(default=None, description="The value that means not labelled.")
    amount: Name | None = Field(default=None, description="Column with the true amount, if any.")
    nullable: bool = Field(default=False, description="Whether rows without a label are kept.")
    optional: bool = Field(
        default=False, description="Whether the table may lack the column; needs nullable."
    )
    horizon_days: int | None = Field(
        default=None,
        ge=0,
        description="Days after the as-of time (of a step: after it begins) until the outcome is "
        "known, and due; without it nobody can say when.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.optional and not self.nullable:
            raise ValueError("a target that the table may lack must be nullable")
        return self


class _Table(_Frozen):
    columns: dict[str, str] = Field(
        default_factory=dict, description="Our name of a column -> the source's name of it."
    )
    time_format: str | None = Field(
        default=None, description="strptime format of the as-of time; ISO 8601 without it."
    )


class FileSource(_Table):
    """A CSV or Parquet file, or several by a glob."""

    kind: Literal["csv", "parquet"]
    path: str = Field(min_length=1, description="Path or glob; ${VARIABLES} are filled in.")
    encoding: str = "utf-8"
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)


class SqlSource(_Table):
    """A query against any database SQLAlchemy reaches."""

    kind: Literal["sql"]
    address: str = Field(min_length=1, description="SQLAlchemy URL; ${VARIABLES} are filled in.")
    query: str = Field(min_length=1)


class SampleSource(_Table):
    """A table of the simulated firm."""

    kind: Literal["sample"]
    table: Name
    clients: int = Field(default=2000, ge=50, le=1_000_000)
    months: int = Field(default=36, ge=24, le=120)
    seed: int = Field(default=7, ge=0)
    drift: bool = False


Source = Annotated[FileSource | SqlSource | SampleSource, Field(discriminator="kind")]


class Split(_Frozen):
    """How rows are parted into train, calibration and test."""

    rule: Literal["time", "entity", "column", "steps"]
    test_share: Share | None = None
    test_days: int | None = Field(default=None, ge=1)
    test_steps: int | None = Field(
        default=None, ge=1, description="How many rows of each entity, the latest, are the test."
    )
    column: Name | None = None
    test_value: Scalar | None = None
    calibration_share: Share = 0.2

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        by_column = self.column is not None and self.test_value is not None
        if self.rule == "column" and not by_column:
            raise ValueError("the rule column needs the keys column and test_value")
        if self.rule != "column" and (self.column is not None or self.test_value is not None):
            raise ValueError(f"column and test_value do not go with the rule {self.rule}")
        if self.rule != "time" and self.test_days is not None:
            raise ValueError(f"test_days does not go with the rule {self.rule}")
        if (self.rule == "steps") != (self.test_steps is not None):
            raise ValueError("the rule steps and the key test_steps need each other")
        if self.rule == "steps" and self.test_share is not None:
            raise ValueError("test_share does not go with the rule steps")
        if self.test_share is not None and self.test_days is not None:
            raise ValueError("give test_share or test_days, not both")
        return self


class Quality(_Frozen):
    """What a training table must be like."""

    max_bad_share: float = Field(default=0.01, ge=0, lt=1)
    min_rows: int = Field(default=200, ge=20)


class Training(_Frozen):
    """How the recipe runs; the recipe names the options it knows."""

    seed: int = Field(default=7, ge=0, lt=2**31)
    options: dict[Name, Scalar] = Field(default_factory=dict)


class Gate(_Frozen):
    """What a challenger must show to become champion."""

    metric: Name
    floors: dict[Name, float] = Field(default_factory=dict)
    ceilings: dict[Name, float] = Field(default_factory=dict)
    max_latency_ms: float = Field(default=10.0, gt=0)
    confidence: Share = 0.9


class Serving(_Frozen):
    """Limits of the model's endpoints."""

    max_batch_rows: int = Field(default=1000, ge=1, le=100_000)


class ModelConfig(_Frozen):
    """Everything that is said of one model in one place."""

    model: Name
    title: str
    description: str
    source: Source
    entity: Name
    as_of: Name | None = None
    target: Target
    features: dict[Name, Feature]
    roles: dict[Name, str | tuple[str, ...]] = Field(default_factory=dict)
    split: Split
    quality: Quality = Quality()
    training: Training = Training()
    gate: Gate
    serving: Serving = Serving()

    @field_validator("features")
    @classmethod
    def _names_are_free(cls, features: dict[str, Feature], _: ValidationInfo) -> dict[str, Feature]:
        taken = RESERVED.intersection(features)
        if taken:
            raise ValueError(f"these names are taken by the answer: {', '.join(sorted(taken))}")
        return features

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        names = list(self.features)
        keys = [self.entity, self.target.column, *([self.as_of] if self.as_of else [])]
        keys += [c for c in (self.target.amount, self.split.column) if c]
        for key in keys:
            if key in self.features:
                raise ValueError(f"{key!r} is a key, target or split column and also a feature")
        for role, given in self.roles.items():
            for name in (given,) if isinstance(given, str) else given:
                if name not in self.features:
                    hint = nearest(name, names)
                    raise ValueError(f"role {role!r} names {name!r}, which is no feature.{hint}")
        if self.split.rule in {"time", "steps"} and self.as_of is None:
            raise ValueError(f"a split by {self.split.rule} needs the key as_of")
        unknown = set(self.source.columns) - set(self.table_columns)
        if unknown:
            name = min(unknown)
            hint = nearest(name, self.table_columns)
            raise ValueError(f"source.columns maps {name!r}, which this config does not use.{hint}")
        return self

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Every column a training table must have, in our names."""
        optional = (self.as_of, self.target.amount, self.split.column)
        keys = [self.entity, *self.features, self.target.column, *(c for c in optional if c)]
        return tuple(dict.fromkeys(keys))

    def role(self, name: str) -> tuple[str, ...]:
        """Names of the features that play a role; empty when none does."""
        given = self.roles.get(name, ())
        return (given,) if isinstance(given, str) else given

    @property
    def asked_features(self) -> dict[str, Feature]:
        """The features that a request has."""
        return {name: f for name, f in self.features.items() if not f.history_only}

    def example_row(self) -> dict[str, Scalar | None]:
        """A row of the training table, made of the features' examples."""
        return {name: example_of(feature) for name, feature in self.features.items()}

    def digest(self) -> str:
        """SHA-256 of what was configured, whatever the order or layout of the file."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def example_of(feature: Feature) -> Scalar | None:
    """Give a value that the feature accepts."""
    if feature.example is not None:
        return feature.example
    if feature.type == "boolean":
        return False
    if feature.type == "category":
        return feature.categories[0] if feature.categories else "example"
    low = feature.minimum if feature.minimum is not None else min(feature.maximum or 0.0, 0.0)
    return int(low) if feature.type == "integer" else float(low)


def load_model_config(path: Path) -> ModelConfig:
    """Read a model's YAML file.

    ``${VARIABLES}`` in the source's path or address must be set, and stay as written: a config is
    copied into artifacts, which must not hold a password. ``fill_variables`` is for the reader.

    Raises
    ------
    ConfigError
        Anything unknown, missing or contradictory, with file, line and key.
    """
    document = read_document(path)
    source = document.content.get("source")
    if isinstance(source, dict):
        for key in ("path", "address"):
            if isinstance(source.get(key), str):
                fault = _unset_variable(source[key])
                if fault:
                    raise document.error(("source", key), fault)
    return document.parse(ModelConfig)


def fill_variables(text: str) -> str:
    """Fill in the ``${VARIABLES}`` of a source's path or address, at the moment of reading."""
    return os.path.expandvars(text)


def _unset_variable(text: str) -> str | None:
    """Name a ``${VARIABLE}`` that the environment does not have."""
    for name in re.findall(r"\$\{(\w+)\}", text):
        if name not in os.environ:
            return f"the environment variable {name} is not set; set it, or write the value"
    return None


def parse_model_config(content: dict[str, Any]) -> ModelConfig:
    """Build a config from plain data, such as an artifact's copy of it.

    Raises
    ------
    ConfigError
        The data is no valid config.
    """
    try:
        return ModelConfig.model_validate(content)
    except ValueError as error:
        raise ConfigError(f"the stored config is not valid: {error}") from error
