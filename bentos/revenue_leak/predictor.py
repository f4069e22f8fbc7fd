"""Under-billed records: how likely, by how much, and why."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bentos.booster import Booster
from bentos.predictor import Drivers, RowPredictor
from bentos.revenue_leak.bill import ROLES, Gaps, Roles, measure, read_bill
from bentos.revenue_leak.evidence import Terms, sum_terms, tree_terms
from bentos.revenue_leak.peers import Chain
from core.artifact import Artifact
from core.encoding import Columns, FloatArray

# Rows worked on at a time: bounds the memory of bulk scoring, and changes no answer.
BLOCK_ROWS = 65_536


_EXAMPLE: dict[str, Any] = {
    "probability": 0.82,
    "expected_missing_amount": 254.2,
    "fair_bill_amount": 3900.1,
    "gap_amount": 310.0,
}


class LeakResult(BaseModel):
    """What is said of one billing record."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [_EXAMPLE]}
    )

    probability: float = Field(
        ge=0, le=1, description="Probability that the record is under-billed, a ratio from 0 to 1."
    )
    expected_missing_amount: float = Field(
        ge=0,
        description="Probability x gap, in the billed amount's currency; rank by it for money.",
    )
    fair_bill_amount: float = Field(
        ge=0, description="What the record should bill, in the currency of the billed amount."
    )
    gap_amount: float = Field(
        ge=0,
        description="Fair bill less billed amount, at least 0, in the billed amount's currency.",
    )


