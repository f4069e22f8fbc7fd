"""Clients, their contracts, and how they fare quarter by quarter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SECTORS = ("software", "retail", "health", "finance", "industry", "public", "media", "energy")
REGIONS = ("north", "south", "east", "west", "abroad")
SEGMENTS = ("small", "mid", "large", "enterprise")
CONTRACTS = ("monthly", "annual", "multi_year")
CURRENCIES = ("EUR", "USD", "GBP")
MONTHS_A_QUARTER = 3
MANAGERS = 40
_CONTRACT_SHARES = np.array(
    [[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [0.25, 0.45, 0.3], [0.15, 0.4, 0.45]]
)
_SECTOR_EFFECTS = np.array([0.25, 0.2, -0.15, -0.1, 0.0, -0.35, 0.3, -0.05])
_BASE_LOG_ODDS = -1.3
# Odds x 1.65 raise the share that leaves by two fifths at this firm's mix of clients.
_DRIFT_LOG_ODDS = float(np.log(1.65))
_UTILISATION, _UTILISATION_STEP = 0.67, 0.09
_NPS_ASKED_SHARE = 0.97
# Calls are drawn by chance, so that what they do can be measured.
CALLED_SHARE = 0.1
# The clients that come after the drift are of a sort not seen before.
_NEWCOMER_SIZE, _NEWCOMER_SECTOR = 0.2, SECTORS.index("energy")


@dataclass(frozen=True)
class Firm:
    """What holds for all clients of one simulated firm.

    Parameters
    ----------
    quarters
        Quarters simulated.
    first_month
        The first month, as a month count since 1970.
    drift_from
        Quarter from which the world is another one; ``quarters`` when it never is.
    """

    quarters: int
    first_month: int
    drift_from: int

    def day(self, quarter: Ints) -> npt.NDArray[np.datetime64]:
        """First day of a quarter."""
        months = self.first_month + quarter * MONTHS_A_QUARTER
        return months.astype("datetime64[M]").astype("datetime64[us]")


@dataclass(frozen=True)
class Clients:
    """A block of ``n`` clients over ``q`` quarters.

    Parameters
    ----------
    number
        Shape ``(n,)``: running number.
    sector, region, segment, contract, currency, manager
        Shape ``(n,)``: codes.
    begin, end
        Shape ``(n,)``: first quarter served (below 0: before the simulation) and the first one
        not served any more.
    monthly_amount
        Shape ``(n,)``: usual billing a month.
    quality
        Shape ``(n, q)``: how well the client is served, standard normal; not to be seen.
    traits
        By name, each of shape ``(n, q)``: what is seen of the client in a quarter.
    nps_asked
        Shape ``(n, q)``: whether the client was asked for its NPS; else nobody knows it.
    called
        Shape ``(n, q)``: whether the client got a retention call on the first day.
    leave_uncalled, leave_called
        Shape ``(n, q)``: true probability of leaving in the quarter, without and with a call.
    """

    number: Ints
    sector: Ints
    region: Ints
    segment: Ints
    contract: Ints
    currency: Ints
    manager: Ints
    begin: Ints
    end: Ints
    monthly_amount: Floats
    quality: Floats
    traits: dict[str, Floats]
    nps_asked: npt.NDArray[np.bool_]
    called: npt.NDArray[np.bool_]
    leave_uncalled: Floats
    leave_called: Floats

    @property
    def leave_probability(self) -> Floats:
        """True probability of leaving to one who does not know who is called."""
        return mixed(self.leave_uncalled, self.leave_called)

    @property
    def names(self) -> npt.NDArray[Any]:
        """Client ids."""
        return np.array([f"C{n:07d}" for n in self.number])

    def active(self, quarter: int) -> npt.NDArray[np.bool_]:
        """Tell who is served in a quarter."""
        return (self.begin <= quarter) & (quarter < self.end)

    def tenure_months(self, quarter: int) -> Ints:
        """Months served before a quarter."""
        return np.maximum(quarter - self.begin, 0) * MONTHS_A_QUARTER


def make_clients(random: np.random.Generator, firm: Firm, *, first: int, count: int) -> Clients:
    """Draw a block of clients and let them live.

    Parameters
    ----------
    random
        The block's own generator.
    firm
        What holds for all.
    first
        Running number of the first client.
    count
        How many.
    """
    number = np.arange(first, first + count)
    shares = [0.45, 0.3, 0.17, 0.08]
    segment = random.choice(len(SEGMENTS), size=count, p=shares)
    picks = random.random(count)[:, None] > _CONTRACT_SHARES[segment].cumsum(axis=1)
    contract = picks.sum(axis=1).clip(0, len(CONTRACTS) - 1)
    region = random.integers(len(REGIONS), size=count)
    currency = np.where(region == len(REGIONS) - 1, random.integers(1, 3, size=count), 0)
    # Half were clients before the first month; the rest come in along the way.
    begin = np.where(
        random.random(count) < 0.5,
        -random.integers(0, 24, size=count),
        random.integers(0, firm.quarters, size=count),
    )
    size = np.exp(random.normal(8.3 + 0.75 * segment, 0.45))
    sector = random.integers(len(SECTORS), size=count)
    # No draw of its own, so that the same seed without drift has the same clients till then.
    newcomer = begin >= firm.drift_from
    sector = np.where(newcomer, _NEWCOMER_SECTOR, sector)
    contract = np.where(newcomer, CONTRACTS.index("monthly"), contract)
    size = np.where(newcomer, size * _NEWCOMER_SIZE, size)
    quality, traits = _live(random, firm, count)
    quarters = np.arange(firm.quarters)
    tenure = np.maximum(quarters - begin[:, None], 0) * MONTHS_A_QUARTER
    # A quarter's hazard comes from the one before. The first has none before it: nobody leaves
    # in it, and no row tells of it.
    before = {name: np.roll(values, 1, axis=1) for name, values in traits.items()}
    uncalled, called = leave_probabilities(
        before, sector=sector[:, None], contract=contract[:, None], tenure=tenure,
        is_drifted=quarters >= firm.drift_from,
    )  # fmt: skip
    # A generator of its own: the rest of the firm stays as it is whoever is called.
    [call_random] = random.spawn(1)
    is_called = call_random.random(uncalled.shape) < CALLED_SHARE
    leaves = random.random(uncalled.shape) < np.where(is_called, called, uncalled)
    leaves &= (quarters > begin[:, None]) & (quarters > 0)
    end = np.where(leaves.any(axis=1), leaves.argmax(axis=1) + 1, firm.quarters + 1)
    return Clients(
        number=number, sector=sector, region=region, segment=segment, contract=contract,
        currency=currency, manager=random.integers(MANAGERS, size=count), begin=begin, end=end,
        monthly_amount=size.round(2), quality=quality, traits=traits,
        nps_asked=call_random.random(uncalled.shape) < _NPS_ASKED_SHARE, called=is_called,
        leave_uncalled=uncalled, leave_called=called,
    )  # fmt: skip


def mixed(uncalled: Floats, called: Floats) -> Floats:
    """Give the probability of leaving to one who does not know who is called."""
    return (1 - CALLED_SHARE) * uncalled + CALLED_SHARE * called


def _live(random: np.random.Generator, firm: Firm, count: int) -> tuple[Floats, dict[str, Floats]]:
    """Let quality and workload drift, and draw what is seen of them."""
    shape = (count, firm.quarters)
    quality, workload = np.zeros(shape), np.zeros(shape)
    quality[:, 0], workload[:, 0] = random.normal(size=count), random.normal(size=count)
    for quarter in range(1, firm.quarters):
        quality[:, quarter], workload[:, quarter] = next_state(
            random, quality[:, quarter - 1], workload[:, quarter - 1]
        )
    return quality, draw_traits(random, quality, workload)


def next_state(
    random: np.random.Generator, quality: Floats, workload: Floats
) -> tuple[Floats, Floats]:
    """Draw quality and workload of a quarter from those of the one before, of any one shape."""
    new_workload = 0.7 * workload + random.normal(0, 0.71, workload.shape)
    new_quality = 0.8 * quality - 0.12 * new_workload + random.normal(0, 0.58, quality.shape)
    return new_quality, new_workload


def workload_of(utilisation: Floats) -> Floats:
    """Give the workload that shows as this utilisation."""
    workload: Floats = (utilisation - _UTILISATION) / _UTILISATION_STEP
    return workload


def draw_traits(
    random: np.random.Generator, quality: Floats, workload: Floats
) -> dict[str, Floats]:
    """Draw what is seen of quality and workload, all of one shape."""
    shape = quality.shape
    anniversary = random.random(shape) < 0.25
    rise = np.where(anniversary, random.gamma(2.0, 0.03, shape), 0.0)
    return {
        "nps": (25 + 24 * quality + random.normal(0, 16, shape)).clip(-100, 100).round(),
        "tickets_count": random.poisson(np.exp(0.9 - 0.35 * quality)).astype(float),
        "escalations_count": random.poisson(np.exp(-1.7 - 0.5 * quality)).astype(float),
        "late_payments_count": random.poisson(random.gamma(0.8, 0.9, shape)).astype(float),
        "utilisation_ratio": (_UTILISATION + _UTILISATION_STEP * workload).clip(0.2, 1.1).round(3),
        "overrun_ratio": (0.08 - 0.05 * quality + random.normal(0, 0.04, shape)).round(3),
        "spend_change_ratio": (0.02 + 0.05 * quality + random.normal(0, 0.16, shape))
        .clip(-0.9, 2)
        .round(3),
        "price_increase_ratio": rise.clip(0, 0.4).round(3),
        "sponsor_changed": (random.random(shape) < 0.07).astype(float),
        "service_lines_count": random.integers(1, 6, shape).astype(float),
        "days_since_contact": random.exponential(18, shape).clip(0, 180).round(),
    }


def leave_probabilities(
    traits: dict[str, Floats],
    *,
    sector: Ints,
    contract: Ints,
    tenure: Ints,
    is_drifted: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Give the hazard of a quarter, without and with a retention call.

    A call helps with those who are unhappy or have a new sponsor. The long served and content it
    only reminds that they could leave (sleeping dogs).

    Parameters
    ----------
    traits
        What was seen in the quarter before, by name, of any one shape.
    sector, contract, tenure
        Codes, and months served; broadcast against the traits.
    is_drifted
        Whether the quarter lies after the drift; broadcast too.
    """
    nps, sponsor_changed = traits["nps"], traits["sponsor_changed"]
    log_odds = (
        _BASE_LOG_ODDS
        - 0.9 * np.log1p(tenure / 12)
        + (0.9 * (contract == 0) - 0.5 * (contract == 2) + _SECTOR_EFFECTS[sector])
        - 0.018 * nps
        - 1.6 * (traits["utilisation_ratio"] - _UTILISATION)
        + 0.28 * np.minimum(traits["late_payments_count"], 5)
        + 0.12 * traits["tickets_count"] * (nps < 10)
        - 2.2 * np.minimum(traits["spend_change_ratio"], 0)
        + 3.0 * traits["price_increase_ratio"] * (1 + (contract == 0))
        + 0.7 * sponsor_changed
        + np.where(is_drifted, _DRIFT_LOG_ODDS, 0.0)
    )
    call = -0.3 - 0.6 * (nps < 0) - 0.5 * sponsor_changed + 0.7 * ((tenure >= 36) & (nps >= 40))
    return 1 / (1 + np.exp(-log_odds)), 1 / (1 + np.exp(-log_odds - call))
