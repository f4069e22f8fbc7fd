"""A small log, and the question how much stands in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.history.questions import TrendsQuestion
from services.history.reader.database import Database
from services.history.reader.trends import Trends
from tests.services.history.reader.tables import START, table_of
from tests.tiny import TinyPredictor

DAY = timedelta(days=1)
SPAN: dict[str, Any] = {"model": "churn", "since": START - DAY, "until": START + 5 * DAY}


def rows(count: int, day: int = 0) -> list[dict[str, Any]]:
    start = START + day * DAY
    return [
        {
            "at": start + timedelta(seconds=i), "entity": f"c{i}", "probability": i / count,
            "hours": float(i % 7), "region": f"r{i % 3}", "is_active": True, "tenure_months": i,
            "band": "low",
        }
        for i in range(count)
    ]  # fmt: skip


def volume(database: Database) -> tuple[int, list[str]]:
    question = TrendsQuestion(**SPAN, measure=["volume", "value", "outcomes"])
    series = Trends(database).read(question, TinyPredictor)
    return sum(row["volume"] for row in table_of(series)), series.notes
