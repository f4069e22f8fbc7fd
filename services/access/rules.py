"""Who may do what: one table of every route with the least role that may ask it.

A route that is not in the table is open to nobody, and fails a test. A path that no route has is
no secret: whoever has a key is told that nothing is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bentos.catalog import CATALOG
from core.denials import ModelOutOfScope, RoleTooLow
from services.access.caller import Role

if TYPE_CHECKING:
    from services.access.caller import Caller


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may ask one route.

    Parameters
    ----------
    least
        The least role; nothing shuts the route to everyone.
    is_scoped
        Whether the models of the key apply to the model in the path.
    is_whole
        Whether the key must open every model, because what is done is done to all.
    """

    least: Role | None
    is_scoped: bool = False
    is_whole: bool = False


_READ = Rule(Role.VIEWER)
_READ_MODEL = Rule(Role.VIEWER, is_scoped=True)
PREDICT = Rule(Role.ANALYST, is_scoped=True)
_ANALYST = Rule(Role.ANALYST)
_OPERATOR = Rule(Role.OPERATOR)
_ADMIN = Rule(Role.ADMIN)
_ADMIN_OF_ALL = Rule(Role.ADMIN, is_whole=True)
SHUT = Rule(None)

# Method and template of each route; HEAD goes with GET.
RULES: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        ("POST", "/api/{model}"): PREDICT,
        ("POST", "/api/{model}/batch"): PREDICT,
        # Of models that stand in the body: each outcome is held against the models of the key.
        ("POST", "/api/outcomes"): Rule(Role.ANALYST),
        ("GET", "/models"): _READ,
        ("GET", "/models/{model}/info"): _READ_MODEL,
        ("GET", "/models/{model}/health"): _READ_MODEL,
        ("GET", "/api/keys"): _ADMIN,
        ("POST", "/api/keys"): _ADMIN,
        ("GET", "/api/keys/{key_id}"): _ADMIN,
        ("DELETE", "/api/keys/{key_id}"): _ADMIN,
        ("POST", "/api/keys/{key_id}/rotate"): _ADMIN,
        ("GET", "/api/audit"): _ADMIN,
        ("GET", "/api/history/predictions"): _READ,
        ("GET", "/api/history/predictions/{prediction_id}"): _READ,
        ("POST", "/api/history/predictions/{prediction_id}/replay"): _ANALYST,
        ("POST", "/api/history/backtests"): _OPERATOR,
        ("GET", "/api/history/backtests/{backtest_id}"): _READ,
        ("GET", "/api/history/outcomes"): _READ,
        ("GET", "/api/history/trends"): _READ,
        ("GET", "/api/history/compare"): _READ,
        ("GET", "/api/history/features/{feature}"): _READ,
        ("GET", "/api/history/entities/{entity:path}"): _READ,
        ("DELETE", "/api/history/entities/{entity:path}"): _ADMIN_OF_ALL,
        ("GET", "/api/history/erasures/{erasure_id}"): _ADMIN_OF_ALL,
        ("GET", "/"): _READ,
        ("GET", "/docs"): _READ,
        ("GET", "/docs/start.js"): _READ,
        ("GET", "/docs/files/{path:path}"): _READ,
        ("GET", "/openapi.json"): _READ,
        ("GET", "/metrics"): _READ,
        # What BentoML answers beside our app.
        ("GET", "/docs.json"): _READ,
        ("GET", "/schema.json"): _READ,
        ("GET", "/healthz"): _READ,
        ("GET", "/static_content/{path:path}"): _READ,
    }
)


def rule_of(method: str, template: str | None) -> Rule:
    """Give the rule of a route.

    Parameters
    ----------
    method
        Of the request.
    template
        Of the route, such as ``/api/{model}``; nothing when no route has the path.

    Returns
    -------
    Rule
        A method that the route has not is held to the strictest rule of those it has: the answer
        will be 405. A template without any rule is shut.
    """
    if template is None:
        return _READ
    found = RULES.get(("GET" if method == "HEAD" else method, template))
    if found is not None:
        return found
    others = [rule for (_, known), rule in RULES.items() if known == template]
    return max(others, key=lambda rule: rule.least or 0, default=SHUT)


def methods_of(template: str) -> tuple[str, ...]:
    """Give the methods that a route has, in order.

    Parameters
    ----------
    template
        Of the route.
    """
    return _METHODS.get(template, ())


def authorize(caller: Caller, rule: Rule, model: str | None = None) -> None:
    """Let a caller pass whose role is high enough, and whose key opens the model.

    Parameters
    ----------
    caller
        Who asks.
    rule
        Of the route.
    model
        The model in the path, as it was written there.

    Raises
    ------
    RoleTooLow
        The role may not do this.
    ModelOutOfScope
        The key does not open the model, or not all where it must.
    """
    least = rule.least
    if least is None or caller.role < least:
        raise RoleTooLow(caller.role.label, None if least is None else least.label)
    if caller.models is None:
        return
    wanted: tuple[str, ...] = tuple(CATALOG) if rule.is_whole else ()
    if rule.is_scoped and model is not None:
        wanted = (model,)
    for name in wanted:
        if name.replace("-", "_") not in caller.models:
            raise ModelOutOfScope(name, sorted(caller.models))


def find_route(method: str, path: str) -> tuple[str | None, str | None]:
    """Find the route that a request belongs to.

    Parameters
    ----------
    method
        Of the request.
    path
        Of the request, percent-decoded, as the app will see it.

    Returns
    -------
    tuple
        Its template, and the model in the path; nothing where there is none. When only routes of
        other methods have the path, one of those.
    """
    wanted = "GET" if method == "HEAD" else method
    first: tuple[str | None, str | None] = (None, None)
    for template, pattern in _PATTERNS:
        found = pattern.match(path)
        if found is None:
            continue
        route = (template, found.groupdict().get("model"))
        # A path that a route has for itself is no model's, whatever the method.
        if (wanted, template) in RULES or "{" not in template:
            return route
        first = first if first[0] is not None else route
    return first


_PARAMETER = re.compile(r"{(\w+)(:path)?}")
# What `:path` stands for: an entity may have any sign, the end of a line as well.
WHOLE = "(?s:.*)"


def _pattern(template: str) -> re.Pattern[str]:
    """Make the pattern of a template as Starlette does, also in that ``$`` allows a line's end."""
    parts, end = [], 0
    for found in _PARAMETER.finditer(template):
        parts.append(re.escape(template[end : found.start()]))
        parts.append(f"(?P<{found[1]}>{WHOLE if found[2] else '[^/]+'})")
        end = found.end()
    return re.compile("".join([*parts, re.escape(template[end:]), "$"]))


# More literal ones first, so that /api/keys is not taken for a model.
_PATTERNS = sorted(
    ((template, _pattern(template)) for template in {template for _, template in RULES}),
    key=lambda pair: (pair[0].count("{"), -len(_PARAMETER.sub("", pair[0]))),
)
_METHODS = {
    template: tuple(sorted(method for method, known in RULES if known == template))
    for _, template in RULES
}
