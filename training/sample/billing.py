"""Invoice lines, the leaks among them, the audits, and how likely each leak is from what is seen.

Every line has a bill that the contract asks for. Most lines bill it, up to small noise; some are
let down on purpose, most of these with an approval code; some leak. The posterior is the share of
the leaking part in the mixture that made the lines, given all that the line shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import stats

from training.sample.clients import CONTRACTS, CURRENCIES, Clients, Firm, Floats, Ints
from training.sample.delivery import SERVICES

GRADES = ("junior", "consultant", "senior", "partner")
_GRADE_RATES = np.array([70.0, 105.0, 150.0, 230.0])
_FX = np.array([1.0, 0.92, 1.17])
KINDS = ("unbilled_hours", "stale_rate", "excess_discount", "wrong_tier", "no_minimum", "wrong_fx")
_KIND_WEIGHTS = np.array([3.0, 4.0, 2.0, 1.5, 5.0, 2.0])
_NOISE, _NOISE_FREEDOM = 0.015, 5
_LEAK_SHARE, _BENIGN_SHARE = 0.04, 0.07
_CODE_IF_BENIGN, _CODE_IF_LEAK, _CODE_ELSE = 0.7, 0.08, 0.004
_AUDITED_SHARE = 0.4
_LEAST_SIZE, _SIZE_SPAN = 0.02, 0.28
_GRID = np.linspace(0.005, 0.995, 60)


@dataclass(frozen=True)
class Lines:
    """``m`` invoice lines as the contract asks for them.

    Parameters
    ----------
    row, month
        Client's place in the block; month counted from the first one.
    service, grade
        Codes.
    hours, rate, list_rate
        Worked; agreed and listed price of an hour.
    discount, tier_discount
        Agreed shares; the tier's only from its threshold of hours on.
    tier_hours, minimum
        Hours from which the tier counts; least amount a line may have.
    fx
        Price of a unit of the home currency.
    uplift, uplift_age
        Yearly rise written into the contract, and months since the last one (-1: none).
    junior_biller
        1 where a junior wrote the invoice.
    """

    row: Ints
    month: Ints
    service: Ints
    grade: Ints
    hours: Floats
    rate: Floats
    list_rate: Floats
    discount: Floats
    tier_discount: Floats
    tier_hours: Floats
    minimum: Floats
    fx: Floats
    uplift: Floats
    uplift_age: Ints
    junior_biller: Floats

    @property
    def tier_applies(self) -> Floats:
        """1 where the hours reach the tier."""
        return (self.hours >= self.tier_hours).astype(float)

    @property
    def plain_amount(self) -> Floats:
        """Amount before the minimum, in the home currency."""
        tier = 1 - self.tier_discount * self.tier_applies
        amount: Floats = self.hours * self.rate * (1 - self.discount) * tier
        return amount

    @property
    def due_amount(self) -> Floats:
        """What the contract asks for, in the line's currency."""
        due: Floats = np.maximum(self.plain_amount, self.minimum) * self.fx
        return due


def billing_tables(
    random: np.random.Generator, firm: Firm, clients: Clients
) -> dict[str, pa.Table]:
    """Give ``revenue_leak``, ``invoices``, ``audits`` and ``truth_revenue_leak`` for a block."""
    lines = _draw_lines(random, firm, clients)
    count = len(lines.row)
    sizes, possible = _kind_sizes(random, lines)
    leak_share = _leak_share(lines)
    drawn = random.random(count)
    is_leak = drawn < leak_share
    is_benign = ~is_leak & (drawn < leak_share + _BENIGN_SHARE)
    weights = _KIND_WEIGHTS * possible
    cumulated = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
    kind = (random.random(count)[:, None] > cumulated).sum(axis=1).clip(0, len(KINDS) - 1)
    benign_size = _LEAST_SIZE + _SIZE_SPAN * random.beta(1.0, 5, count)
    size = np.where(is_leak, sizes[np.arange(count), kind], np.where(is_benign, benign_size, 0.0))
    noise = _NOISE * random.standard_t(_NOISE_FREEDOM, count)
    billed = (lines.due_amount * (1 - size) * np.exp(noise)).round(2)
    code_share = np.where(is_leak, _CODE_IF_LEAK, np.where(is_benign, _CODE_IF_BENIGN, _CODE_ELSE))
    coded = random.random(count) < code_share
    audited = random.random(count) < _AUDITED_SHARE
    gap = np.log(billed / lines.due_amount)
    posterior = _posterior(lines, gap, coded, leak_share, possible)
    amount = np.where(is_leak, lines.due_amount * size / lines.fx, 0.0).round(2)
    return _tables(firm, clients, lines, billed=billed, coded=coded, audited=audited,
                   is_leak=is_leak, kind=kind, amount=amount, posterior=posterior)  # fmt: skip


