"""The fair bill from structure and peers, and the gaps to it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bentos.revenue_leak.bill import Gaps, Roles, measure, read_bill
from bentos.revenue_leak.peers import Standing
from core.encoding import FloatArray
from core.errors import ConfigError
from tests.billing import CONTENT, config_of

AMOUNTS = ("billed", "quantity", "billed_quantity", "rate", "discount", "billed_discount",
           "expected", "minimum")  # fmt: skip


def _roles(*names: str) -> Roles:
    features = {name: {"type": "number", "description": "An amount"} for name in names}
    return Roles.of(config_of(features=features, roles={name: name for name in names}))


def _standing(center: float, *, doubt: float = 1e-6, spread: float = 0.01) -> Standing:
    one = np.ones(1)
    return Standing(center * one, spread * one, doubt * one, 10 * one)


def _gaps(price: Standing | None = None, /, **amounts: float) -> Gaps:
    columns: dict[str, npt.NDArray[Any]] = {n: np.array([v]) for n, v in amounts.items()}
    standings = {"price": price or _standing(0.0), "size": _standing(5.0)}
    return measure(read_bill(columns, _roles(*amounts)), standings)


def _only(values: FloatArray) -> float:
    return float(values[0])


def test_rate_quantity_and_discount_make_the_fair_bill() -> None:
    gaps = _gaps(billed=60.0, quantity=4.0, billed_quantity=3.0, rate=25.0, discount=0.1,
                 billed_discount=0.2)  # fmt: skip
    assert _only(gaps.fair) == pytest.approx(90.0)
    assert _only(gaps.ratios["quantity"]) == pytest.approx(np.log(0.75))
    assert _only(gaps.ratios["discount"]) == pytest.approx(0.1)
    assert _only(gaps.ratios["price"]) == pytest.approx(0.0)
    assert _only(gaps.ratios["bill"]) == pytest.approx(np.log(60 / 90))


def test_peers_give_the_price_where_no_rate_is_agreed() -> None:
    gaps = _gaps(_standing(float(np.log(25.0))), billed=80.0, quantity=4.0)
    assert _only(gaps.fair) == pytest.approx(100.0)
    assert _only(gaps.ratios["price"]) == pytest.approx(np.log(0.8))


def test_the_own_price_is_believed_where_peers_are_in_doubt() -> None:
    doubtful = _standing(float(np.log(25.0)), doubt=3.0)
    assert _only(_gaps(doubtful, billed=8.0, quantity=4.0).fair) == pytest.approx(8, rel=0.02)


def test_a_minimum_holds() -> None:
    gaps = _gaps(billed=60.0, quantity=1.0, rate=60.0, minimum=100.0)
    assert _only(gaps.fair) == pytest.approx(100.0)
    assert _only(gaps.ratios["minimum"]) == pytest.approx(np.log(0.6))


def test_an_amount_the_contract_asks_for_is_taken_as_it_is() -> None:
    assert _only(_gaps(billed=70.0, expected=90.0).fair) == pytest.approx(90.0)


def test_nothing_billed_lacks_the_whole_bill() -> None:
    for billed in (0.0, np.nan):
        gaps = _gaps(billed=billed, quantity=2.0, rate=50.0)
        assert _only(gaps.fair) == pytest.approx(100.0)
        assert _only(gaps.ratios["bill"]) == -3.0


def test_unknown_units_leave_the_usual_size() -> None:
    gaps = _gaps(billed=np.nan, quantity=np.nan)
    assert _only(gaps.fair) == pytest.approx(np.exp(5.0))


def test_every_fair_bill_is_finite_and_not_negative() -> None:
    for value in (0.0, np.nan, 1e12, -5.0):
        for name in AMOUNTS:
            amounts = {**dict.fromkeys(AMOUNTS, 0.5), name: value}
            fair = _only(_gaps(**amounts).fair)
            assert np.isfinite(fair), (name, value)
            assert fair >= 0.0, (name, value)


def test_a_bill_that_a_known_slip_made_lies_at_that_slip() -> None:
    features = {
        n: {"type": "number", "description": "An amount"} for n in ("billed", "expected", "tier")
    }
    roles = {"billed": "billed", "expected": "expected", "slips": "tier"}
    columns = {"billed": [90.0, 90.0], "expected": [100.0, 100.0], "tier": [0.1, 0.0]}
    bill = read_bill(
        {name: np.array(values) for name, values in columns.items()},
        Roles.of(config_of(features=features, roles=roles)),
    )
    two = {name: np.repeat(values, 2) for name, values in vars(_standing(0.0)).items()}
    gaps = measure(bill, {"price": Standing(**two), "size": Standing(**two)})
    assert gaps.context["slip_tier"][0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(gaps.context["slip_tier"][1])


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"billed": "service"}, "needs a number"),
        ({"billed": ["billed_amount", "due_hours"]}, "one feature"),
        ({"billed": "billed_amount", "items": "due_hours"}, "no category"),
        ({"billed": "billed_amount", "slips": "office"}, "no number"),
        ({}, "the role is needed"),
    ],
)
def test_a_role_of_the_wrong_kind_is_refused(roles: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Roles.of(config_of(roles=roles))


def test_items_run_from_coarse_to_fine() -> None:
    content = {**CONTENT["roles"], "items": ["service", "office"]}
    roles = Roles.of(config_of(roles=content))
    assert roles.price_levels == (("office",), ("service",))
    assert roles.party_levels("client") == (("client",), ("client", "service"))
