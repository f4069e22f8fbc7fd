"""Which route a request means: its template, its model, and who answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Match

from bentos.catalog import path_name

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from bentos.reply import Reply
    from services.access.caller import Caller

ROW = "/api/{model}"
BATCH = "/api/{model}/batch"

Handler = Callable[["Reply", "Caller", bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request leads.

    Parameters
    ----------
    template
        Path of the route with its parameters' names; empty when there is no such route.
    model
        The model that is asked, if one is.
    handler
        What answers straight from the gate; without one the app does.
    also
        Content types that it takes beside JSON.
    """

    template: str
    model: str | None = None
    handler: Handler | None = None
    also: frozenset[bytes] = frozenset()


NOWHERE = Place("")


class Places:
    """Finds the place of a request.

    Parameters
    ----------
    routes
        The app's.
    handlers
        What answers straight from the gate, by template and model.
    also
        Content types that a batch may have beside JSON.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        handlers: Mapping[tuple[str, str], Handler],
        also: frozenset[bytes] = frozenset(),
    ) -> None:
        self._routes = tuple(routes)
        self._quick: dict[str, Place] = {}
        for (template, model), handler in handlers.items():
            for name in {path_name(model), model}:
                path = template.replace("{model}", name)
                self._quick[path] = Place(
                    template, model, handler, also if template == BATCH else frozenset()
                )

    def find(self, scope: Scope) -> Place:
        """Find where a request leads.

        Parameters
        ----------
        scope
            Of the request.
        """
        if scope["method"] == "POST":
            place = self._quick.get(scope["path"])
            if place is not None:
                return place
        for route in self._routes:
            match, found = route.matches(scope)
            if match is not Match.NONE:
                given = found.get("path_params", {}).get("model")
                model = given.replace("-", "_") if isinstance(given, str) else None
                return Place(getattr(route, "path", ""), model)
        return NOWHERE
