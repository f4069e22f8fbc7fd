"""Predictions over HTTP: one row, or a batch."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from bentos.answering import Answer, Outcome, answer_row, answer_rows, ranking, read_rows
from bentos.border import BODY
from bentos.catalog import model_name
from bentos.problem import to_bytes
from bentos.strict_json import read_json
from core.refusals import BatchTooLarge, QueryInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from bentos.release import Release
    from services.runtime import Runtime

ROW_PATH = "/api/{model}"
BATCH_PATH = "/api/{model}/batch"
_YES_NO = {"true": True, "1": True, "false": False, "0": False}


def prediction_routes(runtime: Runtime) -> list[Route]:
    """Build the routes that predict.

    They are Starlette's, not FastAPI's: the contract checks the body, so that FastAPI's machinery
    would only cost time. Their page in ``/openapi.json`` is made from the contracts.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    return [
        Route(ROW_PATH, partial(_predict_row, runtime), methods=["POST"], name="predict"),
        Route(BATCH_PATH, partial(_predict_batch, runtime), methods=["POST"], name="batch"),
    ]


async def _predict_row(runtime: Runtime, request: Request) -> Response:
    """Answer one row."""
    release = runtime.holder.champion(model_name(request.path_params["model"]))
    explain = read_explain(request.query_params.multi_items())
    value = read_json(request.scope[BODY], max_depth=runtime.platform.limits.json_depth)
    if explain or not release.predictor.IS_QUICK:
        # Reasons cost milliseconds; a plain answer costs less than the way to a thread and back.
        answer = await asyncio.to_thread(answer_row, release, value, explain=explain)
    else:
        answer = answer_row(release, value)
    return _json(answer)


async def _predict_batch(runtime: Runtime, request: Request) -> Response:
    """Answer a batch, each row on its own."""
    release = runtime.holder.champion(model_name(request.path_params["model"]))
    explain = read_explain(request.query_params.multi_items())
    rows = read_rows(read_json(request.scope[BODY], max_depth=runtime.platform.limits.json_depth))
    most = release.contract.config.serving.max_batch_rows
    if len(rows) > most:
        raise BatchTooLarge(len(rows), most)
    return await asyncio.to_thread(_answer_batch, release, rows, explain=explain)


def _answer_batch(release: Release, rows: Sequence[object], *, explain: bool) -> Response:
    outcomes = answer_rows(release, rows, explain=explain)
    return _json(batch_answer(release, outcomes))


def batch_answer(release: Release, outcomes: Sequence[Outcome]) -> Answer:
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
        "summary": release.predictor.summarise([o.answer["result"] for o in outcomes if o.answer]),
    }


def read_explain(query: Sequence[tuple[str, str]]) -> bool:
    """Read the one query parameter there is.

    Parameters
    ----------
    query
        Names and values, in order.

    Raises
    ------
    QueryInvalid
        Another parameter was sent, or another value than true or false.
    """
    explain = False
    for name, value in query:
        if name != "explain":
            raise QueryInvalid(name, "is not known here", "explain=true is all there is")
        if value.lower() not in _YES_NO:
            raise QueryInvalid(name, f"is {value[:40]!r}", "true or false is allowed")
        explain = _YES_NO[value.lower()]
    return explain


def _json(content: Answer) -> Response:
    return Response(to_bytes(content), media_type="application/json")
