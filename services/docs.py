"""The page ``/docs``: Swagger UI from files on this machine, under a strict content policy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Septet API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/files/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/files/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# The origin bears no user or password, which the address of the page may: fetch refuses those.
_START = """window.ui = SwaggerUIBundle({
  url: window.location.origin + "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
});
"""
# Swagger UI sets styles on elements and shows its icons as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def docs_files() -> Path:
    """Find the Swagger UI that BentoML brings along, so that the page works offline.

    Raises
    ------
    RuntimeError
        This BentoML brings none.
    """
    spec = find_spec("bentoml")
    origin = spec.origin if spec is not None else None
    folder = Path(origin or "").parent / "_internal" / "server" / "static_content"
    if not (folder / "swagger-ui-bundle.js").is_file():
        raise RuntimeError(f"BentoML has no Swagger UI in {folder}; pin it to 1.4")
    return folder


def docs_routes(files: Path) -> list[BaseRoute]:
    """Build the routes of the page.

    Parameters
    ----------
    files
        Folder that holds ``swagger-ui-bundle.js`` and ``swagger-ui.css``.
    """
    return [
        Route("/", _go_to_docs, name="home"),
        Route("/docs", _page, name="docs"),
        Route("/docs/start.js", _start, name="docs_start"),
        Mount("/docs/files", StaticFiles(directory=files), name="docs_files"),
    ]


async def _go_to_docs(_: Request) -> Response:
    return RedirectResponse("/docs")


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY})


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript")
