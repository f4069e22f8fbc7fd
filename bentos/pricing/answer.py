"""From a price on a curve to the plain values of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bentos.pricing.bounds import Bounds
from bentos.pricing.curve import Curves
from bentos.pricing.result import PricingResult
from core.encoding import FloatArray

CURVE_POINTS = 41
# An elasticity whose interval spans more than this factor on each side says too little.
WIDEST = 2.0


@dataclass(frozen=True)
class Recommended:
    """Prices that were found for ``n`` rows.

    Parameters
    ----------
    price, cost, current
        Shape ``(n,)``: recommended price, unit cost, current price.
    bounds
        Of each row.
    level
        Share that the intervals are to hold.
    is_price_variation_enough
        Whether history as a whole can tell the slope.
    """

    price: FloatArray
    cost: FloatArray
    current: FloatArray
    bounds: Sequence[Bounds]
    level: float
    is_price_variation_enough: bool


# One order on every way: what is answered again from the history is the same to the byte.
_FIELDS = tuple(PricingResult.model_fields)


def answers_of(curves: Curves, found: Recommended) -> list[dict[str, Any]]:
    """Give each row's result as plain values, without its curve."""
    price, margin = found.price, found.price - found.cost
    response = curves.response(price)
    low, high = curves.interval(price)
    before = (found.current - found.cost) * curves.response(found.current)
    profit = margin * response
    ends = np.sort(np.stack([margin * low, margin * high]), axis=0)
    half = curves.sure * curves.uplift_spread(price, found.cost, found.current)
    uplift = profit - before
    least, most = curves.elasticity_interval(price)
    elasticity = curves.elasticity(price)
    # The size of the elasticity is within a factor of its interval's ends.
    sharp = least >= WIDEST * elasticity
    columns = {
        "recommended_price_amount": price,
        "revenue_amount": price * response,
        "revenue_low_amount": price * low,
        "revenue_high_amount": price * high,
        "profit_amount": profit,
        "profit_low_amount": ends[0],
        "profit_high_amount": ends[1],
        "current_profit_amount": before,
        "profit_uplift_amount": uplift,
        "profit_uplift_low_amount": uplift - half,
        "profit_uplift_high_amount": uplift + half,
        "elasticity_ratio": elasticity,
        "elasticity_low_ratio": least,
        "elasticity_high_ratio": most,
    }
    ours, theirs = ("win_probability", "expected_volume")
    if not curves.is_win:
        ours, theirs = theirs, ours
    columns |= {ours: response, f"{ours}_low": low, f"{ours}_high": high}
    values = {name: column.tolist() for name, column in columns.items()}
    empty = {theirs: None, f"{theirs}_low": None, f"{theirs}_high": None}
    results = []
    for i, own in enumerate(found.bounds):
        result: dict[str, Any] = {name: column[i] for name, column in values.items()} | empty
        now = result["current_profit_amount"]
        result["profit_uplift_ratio"] = result["profit_uplift_amount"] / now if now > 0 else None
        result["binding_limit"] = own.binding(result["recommended_price_amount"])
        result["is_price_variation_enough"] = found.is_price_variation_enough and bool(sharp[i])
        result["level"] = found.level
        result["curve"] = None
        results.append({name: result[name] for name in _FIELDS})
    return results


def curve_points(curves: Curves, cost: float, span: tuple[float, float]) -> list[dict[str, float]]:
    """Give points of one row's curve, evenly apart in the logarithm of the price.

    Parameters
    ----------
    curves
        Of one row.
    cost
        Its unit cost.
    span
        Lowest and highest price.
    """
    prices = np.exp(np.linspace(np.log(span[0]), np.log(span[1]), CURVE_POINTS))[None, :]
    response = curves.response(prices)
    low, high = curves.interval(prices)
    columns = {
        "price_amount": prices,
        "response": response,
        "response_low": low,
        "response_high": high,
        "revenue_amount": prices * response,
        "profit_amount": (prices - cost) * response,
    }
    return [
        {name: float(values[0, i]) for name, values in columns.items()} for i in range(CURVE_POINTS)
    ]
