"""Keys and the audit over HTTP, for admins."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse

from bentos.border import BODY, REQUEST_ID
from bentos.strict_json import read_json
from core.denials import KeyClosed, KeyUnknown, LastAdminKey, RecordsBehind, RecordsDown
from core.refusals import FieldsInvalid, QueryInvalid
from services.access.audit import Actor, all_entries, read_entries
from services.access.caller import ADDRESS, CALLER
from services.access.export import as_csv, as_ndjson
from services.access.grant import Grant, require_tier
from services.access.ledger import KeyLedger
from services.access.pages import (
    AuditLine,
    AuditPage,
    AuditQuery,
    IssuedPage,
    KeyPage,
    KeysPage,
    KeysQuery,
    Rotation,
)
from services.fields import Kind, read_fields
from services.openapi.bodies import body_of
from services.openapi.problems import route_errors
from services.query import said_once

if TYPE_CHECKING:
    from starlette.responses import Response

    from services.runtime import Runtime

_DOWN = (RecordsDown, RecordsBehind)
_POSTING = (FieldsInvalid, *_DOWN)
_AUDIT_LINES = 100


def keys_router(runtime: Runtime) -> APIRouter:
    """Build the routes that manage keys.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    router = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(said_once())])

    @router.get("", summary="All keys", responses=route_errors(QueryInvalid, KeyUnknown, *_DOWN))
    def keys(query: Annotated[KeysQuery, Query()]) -> KeysPage:
        """List the keys, the oldest first; those that are shut as well."""
        found = KeyLedger(runtime.records).page(limit=query.limit + 1, after=query.after)
        shown = found[: query.limit]
        more = shown[-1].id if len(found) > len(shown) else None
        return KeysPage(keys=[KeyPage.of(record) for record in shown], next=more)

    @router.get("/{key_id}", summary="One key", responses=route_errors(KeyUnknown, *_DOWN))
    def key(key_id: str) -> KeyPage:
        """Tell what is known of a key."""
        return KeyPage.of(KeyLedger(runtime.records).find(key_id))

    @router.post(
        "",
        summary="Make a key",
        status_code=201,
        responses=route_errors(*_POSTING),
        openapi_extra=body_of(Grant),
    )
    def create(request: Request) -> IssuedPage:
        """Make a key; its text is shown in this answer and never again."""
        grant = _read(runtime, request, Grant)
        require_tier(grant, runtime.platform.tiers)
        issued = KeyLedger(runtime.records).create(grant, by=_actor(request))
        runtime.keys.look_soon()
        return IssuedPage.of(issued)

    @router.post(
        "/{key_id}/rotate",
        summary="Give a key another secret",
        responses=route_errors(KeyUnknown, KeyClosed, *_POSTING),
        openapi_extra=body_of(Rotation),
    )
    def rotate(request: Request, key_id: str) -> IssuedPage:
        """Make another secret; the one before goes on for the overlap, then stops."""
        overlap = timedelta(seconds=_read(runtime, request, Rotation).overlap_seconds)
        ledger = KeyLedger(runtime.records)
        issued = ledger.rotate(key_id, overlap=overlap, by=_actor(request))
        runtime.keys.look_soon()
        return IssuedPage.of(issued)

    @router.delete(
        "/{key_id}",
        summary="Revoke a key",
        responses=route_errors(KeyUnknown, LastAdminKey, *_DOWN),
    )
    def revoke(request: Request, key_id: str) -> KeyPage:
        """Shut a key for ever, in every process within two seconds."""
        record = KeyLedger(runtime.records).revoke(key_id, by=_actor(request))
        runtime.keys.look_soon()
        return KeyPage.of(record)

    return router


def audit_router(runtime: Runtime) -> APIRouter:
    """Build the route that shows the audit.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    router = APIRouter(prefix="/api/audit", tags=["audit"], dependencies=[Depends(said_once())])

    @router.get(
        "",
        summary="Who did what",
        response_model=AuditPage,
        responses=_EXPORTS | route_errors(QueryInvalid, *_DOWN),
    )
    def audit(query: Annotated[AuditQuery, Query()]) -> AuditPage | Response:
        """Show the audit, the newest first: a page of JSON, or all of it as NDJSON or CSV."""
        records, wanted = runtime.records, query.wanted()
        if query.format != "json":
            _require_whole(query)
            # Asked for now, so that a database that is down is a problem and no broken file.
            read_entries(records, wanted, limit=1)
            write = as_csv if query.format == "csv" else as_ndjson
            return StreamingResponse(
                write(all_entries(records, wanted)),
                media_type=_TYPES[query.format],
                headers={"content-disposition": f'attachment; filename="audit.{query.format}"'},
            )
        limit = query.limit or _AUDIT_LINES
        found = read_entries(records, wanted, limit=limit + 1, before=query.cursor)
        shown = found[:limit]
        more = shown[-1].id if len(found) > len(shown) else None
        return AuditPage(entries=[AuditLine.of(kept) for kept in shown], next=more)

    return router


_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": ",".join(AuditLine.model_fields) + "\r\n",
            },
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"id": 1}\n'},
        }
    }
}


def _require_whole(query: AuditQuery) -> None:
    """Refuse pages of an export, which always gives all."""
    for name, given in (("limit", query.limit), ("cursor", query.cursor)):
        if given is not None:
            fault = f"does not go with format={query.format}, which gives all"
            raise QueryInvalid(name, fault, "leave it out, or ask for format=json")


def _read(runtime: Runtime, request: Request, kind: type[Kind]) -> Kind:
    """Read the body that the gate took."""
    value = read_json(request.scope[BODY], max_depth=runtime.platform.limits.json_depth)
    return read_fields(kind, value)


def _actor(request: Request) -> Actor:
    """Name who asks, for the audit."""
    scope = request.scope
    return Actor.of(scope[CALLER], address=scope.get(ADDRESS), request_id=scope.get(REQUEST_ID))
