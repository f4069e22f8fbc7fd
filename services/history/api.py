"""The history over HTTP: what is asked is checked here, and answered by the historian."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import Response

from bentos.border import BODY, REQUEST_ID
from bentos.catalog import CATALOG
from bentos.strict_json import read_json
from core.contract import TEXT_LENGTH
from core.denials import ModelOutOfScope, RecordsBehind, RecordsDown
from core.errors import ModelUnknown
from core.history_faults import (
    BacktestsWaiting,
    BacktestUnknown,
    ErasureUnknown,
    ExportsBusy,
    ExportTooLarge,
    HistoryDown,
    HistoryTooLarge,
    PathInvalid,
    PredictionUnknown,
    ReleaseGone,
    ReplayImpossible,
)
from core.overload import SpoolFull
from core.refusals import FieldsInvalid, PathUnknown, QueryInvalid
from services.access.audit import Actor, Entry
from services.access.caller import ADDRESS, CALLER, Caller, Role
from services.access.rules import WHOLE
from services.fields import Kind, read_fields
from services.history.answers import (
    NOTES,
    BacktestPage,
    ErasurePage,
    PredictionsPage,
    Receipt,
    ReplayPage,
    Series,
    ToldPage,
)
from services.history.questions import (
    PAGE_ROWS,
    BacktestQuestion,
    BacktestView,
    CompareQuestion,
    EntityQuestion,
    FeatureQuestion,
    OutcomesQuestion,
    Period,
    PredictionId,
    ReplayQuestion,
    RowsQuestion,
    TrendsQuestion,
)
from services.openapi.bodies import body_of
from services.openapi.problems import header, route_errors
from services.query import said_once

if TYPE_CHECKING:
    from services.runtime import Runtime


class _AnyPath(PathConvertor):
    regex = WHOLE


# In place of Starlette's, which ends with a line: also for BentoML's mount, which is made later.
register_url_convertor("path", _AnyPath())
_ASKING = (QueryInvalid, HistoryDown, HistoryTooLarge)
_OF_MODEL = (ModelUnknown, ModelOutOfScope, *_ASKING)
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "image/svg+xml")
        }
    }
}
_TABLE: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {name: header(name) for name in ("Link", NOTES)},
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in (
                "text/csv",
                "application/vnd.apache.parquet",
                "application/vnd.apache.arrow.stream",
            )
        },
    }
}
_Id = Annotated[PredictionId, Path(description="The prediction_id of an answer.")]


def history_router(runtime: Runtime) -> APIRouter:
    """Build the routes that tell of the past.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    router = APIRouter(
        prefix="/api/history",
        tags=["history"],
        dependencies=[Depends(said_once("where", "measure"))],
    )
    _add_rows(router, runtime)
    _add_series(router, runtime)
    _add_backtests(router, runtime)
    _add_erasures(router, runtime)
    return router


