"""Plans for a year: what they earn, and how sure that can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from training.sample.clients import (
    CONTRACTS,
    MONTHS_A_QUARTER,
    REGIONS,
    SECTORS,
    SEGMENTS,
    Clients,
    Firm,
    Floats,
    Ints,
)
from training.sample.staying import QUARTERS_A_YEAR, staying_shares

SERVICES = ("advisory", "build", "support", "cloud", "security", "design")
_SERVICE_RATES = np.array([165.0, 130.0, 85.0, 110.0, 150.0, 105.0])
_SERVICE_OVERRUNS = np.array([0.00, 0.06, -0.02, 0.03, 0.01, 0.04])
_SENIOR_COST, _JUNIOR_COST = 88.0, 41.0
_DRAWS = 500
_DRAW_ROWS = 500


@dataclass(frozen=True)
class Plans:
    """``m`` yearly plans; all but the last two is known when a plan is made.

    ``quality`` is how well the client is served; ``staying``, of shape ``(m, 3)``, the true
    probability that it is still served in the second, third and fourth quarter of the plan.
    """

    row: Ints
    quarter: Ints
    service: Ints
    hours: Floats
    rate: Floats
    discount: Floats
    senior_share: Floats
    fixed_fee: Floats
    complexity: Floats
    quality: Floats
    staying: Floats

    @property
    def revenue(self) -> Floats:
        """Planned revenue, a year."""
        return self.hours * self.rate * (1 - self.discount)

    @property
    def cost(self) -> Floats:
        """Planned cost, a year."""
        return self.hours * (
            self.senior_share * _SENIOR_COST + (1 - self.senior_share) * _JUNIOR_COST
        )

    @property
    def expected_overrun(self) -> Floats:
        """Share by which the work will exceed the plan, before chance."""
        overrun: Floats = (
            0.07
            + _SERVICE_OVERRUNS[self.service]
            - 0.05 * self.quality
            + 0.035 * (self.complexity - 3)
            + 0.08 * np.maximum(0.35 - self.senior_share, 0)
            + 0.03 * self.fixed_fee
        )
        return overrun


def delivery_tables(
    random: np.random.Generator, firm: Firm, clients: Clients
) -> dict[str, pa.Table]:
    """Give ``profitability`` and ``truth_profitability`` for a block.

    A plan made in a quarter runs for a year; its outcome is known only when the year lies within
    the simulated months. A client that leaves takes the quarters it is not served any more out of
    the plan, with what they would have earned and cost.
    """
    plans = _draw_plans(random, firm, clients)
    overrun, volume = _chance(random, plans, 1)
    served = np.minimum(clients.end[plans.row] - plans.quarter, QUARTERS_A_YEAR)
    volume *= served[:, None] / QUARTERS_A_YEAR
    profit = _profit(plans, overrun, volume)[:, 0]
    mean, low, high = _truth(random, plans)
    client = pa.array(clients.names[plans.row])
    as_of = pa.array(firm.day(plans.quarter), pa.timestamp("us", tz="UTC"))
    keys = {"client_id": client, "as_of": as_of}
    return {
        "profitability": pa.table(keys | _seen(clients, plans) | {
            "profit_amount": pa.array(profit.round(2))
        }),
        "truth_profitability": pa.table(keys | {
            "mean_amount": pa.array(mean),
            "low_amount": pa.array(low),
            "high_amount": pa.array(high),
        }),
    }  # fmt: skip


def _draw_plans(random: np.random.Generator, firm: Firm, clients: Clients) -> Plans:
    """Draw a plan for every client served in a quarter whose year ends within the months."""
    rows, quarters = [], []
    for number in range(1, firm.quarters - QUARTERS_A_YEAR + 1):
        active = np.flatnonzero(clients.active(number))
        rows.append(active)
        quarters.append(np.full(len(active), number))
    row, quarter_of = np.concatenate(rows), np.concatenate(quarters)
    count = len(row)
    service = (clients.number[row] + random.integers(0, 2, count)) % len(SERVICES)
    segment = clients.segment[row]
    rate = _SERVICE_RATES[service] * np.exp(random.normal(0, 0.08, count)) * (1 + 0.03 * segment)
    hours = clients.monthly_amount[row] * 12 / rate * np.exp(random.normal(0, 0.25, count))
    return Plans(
        row=row, quarter=quarter_of, service=service, hours=hours.round(1), rate=rate.round(2),
        discount=(random.beta(1.5, 10, count) + 0.02 * segment).clip(0, 0.5).round(3),
        senior_share=random.beta(4, 5, count).round(3),
        fixed_fee=(random.random(count) < 0.35).astype(float),
        complexity=random.integers(1, 6, count).astype(float),
        quality=clients.quality[row, quarter_of],
        staying=staying_shares(random, firm, clients, row=row, quarter=quarter_of),
    )  # fmt: skip


def _chance(random: np.random.Generator, plans: Plans, draws: int) -> tuple[Floats, Floats]:
    """Draw overrun and volume: shape ``(m, draws)`` each."""
    shape = (len(plans.row), draws)
    spread = 0.05 + 0.012 * plans.complexity[:, None]
    overrun = plans.expected_overrun[:, None] + spread * random.standard_t(7, shape)
    # Work on time and material grows or shrinks with what the client asks for.
    wobble = np.where(plans.fixed_fee[:, None] > 0, 0.02, 0.11)
    volume = np.exp(wobble * random.normal(size=shape) - wobble**2 / 2)
    return overrun.clip(-0.3, 1.5), volume


def _profit(plans: Plans, overrun: Floats, volume: Floats) -> Floats:
    """Revenue less cost; a fixed fee does not grow with the hours, half of the rest is billed."""
    revenue, cost = plans.revenue[:, None], plans.cost[:, None]
    billed_share = np.where(plans.fixed_fee[:, None] > 0, 0.0, 0.5)
    earned = revenue * volume * (1 + billed_share * overrun)
    profit: Floats = earned - cost * volume * (1 + overrun)
    return profit


def _truth(random: np.random.Generator, plans: Plans) -> tuple[Floats, Floats, Floats]:
    """Mean and 5 % and 95 % quantiles of the profit, by Monte Carlo, in bounded memory."""
    mean, low, high = (np.empty(len(plans.row)) for _ in range(3))
    for start in range(0, len(plans.row), _DRAW_ROWS):
        rows = slice(start, start + _DRAW_ROWS)
        part = Plans(**{name: values[rows] for name, values in vars(plans).items()})
        overrun, volume = _chance(random, part, _DRAWS)
        # One draw decides how long: staying longer is the less likely the longer.
        luck = random.random(volume.shape)
        quarters = 1 + sum(luck < part.staying[:, [i]] for i in range(QUARTERS_A_YEAR - 1))
        drawn = _profit(part, overrun, volume * quarters / QUARTERS_A_YEAR)
        mean[rows] = drawn.mean(axis=1)
        low[rows], high[rows] = np.quantile(drawn, [0.05, 0.95], axis=1)
    return mean, low, high


def _seen(clients: Clients, plans: Plans) -> dict[str, pa.Array]:
    """What the firm knows of a plan and its client when the plan is made."""
    row, quarter = plans.row, plans.quarter
    tenure = np.maximum(quarter - clients.begin[row], 0) * MONTHS_A_QUARTER
    traits = {
        name: clients.traits[name][row, quarter - 1]
        for name in ("nps", "tickets_count", "overrun_ratio", "utilisation_ratio")
    }
    return {
        "sector": pa.array(np.array(SECTORS)[clients.sector[row]]),
        "region": pa.array(np.array(REGIONS)[clients.region[row]]),
        "segment": pa.array(np.array(SEGMENTS)[clients.segment[row]]),
        "contract_type": pa.array(np.array(CONTRACTS)[clients.contract[row]]),
        "service_line": pa.array(np.array(SERVICES)[plans.service]),
        "tenure_months": pa.array(tenure),
        "planned_hours": pa.array(plans.hours),
        "rate_amount_per_hour": pa.array(plans.rate),
        "discount_ratio": pa.array(plans.discount),
        "planned_revenue_amount": pa.array(plans.revenue.round(2)),
        "planned_cost_amount": pa.array(plans.cost.round(2)),
        "senior_share_ratio": pa.array(plans.senior_share),
        "fixed_fee": pa.array(plans.fixed_fee > 0),
        "complexity_level": pa.array(plans.complexity.astype(np.int64)),
        "nps": pa.array(traits["nps"], mask=~clients.nps_asked[row, quarter - 1]),
        "tickets_count": pa.array(traits["tickets_count"].astype(np.int64)),
        "past_overrun_ratio": pa.array(traits["overrun_ratio"]),
        "utilisation_ratio": pa.array(traits["utilisation_ratio"]),
    }
