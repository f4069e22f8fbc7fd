"""What a record bills, what it should bill, and the gaps between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bentos.revenue_leak.peers import Standing
from core.config import ModelConfig
from core.encoding import Columns, FloatArray
from core.errors import ConfigError

ROLES: Mapping[str, str] = {
    "billed": "the amount on the record",
    "quantity?": "units that were due: delivered, worked",
    "billed_quantity?": "units on the record",
    "rate?": "agreed price of a unit, before discount",
    "discount?": "agreed discount, a ratio from 0 to 1",
    "billed_discount?": "discount on the record, a ratio from 0 to 1",
    "expected?": "amount the contract asks for, where it is known as such",
    "minimum?": "least amount the contract lets a record have",
    "approval?": "mark of an approved deviation: true, above 0, or any level",
    "slips?": "ratios a bill falls by if a clerk slips: a tier's discount, a yearly rise forgotten",
    "items?": "categories whose records should have like prices, the finest first",
    "parties?": "categories with prices of their own inside an item: client, salesman, contract",
}
# Standard deviation of a leak's own share of a price, in log units (leaks run from 2 to 30 %): how
# far a record's own price is trusted where its peers are in doubt.
LEAK_SPREAD = 0.15
# Logarithms of ratios are cut here: a bill of a twentieth is as odd as a bill of nothing.
MOST = 3.0


@dataclass(frozen=True)
class Roles:
    """Names of the features that play the roles; None or empty where none does."""

    billed: str
    quantity: str | None
    billed_quantity: str | None
    rate: str | None
    discount: str | None
    billed_discount: str | None
    expected: str | None
    minimum: str | None
    approval: str | None
    slips: tuple[str, ...]
    items: tuple[str, ...]
    parties: tuple[str, ...]

    @classmethod
    def of(cls, config: ModelConfig) -> Roles:
        """Read the roles of a config.

        Raises
        ------
        ConfigError
            A role has more features than it can have, or features of a type it cannot use.
        """
        billed = _only(config, "billed")
        if billed is None:
            raise ConfigError(f"the role is needed: {ROLES['billed']}", key="roles.billed")
        for role in ("items", "parties"):
            for name in config.role(role):
                if config.features[name].type != "category":
                    raise ConfigError(
                        f"{name!r} is no category; peers are found by categories alone",
                        key=f"roles.{role}",
                    )
        for name in config.role("slips"):
            if config.features[name].type == "category":
                raise ConfigError(f"{name!r} is no number", key="roles.slips")
        return cls(
            slips=config.role("slips"),
            billed=billed,
            quantity=_only(config, "quantity"),
            billed_quantity=_only(config, "billed_quantity"),
            rate=_only(config, "rate"),
            discount=_only(config, "discount"),
            billed_discount=_only(config, "billed_discount"),
            expected=_only(config, "expected"),
            minimum=_only(config, "minimum"),
            approval=_only(config, "approval"),
            items=config.role("items"),
            parties=tuple(sorted(config.role("parties"))),
        )

    @property
    def price_levels(self) -> tuple[tuple[str, ...], ...]:
        """Peer groups of a price, coarsest first."""
        return tuple((name,) for name in reversed(self.items))

    def party_levels(self, party: str) -> tuple[tuple[str, ...], ...]:
        """Peer groups of what a party's price adds to the item's."""
        return ((party,), (party, self.items[0])) if self.items else ((party,),)


@dataclass(frozen=True)
class Bill:
    """Amounts of ``n`` records, in the table's currency; None where the config has no such role.

    Parameters
    ----------
    billed
        On the record; an amount that is missing bills nothing.
    agreed
        Due units at the agreed rate and discount (a rate of 1 where none is agreed).
    recorded
        The same with the units and the discount of the record.
    quantity_gap
        Logarithm of recorded to due units.
    discount_gap
        Recorded less agreed discount, a ratio.
    minimum
        Least amount.
    approved
        1 where a deviation carries an approval, else 0.
    plain
        Due units at the agreed rate and discount, without what the contract adds beyond them.
    slips
        What the bill would fall by at each slip, a ratio, by the feature's name.
    """

    billed: FloatArray
    agreed: FloatArray
    recorded: FloatArray
    quantity_gap: FloatArray | None
    discount_gap: FloatArray | None
    minimum: FloatArray | None
    approved: FloatArray
    plain: FloatArray
    slips: Mapping[str, FloatArray]

    @property
    def log_price(self) -> FloatArray:
        """Logarithm of what a recorded unit costs against the agreed rate; NaN if unknown."""
        return _log_ratio(self.billed, self.recorded)

    @property
    def log_size(self) -> FloatArray:
        """Logarithm of the billed amount; NaN where nothing is billed."""
        return _log_ratio(self.billed, np.ones_like(self.billed))


@dataclass(frozen=True)
class Gaps:
    """How far ``n`` records lie from what was to be expected.

    Parameters
    ----------
    fair
        Amount the record should bill, at least 0, shape ``(n,)``.
    ratios
        Gaps as logarithms of ratios or as differences of ratios, by name.
    spreads
        Price gaps in standard deviations of the peers, by name.
    context
        What the gaps are judged by: peers, their spread, size; by name.
    approved
        1 where a deviation carries an approval.
    """

    fair: FloatArray
    ratios: dict[str, FloatArray]
    spreads: dict[str, FloatArray]
    context: dict[str, FloatArray]
    approved: FloatArray


def read_bill(columns: Columns, roles: Roles) -> Bill:
    """Take the amounts of the roles from the columns, each of shape ``(n,)``."""
    billed = _filled(columns[roles.billed], 0.0)
    ones = np.ones_like(billed)
    nothing = np.full_like(billed, np.nan)

    def column(name: str | None, default: FloatArray) -> FloatArray:
        return default if name is None else columns[name]

    recorded_units = column(roles.billed_quantity, nothing)
    due = _filled(
        column(roles.quantity, ones if roles.billed_quantity is None else nothing), recorded_units
    )
    recorded_units = _filled(recorded_units, due)
    discount = _filled(column(roles.discount, 0.0 * ones), 0.0)
    recorded_discount = _filled(column(roles.billed_discount, nothing), discount)
    rate = column(roles.rate, ones)
    agreed = due * rate * (1.0 - discount)
    recorded = recorded_units * rate * (1.0 - recorded_discount)
    plain = agreed
    if roles.expected is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            recorded = columns[roles.expected] * (recorded / agreed)
        agreed = columns[roles.expected]
    return Bill(
        billed=billed,
        agreed=agreed,
        recorded=recorded,
        quantity_gap=_cut_log(recorded_units, due) if roles.billed_quantity else None,
        discount_gap=recorded_discount - discount if roles.billed_discount else None,
        minimum=columns[roles.minimum] if roles.minimum else None,
        approved=_approved(columns, roles),
        plain=plain,
        slips={name: columns[name] for name in roles.slips},
    )


def measure(bill: Bill, standings: Mapping[str, Standing]) -> Gaps:
    """Set bills against their peers.

    Parameters
    ----------
    bill
        ``n`` bills.
    standings
        ``price`` and ``size``, and one for each party's ``price_of_<party>``.
    """
    price, size = standings["price"], standings["size"]
    price_gap, size_gap = bill.log_price - price.center, bill.log_size - size.center
    ratios = {"price": price_gap}
    spreads = {"price": price_gap / np.hypot(price.spread, price.doubt)}
    context = {
        "price_doubt": price.doubt,
        "price_spread": price.spread,
        "price_peers": price.count,
        "size_gap": size_gap,
        "size_in_spreads": size_gap / np.hypot(size.spread, size.doubt),
    }
    usual, rest = price.center, price_gap
    # Sorted, as they were learned: each party's price is what those before it leave over.
    for name in sorted(set(standings) - {"price", "size"}):
        standing = standings[name]
        usual, rest = usual + standing.center, rest - standing.center
        ratios[name] = rest
        spreads[name] = rest / np.hypot(standing.spread, standing.doubt)
        context[f"{name}_level"] = standing.center
        context[f"{name}_spread"] = standing.spread
        context[f"{name}_peers"] = standing.count
    own = price.doubt**2 / (price.doubt**2 + LEAK_SPREAD**2)
    fair = _fair(bill, log_price=usual + own * _filled(rest, 0.0), size=size, size_gap=size_gap)
    context["fair_log"] = np.log1p(fair)
    ratios["bill"] = _cut_log(bill.billed, fair)
    ratios |= _contract_gaps(bill)
    context |= _slip_gaps(bill, fair)
    return Gaps(fair=fair, ratios=ratios, spreads=spreads, context=context, approved=bill.approved)


def _contract_gaps(bill: Bill) -> dict[str, FloatArray]:
    """Gaps to single terms of the contract, for the terms that the config names."""
    gaps: dict[str, FloatArray] = {}
    if bill.quantity_gap is not None:
        gaps["quantity"] = bill.quantity_gap
    if bill.discount_gap is not None:
        gaps["discount"] = bill.discount_gap
    if bill.minimum is not None:
        gaps["minimum"] = np.minimum(_cut_log(bill.billed, bill.minimum), 0.0)
    return gaps


def _slip_gaps(bill: Bill, fair: FloatArray) -> dict[str, FloatArray]:
    """How far the bill lies from what each known slip would have made of it."""
    gaps: dict[str, FloatArray] = {}
    for name, share in bill.slips.items():
        slipped = np.where((share > 0.0) & (share < 1.0), fair * (1.0 - share), np.nan)
        gaps[f"slip_{name}"] = _cut_log(bill.billed, slipped)
    if bill.agreed is not bill.plain or bill.minimum is not None:
        gaps["plain_gap"] = _cut_log(bill.billed, bill.plain)
    return gaps


def _fair(bill: Bill, *, log_price: FloatArray, size: Standing, size_gap: FloatArray) -> FloatArray:
    """Give the amount due for what was agreed, at a price against the agreed rate."""
    fair = bill.agreed * np.exp(log_price)
    unknown = np.isnan(fair)
    if unknown.any():
        # No units to go by: amounts of one item differ by nature, so mostly the record's own.
        loose = size.doubt**2 + size.spread**2
        own = loose / (loose + LEAK_SPREAD**2)
        fair = np.where(unknown, np.exp(size.center + own * _filled(size_gap, 0.0)), fair)
    return np.fmax(fair, 0.0 if bill.minimum is None else np.fmax(bill.minimum, 0.0))


def _only(config: ModelConfig, role: str) -> str | None:
    """Name of the one feature of a role, if there is one."""
    names = config.role(role)
    if len(names) > 1:
        raise ConfigError(f"the role takes one feature, not {len(names)}", key=f"roles.{role}")
    if names and role != "approval" and config.features[names[0]].type == "category":
        raise ConfigError(
            f"{names[0]!r} is a category; the role needs a number", key=f"roles.{role}"
        )
    return names[0] if names else None


def _approved(columns: Columns, roles: Roles) -> FloatArray:
    """Give 1 where an approval is marked."""
    if roles.approval is None:
        return np.zeros(len(columns[roles.billed]))
    marks = columns[roles.approval]
    if marks.dtype == object:
        return np.array([float(mark is not None) for mark in marks])
    return (marks > 0.0).astype(np.float64)


def _filled(values: FloatArray, default: FloatArray | float) -> FloatArray:
    """Put a default in the place of NaN."""
    return np.where(np.isnan(values), default, values)


def _log_ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Logarithm of a ratio of positive numbers; NaN where one of them is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(above / below)
    return np.where((above > 0.0) & (below > 0.0), ratio, np.nan)


def _cut_log(above: FloatArray, below: FloatArray) -> FloatArray:
    """Logarithm of a ratio, cut at a factor of twenty; NaN where nothing was due."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(np.maximum(above, 0.0) / below)
    return np.where(below > 0.0, np.clip(ratio, -MOST, MOST), np.nan)
