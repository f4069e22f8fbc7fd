"""The wiring of the platform's own HTTP routes."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
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
from services.metrics import CONTENT_TYPE
from services.places import BATCH, ROW
from services.predictions.schema import READING_ERRORS, add_predictions, responses_of
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
    app = FastAPI(title="Septet", description=_ABOUT, docs_url=None, redoc_url=None)
    # Before the models' own routes: no model is called `keys` or `audit`.
    app.include_router(keys_router(runtime))
    app.include_router(audit_router(runtime))
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


class OpenApiPage:
    """``/openapi.json``: made anew when a champion is switched, for its contract may be another.

    Parameters
    ----------
    app
        Has the typed routes.
    runtime
        Has the contracts.
    """

    def __init__(self, app: FastAPI, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime
        self._made_for: object = None
        self._document: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Give the document."""
        versions = self._runtime.holder.versions
        if self._made_for != versions or not self._document:
            self._document = self._build()
            self._made_for = versions
        return self._document

    def _build(self) -> dict[str, Any]:
        document = get_openapi(
            title=self._app.title,
            version=_version(),
            description=self._app.description,
            routes=self._app.routes,
        )
        reading = responses_of(READING_ERRORS)
        for operations in document["paths"].values():
            for operation in operations.values():
                # FastAPI documents its own 422, which no route of ours can give.
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
                if "models" in operation["tags"]:
                    operation["responses"] |= reading
        add_predictions(document, self._runtime.holder)
        components = document["components"]
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        document["security"] = [{"key": []}, {"bearer": []}]
        return document


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


def _version() -> str:
    """Give the version of the platform; a bento holds its code without installing it."""
    try:
        return version("septet")
    except ModuleNotFoundError:
        return "0"
