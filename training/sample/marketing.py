"""Marketing: what was spent on each channel in a week, and what that truly brought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.optimize import Bounds, LinearConstraint, minimize

from training.sample.clients import Firm, Floats

CHANNELS = ("search", "social", "events", "partners", "mail")
LEAST_WEEKS = 156
_WEEKS_A_MONTH = 52 / 12
_USUAL = np.array([30.0, 22.0, 40.0, 25.0, 12.0])
_YEAR_WEEKS = 52
_PULSE_SHARE = 0.25
# What the usual split brings less than the best one: else there is nothing, or all, to be gained.
_HEADROOM = (0.05, 0.12)
_BOUND = 0.75  # of today's spend, up and down, within which the best split is sought


@dataclass(frozen=True)
class Curves:
    """How each of ``k`` channels responds to what is spent on it in a week.

    Spend carries over: ``carried[t] = (1 - adstock) spend[t] + adstock carried[t-1]``. It then
    brings ``worth c**shape / (c**shape + half**shape)`` with ``c = carried / (2 usual)`` (Hill).

    Parameters
    ----------
    usual, adstock, half, shape, worth
        Each of shape ``(k,)``.
    """

    usual: Floats
    adstock: Floats
    half: Floats
    shape: Floats
    worth: Floats

    def steady(self, spend: Floats) -> Floats:
        """Give what steady weekly spend, shape ``(k,)``, brings a week by channel."""
        powered = (spend / (2 * self.usual)) ** self.shape
        brought: Floats = self.worth * powered / (powered + self.half**self.shape)
        return brought

    def over_time(self, spend: Floats) -> Floats:
        """Give what spend, shape ``(weeks, k)``, brings in each week by channel."""
        carried = np.zeros_like(spend)
        before = spend[0]
        for week, spent in enumerate(spend):
            before = (1 - self.adstock) * spent + self.adstock * before
            carried[week] = before
        return self.steady(carried)


def marketing_tables(random: np.random.Generator, firm: Firm) -> dict[str, pa.Table]:
    """Give ``marketing`` and ``marketing_steady``, a row a week, and their truths.

    In ``marketing`` a quarter of the weeks has a channel's spend pulsed by chance; in
    ``marketing_steady`` spend only follows the economy, which moves the revenue as well
    (confounding). The truths: ``truth_marketing*`` is what each channel brought in each week,
    ``truth_marketing_curves`` the channels' parameters, with the last year's mean and the best
    weekly spend.
    """
    weeks = max(round(firm.quarters * 3 * _WEEKS_A_MONTH), LEAST_WEEKS)
    curves = _draw_curves(random)
    tables: dict[str, pa.Table] = {}
    for name, share in (("marketing", _PULSE_SHARE), ("marketing_steady", 0.0)):
        tables |= _history(random, firm, curves, name=name, weeks=weeks, pulse_share=share)
    today = tables["marketing"].slice(weeks - _YEAR_WEEKS)
    spend = np.array([today[f"{name}_amount"].to_numpy().mean() for name in CHANNELS])
    tables["truth_marketing_curves"] = pa.table(
        {
            "channel": list(CHANNELS),
            **vars(curves),
            "today_amount": spend,
            "best_amount": best_split(curves, spend),
        }
    )
    return tables


def best_split(curves: Curves, today: Floats) -> Floats:
    """Split today's total anew, each channel within three quarters of today's spend.

    Parameters
    ----------
    curves
        The true curves.
    today
        Weekly spend by channel, shape ``(k,)``.
    """
    total = float(today.sum())

    def missed(spend: Floats) -> float:
        return -float(curves.steady(spend).sum())

    bounds = Bounds(today * (1 - _BOUND), today * (1 + _BOUND))
    whole = LinearConstraint(np.ones(len(today)), total, total)
    best, least = today, missed(today)
    for tilt in np.vstack([np.zeros(len(today)), np.eye(len(today)), -np.eye(len(today))]):
        start: Floats = today * (1 + _BOUND * tilt)
        found = minimize(
            missed, start * total / start.sum(), bounds=bounds, constraints=whole, method="SLSQP",
            options={"ftol": 1e-10, "maxiter": 300},
        )  # fmt: skip
        if found.fun < least:
            best, least = found.x, float(found.fun)
    return best


def _draw_curves(random: np.random.Generator) -> Curves:
    """Draw the channels' parameters, until the usual split leaves something to be gained."""
    k = len(CHANNELS)
    while True:
        curves = Curves(
            usual=_USUAL,
            adstock=random.uniform(0.1, 0.6, k),
            half=random.uniform(0.25, 0.7, k),
            shape=random.uniform(0.8, 2.0, k),
            worth=_USUAL * 4 * np.exp(random.normal(0, 0.45, k)),
        )
        best = curves.steady(best_split(curves, _USUAL)).sum()
        if _HEADROOM[0] <= 1 - curves.steady(_USUAL).sum() / best <= _HEADROOM[1]:
            return curves


def _history(
    random: np.random.Generator,
    firm: Firm,
    curves: Curves,
    *,
    name: str,
    weeks: int,
    pulse_share: float,
) -> dict[str, pa.Table]:
    """Let some years pass."""
    k = len(CHANNELS)
    economy = np.zeros(weeks)
    for week in range(1, weeks):
        economy[week] = 0.95 * economy[week - 1] + random.normal(0, 0.1)
    pulsed = random.random((weeks, k)) < pulse_share
    pulses = np.where(pulsed, random.uniform(0.2, 2, (weeks, k)), 1.0)
    own = random.normal(0, 0.25, (weeks, k))
    spend = curves.usual * np.exp(0.35 * economy[:, None] + own) * pulses
    brought = curves.over_time(spend)
    usual = float(curves.worth.sum())
    season = 0.08 * usual * np.sin(2 * np.pi * np.arange(weeks) / 52.18)
    base = usual * (1.2 + 0.0008 * np.arange(weeks) + 0.12 * economy) + season
    revenue = base + brought.sum(axis=1) + random.normal(0, 0.03 * usual, weeks)
    end = np.datetime64(int(firm.first_month + firm.quarters * 3), "M").astype("datetime64[D]")
    # 1970-01-05 was a Monday.
    monday = end - (end.astype(np.int64) - 4) % 7
    as_of = pa.array((monday - 7 * np.arange(weeks, 0, -1)).astype("datetime64[us]"),
                     pa.timestamp("us", tz="UTC"))  # fmt: skip
    seen = {f"{c}_amount": spend[:, i].round(3) for i, c in enumerate(CHANNELS)}
    truth = {f"{c}_amount": brought[:, i] for i, c in enumerate(CHANNELS)}
    keys = {"market": ["home"] * weeks, "as_of": as_of}
    seen_economy = (economy + random.normal(0, 0.1, weeks)).round(4)
    table = {**keys, **seen, "economy_index": seen_economy, "revenue_amount": revenue.round(3)}
    return {name: pa.table(table), f"truth_{name}": pa.table(keys | truth)}
