"""A BentoML service whose middleware stands before BentoML's own, not behind it.

BentoML puts what ``add_asgi_middleware`` is given behind its tracing and its timer. Both cost each
request more than our whole answer does, the timer leaves one pending call a request behind, and
what they answer themselves would pass no gate. Here our layer is the outermost one, and what it
answers itself never enters BentoML's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bentoml import Service

from bentos.accepting import take_many
from bentos.connection import take_connections

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# The loop asks for the interpreter anew with every packet; a thread that computes would keep it for
# five milliseconds each time.
SWITCH_SECONDS = 0.0005

T = TypeVar("T")


class Fronted(Service[T], Generic[T]):  # type: ignore[misc]  # BentoML has no types
    """A service behind its own middleware; given to ``bentoml.service`` as ``service_class``."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:  # noqa: FBT001, FBT002 - BentoML's own form
        """Build the app, with the middleware around all of it.

        Parameters
        ----------
        is_main
            Whether it is the service that was asked for, and no dependency of it.
        """
        ours: list[tuple[type[Any], dict[str, Any]]] = list(self.middlewares)
        self.middlewares.clear()
        try:
            app: ASGIApp = super().to_asgi(is_main)
        finally:
            self.middlewares.extend(ours)
        for kind, options in reversed(ours):
            app = kind(app, **options)
        take_connections()
        take_many()
        sys.setswitchinterval(SWITCH_SECONDS)
        return app
