"""What a caller would ask each model about the sample firm."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from training.frame import Frame

Asked = dict[str, Any]
Ask = Callable[[Frame, Sequence[Asked]], list[Asked]]


def questions(model: str, frame: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Turn rows of the training table into questions.

    Parameters
    ----------
    model
        Which model is asked.
    frame
        ``n`` rows of its training table.
    rows
        The same rows as a caller would send their features.
    """
    ask = ASKS.get(model)
    return list(rows) if ask is None else ask(frame, rows)


def ask_demand(frame: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Ask for each row's series, over other horizons, and for one that nobody knows."""
    asked: list[Asked] = []
    for place, name in enumerate(frame.entity):
        steps = 1 + place % 12
        promo = [rows[(place + step) % len(rows)]["promo_share"] for step in range(steps)]
        question: Asked = {"horizon_steps": steps, "interval_level": 0.5 + 0.4 * (place % 2)}
        if place % 3:
            question["regressors"] = {"promo_share": promo}
        if place % 10:
            question["series_id"] = name
        else:
            question["recent_values"] = [10.0, 12.5, 11.0]
        asked.append(question)
    return asked


def ask_pricing(_: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Ask for each quote's best price, under limits of every kind."""
    aims: tuple[Asked, ...] = (
        {},
        {"limits": {"largest_change_ratio": 0.1}},
        {"objective": "revenue", "with_curve": True},
        {"objective": "volume", "margin_floor_ratio": 0.2},
    )
    return [row | aims[place % len(aims)] for place, row in enumerate(rows)]


def ask_budget(_: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Ask for the split of ever larger budgets, under limits of every kind."""
    aims: tuple[Asked, ...] = (
        {},
        {
            "channels": {
                "search_amount": {"least_amount": 100.0},
                "mail_amount": {"fixed_amount": 50.0},
            }
        },
        {"objective": "revenue_at_least_return", "least_return_ratio": 0.5},
        {"with_curves": True, "current_split": {"search_amount": 200.0, "social_amount": 100.0}},
    )
    return [
        {"total_amount": 500.0 + 40 * place, "period_weeks": 4 + place % 9}
        | aims[place % len(aims)]
        for place in range(len(rows))
    ]


def ask_anomaly(_: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Ask for each record, and for some windows of a series."""
    asked = list(rows)
    for place in range(0, len(asked), 15):
        values = [10.0 + (day % 7) + (0.3 * day * (place + 7)) % 1 for day in range(60)]
        values[-1] += place
        first = date(2026, 1, 1)
        asked[place] = {
            "points": [
                {"time": f"{first + timedelta(days=day)}T00:00:00Z", "value": value}
                for day, value in enumerate(values)
            ],
            "season_steps": 7,
        }
    return asked


ASKS: dict[str, Ask] = {
    "anomaly": ask_anomaly,
    "budget": ask_budget,
    "demand": ask_demand,
    "pricing": ask_pricing,
}
