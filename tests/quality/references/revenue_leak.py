"""What well-known methods reach on the rows of revenue_leak: fitted in the same run."""

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from pyod.models.iforest import IForest

from core.encoding import Columns
from training.split import Split

Floats = npt.NDArray[np.float64]
TREES, ROBUST_Z, FOREST = "LightGBM, peer features", "robust z", "isolation forest"
GAP_TREES, RULE = "LightGBM, gap features", "rule: gap without approval"
# Median absolute deviation of a normal variable in standard deviations.
_MAD_PER_SD = 0.6745
_LEAST_SPREAD = 0.05
_TREES = {
    "objective": "binary", "num_leaves": 31, "learning_rate": 0.03, "min_data_in_leaf": 20,
    "lambda_l2": 1.0, "feature_fraction": 0.7, "bagging_fraction": 0.8, "bagging_freq": 1,
    "num_threads": 1, "verbose": -1,
}  # fmt: skip
_ROUNDS, _SEEDS = 300, 5


def past_of(split: Split) -> tuple[dict[str, npt.NDArray[Any]], Floats]:
    """Give columns and target of all rows before the test."""
    parts = (split.train, split.calibration)
    columns = {n: np.concatenate([p.columns[n] for p in parts]) for n in split.train.columns}
    return columns, np.concatenate([part.target for part in parts])


class Peers:
    """What is usual of a value in its group, learned from past rows, audited or not."""

    def __init__(self, values: Floats, groups: npt.NDArray[np.object_]) -> None:
        known = np.flatnonzero(np.isfinite(values))
        order = known[np.argsort(groups[known].astype(str), kind="stable")]
        names, first = np.unique(groups[order].astype(str), return_index=True)
        parts = np.split(order, first[1:])
        self._of = {str(n): np.sort(values[p]) for n, p in zip(names, parts, strict=True)}
        self._usual = {name: _middle_and_spread(part) for name, part in self._of.items()}

    def gap(self, values: Floats, groups: npt.NDArray[np.object_]) -> tuple[Floats, Floats]:
        """Give the distance from the group's median, plain and in spreads; NaN if unknown."""
        found = np.array([self._usual.get(str(g), (np.nan, np.nan)) for g in groups])
        gap = values - found[:, 0]
        return gap, gap / found[:, 1]

    def rank(self, values: Floats, groups: npt.NDArray[np.object_]) -> tuple[Floats, Floats]:
        """Give the share of the group's values below, and the number of them."""
        none = np.zeros(0)
        parts = [self._of.get(str(g), none) for g in groups]
        size = np.array([len(part) for part in parts], dtype=np.float64)
        pairs = zip(parts, values, strict=True)
        below = np.array([np.searchsorted(part, value) for part, value in pairs])
        return np.where(np.isfinite(values) & (size > 0), below / np.maximum(size, 1), np.nan), size


def _middle_and_spread(values: Floats) -> tuple[float, float]:
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) / _MAD_PER_SD
    return middle, max(spread, _LEAST_SPREAD)


def report_features(split: Split) -> tuple[Floats, Floats, Floats]:
    """Set each sales report beside those of the same product and of the same salesman.

    Returns
    -------
    tuple of ndarray
        Features of the past ``(n, 13)``, its target ``(n,)``, features of the test ``(m, 13)``.
        The first column is the robust z of the price of a unit.
    """
    past, target = past_of(split)
    items = past["product"]
    by_price, by_size = Peers(_log_price(past), items), Peers(np.log1p(past["quantity"]), items)
    by_value = Peers(np.log1p(past["value_amount"]), items)
    by_man = Peers(by_price.gap(_log_price(past), items)[1], past["salesman"])

    def features(columns: Columns) -> Floats:
        item, price = columns["product"], _log_price(columns)
        size, value = np.log1p(columns["quantity"]), np.log1p(columns["value_amount"])
        gap, z = by_price.gap(price, item)
        below, bought = by_price.rank(price, item)
        of_man, _ = by_man.gap(z, columns["salesman"])
        return np.column_stack(
            [z, gap, *by_size.gap(size, item), of_man, z - of_man, size, price, value, below,
             bought, by_size.rank(size, item)[0], by_value.rank(value, item)[0]]
        )  # fmt: skip

    # What carries no label teaches what is usual, and nothing more.
    known = ~np.isnan(target)
    audited = {name: values[known] for name, values in past.items()}
    return features(audited), target[known], features(split.test.columns)


def report_answers(split: Split) -> dict[str, Floats]:
    """Score sales reports: trees with labels, then robust z and isolation forest without.

    Returns
    -------
    dict
        Scores of the test's rows, shape ``(n,)``, by method; higher is more suspicious.
    """
    past, target, test = report_features(split)
    forest = IForest(n_estimators=200, random_state=1, n_jobs=1)
    forest.fit(np.nan_to_num(past))
    return {
        TREES: trees(past, target, test),
        ROBUST_Z: np.nan_to_num(np.abs(test[:, 0])),
        FOREST: np.asarray(forest.decision_function(np.nan_to_num(test)), dtype=np.float64),
    }


