"""Answers what to charge, what that brings, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from bentos.booster import Booster
from bentos.predictor import Drivers, RowPredictor
from bentos.pricing.answer import Recommended, answers_of, curve_points
from bentos.pricing.bounds import Bounds, Offer, bounds_of
from bentos.pricing.curve import Curves
from bentos.pricing.model import Anchor, Learned, Seen, Shape, place_in
from bentos.pricing.optimum import best_prices
from bentos.pricing.result import PricingResult
from bentos.pricing.task import Objective, PriceLimits, PricingTask
from core.artifact import Artifact
from core.encoding import Columns, FloatArray, rows_to_columns
from core.errors import ConfigError, FieldProblem, RowInvalid
from core.task import Task

CURVE = "curve.json"
ARRAYS = "curve.npz"
TREES = "trees.txt"


class PricingPredictor(RowPredictor):
    r"""The price that makes profit, revenue or volume largest, from a curve that falls in price.

    The chance to win (logistic in the logarithm of the price) or the volume (a power of the price)
    falls by construction: the slope is an exponential. Where the curve stands and how steep it is
    are learned from the context, shrunk by segment as far as the rows do not speak (empirical
    Bayes); gradient-boosted trees, which never see the price, add what lines cannot say. The
    slope is learned from prices set by chance where the config names them, by a control function
    where it names instruments, else from prices less what the context says of them.

    It is right where history holds prices that differ for reasons other than demand, and for
    prices inside the range it holds. It fails where every price followed demand in a way the
    features do not tell: the slope is then too flat, and no figure of the fit shows it. It knows
    nothing of rivals that answer a new price.

    .. math:: \eta = h(x) - e^{b(x)} \log(price / reference), \quad
              P = 1 / (1 + e^{-\eta}) \text{ or } V = f e^{\eta}

    Parameters
    ----------
    artifact
        An opened artifact of this model. Roles of its config: see ``ROLES``.

    Returns
    -------
    PricingResult
        For each row: the price in its own unit; the chance (0 to 1) or the volume, revenue and
        profit there, each with an interval (of the chance itself; of the volume that is sold);
        uplift against the current price; elasticity (at most 0); the limit that binds.

    Raises
    ------
    ConfigError
        The config names a role that the model does not know, or a price that may be null.
    ArtifactCorrupt
        A file of the artifact is missing, or LightGBM cannot read it.

    Examples
    --------
    >>> sorted(PricingPredictor.ROLES)
    ['competitor_price?', 'cost?', 'experiment?', 'instruments?', 'price', 'segments?']
    >>> PricingPredictor.TASKS[0].__name__
    'PricingTask'

    References
    ----------
    .. [1] Phillips (2005), Pricing and revenue optimization: bid response functions.
    .. [2] Chernozhukov, Chetverikov, Demirer, Duflo, Hansen, Newey & Robins (2018), Double/debiased
       machine learning. https://arxiv.org/abs/1608.00060
    .. [3] Petrin & Train (2010), A control function approach to endogeneity in consumer choice
       models. https://doi.org/10.1509/jmkr.47.1.3
    .. [4] MacKay (1992), Bayesian interpolation. https://doi.org/10.1162/neco.1992.4.3.415
    .. [5] Ke et al. (2017), LightGBM. https://papers.nips.cc/paper/6907
    .. [6] Sundararajan, Taly & Yan (2017), Axiomatic attribution. https://arxiv.org/abs/1703.01365
    """

    MODEL: ClassVar[str] = "pricing"
    HEADLINE = "recommended_price_amount"
    RESULT: ClassVar[type[BaseModel]] = PricingResult
    RANK_BY: ClassVar[str | None] = "profit_uplift_amount"
    TASKS: ClassVar[tuple[type[Task], ...]] = (PricingTask,)
    ROLES: ClassVar[Mapping[str, str]] = {
        "price": "the price that was charged or quoted; in a request the current one",
        "cost?": "unit cost, in the unit of the price; without it profit is revenue",
        "competitor_price?": "what rivals charge, in the unit of the price",
        "segments?": "categories whose levels differ in price and elasticity, from fine to coarse",
        "instruments?": "history only: what moved the price and does not touch demand",
        "experiment?": "history only, true or false: whether the price was set by chance",
    }

    def load(self, artifact: Artifact) -> None:
        """Read the curve's parameters and the trees."""
        check_price_roles(self.config.features, self.config.roles)
        said = artifact.read_json(CURVE)
        arrays = artifact.read_arrays(ARRAYS)
        self._shape = Shape(**said["shape"])
        self.level = float(said["level"])
        self._enough: bool = said["is_price_variation_enough"]
        self._learned = Learned.from_arrays(
            {name: values for name, values in arrays.items() if not name.startswith("own_")}
        )
        anchor, seen = said["anchor"], said["seen"]
        self._anchor = Anchor(anchor["feature"], anchor["is_level"], arrays["own_usual"])
        self._seen = Seen(seen["feature"], arrays["own_low"], arrays["own_high"])
        self._inputs = np.array(said["inputs"], dtype=np.int64)
        self._trees = Booster.load(artifact.path(TREES)) if said["has_trees"] else None
        names = self.encoder.names
        self.price_name = self.config.role("price")[0]
        self._price = names.index(self.price_name)
        cost = self.config.role("cost")
        self.cost_name = cost[0] if cost else None
        self._cost = names.index(cost[0]) if cost else -1

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse prices that are none, limits that contradict each other, and what history lacks.

        Raises
        ------
        RowInvalid
            A price or reference is not above 0, or two limits leave no price; both are named.
        AnswerRefused
            History holds no price in the range that the limits leave.
        """
        names = [self.price_name]
        if self._anchor.feature >= 0 and not self._anchor.is_level:
            names.append(self.encoder.names[self._anchor.feature])
        problems = [
            FieldProblem(name, f"is {row[name]}", "a number above 0 is allowed")
            for name in dict.fromkeys(names)
            if row[name] is None or row[name] <= 0
        ]
        if problems:
            raise RowInvalid(problems)
        columns = rows_to_columns([row], self.features)
        matrix = self.encoder.encode(columns)
        self._bounds([row], matrix)

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Give the response at the rows' own prices.

        Parameters
        ----------
        columns
            One array of shape ``(n,)`` a feature.

        Returns
        -------
        dict
            ``response``, ``low`` and ``high`` of its interval, and ``elasticity``: shape ``(n,)``.
        """
        matrix = self.encoder.encode(columns)
        price, curves = matrix[:, self._price], self.curves(matrix)
        low, high = curves.interval(price)
        return {
            "response": curves.response(price), "low": low, "high": high,
            "elasticity": curves.elasticity(price),
        }  # fmt: skip

    def curves(self, matrix: FloatArray) -> Curves:
        """Give the curves of ``n`` encoded rows."""
        trees = np.zeros(len(matrix))
        if self._trees is not None:
            trees = self._trees.raw(np.ascontiguousarray(matrix[:, self._inputs]))
        return self._learned.curves(matrix, self._anchor.of(matrix), trees, self._shape)

    def seen_prices(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the lowest and highest price that history holds for ``n`` encoded rows."""
        low, high = self._seen.of(matrix)
        reference = self._anchor.of(matrix)
        return low * reference, high * reference

    def costs(self, matrix: FloatArray) -> FloatArray:
        """Give the unit costs of ``n`` encoded rows; 0 where the config names none."""
        if self._cost < 0:
            return np.zeros(len(matrix))
        return np.nan_to_num(matrix[:, self._cost], nan=0.0)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Recommend a price for each row within its limits."""
        if not rows:
            return []
        columns = rows_to_columns(rows, self.features)
        matrix = self.encoder.encode(columns)
        bounds = self._bounds(rows, matrix)
        tasks = [task_of(row) for row in rows]
        price = np.empty(len(rows))
        curves, cost = self.curves(matrix), self.costs(matrix)
        objectives = [task.objective for task in tasks]
        kinds: list[Objective] = sorted(set(objectives))
        low, high = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
        for kind in kinds:
            chosen = np.array([own == kind for own in objectives])
            price[chosen] = best_prices(
                curves.take(chosen), cost[chosen], low[chosen], high[chosen], kind
            )
        asked = Recommended(
            price, cost, np.ascontiguousarray(matrix[:, self._price]), bounds, self.level,
            is_price_variation_enough=self._enough,
        )  # fmt: skip
        results = answers_of(curves, asked)
        first, last = self.seen_prices(matrix)
        reasons = self.drivers(columns) if explain else None
        answers: list[dict[str, Any]] = []
        for i, (row, result) in enumerate(zip(rows, results, strict=True)):
            if tasks[i].with_curve:
                span = (float(first[i]), float(last[i]))
                result["curve"] = curve_points(curves.take(slice(i, i + 1)), cost[i], span)
            answer = {"result": result, "flags": self.flags(row)}
            if reasons is not None:
                answer["drivers"] = reasons.explanation(i)
            answers.append(answer)
        return answers

    def drivers(self, columns: Columns) -> Drivers:
        """Give the additive reasons of the response at the rows' own prices.

        On the log-odds of winning, or the logarithm of the median volume. The price's part is of
        the price over what it is measured against.
        """
        matrix = self.encoder.encode(columns)
        price = np.ascontiguousarray(matrix[:, self._price])
        total = self.curves(matrix).eta(price)
        place = place_in(self._anchor, matrix, price, self._shape.power)
        base, parts = self._learned.reasons(
            matrix, place, price=self._price, is_win=self._shape.is_win
        )
        bases = np.full(len(matrix), base)
        if self._trees is not None:
            inner = self._trees.contributions(np.ascontiguousarray(matrix[:, self._inputs]))
            parts[:, self._inputs] += inner[:, :-1]
            bases = bases + inner[:, -1]
        scale = "log-odds" if self._shape.is_win else "log-volume"
        return Drivers(self.encoder.names, bases, parts, total, scale)

    def _bounds(self, rows: Sequence[Mapping[str, Any]], matrix: FloatArray) -> list[Bounds]:
        """Give the prices that each row allows."""
        low, high = self.seen_prices(matrix)
        costs = self.costs(matrix)
        name = self.cost_name or "cost"
        return [
            bounds_of(
                task_of(row),
                Offer(float(row[self.price_name]), float(costs[i]), name),
                (float(low[i]), float(high[i])),
            )
            for i, row in enumerate(rows)
        ]


def task_of(row: Mapping[str, Any]) -> PricingTask:
    """Give the part of a row that is the task's; what is not there takes its default."""
    return PricingTask.model_construct(
        limits=row.get("limits") or PriceLimits(),
        objective=row.get("objective", "profit"),
        margin_floor_ratio=row.get("margin_floor_ratio"),
        with_curve=row.get("with_curve", False),
    )


def check_price_roles(features: Mapping[str, Any], roles: Mapping[str, Any]) -> None:
    """Check that price and cost are numbers that every request has.

    Raises
    ------
    ConfigError
        The price or the cost is no number, may be null, or is of history only; or what only
        history has is asked of requests.
    """
    for role in ("price", "cost"):
        name = roles.get(role)
        if name is None:
            continue
        feature = features[name]
        if feature.type not in {"number", "integer"} or feature.nullable or feature.history_only:
            raise ConfigError(
                f"the {role} {name!r} must be a number that every request has: not nullable and "
                "not history_only",
                key=f"features.{name}",
            )
    for role in ("instruments", "experiment"):
        given = roles.get(role, ())
        for name in (given,) if isinstance(given, str) else given:
            if not features[name].history_only:
                raise ConfigError(
                    f"{name!r} plays the role {role}, which no request has: set history_only: true",
                    key=f"features.{name}",
                )


PREDICTOR = PricingPredictor
