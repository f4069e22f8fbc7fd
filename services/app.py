"""The wiring of the platform's own HTTP routes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response
from starlette.routing import Route

from bentos.border import REQUEST_ID
from bentos.catalog import model_name
from bentos.problem import render
from core.denials import RecordsUnavailable
from core.errors import ModelUnknown, SeptetError
from core.logs import get_logger
from services.access.api import audit_router, keys_router
from services.docs import docs_routes
from services.fields import query_refusal
from services.history.api import history_router
from services.history.outcomes_api import outcomes_router
from services.metrics import CONTENT_TYPE
from services.openapi.page import OpenApiPage, operation_id
from services.places import BATCH, ROW
from services.releases.api import releases_router

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from services.runtime import Runtime

_ABOUT = (
    "Models that a services firm steers its money by. Every request carries a key in the header "
    "`X-API-Key`; every error is a problem document (RFC 9457)."
)


def create_app(runtime: Runtime, *, docs_files: Path) -> FastAPI:
    """Build the app; nothing is read or started yet.

    Parameters
    ----------
    runtime
        What the process holds.
    docs_files
        Folder of the Swagger UI files.
    """
    app = FastAPI(
        title="Septet",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        # Another path is another route: a redirect would say nothing, and lose the body.
        redirect_slashes=False,
    )
    # Before the models' own routes: no model is called `keys`, `audit`, `history` or `outcomes`.
    app.include_router(keys_router(runtime))
    app.include_router(audit_router(runtime))
    app.include_router(history_router(runtime))
    app.include_router(outcomes_router(runtime))
    app.include_router(releases_router(runtime))
    app.router.routes.extend(docs_routes(docs_files))
    app.router.routes.extend(
        [
            Route("/metrics", partial(_metrics, runtime), name="metrics"),
            # The gate answers these itself; here they refuse a model that is not in the catalog.
            Route(ROW, _no_such_model, methods=["POST"], name="predict"),
            Route(BATCH, _no_such_model, methods=["POST"], name="batch"),
        ]
    )
    app.add_exception_handler(SeptetError, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_bad_query)
    page = OpenApiPage(app, runtime)
    app.openapi = page.read  # type: ignore[method-assign]  # FastAPI's own way to replace it
    return app


async def _metrics(runtime: Runtime, _: Request) -> Response:
    return Response(runtime.metrics_page(), media_type=CONTENT_TYPE)


async def _no_such_model(request: Request) -> Response:
    name = request.path_params["model"]
    model_name(name)
    raise ModelUnknown(name, [])


async def _answer_problem(request: Request, error: Exception) -> Response:
    """Answer with the problem document of one of our errors."""
    if not isinstance(error, SeptetError):
        raise error
    if isinstance(error, RecordsUnavailable):
        get_logger(__name__).error("records_unavailable", reason=error.detail)
    status, headers, body = render(error, instance=request.scope.get(REQUEST_ID))
    response = Response(body, status_code=status)
    response.raw_headers = headers
    return response


async def _answer_bad_query(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found wrong: it reads nothing but queries here."""
    if not isinstance(error, RequestValidationError):
        raise error
    return await _answer_problem(request, query_refusal(error.errors()))
