"""The play itself: day by day what is asked, and what is told of it later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa

from bentos.catalog import CATALOG, path_name
from core.config import ModelConfig
from core.contract import Row
from training.demo.drift import drift
from training.demo.outcomes import Outcome, outcomes_of
from training.demo.pools import (
    ClientPool,
    MarketPool,
    Pool,
    RecordPool,
    SeriesPool,
    firm_table,
    lines_of,
)
from training.demo.rhythm import Span, rows_on, time_on
from training.demo.steps import Steps, demand_steps, market_steps

_CLIENTS = frozenset({"profitability", "churn"})
# What is drawn by chance of a model and day: its rows, or what becomes of them.
_ROWS, _OUTCOMES = 0, 1


@dataclass(frozen=True)
class Batch:
    """What is asked of one model at one time.

    Parameters
    ----------
    model
        Its name.
    at
        When.
    rows
        What is asked.
    outcomes
        One list a row: what will be told of it, up to the last day of the play.
    """

    model: str
    at: datetime
    rows: list[Row]
    outcomes: list[list[Outcome]]

    @property
    def path(self) -> str:
        """Route that is asked."""
        return f"/api/{path_name(self.model)}/batch"

    @cached_property
    def body(self) -> bytes:
        """What is sent."""
        return orjson.dumps({"rows": self.rows})


class Play:
    """Months of the sample firm's life.

    Parameters
    ----------
    configs
        Of the models that play; their source is the sample firm.
    home
        Folder of the platform; the firm's tables are kept there.
    span
        The days.
    seed
        Same seed and span, same play.

    Raises
    ------
    SourceError
        The sample firm has not the table that a config names.
    """

    def __init__(
        self, configs: Mapping[str, ModelConfig], *, home: Path, span: Span, seed: int
    ) -> None:
        self._configs = configs
        self._span = span
        self._seed = seed
        self._pools: dict[str, Pool] = {}
        self._steps: dict[str, Steps] = {}
        for model, config in configs.items():
            self._prepare(model, config, firm_table(config, home=home), home=home)

    def days(self) -> Iterator[tuple[date, list[Batch]]]:
        """Give the batches of each day, in the order of their times."""
        for day in self._span.days:
            batches = [self._batch(model, day) for model in self._configs]
            yield day, sorted((one for one in batches if one.rows), key=lambda one: one.at)

    def of_steps(self) -> Iterator[tuple[str, Outcome]]:
        """Give the outcomes of months and weeks, each with its model: they are told by entity."""
        for model, steps in self._steps.items():
            target = self._configs[model].target
            if target.horizon_days is None:
                target = target.model_copy(update={"horizon_days": steps.days})
            random = self._random(model, self._span.first, _OUTCOMES)
            for step in steps.found:
                told = outcomes_of(step.truth, target, begin=step.begin, random=random)
                for one in self._in_time(told):
                    yield model, replace(one, content=step.about | one.content)

    def _prepare(self, model: str, config: ModelConfig, table: pa.Table, *, home: Path) -> None:
        seed, last = self._seed, self._span.last
        if model == "demand":
            self._steps[model] = demand_steps(config, table, self._span, seed=seed)
            latest = max(table.column(config.as_of or "").to_pylist()).date()
            series = sorted(set(table.column(config.entity).to_pylist()))
            self._pools[model] = SeriesPool(config, series, latest=latest, seed=seed)
        elif model == "budget":
            self._steps[model] = market_steps(config, table, self._span, seed=seed)
            market = table.column(config.entity)[0].as_py()
            weekly = sum(_mean(table, name) for name in config.roles["channels"])
            self._pools[model] = MarketPool(config, market, weekly_amount=weekly)
        else:
            lines = lines_of(config, table, home=home, seed=seed)
            self._pools[model] = (
                ClientPool(config, lines, last=last, seed=seed)
                if model in _CLIENTS
                else RecordPool(config, lines, seed=seed)
            )

    def _batch(self, model: str, day: date) -> Batch:
        config = self._configs[model]
        random = self._random(model, day, _ROWS)
        count = rows_on(model, day, since=self._span.first, random=random)
        at = time_on(model, day, random)
        most = config.serving.max_batch_rows
        drawn = self._pools[model].draw(day, min(count, most), random)
        rows = [row for row, _ in drawn]
        if day >= self._span.drift_on:
            drift(model, rows, config.features)
        random = self._random(model, day, _OUTCOMES)
        outcomes = [
            self._in_time(outcomes_of(truth, config.target, begin=day, random=random))
            for _, truth in drawn
        ]
        return Batch(model, at, rows, outcomes)

    def _in_time(self, outcomes: list[Outcome]) -> list[Outcome]:
        return [one for one in outcomes if one.told_on <= self._span.last]

    def _random(self, model: str, day: date, what: int) -> np.random.Generator:
        """Give the chance of a model and day: it does not depend on what else is played."""
        return np.random.default_rng([self._seed, CATALOG.index(model), day.toordinal(), what])


def _mean(table: pa.Table, name: str) -> float:
    return float(np.nanmean(table.column(name).to_numpy()))
