"""Segments that ask for an erasure or tell what happened, and the time that goes by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from core import clock
from services.history.erasure import FOLDER, Erasure
from services.history.log import PredictionLog
from services.predictions.journal import Journal
from tests.services.history.conftest import CALLER, NOON_NS, Pen

HOUR_NS = 3600 * 10**9


def ask(spool: Path, entity: str, *, name: str = "e-0", at_ns: int = NOON_NS + HOUR_NS) -> str:
    """Write the record of an erasure into a segment; give its id."""
    spool.mkdir(parents=True, exist_ok=True)
    pen = Pen(spool / f"{name}.open", at_ns)
    identity = uuid4().hex
    Journal(pen).erasure(CALLER, {"id": identity, "entity": entity})  # type: ignore[arg-type]
    pen.finish()
    return identity


def tell(spool: Path, outcomes: list[dict[str, Any]], *, name: str, at_ns: int = NOON_NS) -> None:
    """Write what happened into a segment."""
    nothing = dict.fromkeys(("outcome_of", "entity", "as_of", "value", "amount", "happened_at"))
    pen = Pen(spool / f"{name}.open", at_ns)
    Journal(pen).outcomes_of(  # type: ignore[arg-type]  # what of a spool it asks for
        "churn", CALLER, [nothing | one for one in outcomes]
    )
    pen.finish()


def erasure_of(log: PredictionLog, identity: str) -> Erasure:
    """Read the file of an erasure."""
    return Erasure.model_validate_json(log.store.read(f"{FOLDER}/{identity}.json"))


@contextmanager
def later() -> Iterator[None]:
    """Let two minutes go by."""
    now = clock.now
    clock.now = lambda: now() + timedelta(minutes=2)
    try:
        yield
    finally:
        clock.now = now
