"""Between which prices a recommendation may lie, and which limits contradict each other."""

from __future__ import annotations

from dataclasses import dataclass

from bentos.pricing.result import Binding
from bentos.pricing.task import PricingTask
from core.errors import AnswerRefused, FieldProblem, RowInvalid

# Limits this close, as a share of the price, count as one.
SAME = 1e-9
_PLACES: dict[Binding, str] = {
    "lowest_price": "limits.lowest_price",
    "highest_price": "limits.highest_price",
    "largest_change_ratio": "limits.largest_change_ratio",
    "least_margin_ratio": "limits.least_margin_ratio",
    "margin_floor_ratio": "margin_floor_ratio",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Prices that are allowed, and what sets each end.

    Parameters
    ----------
    low, high
        The ends, ``low <= high``.
    low_limit, high_limit
        What sets them.
    """

    low: float
    high: float
    low_limit: Binding
    high_limit: Binding

    def binding(self, price: float) -> Binding | None:
        """Name the limit that a price lies at."""
        if price <= self.low * (1 + 1e-6):
            return self.low_limit
        return self.high_limit if price >= self.high * (1 - 1e-6) else None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a request says of price and cost.

    Parameters
    ----------
    price, cost
        In the same unit.
    cost_name
        Feature that holds the cost, for the messages.
    """

    price: float
    cost: float
    cost_name: str


def bounds_of(task: PricingTask, offer: Offer, seen: tuple[float, float]) -> Bounds:
    """Intersect the request's limits with each other and with history.

    Parameters
    ----------
    task
        Limits and objective.
    offer
        Current price and cost.
    seen
        Lowest and highest price that history holds for such a row.

    Raises
    ------
    RowInvalid
        Two limits contradict each other; it names both.
    AnswerRefused
        History holds no price in the range that the limits leave.
    """
    low, low_limit = max(_floors(task, offer), key=lambda end: end[0])
    high, high_limit = min(_ceilings(task, offer), key=lambda end: end[0])
    if low > high * (1 + SAME):
        raise RowInvalid([_clash((low, low_limit), (high, high_limit), offer)])
    if low > seen[1] or high < seen[0]:
        raise AnswerRefused(_nothing_near(low, high, seen))
    if seen[0] > low:
        low, low_limit = seen[0], "history"
    if seen[1] < high:
        high, high_limit = seen[1], "history"
    return Bounds(min(low, high), high, low_limit, high_limit)


def _floors(task: PricingTask, offer: Offer) -> list[tuple[float, Binding]]:
    limits = task.limits
    margin = limits.least_margin_ratio
    ends: list[tuple[float, Binding]] = []
    if limits.lowest_price is not None:
        ends.append((limits.lowest_price, "lowest_price"))
    if margin is not None:
        ends.append((offer.cost / (1 - margin), "least_margin_ratio"))
    else:
        ends.append((offer.cost, "cost"))
    if task.margin_floor_ratio is not None:
        ends.append((offer.cost / (1 - task.margin_floor_ratio), "margin_floor_ratio"))
    if limits.largest_change_ratio is not None:
        least = offer.price * max(1 - limits.largest_change_ratio, 0.0)
        ends.append((least, "largest_change_ratio"))
    return ends


def _ceilings(task: PricingTask, offer: Offer) -> list[tuple[float, Binding]]:
    limits = task.limits
    ends: list[tuple[float, Binding]] = [(float("inf"), "history")]
    if limits.highest_price is not None:
        ends.append((limits.highest_price, "highest_price"))
    if limits.largest_change_ratio is not None:
        ends.append((offer.price * (1 + limits.largest_change_ratio), "largest_change_ratio"))
    return ends


def _clash(
    floor: tuple[float, Binding], ceiling: tuple[float, Binding], offer: Offer
) -> FieldProblem:
    """Name the pair that leaves no price."""
    (low, low_limit), (high, high_limit) = floor, ceiling
    least = _PLACES.get(low_limit, offer.cost_name)
    most = _PLACES[high_limit]
    return FieldProblem(
        most,
        f"allows prices up to {high:.6g}, and {least} only from {low:.6g}: no price keeps to both",
        f"change {most} or {least}",
    )


def _nothing_near(low: float, high: float, seen: tuple[float, float]) -> str:
    asked = f"from {low:.6g}" if high == float("inf") else f"from {low:.6g} to {high:.6g}"
    return (
        f"The limits leave prices {asked}, and history holds prices from {seen[0]:.6g} to "
        f"{seen[1]:.6g} for such a row: what happens outside is not known. Widen the limits, or "
        "sell some at such prices by chance and train again."
    )
