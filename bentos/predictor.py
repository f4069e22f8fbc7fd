"""What every predictor does: load an artifact, answer rows, say why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from core.artifact import Artifact
from core.config import ModelConfig
from core.encoding import Columns, Encoder, FloatArray, rows_to_columns
from core.errors import ConfigError, nearest
from core.task import Task

ENCODER = "encoder.json"
RANGES = "ranges.json"
# Fewer rows are walked sooner than they are looked at as arrays.
_WORTH_A_LOOK = 4


class Flag(BaseModel):
    """An input that lies outside of what the model was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str = Field(description="Name of the feature.")
    flag: Literal["below_training_range", "above_training_range", "level_not_seen"] = Field(
        description="In which way it lies outside."
    )
    seen: list[float] | None = Field(
        description="Least and largest training value; null for a category."
    )


class Driver(BaseModel):
    """What one input adds to the prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str = Field(description="Name of the input, or of what was derived from inputs.")
    contribution: float = Field(description="What it adds to the base, on the stated scale.")


class Explanation(BaseModel):
    """Additive reasons: base plus contributions is the total."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: str = Field(description="Scale of the numbers: log-odds, or amount (money).")
    base: float = Field(description="What is predicted knowing nothing of the row.")
    total: float = Field(description="The prediction on that scale.")
    contributions: list[Driver] = Field(description="Largest effect first.")


@dataclass(frozen=True)
class Drivers:
    """Additive reasons of ``n`` predictions.

    Parameters
    ----------
    names
        The ``k`` inputs, or what was derived from them.
    base
        Shape ``(n,)``.
    contributions
        Shape ``(n, k)``; ``base + contributions.sum(axis=1)`` is ``total``.
    total
        Shape ``(n,)``: the prediction on ``scale``.
    scale
        ``"log-odds"`` or ``"amount"``.
    """

    names: tuple[str, ...]
    base: FloatArray
    contributions: FloatArray
    total: FloatArray
    scale: str

    def explanation(self, row: int) -> dict[str, Any]:
        """Give one row's reasons, the largest effect first."""
        parts = self.contributions[row]
        order = np.argsort(-np.abs(parts), kind="stable")
        return {
            "scale": self.scale,
            "base": float(self.base[row]),
            "total": float(self.total[row]),
            "contributions": [
                {"feature": self.names[i], "contribution": float(parts[i])} for i in order
            ],
        }