def _draw_lines(random: np.random.Generator, firm: Firm, clients: Clients) -> Lines:
    quarters = np.arange(firm.quarters)
    served = (clients.begin[:, None] <= quarters) & (quarters < clients.end[:, None])
    row, month = np.nonzero(np.repeat(served, 3, axis=1))
    kept = random.random(len(row)) < 0.8
    row, month = row[kept], month[kept]
    count, people = len(row), len(clients.number)
    service = (clients.number[row] + random.integers(0, 3, count)) % len(SERVICES)
    grade = random.choice(len(GRADES), size=count, p=[0.3, 0.35, 0.25, 0.1])
    list_rate = _GRADE_RATES[grade] * (1 + 0.06 * service)
    own = np.exp(random.normal(0, 0.06, people))[row]
    uplift = np.where(clients.contract == 2, random.uniform(0.02, 0.07, people).round(3), 0.0)[row]
    age = np.where(uplift > 0, (month + clients.number[row]) % 12, -1)
    tier_discount = random.choice([0.0, 0.05, 0.1], size=people, p=[0.5, 0.3, 0.2])[row]
    minimum = random.choice([0.0, 400.0, 900.0], size=people, p=[0.6, 0.25, 0.15])[row]
    discount = (random.beta(1.2, 12, people)).clip(0, 0.3).round(3)[row]
    drift = np.exp(random.normal(0, 0.01, count))
    return Lines(
        row=row, month=month, service=service, grade=grade,
        hours=np.maximum(random.lognormal(2.8, 0.85, count), 0.5).round(1),
        rate=(list_rate * own).round(2), list_rate=list_rate.round(2), discount=discount,
        tier_discount=tier_discount, tier_hours=np.full(count, 40.0), minimum=minimum,
        fx=(_FX[clients.currency[row]] * drift).round(4), uplift=uplift, uplift_age=age,
        junior_biller=(random.random(count) < 0.35).astype(float),
    )  # fmt: skip


def _leak_share(lines: Lines) -> Floats:
    """Probability of a leak before the line is seen: juniors and uplift clauses leak more."""
    factor = 1 + 0.8 * lines.junior_biller + 0.7 * (lines.uplift > 0)
    share: Floats = _LEAK_SHARE * factor / 1.42
    return share


def _kind_sizes(random: np.random.Generator, lines: Lines) -> tuple[Floats, Floats]:
    """Size of each kind of leak on each line, and whether the line can have it: (m, kinds)."""
    count = len(lines.row)
    spread = random.beta(3, 2.5, count)
    below = lines.plain_amount < lines.minimum
    short = np.where(below, 1 - lines.plain_amount / np.maximum(lines.minimum, 1), 0.0)
    tier_wrong = (lines.tier_discount > 0) & (lines.tier_applies == 0) & ~below
    sizes = np.column_stack([
        _LEAST_SIZE + _SIZE_SPAN * spread,
        lines.uplift / (1 + lines.uplift),
        random.choice([0.05, 0.1, 0.15], size=count),
        lines.tier_discount,
        short,
        0.02 + 0.1 * random.random(count),
    ])  # fmt: skip
    possible = np.column_stack([
        np.ones(count),
        (lines.uplift > 0) & (lines.uplift_age < 6) & ~below,
        np.ones(count),
        tier_wrong,
        short > 0.02,
        np.abs(lines.fx - 1) > 0.05,
    ]).astype(float)  # fmt: skip
    return sizes, possible


def _posterior(
    lines: Lines, gap: Floats, coded: np.ndarray, leak_share: Floats, possible: Floats
) -> Floats:
    """P(leak | the line): Bayes' rule on the mixture that made it."""
    weights = _KIND_WEIGHTS * possible
    weights /= weights.sum(axis=1, keepdims=True)
    below = lines.plain_amount < lines.minimum
    short = np.where(below, 1 - lines.plain_amount / np.maximum(lines.minimum, 1), 0.0)
    spread_sizes = _LEAST_SIZE + _SIZE_SPAN * _GRID
    densities = np.column_stack([
        _blurred(gap, spread_sizes, stats.beta(3, 2.5).pdf(_GRID)),
        _noise_density(gap, lines.uplift / (1 + lines.uplift)),
        _blurred(gap, np.array([0.05, 0.1, 0.15]), np.ones(3)),
        _noise_density(gap, lines.tier_discount),
        _noise_density(gap, short),
        _blurred(gap, 0.02 + 0.1 * _GRID, np.ones(len(_GRID))),
    ])  # fmt: skip
    leak = leak_share * (weights * densities).sum(axis=1)
    leak *= np.where(coded, _CODE_IF_LEAK, 1 - _CODE_IF_LEAK)
    benign = _BENIGN_SHARE * _blurred(gap, spread_sizes, stats.beta(1.0, 5).pdf(_GRID))
    benign *= np.where(coded, _CODE_IF_BENIGN, 1 - _CODE_IF_BENIGN)
    sound = (1 - leak_share - _BENIGN_SHARE) * _noise_density(gap, np.zeros(len(gap)))
    sound *= np.where(coded, _CODE_ELSE, 1 - _CODE_ELSE)
    posterior: Floats = leak / (leak + benign + sound)
    return posterior


