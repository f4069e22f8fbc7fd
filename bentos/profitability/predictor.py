"""Answers what profit a row will bring, between which bounds, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bentos.booster import Booster
from bentos.predictor import Drivers, RowPredictor
from bentos.profitability.design import Design, design_of, owners_of
from bentos.profitability.history import (
    SIZE,
    Habit,
    Ledger,
    Volumes,
    facts_by_level,
    from_arrays,
    has_revenue,
    volumes_of,
)
from bentos.profitability.interval import Interval
from core.artifact import Artifact
from core.encoding import Columns, FloatArray

RULE = "rule.json"
HISTORY = "history.npz"


_EXAMPLE: dict[str, Any] = {
    "profit_amount": 42619.21,
    "low_amount": 23699.04,
    "high_amount": 60173.3,
    "margin_ratio": 0.405,
    "level": 0.9,
}


class ProfitabilityResult(BaseModel):
    """The profit that a row will bring."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [_EXAMPLE]}
    )

    profit_amount: float = Field(description="Expected profit, in the target's currency.")
    low_amount: float = Field(description="Lower end of the interval, in the same currency.")
    high_amount: float = Field(description="Upper end of the interval, in the same currency.")
    margin_ratio: float | None = Field(
        description="Expected profit / revenue; null without a revenue, or where it is 0."
    )
    level: float = Field(
        ge=0, le=1, description="Share of outcomes that the interval is to hold, 0 to 1."
    )