def _add_rows(router: APIRouter, runtime: Runtime) -> None:
    """Add the routes that tell of single predictions and outcomes."""

    @router.get(
        "/predictions",
        summary="Predictions that were made",
        response_model=PredictionsPage,
        responses=_TABLE | route_errors(ExportTooLarge, ExportsBusy, *_OF_MODEL),
    )
    async def predictions(request: Request, query: Annotated[RowsQuestion, Query()]) -> Response:
        """Show predictions, the newest first: a page of JSON, CSV, Parquet or Arrow."""
        caller = _allowed(request, query.model)
        if query.limit > PAGE_ROWS and caller.role < Role.OPERATOR:
            raise ExportTooLarge(query.limit, PAGE_ROWS)
        answer = await _ask(runtime, request, "rows", query)
        if query.limit > PAGE_ROWS:
            _note(
                runtime, request, "predictions.exported", f"predictions of {query.model}",
                limit=query.limit, format=query.format, since=query.since, until=query.until,
            )  # fmt: skip
        return answer

    @router.get(
        "/predictions/{prediction_id}",
        summary="The receipt of one prediction",
        response_model=Receipt,
        responses=route_errors(PredictionUnknown, PathInvalid, *_ASKING),
    )
    async def receipt(request: Request, prediction_id: _Id) -> Response:
        """Tell input, output, release, lineage, drivers and outcome of a prediction."""
        return await _ask(runtime, request, "receipt", ReplayQuestion(), subject=prediction_id)

    @router.post(
        "/predictions/{prediction_id}/replay",
        summary="Ask a prediction again",
        response_model=ReplayPage,
        responses=route_errors(
            PredictionUnknown, PathInvalid, ReplayImpossible, ReleaseGone, FieldsInvalid, *_ASKING
        ),
        openapi_extra=body_of(ReplayQuestion, may_be_empty=True),
    )
    async def replay(request: Request, prediction_id: _Id) -> Response:
        """Let the very version answer again, or another one, and tell the difference."""
        is_empty = not request.scope[BODY]
        question = ReplayQuestion() if is_empty else _read(runtime, request, ReplayQuestion)
        return await _ask(runtime, request, "replay", question, subject=prediction_id)

    @router.get(
        "/outcomes",
        summary="Outcomes that came in",
        response_model=ToldPage,
        responses=route_errors(*_OF_MODEL),
    )
    async def outcomes(request: Request, query: Annotated[OutcomesQuestion, Query()]) -> Response:
        """Show outcomes, the latest first, and to how many predictions each belongs."""
        _allowed(request, query.model)
        return await _ask(runtime, request, "outcomes", query)


def _add_series(router: APIRouter, runtime: Runtime) -> None:
    """Add the routes that give what can be drawn."""

    @router.get(
        "/trends",
        summary="How predictions went over time",
        response_model=Series,
        responses=_PICTURE | route_errors(*_OF_MODEL),
    )
    async def trends(request: Request, query: Annotated[TrendsQuestion, Query()]) -> Response:
        """Show volume, values, flags, latency, errors or outcomes by time, as data or picture."""
        _allowed(request, query.model)
        return await _ask(runtime, request, "trends", query)

    @router.get(
        "/compare",
        summary="Two versions, periods or segments",
        response_model=Series,
        responses=_PICTURE | route_errors(*_OF_MODEL),
    )
    async def compare(request: Request, query: Annotated[CompareQuestion, Query()]) -> Response:
        """Show two sides beside each other, with effect sizes and intervals."""
        _allowed(request, query.model)
        return await _ask(runtime, request, "compare", query)

    @router.get(
        "/features/{feature}",
        summary="How an input was distributed",
        response_model=Series,
        responses=_PICTURE | route_errors(PathInvalid, *_OF_MODEL),
    )
    async def feature(
        request: Request, feature: str, query: Annotated[FeatureQuestion, Query()]
    ) -> Response:
        """Show the distribution of an input over time, against training."""
        _allowed(request, query.model)
        return await _ask(runtime, request, "feature", query, subject=feature)

    @router.get(
        "/entities/{entity:path}",
        summary="One client, as all models saw it",
        response_model=Series,
        responses=_PICTURE | route_errors(PathUnknown, *_ASKING),
    )
    async def entity(
        request: Request, entity: str, query: Annotated[EntityQuestion, Query()]
    ) -> Response:
        """Show what all models said of an entity, and what then happened."""
        return await _ask(runtime, request, "entity", query, subject=entity)


def _add_backtests(router: APIRouter, runtime: Runtime) -> None:
    """Add the routes that ask a whole period again."""

    @router.post(
        "/backtests",
        summary="Ask a period again",
        status_code=202,
        response_model=BacktestPage,
        responses=route_errors(ReleaseGone, BacktestsWaiting, FieldsInvalid, *_OF_MODEL),
        openapi_extra=body_of(BacktestQuestion),
    )
    async def backtest(request: Request) -> Response:
        """Begin a job in which a version answers again what was asked in a period."""
        question = _read(runtime, request, BacktestQuestion)
        _allowed(request, question.model)
        answer = await _ask(runtime, request, "backtest", question, status=202)
        _note(
            runtime, request, "backtest.started",
            f"backtest {orjson.loads(answer.body)['backtest_id']}",
            model=question.model, against=question.against,
            since=question.since, until=question.until,
        )  # fmt: skip
        return answer

    @router.get(
        "/backtests/{backtest_id}",
        summary="How far a backtest is",
        response_model=BacktestPage,
        responses=_PICTURE | route_errors(BacktestUnknown, QueryInvalid, HistoryDown),
    )
    async def state(
        request: Request, backtest_id: str, query: Annotated[BacktestView, Query()]
    ) -> Response:
        """Tell how far a backtest is, and what it found: data, or a picture of its days."""
        return await _ask(runtime, request, "backtest-read", query, subject=backtest_id)