def _noise_density(gap: Floats, size: Floats) -> Floats:
    """Density of a logarithmic gap when the line is cut by ``size``."""
    density: Floats = stats.t(_NOISE_FREEDOM).pdf((gap - np.log1p(-size)) / _NOISE) / _NOISE
    return density


def _blurred(gap: Floats, sizes: Floats, weights: Floats) -> Floats:
    """Density of a gap when the size is one of several, by their weights."""
    total = np.zeros(len(gap))
    for size, weight in zip(sizes, weights / weights.sum(), strict=True):
        total += weight * _noise_density(gap, np.full(len(gap), size))
    return total


def _tables(
    firm: Firm, clients: Clients, lines: Lines, *, billed: Floats, coded: np.ndarray,
    audited: np.ndarray, is_leak: np.ndarray, kind: Ints, amount: Floats, posterior: Floats,
) -> dict[str, pa.Table]:  # fmt: skip
    client = clients.names[lines.row]
    numbers = np.arange(len(client))
    order = np.lexsort((numbers, lines.row))
    starts = np.searchsorted(lines.row[order], np.arange(len(clients.number)))
    place = np.empty(len(client), dtype=np.int64)
    place[order] = np.arange(len(client)) - starts[lines.row[order]]
    line_id = pa.array([f"L{c[1:]}-{p:04d}" for c, p in zip(client, place, strict=True)])
    months = (firm.first_month + lines.month).astype("datetime64[M]").astype("datetime64[us]")
    # Invoices of a month are written through its days; a line of its own has a time of its own.
    as_of = pa.array(months + np.timedelta64(27, "D"), pa.timestamp("us", tz="UTC"))
    keys = {"invoice_line_id": line_id, "client_id": pa.array(client), "as_of": as_of}
    seen = {
        "service_line": pa.array(np.array(SERVICES)[lines.service]),
        "grade": pa.array(np.array(GRADES)[lines.grade]),
        "contract_type": pa.array(np.array(CONTRACTS)[clients.contract[lines.row]]),
        "currency": pa.array(np.array(CURRENCIES)[clients.currency[lines.row]]),
        "worked_hours": pa.array(lines.hours),
        "list_rate_amount_per_hour": pa.array(lines.list_rate),
        "contract_rate_amount_per_hour": pa.array(lines.rate),
        "agreed_discount_ratio": pa.array(lines.discount),
        "tier_discount_ratio": pa.array(lines.tier_discount),
        "tier_from_hours": pa.array(lines.tier_hours),
        "minimum_fee_amount": pa.array(lines.minimum),
        "fx_rate": pa.array(lines.fx),
        "contract_amount": pa.array((lines.due_amount / lines.fx).round(2)),
        "uplift_ratio": pa.array(lines.uplift),
        "months_since_uplift": pa.array(lines.uplift_age, mask=lines.uplift_age < 0),
        "junior_biller": pa.array(lines.junior_biller > 0),
        "approval_code": pa.array(coded),
        "billed_amount": pa.array((billed / lines.fx).round(2)),
    }
    labels = {
        "leak": pa.array(is_leak.astype(np.int64), mask=~audited),
        "leak_amount": pa.array(amount, mask=~audited),
    }
    truth = {
        "invoice_line_id": line_id,
        "is_leak": pa.array(is_leak),
        "leak_type": pa.array(np.where(is_leak, np.array(KINDS)[kind], "none")),
        "leak_amount": pa.array(amount),
        "posterior": pa.array(posterior),
    }
    table = pa.table(keys | seen | labels)
    audits = table.select(["invoice_line_id", "leak", "leak_amount"]).filter(pa.array(audited))
    return {
        "revenue_leak": table,
        "invoice_lines": pa.table(keys | seen),
        "audits": audits,
        "truth_revenue_leak": pa.table(truth),
    }
