"""The weeks of a training table: spend by channel, controls and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from core.encoding import FloatArray
from core.errors import ConfigError, TrainingRefused
from training.frame import Frame, TimeArray

_WEEK = np.timedelta64(7, "D")
_LEAST_CHANNELS = 2
_LEAST_WEEKS = 52


@dataclass(frozen=True)
class History:
    """``n`` weeks of one market, in order.

    Parameters
    ----------
    times
        Shape ``(n,)``, a week apart.
    spend
        Shape ``(n, k)``, 0 or more.
    controls
        Shape ``(n, m)``; a value that is missing is the control's mean.
    outcome
        Shape ``(n,)``.
    channels, control_names
        Names of the columns.
    """

    times: TimeArray
    spend: FloatArray
    controls: FloatArray
    outcome: FloatArray
    channels: tuple[str, ...]
    control_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.outcome)

    def first(self, weeks: int) -> History:
        """Give the first weeks alone."""
        return History(
            self.times[:weeks], self.spend[:weeks], self.controls[:weeks], self.outcome[:weeks],
            self.channels, self.control_names,
        )  # fmt: skip


def history_of(parts: Sequence[Frame], config: ModelConfig) -> History:
    """Put the weeks of frames in order, and refuse what no budget can be learned from.

    Raises
    ------
    TrainingRefused
        One channel, several markets, weeks that are missing, spend that is negative or always 0.
    """
    _refuse_few_channels(config)
    _refuse_texts(config)
    rows = [part for part in parts if len(part)]
    markets = sorted({str(name) for part in rows for name in part.entity})
    if len(markets) > 1:
        raise TrainingRefused(
            config.model,
            f"the table holds {len(markets)} markets ({', '.join(markets[:3])}, ...); curves of "
            "several markets do not add up. Train on one market, or on their sums by week.",
        )
    times = np.concatenate([part.as_of for part in rows if part.as_of is not None])
    order = np.argsort(times, kind="stable")
    times = times[order]
    _refuse_gaps(times, config)

    def columns(names: Sequence[str]) -> FloatArray:
        stacks = [[part.columns[name].astype(np.float64) for name in names] for part in rows]
        wide = [np.column_stack(stack) for stack in stacks if stack]
        return np.concatenate(wide)[order] if wide else np.zeros((len(order), 0))

    channels, controls = config.role("channels"), config.role("controls")
    spend = np.nan_to_num(columns(channels), nan=0.0)
    _refuse_spend(spend, config)
    seen = columns(controls)
    usual = np.nan_to_num(np.nanmean(seen, axis=0)) if seen.size else np.zeros(seen.shape[1])
    outcome = np.concatenate([part.target for part in rows])[order]
    return History(times, spend, np.where(np.isnan(seen), usual, seen), outcome, channels, controls)


def week_numbers(times: npt.NDArray[np.datetime64], first: np.datetime64) -> FloatArray:
    """Give weeks since the first week, shape ``(n,)``."""
    weeks: FloatArray = (times - first) / _WEEK
    return weeks


def _refuse_few_channels(config: ModelConfig) -> None:
    channels = config.role("channels")
    if len(channels) < _LEAST_CHANNELS:
        raise TrainingRefused(
            config.model,
            f"roles.channels names {len(channels)} channel ({', '.join(channels)}); with one there "
            "is nothing to split. Name two or more columns of spend.",
        )
    both = set(channels) & set(config.role("controls"))
    if both:
        raise TrainingRefused(
            config.model, f"{min(both)!r} is a channel and a control; take it out of one role."
        )


def _refuse_texts(config: ModelConfig) -> None:
    for role in ("channels", "controls"):
        for name in config.role(role):
            if config.features[name].type == "category":
                raise ConfigError(
                    f"{name!r} is a category; {role} must be numbers. Make a column of 0 and 1 of "
                    "each level that counts",
                    key=f"roles.{role}",
                )


def _refuse_gaps(times: TimeArray, config: ModelConfig) -> None:
    if len(times) < _LEAST_WEEKS:
        raise TrainingRefused(
            config.model,
            f"{len(times)} weeks are too few to tell channels from the season; "
            f"{_LEAST_WEEKS} are needed, two years are good.",
        )
    steps = np.diff(times)
    wrong = np.flatnonzero(np.abs(steps - _WEEK) > np.timedelta64(1, "D"))
    if wrong.size:
        before, after = (str(times[wrong[0] + i])[:10] for i in (0, 1))
        raise TrainingRefused(
            config.model,
            f"rows must be a week apart: after {before} comes {after} ({wrong.size} such steps). "
            "Sum the table by week, and write weeks without spend as rows with 0.",
        )


def _refuse_spend(spend: FloatArray, config: ModelConfig) -> None:
    for place, name in enumerate(config.role("channels")):
        values = spend[:, place]
        if values.min() < 0:
            raise TrainingRefused(
                config.model,
                f"{name!r} holds negative spend, {values.min():g}; book refunds in the week that "
                "they belong to, and give the feature minimum: 0.",
            )
        if values.max() == 0:
            raise TrainingRefused(
                config.model, f"{name!r} never had any spend; take it out of roles.channels."
            )
