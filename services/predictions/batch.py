"""What is said of a batch as a whole, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from bentos.answering import Answer, Outcome, ranking
from core.refusals import QueryInvalid

if TYPE_CHECKING:
    from bentos.release import ReleaseFacts

_YES_NO = {"true": True, "1": True, "false": False, "0": False}


def batch_answer(release: ReleaseFacts, outcomes: Sequence[Outcome]) -> Answer:
    """Put a batch's outcomes together.

    Parameters
    ----------
    release
        The release that answered.
    outcomes
        One a row, in order.
    """
    answered = sum(outcome.answer is not None for outcome in outcomes)
    return {
        "model": release.model,
        "version": release.version,
        "answered": answered,
        "refused": len(outcomes) - answered,
        "rows": [{"index": i} | outcome.to_json() for i, outcome in enumerate(outcomes)],
        "ranking": ranking(release, outcomes),
        "summary": release.kind.summarise([o.answer["result"] for o in outcomes if o.answer]),
    }


def read_explain(query: bytes) -> bool:
    """Read the one query parameter there is.

    Parameters
    ----------
    query
        The query string as it was sent.

    Raises
    ------
    QueryInvalid
        Another parameter was sent, or another value than true or false.
    """
    explain = False
    if not query:
        return explain
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name != "explain":
            raise QueryInvalid(name, "is not known here", "explain=true is all there is")
        if value.lower() not in _YES_NO:
            raise QueryInvalid(name, f"is {value[:40]!r}", "true or false is allowed")
        explain = _YES_NO[value.lower()]
    return explain