def bill_features(split: Split) -> tuple[Floats, Floats, Floats, Floats]:
    """Set each order line beside the bill that its product's usual price asks for.

    Returns
    -------
    tuple of ndarray
        Features of the past ``(n, 7)``, its target ``(n,)``, features of the test ``(m, 7)``, and
        the test's missing amount against the expected bill ``(m,)``, 0 or more. The first column
        is the missing share, 0 where it is approved.
    """
    past, target = past_of(split)
    usual = _usual_prices(past)

    def features(columns: Columns, price: Floats) -> tuple[Floats, Floats]:
        expected = price * columns["delivered_units"] * (1 - columns["agreed_discount_ratio"])
        missing = expected - columns["billed_amount"]
        share = missing / expected
        approved = columns["approved"]
        short = 1 - columns["billed_units"] / columns["delivered_units"]
        more = columns["billed_discount_ratio"] - columns["agreed_discount_ratio"]
        unexplained = share - short - more
        matrix = np.column_stack(
            [share * (1 - approved), share, short, more, unexplained, approved, np.log(expected)]
        )
        return matrix, np.maximum(np.nan_to_num(missing), 0)

    columns = split.test.columns
    # A new product's price is taken to be the one on its bill.
    asked = zip(columns["product"], _unit_prices(columns), strict=True)
    price = np.array([float(np.median(usual.get(item, [seen]))) for item, seen in asked])
    test, missing = features(columns, price)
    return features(past, _without_itself(past, usual))[0], target, test, missing


def bill_answers(split: Split) -> dict[str, dict[str, Floats]]:
    """Score order lines: probability, and expected missing amount (probability x gap).

    Returns
    -------
    dict
        ``chance`` and ``money`` of the test's rows, each of shape ``(n,)``, by method.
    """
    past, target, test, missing = bill_features(split)
    known = ~np.isnan(target)
    chance = trees(past[known], target[known], test)
    ruled = np.maximum(np.nan_to_num(test[:, 0]), 0)
    return {
        GAP_TREES: {"chance": chance, "money": chance * missing},
        RULE: {"chance": ruled, "money": (ruled > 0) * missing},
    }


def sample_answer(split: Split) -> dict[str, Floats]:
    """Score lines of the sample firm with LightGBM on the gap to the contract's amount."""
    past, target = past_of(split)
    known = ~np.isnan(target)

    def features(columns: Columns) -> tuple[Floats, Floats]:
        missing = columns["contract_amount"] - columns["billed_amount"]
        names = [n for n, values in columns.items() if values.dtype != object]
        plain = [np.asarray(columns[name], dtype=np.float64) for name in names]
        matrix = np.column_stack([missing / columns["contract_amount"], *plain])
        return matrix, np.maximum(missing, 0)

    test, missing = features(split.test.columns)
    audited = {name: values[known] for name, values in past.items()}
    chance = trees(features(audited)[0], target[known], test)
    return {"chance": chance, "money": chance * missing, "gap": missing}


def trees(matrix: Floats, target: Floats, test: Floats) -> Floats:
    """Fit LightGBM with five seeds, and average the probabilities, shape ``(n,)``."""
    answers = []
    for seed in range(_SEEDS):
        data = lightgbm.Dataset(matrix, target)
        booster = lightgbm.train(_TREES | {"seed": seed}, data, _ROUNDS)
        answers.append(np.asarray(booster.predict(test), dtype=np.float64))
    return np.asarray(np.mean(answers, axis=0), dtype=np.float64)


def _log_price(columns: Columns) -> Floats:
    """Give the log of the price of a unit; NaN where there is none."""
    price = columns["value_amount"] / np.where(columns["quantity"] > 0, columns["quantity"], np.nan)
    return np.asarray(np.log(np.where(price > 0, price, np.nan)), dtype=np.float64)


def _unit_prices(columns: Columns) -> Floats:
    asked = columns["billed_units"] * (1 - columns["billed_discount_ratio"])
    return np.asarray(columns["billed_amount"] / np.where(asked > 0, asked, np.nan))


def _usual_prices(columns: Columns) -> dict[str, list[float]]:
    """Gather the price of a unit before discount on all bills of a product."""
    found: dict[str, list[float]] = {}
    for item, price in zip(columns["product"], _unit_prices(columns), strict=True):
        if np.isfinite(price):
            found.setdefault(item, []).append(float(price))
    return found


def _without_itself(columns: Columns, usual: dict[str, list[float]]) -> Floats:
    """Give each past line the median price of the product's other lines, else its own."""
    prices = _unit_prices(columns)
    middle = prices.copy()
    for row, (item, price) in enumerate(zip(columns["product"], prices, strict=True)):
        others = list(usual.get(item, []))
        if price in others:
            others.remove(price)
        if others:
            middle[row] = np.median(others)
    return middle
