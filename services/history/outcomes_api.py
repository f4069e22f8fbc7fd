"""What really happened, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema

from bentos.border import BODY
from bentos.strict_json import read_json
from core.denials import ModelOutOfScope
from core.errors import FieldProblem, NoChampion, SeptetError
from core.overload import SpoolFull
from core.refusals import BatchTooLarge, FieldsInvalid
from services.access.caller import CALLER
from services.access.rules import PREDICT, authorize
from services.history.outcome import MOST_AT_ONCE, Outcome, OutcomeBatch, merged, read_outcome
from services.openapi.bodies import body_of
from services.openapi.problems import SCHEMA_REF, route_errors

if TYPE_CHECKING:
    from services.access.caller import Caller
    from services.runtime import Runtime

Records = dict[str, list[dict[str, Any]]]

_ROWS = "outcomes"
_REFUSALS = (FieldsInvalid, ModelOutOfScope, BatchTooLarge, NoChampion, SpoolFull)
_Problem = Annotated[dict[str, Any], WithJsonSchema({"allOf": [{"$ref": f"{SCHEMA_REF}Problem"}]})]


class OutcomesBody(RootModel[Outcome | OutcomeBatch]):
    """One outcome, or many."""


class RefusedOutcome(BaseModel):
    """An outcome that was not taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int = Field(ge=0, description="Its place among those that were sent, from 0.")
    problem: _Problem = Field(description="Why not: a problem document.")


class OutcomesPage(BaseModel):
    """What became of outcomes."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"example": {"kept": 1, "refused": 0, "rows": []}},
    )

    kept: int = Field(ge=0, description="How many were taken, and outlive this process.")
    refused: int = Field(ge=0, description="How many were not.")
    rows: list[RefusedOutcome] = Field(description="Those that were not; empty when all were.")


def outcomes_router(runtime: Runtime) -> APIRouter:
    """Build the route that takes what really happened.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    router = APIRouter(prefix="/api/outcomes", tags=["outcomes"])

    @router.post(
        "",
        summary="Tell what really happened",
        responses=route_errors(*_REFUSALS),
        openapi_extra=body_of(OutcomesBody),
    )
    async def outcomes(request: Request) -> OutcomesPage:
        """Keep outcomes, each on its own; sent again, or corrected, the last one counts."""
        caller: Caller = request.scope[CALLER]
        read = partial(_read, request.scope[BODY], runtime.platform.limits.json_depth)
        rows, is_batch = await runtime.crew.run(caller.key_id, read)
        wait = runtime.limiter.take_rows(caller, len(rows))
        if wait is not None:
            await wait
        check = partial(_check, runtime, caller, rows)
        records, refused = await runtime.crew.run(caller.key_id, check)
        if refused and not is_batch:
            raise refused[0]
        await _keep(runtime, caller, records)
        return OutcomesPage(
            kept=len(rows) - len(refused),
            refused=len(refused),
            rows=[RefusedOutcome(index=i, problem=e.to_problem()) for i, e in refused.items()],
        )

    return router


def _read(body: bytes, depth: int) -> tuple[list[object], bool]:
    """Take the rows out of a body; say whether they came as a batch."""
    value = read_json(body, max_depth=depth)
    if not isinstance(value, dict) or _ROWS not in value:
        return [value], False
    shape = f'send {{"{_ROWS}": [{{...}}, ...]}} and nothing else, or one outcome alone'
    problems = [
        FieldProblem(str(name)[:80], f"stands beside {_ROWS}", shape)
        for name in value
        if name != _ROWS
    ]
    rows = value[_ROWS]
    if not isinstance(rows, list):
        problems.append(FieldProblem(_ROWS, "is not a list", shape))
    elif not rows:
        problems.append(FieldProblem(_ROWS, "is empty", "send at least one outcome"))
    if problems:
        raise FieldsInvalid(problems)
    if len(rows) > MOST_AT_ONCE:
        otherwise = "send a file with `septet outcomes load`"
        raise BatchTooLarge(len(rows), MOST_AT_ONCE, otherwise=otherwise)
    return rows, True


def _check(
    runtime: Runtime, caller: Caller, rows: Sequence[object]
) -> tuple[Records, dict[int, SeptetError]]:
    """Give what is to be kept by model, and by their index why the other rows are not."""
    # Held for this one request: a champion may be switched before the next.
    config_of = cache(runtime.config_of)
    taken: list[Outcome] = []
    refused: dict[int, SeptetError] = {}
    for index, row in enumerate(rows):
        try:
            outcome = read_outcome(row, config_of)
            authorize(caller, PREDICT, outcome.model)
        except SeptetError as error:
            refused[index] = error
        else:
            taken.append(outcome)
    told = {model: [one.record() for one in own] for model, own in merged(taken).items()}
    return told, refused


async def _keep(runtime: Runtime, caller: Caller, records: Records) -> None:
    """Keep outcomes, those of each model in one record of the spool."""
    waits = [runtime.journal.outcomes_of(model, caller, own) for model, own in records.items()]
    for wait in waits:
        if wait is not None:
            await wait