class RevenueLeakPredictor(RowPredictor):
    r"""Finds under-billed records: a leak is a gap to the bill that was to be expected.

    The expected bill is structure times peers: the agreed quantity, rate, discount and minimum, as
    far as the config names them, times what peers of the same item (and of the same party) usually
    pay for a unit. Peers are medians learned from history, shrunk towards coarser groups, kept in
    the artifact and looked up from the row alone. The gaps to that bill are weighed in two steps:
    a ridge-penalised logistic sum of each gap on several scales, then small trees that start from
    that sum and add what it leaves over. Without labels (or with fewer than twenty leaks or twenty
    sound records) the sum's weights come from theory: likelihood ratios of Student-t noise against
    leaks six times as wide, under a stated share of leaks.

    It is right where records of an item have like prices, or where the contract's terms are
    given; some hundred audited records with a few dozen leaks suffice. It fails where whole items
    have always been billed too low (their own history is the yardstick, so give ``rate`` or
    ``expected``), where a record's item is new *and* no rate is given (its own price is then mostly
    believed), and where audits only looked at suspicious records (the probability then is one
    among suspicious records). An approved deviation without its mark looks like a leak.

    .. math::
        \operatorname{logit} P = a\,(w_0 + \sum_j w_j\,t_j(gaps) + trees(gaps, inputs)) + b,
        \qquad E[missing] = P \cdot \max(fair - billed, 0)

    Parameters
    ----------
    artifact
        An opened artifact of ``revenue_leak``: ``peers.npz``, ``sum.npz``, ``history.npz``,
        ``model.json``, and ``trees.txt`` where there were labels.

    Returns
    -------
    LeakResult
        From ``score``, arrays of shape ``(n,)``: ``probability`` in 0 to 1, high = probably
        under-billed; ``expected_missing_amount``, ``fair_bill_amount`` and ``gap_amount`` at least
        0, in the currency of the billed amount.

    Raises
    ------
    ConfigError
        A role is unknown, missing, or played by a feature of the wrong type.
    ArtifactCorrupt
        A file of the artifact is missing or changed.

    Examples
    --------
    >>> from bentos.revenue_leak.predictor import RevenueLeakPredictor
    >>> RevenueLeakPredictor.RANK_BY
    'expected_missing_amount'

    References
    ----------
    .. [1] Torgo (2017), Data Mining with R, 2nd ed., ch. 6: detecting fraudulent transactions,
       price per unit against the product's median. https://ltorgo.github.io/DMwR2/
    .. [2] Efron & Morris (1975), Data analysis using Stein's estimator, JASA 70(350).
       https://doi.org/10.1080/01621459.1975.10479864
    .. [3] Platt (1999), Probabilistic outputs for support vector machines.
    .. [4] Ke et al. (2017), LightGBM. https://papers.nips.cc/paper/6907
    .. [5] Lundberg, Erion & Lee (2018), TreeSHAP. https://arxiv.org/abs/1802.03888
    .. [6] Lange, Little & Taylor (1989), Robust statistical modeling using the t distribution,
       JASA 84(408). https://doi.org/10.1080/01621459.1989.10478852
    """

    MODEL: ClassVar[str] = "revenue_leak"
    HEADLINE = "expected_missing_amount"
    FORETELLS = "probability"
    RESULT: ClassVar[type[BaseModel]] = LeakResult
    ROLES = ROLES
    RANK_BY: ClassVar[str | None] = "expected_missing_amount"

    def load(self, artifact: Artifact) -> None:
        """Read peers, weights, history and trees."""
        self._roles = Roles.of(self.config)
        model = artifact.read_json("model.json")
        self._scale, self._offset = float(model["scale"]), float(model["offset"])
        self._plain: list[str] = model["plain"]
        peers = artifact.read_arrays("peers.npz")
        self._chains = {
            name: Chain.from_arrays(name, arrays=peers, features=levels)
            for name, levels in model["chains"].items()
        }
        history = artifact.read_arrays("history.npz")
        self._history = {name: history[name] for name in model["history"]}
        weights = artifact.read_arrays("sum.npz")
        self._weights, self._means = weights["weights"], weights["means"]
        self._intercept = float(weights["intercept"][0])
        self._trees = Booster.load(artifact.path("trees.txt")) if model["trees"] else None

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Give probability, expected missing amount, fair bill and gap, each of shape ``(n,)``."""
        blocks = [self._score_block(block) for block in _blocks(columns)]
        if len(blocks) == 1:
            return blocks[0]
        return {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}

    def drivers(self, columns: Columns) -> Drivers:
        """Give what each gap and input adds to the log-odds of a leak."""
        parts = [self._drivers_block(block) for block in _blocks(columns)]
        return Drivers(
            names=parts[0].names,
            base=np.concatenate([part.base for part in parts]),
            contributions=np.concatenate([part.contributions for part in parts]),
            total=np.concatenate([part.total for part in parts]),
            scale="log-odds",
        )

    def _score_block(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        gaps, rates, plain = self._gaps(columns)
        margin = self._margin(
            sum_terms(gaps, rates=rates, approval=self._roles.approval),
            tree_terms(gaps, rates=rates, plain=plain),
        )
        probability = 1.0 / (1.0 + np.exp(-margin))
        billed = columns[self._roles.billed]
        gap = np.maximum(gaps.fair - np.where(np.isnan(billed), 0.0, billed), 0.0)
        return {
            "probability": probability,
            "expected_missing_amount": probability * gap,
            "fair_bill_amount": gaps.fair,
            "gap_amount": gap,
        }

    def _drivers_block(self, columns: Columns) -> Drivers:
        gaps, rates, plain = self._gaps(columns)
        terms = sum_terms(gaps, rates=rates, approval=self._roles.approval)
        features = tree_terms(gaps, rates=rates, plain=plain)
        names = tuple(dict.fromkeys(terms.reasons + features.reasons))
        place = {name: i for i, name in enumerate(names)}
        contributions = np.zeros((len(gaps.fair), len(names)))
        base = np.full(len(gaps.fair), self._intercept + (self._weights * self._means).sum())
        for j, reason in enumerate(terms.reasons):
            contributions[:, place[reason]] += self._weights[j] * (
                terms.matrix[:, j] - self._means[j]
            )
        if self._trees is not None:
            shares = self._trees.contributions(features.matrix)
            for j, reason in enumerate(features.reasons):
                contributions[:, place[reason]] += shares[:, j]
            base = base + shares[:, -1]
        return Drivers(
            names=names,
            base=self._scale * base + self._offset,
            contributions=self._scale * contributions,
            total=self._margin(terms, features),
            scale="log-odds",
        )

    def _gaps(self, columns: Columns) -> tuple[Gaps, dict[str, FloatArray], dict[str, FloatArray]]:
        """Give the gaps of the rows, the leak history of their categories, and the inputs."""
        matrix = self.encoder.encode(columns)
        coded = {name: matrix[:, i] for i, name in enumerate(self.encoder.names)}
        standings = {
            name: chain.look_up(coded, rows=len(matrix)) for name, chain in self._chains.items()
        }
        gaps = measure(read_bill(columns, self._roles), standings)
        rates = {name: look_up(known, coded[name]) for name, known in self._history.items()}
        return gaps, rates, {name: coded[name] for name in self._plain}

    def _margin(self, terms: Terms, features: Terms) -> FloatArray:
        """Give the log-odds of a leak, shape ``(n,)``."""
        margin: FloatArray = self._intercept + (terms.matrix * self._weights).sum(axis=1)
        if self._trees is not None:
            margin = margin + self._trees.raw(features.matrix)
        return self._scale * margin + self._offset


def look_up(known: FloatArray, codes: FloatArray) -> FloatArray:
    """Give the value of each code; 0 for a level that was never seen."""
    seen = ~np.isnan(codes)
    place = np.where(seen, codes, 0.0).astype(np.int64)
    return np.where(seen, known[place], 0.0) if known.size else np.zeros(len(codes))


def _blocks(columns: Columns) -> list[Columns]:
    """Part the columns into blocks of rows."""
    rows = len(next(iter(columns.values())))
    if rows <= BLOCK_ROWS:
        return [columns]
    return [
        {name: values[start : start + BLOCK_ROWS] for name, values in columns.items()}
        for start in range(0, rows, BLOCK_ROWS)
    ]


PREDICTOR = RevenueLeakPredictor
