"""What a caller of the four task models may get wrong, and the sentence each of it earns.

The real gate and app in process, over the releases that were really trained on the sample firm.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.settings import Settings
from services.access.first_key import create_admin_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.services.conftest import Client, assert_problem

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]
DAY = timedelta(days=1)

QUOTE: Row = {
    "quote_id": "q-1", "as_of": "2026-01-31T00:00:00Z", "service": "build", "scope": "project",
    "segment": "mid", "tenure_months": 12, "complexity_level": 3, "rivals_count": 2,
    "cost_amount": 27000.0, "price_amount": 39800.0,
}  # fmt: skip
BUDGET: Row = {"total_amount": 1500.0, "period_weeks": 13}


@pytest.fixture(scope="module")
def client(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("asked") / "septet"
    shutil.copytree(tiny_home / "releases", home / "releases")
    key = create_admin_key(home)
    runtime = Runtime()
    runtime.start(Settings(home=home, configs=ROOT / "configs"))
    inner = create_app(runtime, docs_files=docs_files())
    app = Gate(inner, runtime=runtime)
    yield Client(app, headers={"X-API-Key": key})
    runtime.stop()


def limits(**given: float) -> Row:
    return QUOTE | {"limits": given}


def channels(**given: Row) -> Row:
    return BUDGET | {"channels": given}


PRICING: dict[str, tuple[Row, str]] = {
    "lowest above highest": (
        limits(lowest_price=50_000, highest_price=30_000),
        "limits.lowest_price: is 50000, above limits.highest_price, which is 30000; lower",
    ),
    "margin above highest": (
        limits(least_margin_ratio=0.5, highest_price=40_000),
        (
            "limits.highest_price: allows prices up to 40000, and limits.least_margin_ratio only "
            "from 54000: no price keeps to both"
        ),
    ),
    "lowest beyond the largest change": (
        limits(lowest_price=60_000, largest_change_ratio=0.1),
        (
            "limits.largest_change_ratio: allows prices up to 43780, and limits.lowest_price only "
            "from 60000: no price keeps to both"
        ),
    ),
    "cost above the highest price": (
        limits(highest_price=20_000),
        "limits.highest_price: allows prices up to 20000, and cost_amount only from 27000",
    ),
    "cost above what the price may rise to": (
        limits(largest_change_ratio=0.1) | {"cost_amount": 50_000.0},
        "limits.largest_change_ratio: allows prices up to 43780, and cost_amount only from 50000",
    ),
    "a price of zero": (
        QUOTE | {"price_amount": 0},
        "price_amount: is the number 0; a number of at least 0.01 in home currency is allowed",
    ),
    "volume without its floor": (
        QUOTE | {"objective": "volume"},
        "margin_floor_ratio: is null, and the objective volume needs it",
    ),
    "an unknown limit": (
        limits(lowest_prize=1),
        "limits.lowest_prize: is not a field of this model; did you mean 'lowest_price'?",
    ),
}
BUDGETS: dict[str, tuple[Row, str]] = {
    "under the least amounts": (
        channels(search_amount={"least_amount": 900}, mail_amount={"fixed_amount": 700}),
        (
            "total_amount: is 1500, less than the least amounts need together; least and fixed "
            "amounts sum to 1600: raise the total or lower them"
        ),
    ),
    "an unknown channel": (
        channels(serch_amount={"least_amount": 1}),
        "channels.serch_amount: is not a channel of this model; did you mean 'search_amount'?",
    ),
    "least above most": (
        channels(mail_amount={"least_amount": 90, "most_amount": 10}),
        "channels.mail_amount.least_amount: is 90, above most_amount 10; at most 10 is allowed",
    ),
    "a period of no weeks": (BUDGET | {"period_weeks": 0}, "period_weeks: is the number 0; it"),
    "nothing to spend": (BUDGET | {"total_amount": 0}, "total_amount: is the number 0; it should"),
    "a least return without its number": (
        BUDGET | {"objective": "revenue_at_least_return"},
        "least_return_ratio: is missing; the objective revenue_at_least_return needs it, such as",
    ),
}
DEMANDS: dict[str, tuple[Row, str]] = {
    "no horizon": ({"horizon_steps": 0}, "horizon_steps: is the number 0; it should be greater"),
    "a horizon beyond the release": (
        {"horizon_steps": 500},
        (
            "horizon_steps: is 500; 1 to 24 is allowed in this release; raise "
            "training.options.max_horizon_steps and train again for more"
        ),
    ),
    "an unknown regressor": (
        {"horizon_steps": 1, "regressors": {"promo_shar": [0.0]}},
        "regressors.promo_shar: is not a regressor of this model; did you mean 'promo_share'?",
    ),
    "too few values of a regressor": (
        {"horizon_steps": 3, "regressors": {"promo_share": [0.0, 0.1]}},
        "regressors.promo_share: has 2 values",
    ),
    "an interval of everything": (
        {"horizon_steps": 1, "interval_level": 1.0},
        "interval_level: is the number 1.0; it should be less than or equal to 0.99",
    ),
    "a country that there is not": (
        {"horizon_steps": 1, "holidays_country": "XX"},
        "holidays_country: is 'XX'",
    ),
}


@pytest.mark.parametrize(("row", "said"), PRICING.values(), ids=PRICING)
def test_a_price_is_not_recommended_and_the_pair_is_named(
    client: Client, row: Row, said: str
) -> None:
    assert_problem(client.post("/api/pricing", json=row), 422, "RowInvalid", said)


def test_prices_that_history_does_not_hold_are_refused_with_the_reason(client: Client) -> None:
    answer = client.post("/api/pricing", json=limits(lowest_price=5_000_000))
    assert_problem(answer, 409, "AnswerRefused", "The limits leave prices from 5e+06, and history")
    assert "Widen the limits, or sell some at such prices" in answer.text


def test_a_cost_above_the_current_price_is_answered_with_a_price_above_the_cost(
    client: Client,
) -> None:
    said = client.post("/api/pricing", json=QUOTE | {"cost_amount": 45_000.0}).json()
    assert said["result"]["recommended_price_amount"] >= 45_000
    assert said["result"]["current_profit_amount"] < 0


@pytest.mark.parametrize(("row", "said"), BUDGETS.values(), ids=BUDGETS)
def test_a_budget_is_not_split_and_the_reason_is_said(client: Client, row: Row, said: str) -> None:
    assert_problem(client.post("/api/budget", json=row), 422, "RowInvalid", said)


def test_a_return_beyond_reach_says_what_can_be_had(client: Client) -> None:
    row = BUDGET | {"objective": "revenue_at_least_return", "least_return_ratio": 1000.0}
    answer = client.post("/api/budget", json=row)
    assert answer.status_code == 422
    assert "least_return_ratio: is 1000" in answer.json()["detail"]


@pytest.mark.parametrize(("row", "said"), DEMANDS.values(), ids=DEMANDS)
def test_nothing_is_forecast_and_the_fix_is_said(client: Client, row: Row, said: str) -> None:
    answer = client.post("/api/demand", json=row | {"series_id": "build-north-remote"})
    assert_problem(answer, 422, "RowInvalid", said)


def window(*, count: int = 60, step: timedelta = DAY, season: int | None = 7) -> Row:
    first = datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC"))
    points = [
        {"time": (first + step * place).isoformat(), "value": float(place % 7)}
        for place in range(count)
    ]
    return {"points": points, "season_steps": season}


def without_point(row: Row, place: int) -> Row:
    return row | {"points": row["points"][:place] + row["points"][place + 1 :]}


def with_time(row: Row, place: int, time: str) -> Row:
    points = list(row["points"])
    points[place] = points[place] | {"time": time}
    return row | {"points": points}


WINDOWS: dict[str, tuple[Callable[[Row], Row], str]] = {
    "shorter than its seasons": (
        lambda row: row | {"season_steps": 30},
        ("points: has 60 points, 59 before the first judged; at least 90 must stand before it "
        "(3 seasons of 30)"),
    ),
    "of two points": (
        lambda row: row | {"points": row["points"][:2]},
        "points: has 2 points, 1 before the first judged; at least 30 must stand before it",
    ),
    "with a gap": (
        lambda row: without_point(row, 40),
        ("points.40.time: is 2026-04-11T00:00:00+00:00, which leaves a gap of 1 steps; every point "
        "must come 1 day, 0:00:00 after the one before; fill the gaps"),
    ),
    "with a double": (
        lambda row: with_time(row, 41, row["points"][40]["time"]),
        "points.41.time: is 2026-04-10T00:00:00+00:00, as the point before; one value a time",
    ),
    "out of order": (
        lambda row: with_time(row, 41, row["points"][20]["time"]),
        "points.41.time: is 2026-03-21T00:00:00+00:00, before the point before it; oldest first",
    ),
    "out of step": (
        lambda row: with_time(row, 41, "2026-04-11T05:00:00Z"),
        "points.41.time: is 2026-04-11T05:00:00+00:00, which comes out of step; every point",
    ),
    "of mixed zones": (
        lambda row: with_time(row, 41, "2026-04-11T05:00:00+05:00"),
        "points: has times of more than one time zone; write all times in UTC, or all in one zone",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), WINDOWS.values(), ids=WINDOWS)
def test_a_window_is_not_judged_and_the_point_is_named(
    client: Client, spoil: Callable[[Row], Row], said: str
) -> None:
    assert_problem(client.post("/api/anomaly", json=spoil(window())), 422, "RowInvalid", said)


def test_a_window_of_local_days_over_a_change_of_the_clock_is_judged(client: Client) -> None:
    first = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    row = window()
    for place, point in enumerate(row["points"]):
        point["time"] = (first + DAY * place).isoformat()
    assert {point["time"][-6:] for point in row["points"]} == {"+01:00", "+02:00"}
    assert client.post("/api/anomaly", json=row).status_code == 200
