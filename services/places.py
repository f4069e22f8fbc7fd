"""Which route a request means: its template, its model, who may ask it, and who answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bentos.catalog import path_name
from services.access.rules import Rule, find_route, methods_of, rule_of

if TYPE_CHECKING:
    from bentos.reply import Reply
    from services.access.caller import Caller

ROW = "/api/{model}"
BATCH = "/api/{model}/batch"
REPLAY = "/api/history/predictions/{prediction_id}/replay"

Handler = Callable[["Reply", "Caller", bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request leads.

    Parameters
    ----------
    template
        Path of the route with its parameters' names; empty when there is no such route.
    rule
        Who may ask it.
    model
        The model that is asked, if one is.
    handler
        What answers straight from the gate; without one the app does.
    also
        Content types that it takes beside JSON.
    allowed
        Methods that the path has, when the request's own is none of them.
    may_be_empty
        Whether a request without a body says something: that nothing is asked beside the path.
    """

    template: str
    rule: Rule
    model: str | None = None
    handler: Handler | None = None
    also: frozenset[bytes] = frozenset()
    allowed: tuple[str, ...] = ()
    may_be_empty: bool = False


class Places:
    """Finds the place of a request.

    Parameters
    ----------
    handlers
        What answers straight from the gate, by template and model.
    also
        Content types that a batch may have beside JSON.
    """

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        *,
        also: frozenset[bytes] = frozenset(),
    ) -> None:
        self._quick: dict[str, Place] = {}
        for (template, model), handler in handlers.items():
            rule = rule_of("POST", template)
            kinds = also if template == BATCH else frozenset()
            place = Place(template, rule, model, handler, kinds)
            for name in {path_name(model), model}:
                self._quick[template.replace("{model}", name)] = place

    def find(self, method: str, path: str) -> Place:
        """Find where a request leads.

        Parameters
        ----------
        method, path
            Of the request.
        """
        if method == "POST":
            place = self._quick.get(path)
            if place is not None:
                return place
        template, model = find_route(method, path)
        allowed = methods_of(template) if template is not None else ()
        is_there = not allowed or ("GET" if method == "HEAD" else method) in allowed
        rule = rule_of(method, template)
        return Place(
            template or "",
            rule,
            model,
            allowed=() if is_there else allowed,
            may_be_empty=template == REPLAY,
        )