def _add_erasures(router: APIRouter, runtime: Runtime) -> None:
    """Add the routes by which an entity is erased."""

    @router.delete(
        "/entities/{entity:path}",
        summary="Erase an entity",
        status_code=202,
        response_model=ErasurePage,
        responses=route_errors(
            PathUnknown, PathInvalid, SpoolFull, QueryInvalid, RecordsDown, RecordsBehind
        ),
    )
    async def erase(request: Request, entity: str) -> ErasurePage:
        """Erase what was predicted of an entity until now, of every model, and what then happened.

        For good, and so rows of others that name it as their client: all that `GET` shows of it.
        """
        if not 0 < len(entity) <= TEXT_LENGTH:
            fault = f"has {len(entity)} characters"
            raise PathInvalid("entity", fault, f"1 to {TEXT_LENGTH} are allowed")
        caller: Caller = request.scope[CALLER]
        # First: whoever is told that it was asked for is not shown an old answer any more.
        await asyncio.to_thread(runtime.idempotency.forget_entity, entity)
        erasure_id = uuid4().hex
        kept = runtime.journal.erasure(caller, {"id": erasure_id, "entity": entity})
        if kept is not None:
            await kept
        _note(runtime, request, "entity.erased", f"erasure {erasure_id}")
        return ErasurePage(erasure_id=erasure_id, state="asked", proofs=[])

    @router.get(
        "/erasures/{erasure_id}",
        summary="The proof of an erasure",
        response_model=ErasurePage,
        responses=route_errors(ErasureUnknown, HistoryDown),
    )
    async def erasure(request: Request, erasure_id: str) -> Response:
        """Tell how far an erasure is, and prove that it is done."""
        return await _ask(runtime, request, "erasure", ReplayQuestion(), subject=erasure_id)


def _read(runtime: Runtime, request: Request, kind: type[Kind]) -> Kind:
    """Read the body that the gate took."""
    value = read_json(request.scope[BODY], max_depth=runtime.platform.limits.json_depth)
    return read_fields(kind, value)


def _allowed(request: Request, model: str) -> Caller:
    """Refuse a model that there is not, or that the key does not open."""
    caller: Caller = request.scope[CALLER]
    if model not in CATALOG:
        raise ModelUnknown(model, CATALOG)
    if caller.models is not None and model not in caller.models:
        raise ModelOutOfScope(model, sorted(caller.models))
    return caller


def _note(runtime: Runtime, request: Request, action: str, target: str, **detail: Any) -> None:
    """Write into the audit who did what; not of whom: the audit can forget nothing."""
    scope = request.scope
    caller: Caller = scope[CALLER]
    actor = Actor.of(caller, address=scope.get(ADDRESS), request_id=scope.get(REQUEST_ID))
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in detail.items()
        if value is not None
    }
    runtime.audit.record(Entry(actor, action, target, detail=plain))


async def _ask(
    runtime: Runtime,
    request: Request,
    name: str,
    question: Period | ReplayQuestion | BacktestView,
    *,
    subject: str = "",
    status: int = 200,
) -> Response:
    """Let the historian answer."""
    caller: Caller = request.scope[CALLER]
    content = {
        "question": question.model_dump(mode="json", exclude_unset=True),
        "subject": subject,
        "models": None if caller.models is None else sorted(caller.models),
    }
    told = await runtime.historian.ask(name, content)
    headers = dict(told.headers)
    return Response(told.content, status, media_type=told.media_type, headers=headers)
