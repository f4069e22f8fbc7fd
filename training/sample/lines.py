"""Invoice lines as the contract asks for them, before anybody bills too little."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.sample.clients import Clients, Firm, Floats, Ints
from training.sample.contracts import TIER_FROM_HOURS, Terms, draw_terms, months_since_uplift
from training.sample.delivery import SERVICES

GRADES = ("junior", "consultant", "senior", "partner")
GRADE_SHARES = (0.3, 0.35, 0.25, 0.1)
_GRADE_RATES = np.array([70.0, 105.0, 150.0, 230.0])
_FX = np.array([1.0, 0.92, 1.17])


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

    @cached_property
    def tier_applies(self) -> Floats:
        """1 where the hours reach the tier."""
        return (self.hours >= self.tier_hours).astype(float)

    @cached_property
    def plain_amount(self) -> Floats:
        """Amount before the minimum, in the home currency."""
        tier = 1 - self.tier_discount * self.tier_applies
        amount: Floats = self.hours * self.rate * (1 - self.discount) * tier
        return amount

    @cached_property
    def due_amount(self) -> Floats:
        """What the contract asks for, in the line's currency."""
        due: Floats = np.maximum(self.plain_amount, self.minimum) * self.fx
        return due

    @cached_property
    def short_ratio(self) -> Floats:
        """Share that is missing where the minimum is due and was forgotten."""
        below = self.plain_amount < self.minimum
        return np.where(below, 1 - self.plain_amount / np.maximum(self.minimum, 1), 0.0)


def draw_lines(random: np.random.Generator, firm: Firm, clients: Clients) -> tuple[Lines, Terms]:
    """Draw the lines of a block of clients, and the terms of their contracts."""
    quarters = np.arange(firm.quarters)
    served = (clients.begin[:, None] <= quarters) & (quarters < clients.end[:, None])
    row, month = np.nonzero(np.repeat(served, 3, axis=1))
    kept = random.random(len(row)) < 0.8
    row, month = row[kept], month[kept]
    count = len(row)
    service = (clients.number[row] + random.integers(0, 3, count)) % len(SERVICES)
    grade = random.choice(len(GRADES), size=count, p=GRADE_SHARES)
    list_rate = _GRADE_RATES[grade] * (1 + 0.06 * service)
    terms = draw_terms(random, clients)
    uplift = terms.uplift[row]
    fx_drift = np.exp(random.normal(0, 0.01, count))
    lines = Lines(
        row=row, month=month, service=service, grade=grade,
        hours=np.maximum(random.lognormal(2.8, 0.85, count), 0.5).round(1),
        rate=(list_rate * terms.rate_factor[row]).round(2), list_rate=list_rate.round(2),
        discount=terms.discount[row], tier_discount=terms.tier_discount[row],
        tier_hours=np.full(count, TIER_FROM_HOURS), minimum=terms.minimum[row],
        fx=(_FX[clients.currency[row]] * fx_drift).round(4), uplift=uplift,
        uplift_age=np.where(uplift > 0, months_since_uplift(clients, month, row), -1),
        junior_biller=(random.random(count) < 0.35).astype(float),
    )  # fmt: skip
    return lines, terms