class Predictor(ABC):
    """Answers requests from a checked artifact.

    A subclass reads its files in ``load`` and answers in ``predict``. No row's answer may depend
    on another row, and a batch must give the very bits that single rows give.

    Parameters
    ----------
    artifact
        An opened artifact of this model.

    Raises
    ------
    ConfigError
        The config names a role that the model does not know, or misses one that it needs.
    """

    MODEL: ClassVar[str]
    RESULT: ClassVar[type[BaseModel]]
    ROLES: ClassVar[Mapping[str, str]] = {}
    RANK_BY: ClassVar[str | None] = None
    # The number by which answers are followed over time: a field of the result, or with a dot a
    # field of each of its parts, which are added up.
    HEADLINE: ClassVar[str]
    # The field that says of the outcome itself what it will be, where one does.
    FORETELLS: ClassVar[str | None] = None
    # Where an answer is about many steps: the parts of the result that have a time, or the input
    # that says how many weeks. An outcome is then about one of them.
    STEPS: ClassVar[str | None] = None
    WEEKS: ClassVar[str | None] = None
    TASKS: ClassVar[tuple[type[Task], ...]] = ()
    # An answer of a millisecond or less is given at once; a slower one is given in a thread.
    IS_QUICK: ClassVar[bool] = True

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.config = artifact.config
        usual = next((task for task in self.TASKS if task.MARK is None), Task)
        self.features = artifact.config.asked_features if usual.ASKS_FEATURES else {}
        check_roles(artifact.config, self.ROLES)
        self.load(artifact)

    @abstractmethod
    def load(self, artifact: Artifact) -> None:
        """Read the model's own files."""

    @abstractmethod
    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Answer validated rows.

        Parameters
        ----------
        rows
            ``n`` rows that keep to the contract.
        explain
            Whether to add the reasons, which costs more time than the answer.

        Returns
        -------
        list of dict
            ``n`` answers with ``result`` (the fields of ``RESULT``), ``flags`` and, when asked
            for, ``drivers``.
        """

    def check(self, row: Mapping[str, Any]) -> None:  # noqa: B027 - most models have no more to ask
        """Refuse a row that keeps to the contract, and that this release still cannot answer.

        Raises
        ------
        RowInvalid
            It names what the release does not know.
        AnswerRefused
            The history it learned from cannot answer it.
        """

    @classmethod
    def summarise(cls, results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:  # noqa: ARG003 - most models say nothing of a batch
        """Say what only a batch as a whole can say.

        Parameters
        ----------
        results
            The results of the ``n`` answered rows, in order.
        """
        return None


class RowPredictor(Predictor):
    """Answers rows of features, column by column.

    A subclass answers columns in ``score`` and gives their reasons in ``drivers``.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.encoder = Encoder.from_json(artifact.read_json(ENCODER))
        ranges = artifact.read_json(RANGES)
        self._spans: list[tuple[str, float, float]] = [
            (name, float(low), float(high)) for name, (low, high) in ranges.items()
        ]
        self._spanned = tuple(name for name, _, _ in self._spans)
        self._lows = np.array([low for _, low, _ in self._spans])
        self._highs = np.array([high for _, _, high in self._spans])
        self._levels = {name: frozenset(known) for name, known in self.encoder.levels.items()}
        super().__init__(artifact)

    @abstractmethod
    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer ``n`` rows: one array of shape ``(n,)`` for each field of ``RESULT``."""

    @abstractmethod
    def drivers(self, columns: Columns) -> Drivers:
        """Give the additive reasons of ``n`` rows."""

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Answer validated rows from their columns."""
        if not rows:
            return []
        columns = rows_to_columns(rows, self.features)
        scores = self.score(columns)
        values = [array.tolist() for array in scores.values()]
        names = list(scores)
        reasons = self.drivers(columns) if explain else None
        beyond = self._beyond(columns)
        answers: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            result = {name: _plain(column[i]) for name, column in zip(names, values, strict=True)}
            answer: dict[str, Any] = {
                "result": result,
                "flags": self.flags(row) if beyond[i] else [],
            }
            if reasons is not None:
                answer["drivers"] = reasons.explanation(i)
            answers.append(answer)
        return answers

    def flags_of(self, columns: Columns) -> list[list[dict[str, Any]]]:
        """Name the inputs of ``n`` rows that lie outside of the training range.

        Parameters
        ----------
        columns
            One array of shape ``(n,)`` a feature.
        """
        beyond = self._beyond(columns)
        found: list[list[dict[str, Any]]] = [[] for _ in beyond]
        for i in [i for i, is_beyond in enumerate(beyond) if is_beyond]:
            found[i] = self.flags({name: _item(values[i]) for name, values in columns.items()})
        return found

    def _beyond(self, columns: Columns) -> list[bool]:
        """Tell which rows may have something to flag: most have not, and are not walked."""
        rows = len(next(iter(columns.values())))
        if rows < _WORTH_A_LOOK:
            return [True] * rows
        found = np.zeros(rows, dtype=bool)
        if self._spanned:
            values = np.array([columns[name] for name in self._spanned])
            outside = (values < self._lows[:, None]) | (values > self._highs[:, None])
            found |= outside.any(axis=0)
        for name, known in self._levels.items():
            found |= [value is not None and value not in known for value in columns[name]]
        marked: list[bool] = found.tolist()
        return marked

    def flags(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Name the inputs of a row that lie outside of the training range."""
        found: list[dict[str, Any]] = []
        for name, low, high in self._spans:
            value = row.get(name)
            if isinstance(value, int | float) and not low <= value <= high:
                side = "below" if value < low else "above"
                found.append(
                    {"feature": name, "flag": f"{side}_training_range", "seen": [low, high]}
                )
        for name, known in self._levels.items():
            value = row.get(name)
            if value is not None and value not in known:
                found.append({"feature": name, "flag": "level_not_seen", "seen": None})
        return found


def _item(value: Any) -> Any:
    """Give a cell as a row has it."""
    if isinstance(value, np.floating):
        return None if np.isnan(value) else float(value)
    return value


def training_ranges(config: ModelConfig, columns: Columns) -> dict[str, list[float]]:
    """Give the least and largest training value of each number, for ``ranges.json``.

    Parameters
    ----------
    config
        The model's config.
    columns
        Training columns, each of shape ``(n,)``.
    """
    ranges: dict[str, list[float]] = {}
    for name, feature in config.features.items():
        if feature.type in {"number", "integer"}:
            values = columns[name]
            known = values[~np.isnan(values)]
            if known.size:
                ranges[name] = [float(known.min()), float(known.max())]
    return ranges


def check_roles(config: ModelConfig, roles: Mapping[str, str]) -> None:
    """Check the roles of a config against those that the model knows.

    A role whose name ends in ``?`` in ``roles`` may be left out.

    Raises
    ------
    ConfigError
        A role is unknown, or one that is needed is missing.
    """
    known = {name.removesuffix("?"): text for name, text in roles.items()}
    for name in config.roles:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(
                f"{config.model} knows no role {name!r}.{nearest(name, list(known))} "
                f"Roles it knows: {listed}",
                key=f"roles.{name}",
            )
    for name, text in roles.items():
        if not name.endswith("?") and name not in config.roles:
            raise ConfigError(
                f"{config.model} needs the role {name!r}: {text}", key=f"roles.{name}"
            )


def _plain(value: object) -> object:
    """Give null for a number that is not there: JSON has no NaN."""
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
