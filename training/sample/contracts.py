"""Contracts: the terms that every invoice line of a client has to follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from training.sample.clients import CONTRACTS, CURRENCIES, Clients, Firm, Floats, Ints

TIER_FROM_HOURS = 40.0
_MONTHS_A_YEAR = 12
_MULTI_YEAR = CONTRACTS.index("multi_year")


@dataclass(frozen=True)
class Terms:
    """Terms of ``n`` contracts, one a client.

    Parameters
    ----------
    rate_factor
        Shape ``(n,)``: agreed over listed price of an hour.
    uplift
        Shape ``(n,)``: yearly rise written into the contract; 0 where there is none.
    tier_discount
        Shape ``(n,)``: further discount of a line from ``TIER_FROM_HOURS`` on.
    minimum
        Shape ``(n,)``: least amount of a line, in the home currency.
    discount
        Shape ``(n,)``: agreed discount.
    """

    rate_factor: Floats
    uplift: Floats
    tier_discount: Floats
    minimum: Floats
    discount: Floats


def draw_terms(random: np.random.Generator, clients: Clients) -> Terms:
    """Draw the terms of a block of clients."""
    people = len(clients.number)
    return Terms(
        rate_factor=np.exp(random.normal(0, 0.06, people)),
        uplift=np.where(
            clients.contract == _MULTI_YEAR, random.uniform(0.02, 0.07, people).round(3), 0.0
        ),
        tier_discount=random.choice([0.0, 0.05, 0.1], size=people, p=[0.5, 0.3, 0.2]),
        minimum=random.choice([0.0, 400.0, 900.0], size=people, p=[0.6, 0.25, 0.15]),
        discount=random.beta(1.2, 12, people).clip(0, 0.3).round(3),
    )


def months_since_uplift(clients: Clients, month: Ints, row: Ints) -> Ints:
    """Months since the yearly rise of a client, 0 to 11, clause or not."""
    age: Ints = (month + clients.number[row]) % _MONTHS_A_YEAR
    return age


def contract_table(firm: Firm, clients: Clients, terms: Terms) -> pa.Table:
    """Give ``contracts``: one row a client."""
    # The rise falls where the months since it are 0: a month of the year, 1 to 12.
    uplift_month = (firm.first_month - clients.number) % _MONTHS_A_YEAR + 1
    return pa.table(
        {
            "contract_id": pa.array([f"K{n:07d}" for n in clients.number]),
            "client_id": pa.array(clients.names),
            "contract_type": pa.array(np.array(CONTRACTS)[clients.contract]),
            "currency": pa.array(np.array(CURRENCIES)[clients.currency]),
            "rate_to_list_ratio": pa.array(terms.rate_factor),
            "agreed_discount_ratio": pa.array(terms.discount),
            "uplift_ratio": pa.array(terms.uplift),
            "uplift_month": pa.array(uplift_month, mask=terms.uplift == 0),
            "tier_from_hours": pa.array(np.full(len(clients.number), TIER_FROM_HOURS)),
            "tier_discount_ratio": pa.array(terms.tier_discount),
            "minimum_fee_amount": pa.array(terms.minimum),
        }
    )
