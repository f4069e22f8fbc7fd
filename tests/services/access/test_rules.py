"""Who may do what: the table has every route, and finds it as the app does."""

from __future__ import annotations

import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Mount, compile_path

from core.denials import ModelOutOfScope, RoleTooLow
from services.access.caller import Caller, Role
from services.access.rules import RULES, SHUT, Rule, authorize, find_route, rule_of
from services.app import create_app
from services.docs import docs_files
from services.runtime import Runtime

# What BentoML answers beside our app.
FOREIGN = {"/docs.json", "/schema.json", "/healthz", "/static_content/{path:path}"}
ROUTES = [
    (f"{route.path}/{{path:path}}", {"GET", "HEAD"})
    if isinstance(route.original_route, Mount)
    else (str(route.path), route.methods or set())
    for route in iter_route_contexts(
        create_app(Runtime(("churn",)), docs_files=docs_files()).router.routes
    )
]
OWN = {(method, path) for path, methods in ROUTES for method in methods if method != "HEAD"}


def caller(role: Role, models: frozenset[str] | None = None) -> Caller:
    return Caller(key_id="x", name="x", role=role, models=models)


@pytest.mark.parametrize(("method", "template"), sorted(OWN))
def test_every_route_has_a_rule(method: str, template: str) -> None:
    assert (method, template) in RULES, f"add {method} {template} to services/access/rules.py"
    assert rule_of(method, template).least is not None


def test_every_rule_has_a_route() -> None:
    assert {rule for rule in RULES if rule[1] not in FOREIGN} == OWN


PARTS = st.sampled_from(
    ["", "api", "models", "keys", "audit", "churn", "batch", "info", "health", "rotate", "revoke",
     "docs", "files", "a.css", "start.js", "metrics", "openapi.json", "x", "\n", "%2f", "..", " "]
)  # fmt: skip


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
    path=st.lists(PARTS, max_size=5).map(lambda parts: "/" + "/".join(parts)),
    end=st.sampled_from(["", "/", "\n"]),
)
@example(method="GET", path="/api/keys", end="\n")
@example(method="POST", path="/api/keys", end="")
@example(method="GET", path="/api/keys/batch", end="")
def test_a_path_is_held_to_the_rule_of_the_route_that_will_answer_it(
    method: str, path: str, end: str
) -> None:
    template, _ = find_route(method, path + end)
    answering = answering_template(method, path + end)
    if answering is not None:
        assert template == answering


def answering_template(method: str, path: str) -> str | None:
    """Ask Starlette which of the app's routes, in their order, answers."""
    for template, methods in ROUTES:
        if method in methods and compile_path(template)[0].match(path):
            return template
    return None


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("least", list(Role))
def test_a_role_may_do_what_the_ones_before_it_may(role: Role, least: Role) -> None:
    if role >= least:
        authorize(caller(role), Rule(least))
    else:
        with pytest.raises(RoleTooLow, match=f"the role {role.label}; this needs {least.label}"):
            authorize(caller(role), Rule(least))


@pytest.mark.parametrize("role", list(Role))
def test_what_has_no_rule_is_open_to_nobody(role: Role) -> None:
    assert rule_of("GET", "/forgotten") == SHUT
    with pytest.raises(RoleTooLow, match="open to no role"):
        authorize(caller(role), SHUT)


def test_a_method_that_a_route_has_not_is_held_to_the_strictest_of_its_rules() -> None:
    assert rule_of("PUT", "/api/keys") == Rule(Role.ADMIN)
    assert rule_of("GET", "/api/{model}") == Rule(Role.ANALYST, is_scoped=True)
    assert rule_of("PUT", "/models") == Rule(Role.VIEWER)


def test_a_path_that_no_route_has_is_told_to_every_key() -> None:
    assert find_route("GET", "/nothing") == (None, None)
    authorize(caller(Role.VIEWER), rule_of("GET", None))


@pytest.mark.parametrize("written", ["revenue-leak", "revenue_leak"])
def test_a_key_with_a_scope_opens_its_models_alone(written: str) -> None:
    rule = rule_of("POST", "/api/{model}")
    scoped = caller(Role.ADMIN, frozenset({"revenue_leak"}))
    authorize(scoped, rule, written)
    with pytest.raises(ModelOutOfScope, match="does not open 'churn', only revenue_leak"):
        authorize(scoped, rule, "churn")
    authorize(caller(Role.ANALYST), rule, "churn")
