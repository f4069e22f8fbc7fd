"""What the firm sells into: quotes, marketing and the demand for its services."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import REGIONS, SEGMENTS, Clients, Firm, Floats
from training.sample.delivery import SERVICES

CHANNELS = ("search", "social", "events", "partners", "mail")
_ADSTOCK = np.array([0.1, 0.3, 0.6, 0.5, 0.2])
_HALF = np.array([0.25, 0.4, 0.6, 0.7, 0.3])
_SHAPE = np.array([1.0, 1.4, 1.8, 1.1, 0.8])
_WORTH = np.array([9.0, 7.0, 12.0, 8.0, 4.0])
_WEEKS_A_MONTH = 52 / 12


def quote_tables(random: np.random.Generator, firm: Firm, clients: Clients) -> dict[str, pa.Table]:
    """Give ``quotes`` and ``truth_quotes`` for a block of clients.

    The logarithm of what a client would pay is logistic; the price in history follows a policy
    that knows part of it (endogenous), but for a quarter of the quotes, priced by chance.
    """
    count = len(clients.number) * max(firm.quarters // 4, 1)
    row = random.integers(len(clients.number), size=count)
    quarter = random.integers(firm.quarters, size=count)
    complexity = random.integers(1, 6, count)
    rivals = random.poisson(1.5, count)
    segment = clients.segment[row]
    cost = np.exp(random.normal(9.2 + 0.35 * complexity, 0.3))
    worth = 0.42 + 0.05 * segment + 0.03 * complexity - 0.06 * np.minimum(rivals, 4)
    scale = 0.13 + 0.015 * rivals.clip(0, 6)
    by_chance = random.random(count) < 0.25
    policy = np.exp(worth - 0.08 + random.normal(0, 0.06, count))
    markup = np.where(by_chance, random.uniform(1.05, 2.0, count), policy)
    drifted = np.where(quarter >= firm.drift_from, 0.8, 1.0)
    log_odds = drifted * (worth - np.log(markup)) / scale
    chance = 1 / (1 + np.exp(-log_odds))
    won = random.random(count) < chance
    quote_id = pa.array([f"Q{clients.number[0]:07d}-{i:06d}" for i in range(count)])
    quotes = {
        "quote_id": quote_id,
        "client_id": pa.array(clients.names[row]),
        "as_of": pa.array(firm.day(quarter), pa.timestamp("us", tz="UTC")),
        "segment": pa.array(np.array(SEGMENTS)[segment]),
        "complexity_level": pa.array(complexity),
        "rivals_count": pa.array(rivals),
        "cost_amount": pa.array(cost.round(2)),
        "price_amount": pa.array((cost * markup).round(2)),
        "priced_by_chance": pa.array(by_chance),
        "won": pa.array(won.astype(np.int64)),
    }
    truth = {
        "quote_id": quote_id,
        "win_probability": pa.array(chance),
        "worth_log_markup": pa.array(worth),
        "worth_scale": pa.array(scale / drifted),
    }
    return {"quotes": pa.table(quotes), "truth_quotes": pa.table(truth)}


def marketing_tables(random: np.random.Generator, firm: Firm) -> dict[str, pa.Table]:
    """Give ``marketing`` (a row a week) and what each channel truly brought."""
    weeks = round(firm.quarters * 3 * _WEEKS_A_MONTH)
    economy = np.zeros(weeks)
    for week in range(1, weeks):
        economy[week] = 0.95 * economy[week - 1] + random.normal(0, 0.1)
    usual = np.array([30.0, 22.0, 40.0, 25.0, 12.0])
    pulses = np.where(random.random((weeks, 5)) < 0.25, random.uniform(0.2, 2, (weeks, 5)), 1.0)
    spend = usual * np.exp(0.35 * economy[:, None] + random.normal(0, 0.25, (weeks, 5))) * pulses
    brought = _brought(spend / (2 * usual))
    season = 6 * np.sin(2 * np.pi * np.arange(weeks) / 52)
    base = 120 + 0.08 * np.arange(weeks) + season + 10 * economy
    revenue = base + brought.sum(axis=1) + random.normal(0, 3, weeks)
    first = np.datetime64(int(firm.first_month), "M").astype("datetime64[D]")
    week_of = (first + 7 * np.arange(weeks)).astype("datetime64[us]")
    as_of = pa.array(week_of, pa.timestamp("us", tz="UTC"))
    seen = {f"{name}_amount": pa.array(spend[:, i].round(3)) for i, name in enumerate(CHANNELS)}
    truth = {f"{name}_amount": pa.array(brought[:, i]) for i, name in enumerate(CHANNELS)}
    economy_seen = pa.array((economy + random.normal(0, 0.1, weeks)).round(4))
    marketing = {"as_of": as_of, **seen, "economy_index": economy_seen,
                 "revenue_amount": pa.array(revenue.round(3))}  # fmt: skip
    return {"marketing": pa.table(marketing), "truth_marketing": pa.table({"as_of": as_of} | truth)}


def _brought(spend: Floats) -> Floats:
    """Carry spend over geometrically, saturate it by Hill's curve, and price it."""
    carried = np.zeros_like(spend)
    for week in range(len(spend)):
        before = carried[week - 1] if week else 0.0
        carried[week] = (1 - _ADSTOCK) * spend[week] + _ADSTOCK * before
    powered = carried**_SHAPE
    brought: Floats = _WORTH * 2 * powered / (powered + _HALF**_SHAPE)
    return brought


def demand_tables(random: np.random.Generator, firm: Firm) -> dict[str, pa.Table]:
    """Give ``demand``: hours a month by service line and region, and the noise-free mean."""
    months = firm.quarters * 3
    time = np.arange(months)
    first = np.datetime64(int(firm.first_month), "M")
    as_of = (first + time).astype("datetime64[us]")
    tables, truths = [], []
    for service in SERVICES:
        for region in REGIONS:
            level = np.exp(random.normal(6.2, 0.6))
            trend = 1 + random.normal(0.003, 0.006) * time
            season = 1 + random.uniform(0.05, 0.25) * np.sin(
                2 * np.pi * (time + random.integers(12)) / 12
            )
            mean = (level * trend * season).clip(1)
            noise = np.zeros(months)
            for month in range(1, months):
                noise[month] = 0.4 * noise[month - 1] + random.normal(0, 0.06)
            name = f"{service}-{region}"
            keys = {"series_id": pa.array([name] * months),
                    "as_of": pa.array(as_of, pa.timestamp("us", tz="UTC"))}  # fmt: skip
            hours: Floats = (mean * np.exp(noise)).round(1)
            tables.append(pa.table(keys | {"demand_hours": pa.array(hours)}))
            truths.append(pa.table(keys | {"mean_hours": pa.array(mean)}))
    return {"demand": pa.concat_tables(tables), "truth_demand": pa.concat_tables(truths)}
