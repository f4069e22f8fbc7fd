"""What changes in the firm's world at the date of the drift: all of it stands in one table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core.config import Feature

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Drift:
    """How one input of one model is different after the date.

    Parameters
    ----------
    model
        Name of the model.
    field
        Name of the input.
    factor, shift
        ``x`` becomes ``factor x + shift``, within what the model takes.
    """

    model: str
    field: str
    factor: float = 1.0
    shift: float = 0.0

    def of(self, value: float | None, feature: Feature | None) -> float | int | None:
        """Give what a value is after the date; null stays null.

        Parameters
        ----------
        value
            Before.
        feature
            What the config says of it; nothing for a field of the model's task.
        """
        if value is None:
            return None
        after = round(self.factor * value + self.shift, _DIGITS)
        if feature is None:
            return after
        if feature.minimum is not None:
            after = max(after, feature.minimum)
        if feature.maximum is not None:
            after = min(after, feature.maximum)
        return round(after) if feature.type == "integer" else after


# Clients are less content and buy more, discounts grow, rivals come, rates rise, and the marketing
# budget with them. Invoice lines (`revenue_leak`) stay as they were: there is nothing to be found.
DRIFTS: tuple[Drift, ...] = (
    Drift("churn", "nps", shift=-15.0),
    Drift("churn", "monthly_amount", factor=1.25),
    Drift("profitability", "discount_ratio", shift=0.05),
    Drift("profitability", "planned_revenue_amount", factor=0.95),
    Drift("pricing", "rivals_count", shift=1.0),
    Drift("anomaly", "rate_amount", factor=1.1),
    Drift("anomaly", "amount", factor=1.1),
    Drift("budget", "total_amount", factor=1.3),
)
# A forecast has no inputs that could drift: here it is the demand itself that grows, so that what
# happens leaves the forecast behind.
DEMAND_GROWS = 1.15


def drifted_fields(model: str) -> tuple[str, ...]:
    """Name the inputs of a model that drift.

    Parameters
    ----------
    model
        Its name.
    """
    return tuple(drift.field for drift in DRIFTS if drift.model == model)


def drift(model: str, rows: Collection[dict[str, Any]], features: Mapping[str, Feature]) -> None:
    """Let rows be of after the date.

    Parameters
    ----------
    model
        Its name.
    rows
        Changed in place.
    features
        Of the model's config.
    """
    for one in DRIFTS:
        for row in rows if one.model == model else ():
            # A config may do without a feature.
            if one.field in row:
                row[one.field] = one.of(row[one.field], features.get(one.field))
