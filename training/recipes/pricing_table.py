"""The training rows as the curve's fit wants them, and the tables that cannot be learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from core.encoding import Encoder, FloatArray
from core.errors import TrainingRefused
from training.frame import Frame

Response = Literal["win", "volume"]
# Prices that differ by less than this, on the logarithm, are one price.
LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Table:
    """``n`` labelled rows.

    Parameters
    ----------
    encoder
        Of the ``p`` features that a request has.
    matrix
        Shape ``(n, p)``.
    outcome
        Shape ``(n,)``: 1 or 0 for wins, the logarithm of the volume for volume.
    price
        Shape ``(n,)``, above 0.
    instruments
        Shape ``(n, w)``, encoded; ``w`` is 0 without any.
    by_chance
        Shape ``(n,)``: whether a price was set by chance; nothing where the config names none.
    entity
        Shape ``(n,)``.
    as_of
        Shape ``(n,)``: days, or nothing.
    """

    encoder: Encoder
    matrix: FloatArray
    outcome: FloatArray
    price: FloatArray
    instruments: FloatArray
    by_chance: npt.NDArray[np.bool_] | None
    entity: npt.NDArray[np.object_]
    as_of: npt.NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """Give some rows."""
        return replace(
            self,
            matrix=self.matrix[rows],
            outcome=self.outcome[rows],
            price=self.price[rows],
            instruments=self.instruments[rows],
            by_chance=None if self.by_chance is None else self.by_chance[rows],
            entity=self.entity[rows],
            as_of=None if self.as_of is None else self.as_of[rows],
        )


def gather(frames: list[Frame], config: ModelConfig, response: Response) -> Table:
    """Put the labelled rows of frames together.

    Raises
    ------
    TrainingRefused
        The outcomes are not of the response's kind, a price is not above 0, or all prices are one.
    """
    known = [frame.take(~np.isnan(frame.target)) for frame in frames]
    columns = {
        name: np.concatenate([frame.columns[name] for frame in known]) for name in config.features
    }
    target = np.concatenate([frame.target for frame in known])
    encoder = Encoder.fit(config.asked_features, columns)
    instruments = {name: config.features[name] for name in config.role("instruments")}
    outside = (
        Encoder.fit(instruments, columns).encode(columns)
        if instruments
        else np.empty((len(target), 0))
    )
    experiment = config.role("experiment")
    times = [frame.as_of for frame in known if frame.as_of is not None]
    price = np.asarray(columns[config.role("price")[0]], dtype=np.float64)
    _refuse_prices(price, config)
    return Table(
        encoder=encoder,
        matrix=encoder.encode(columns),
        outcome=_outcome(target, config, response),
        price=price,
        instruments=outside,
        by_chance=columns[experiment[0]] == 1.0 if experiment else None,
        entity=np.concatenate([frame.entity for frame in known]),
        as_of=np.concatenate(times).astype("datetime64[D]") if times else None,
    )


def _outcome(target: FloatArray, config: ModelConfig, response: Response) -> FloatArray:
    name = config.target.column
    if response == "win":
        other = ~np.isin(target, (0.0, 1.0))
        if other.any():
            raise TrainingRefused(
                config.model,
                f"the target {name!r} must be 1 or 0 where training.options.response is win; "
                f"{int(other.sum()):,} rows hold other numbers, such as {target[other][0]:g}. Set "
                "target.positive to the value that means won, or set response: volume.",
            )
        if target.min() == target.max():
            raise TrainingRefused(
                config.model,
                f"every row before the test has the outcome {target[0]:g}: nothing tells what a "
                "price changes. Bring a history of offers both won and lost.",
            )
        return target
    none = target <= 0
    if none.any():
        raise TrainingRefused(
            config.model,
            f"the target {name!r} must be above 0 where training.options.response is volume; "
            f"{int(none.sum()):,} rows hold 0 or less. Sum over longer periods until every row "
            "sold something, or set response: win for rows of one offer each.",
        )
    return np.asarray(np.log(target))


def _refuse_prices(price: FloatArray, config: ModelConfig) -> None:
    name = config.role("price")[0]
    none = ~(price > 0)
    if none.any():
        raise TrainingRefused(
            config.model,
            f"the price {name!r} must be above 0; {int(none.sum()):,} rows hold 0, less or null. "
            f"Leave out what was given away, or set features.{name}.minimum to what a sale costs.",
        )
    if np.ptp(np.log(price)) < LEAST_SPREAD:
        raise TrainingRefused(
            config.model,
            f"the history holds one price ({price[0]:g} in {name!r}): what another price would "
            "change cannot be learned from it. Bring rows sold at prices that differ, or price a "
            "tenth of the offers by chance for a while.",
        )
