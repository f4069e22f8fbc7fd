"""Quotes: what was asked for, at which price, and whether the client said yes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import SEGMENTS, Clients, Firm, Floats, Ints
from training.sample.delivery import SERVICES

SCOPES = ("assessment", "project", "retainer")
# Prices by chance lie between these multiples of cost; the best price is sought there too.
LOWEST_MARKUP, HIGHEST_MARKUP = 1.05, 2.0
_A_CLIENT_A_YEAR = 5 / 3
_BY_CHANCE_SHARE = 0.25
_GRID, _GRID_ROWS = 381, 1000
_SCOPE_WORTH = np.array([0.09, 0.0, -0.07])


def quote_tables(random: np.random.Generator, firm: Firm, clients: Clients) -> dict[str, pa.Table]:
    """Give ``quotes`` and ``truth_quotes`` for a block of clients.

    The logarithm of what a client would pay is logistic; the price in history follows a policy
    that knows part of it (endogenous), but for a quarter of the quotes, priced by chance. The
    truth holds the chance of winning at the price that was asked, and the price between the
    lowest and the highest markup at which chance x (price - cost) is largest, with that profit.
    """
    quotes = max(round(len(clients.number) * firm.quarters / 4 * _A_CLIENT_A_YEAR), 1)
    row = random.integers(len(clients.number), size=quotes)
    begin = clients.begin[row].clip(0, firm.quarters - 1)
    until = np.maximum(clients.end[row].clip(0, firm.quarters), begin + 1)
    quarter = begin + (random.random(quotes) * (until - begin)).astype(np.int64)
    complexity = random.integers(1, 6, quotes)
    rivals = random.poisson(1.5, quotes)
    scope = random.integers(len(SCOPES), size=quotes)
    tenure = np.maximum(quarter - clients.begin[row], 0)
    cost = np.exp(random.normal(9.2 + 0.35 * complexity, 0.3)).round(2)
    worth, scale = _willingness(clients.segment[row], complexity, rivals, scope, tenure)
    scale = scale / np.where(quarter >= firm.drift_from, 0.8, 1.0)
    by_chance = random.random(quotes) < _BY_CHANCE_SHARE
    # Sellers sense most of what a client would pay, and ask for about that.
    policy = np.exp(0.045 + 0.8 * worth + random.normal(0, 0.06, quotes))
    chosen = np.where(by_chance, random.uniform(LOWEST_MARKUP, HIGHEST_MARKUP, quotes), policy)
    price = (cost * chosen).round(2)
    chance = win_probability(price / cost, worth, scale)
    won = random.random(quotes) < chance
    best, profit = _best(worth, scale)
    quote_id = pa.array([f"Q{clients.number[0]:07d}-{i:06d}" for i in range(quotes)])
    seen = {
        "quote_id": quote_id,
        "client_id": pa.array(clients.names[row]),
        "as_of": pa.array(firm.day(quarter), pa.timestamp("us", tz="UTC")),
        "service": np.array(SERVICES)[(clients.number[row] + complexity) % len(SERVICES)],
        "scope": np.array(SCOPES)[scope],
        "segment": np.array(SEGMENTS)[clients.segment[row]],
        "tenure_months": tenure * 3,
        "complexity_level": complexity,
        "rivals_count": rivals,
        "cost_amount": cost,
        "price_amount": price,
        "priced_by_chance": by_chance,
        "won": won.astype(np.int64),
    }
    truth = {
        "quote_id": quote_id,
        "win_probability": chance,
        "worth_log_markup": worth,
        "worth_scale": scale,
        "oracle_price_amount": cost * best,
        "oracle_profit_amount": cost * profit,
    }
    return {"quotes": pa.table(seen), "truth_quotes": pa.table(truth)}


def win_probability(markup: Floats, worth: Floats, scale: Floats) -> Floats:
    """Chance that a price of so many times the cost is accepted; all of shape ``(n,)``."""
    chance: Floats = 1 / (1 + np.exp((np.log(markup) - worth) / scale))
    return chance


def _willingness(
    segment: Ints, complexity: Ints, rivals: Ints, scope: Ints, tenure: Ints
) -> tuple[Floats, Floats]:
    """Location and scale of the logarithm of what is paid, as a multiple of cost."""
    location = 0.305 + 0.07 * segment + 0.045 * complexity - 0.085 * np.minimum(rivals, 4)
    location = location + _SCOPE_WORTH[scope] + 0.015 * np.minimum(tenure, 8)
    return location, 0.13 + 0.015 * rivals.clip(0, 6)


def _best(worth: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Give the best markup and its profit as a multiple of cost, by a fine grid."""
    grid = np.linspace(LOWEST_MARKUP, HIGHEST_MARKUP, _GRID)
    best, most = np.empty(len(worth)), np.empty(len(worth))
    for start in range(0, len(worth), _GRID_ROWS):
        rows = slice(start, start + _GRID_ROWS)
        profit = win_probability(grid, worth[rows, None], scale[rows, None]) * (grid - 1)
        best[rows], most[rows] = grid[profit.argmax(axis=1)], profit.max(axis=1)
    return best, most