class ProfitabilityPredictor(RowPredictor):
    r"""Expected profit of a client, engagement or sale, with an interval and its reasons.

    The cost of a row is looked up in history (of its item, else of its group), which is exact where
    costs are stable; gradient-boosted trees correct what this rule leaves over, as far as that
    helped on rows that they had not seen. The interval is conformal: whatever the errors are like,
    it holds the stated share of outcomes as long as the future resembles the latest block of the
    past.

    It is right where cost follows a size (a list price, a revenue, a planned cost) or where past
    margins persist. It fails where costs jump at a date: history is then wrong until retrained; and
    the share held is a mean over all rows, not promised for every single kind of row.

    .. math:: profit = revenue - scale \cdot ratio + share \cdot unit \cdot trees

    Parameters
    ----------
    artifact
        An opened artifact of this model. Roles of its config: see ``ROLES``; all may be left out.

    Returns
    -------
    ProfitabilityResult
        For each row: ``profit_amount``, ``low_amount`` and ``high_amount`` in the target's
        currency (any sign, ``low <= profit <= high``), ``margin_ratio`` (profit / revenue; below 0
        for a loss) and ``level`` (0 to 1). Higher is better.

    Raises
    ------
    ConfigError
        The config names a role that the model does not know.
    ArtifactCorrupt
        A file of the artifact is missing, or LightGBM cannot read it.

    Examples
    --------
    >>> sorted(ProfitabilityResult.model_fields)
    ['high_amount', 'level', 'low_amount', 'margin_ratio', 'profit_amount']
    >>> sorted(ProfitabilityPredictor.ROLES)
    ['cost?', 'discount?', 'groups?', 'item?', 'quantity?', 'revenue?']

    References
    ----------
    .. [1] Ke, Meng, Finley, Wang, Chen, Ma, Ye & Liu (2017), LightGBM: a highly efficient gradient
       boosting decision tree. https://papers.nips.cc/paper/6907
    .. [2] Romano, Patterson & Candes (2019), Conformalized quantile regression.
       https://arxiv.org/abs/1905.03222
    .. [3] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), Distribution-free predictive
       inference for regression: normalised split conformal. https://arxiv.org/abs/1604.04173
    .. [4] Prokhorenkova, Gusev, Vorobev, Dorogush & Gulin (2018), CatBoost: ordered target
       statistics, so that no row sees its own outcome. https://arxiv.org/abs/1706.09516
    .. [5] Lundberg, Erion & Lee (2018), Consistent individualized feature attribution for tree
       ensembles. https://arxiv.org/abs/1802.03888
    """

    MODEL: ClassVar[str] = "profitability"
    HEADLINE = "profit_amount"
    FORETELLS = "profit_amount"
    RESULT: ClassVar[type[BaseModel]] = ProfitabilityResult
    RANK_BY: ClassVar[str | None] = "profit_amount"
    ROLES: ClassVar[Mapping[str, str]] = {
        "revenue?": "what the row is sold for, in money: profit is revenue less cost",
        "cost?": "what the row was planned to cost, in money",
        "quantity?": "units sold",
        "discount?": "share of the list price that was let off, 0 to 1",
        "item?": "the category that names what was sold: its cost is learned from history",
        "groups?": "the categories an item belongs to, from fine to coarse",
    }

    def load(self, artifact: Artifact) -> None:
        """Read the rule, the history, the trees and the interval."""
        rule = artifact.read_json(RULE)
        self._form = str(rule["form"])
        self._fills: dict[str, float] = rule["fills"]
        self._chain: tuple[str, ...] = tuple(rule["levels"])
        self._muted = [self.encoder.names.index(name) for name in rule["muted"]]
        self._habit = Habit(**rule["habit"])
        self._base = float(rule["base_amount"])
        self._shares = np.array(rule["shares"])
        tables = from_arrays(artifact.read_arrays(HISTORY), self._chain)
        facts = facts_by_level(self._habit, [tables[level] for level in self._chain])
        self._ledgers = [Ledger(known) for known in facts]
        self._keys = [self.encoder.names.index(level) for level in self._chain]
        self._trees = [
            (Booster.load(artifact.path(tree["file"])), float(tree["weight"]), tree["relative"])
            for tree in rule["trees"]
        ]
        self._interval = Interval.from_json(rule["interval"])
        self._spreads = [Booster.load(artifact.path(name)) for name in rule["interval_files"]]
        self._owners = owners_of(self.config, self._chain)

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer ``n`` rows.

        Parameters
        ----------
        columns
            One array of shape ``(n,)`` a feature.

        Returns
        -------
        dict
            One array of shape ``(n,)`` for each field of ``ProfitabilityResult``.
        """
        volumes, design = self._read(columns)
        amount = self._amount(volumes, design)
        scale = volumes.scale
        inputs = np.column_stack([design.matrix, amount / scale])
        raw = [trees.raw(inputs) for trees in self._spreads]
        low, high = self._interval.bounds(amount, raw=raw, scale=scale, state=design.state)
        return {
            "profit_amount": amount,
            "low_amount": low,
            "high_amount": high,
            "margin_ratio": self._margin(columns, amount),
            "level": np.full(len(amount), self._interval.level),
        }

    def drivers(self, columns: Columns) -> Drivers:
        """Say, in money, what each feature adds to the mean of training.

        Parameters
        ----------
        columns
            One array of shape ``(n,)`` a feature.

        Returns
        -------
        Drivers
            ``k`` features; what was derived from a feature counts as its own.
        """
        volumes, design = self._read(columns)
        names = self.encoder.names
        parts = np.zeros((len(design.structure), len(names)))
        constant = self._rule_parts(parts, volumes, design)
        for trees, weight, relative in self._trees:
            unit = weight * self._shares[design.state] * (volumes.scale if relative else 1.0)
            found = trees.contributions(design.matrix) * unit[:, None]
            for column, owner in enumerate(self._owners):
                parts[:, owner] += found[:, column]
            constant += found[:, -1]
        size = self._size()
        if size is not None:
            parts[:, size] += constant - self._base
        total = self._amount(volumes, design)
        # The base is what the sum leaves, so that rounding never parts the sum from the answer.
        return Drivers(names, total - parts.sum(axis=1), parts, total, "amount")

    def _read(self, columns: Columns) -> tuple[Volumes, Design]:
        """Build the sizes and the inputs of rows."""
        volumes = volumes_of(self.config, columns, form=self._form, fills=self._fills)
        matrix = self.encoder.encode(columns)
        facts = [
            ledger.at(matrix[:, key]) for ledger, key in zip(self._ledgers, self._keys, strict=True)
        ]
        matrix[:, self._muted] = np.nan
        return volumes, design_of(matrix, habit=self._habit, facts=facts, volumes=volumes)

    def _amount(self, volumes: Volumes, design: Design) -> FloatArray:
        """Predict the amounts."""
        amount = design.structure
        for trees, weight, relative in self._trees:
            unit = weight * self._shares[design.state] * (volumes.scale if relative else 1.0)
            amount = amount + unit * trees.raw(design.matrix)
        return amount

    def _margin(self, columns: Columns, amount: FloatArray) -> FloatArray:
        """Give profit / revenue; NaN where there is no revenue."""
        names = self.config.role("revenue")
        if not names:
            return np.full(len(amount), np.nan)
        revenue = columns[names[0]]
        some = (revenue != 0) & ~np.isnan(revenue)
        return np.where(some, amount / np.where(some, revenue, 1.0), np.nan)

    def _rule_parts(self, parts: FloatArray, volumes: Volumes, design: Design) -> FloatArray:
        """Share the structural rule out to features; give what belongs to its size."""
        names = self.encoder.names
        for at, level in enumerate(self._chain):
            parts[:, names.index(level)] -= volumes.scale * design.steps[:, at]
        root, revenue = self._habit.root, volumes.revenue
        if self._form == "list":
            # What the discount costs: the list price is paid for, the revenue comes in.
            discount = names.index(self.config.role("discount")[0])
            parts[:, discount] -= root * (volumes.scale - np.abs(revenue))
            return revenue - root * np.abs(revenue)
        if self._form == "cost":
            cost = names.index(self.config.role("cost")[0])
            parts[:, cost] -= root * (volumes.scale - self._fills["mean_scale"])
            return revenue - root * self._fills["mean_scale"]
        return revenue - root * volumes.scale

    def _size(self) -> int | None:
        """Give the position of the feature that stands for the size of a row, if there is one."""
        if self._form.startswith(SIZE):
            return self.encoder.names.index(self._form.removeprefix(SIZE))
        if not has_revenue(self._form):
            return None
        return self.encoder.names.index(self.config.role("revenue")[0])


PREDICTOR = ProfitabilityPredictor
