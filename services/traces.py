"""Traces by OpenTelemetry: one span an exchange, sent to a collector; free when not set.

Failure policy: a collector that does not answer costs a background thread its time and nothing
else; spans that cannot be sent are dropped by the library, which logs it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from bentos.reply import Reply

_PARENT, _STATE = b"traceparent", b"tracestate"
_SERVER_ERROR = 500


class Traces:
    """Makes a span of each exchange.

    Parameters
    ----------
    address
        Where they are sent, OTLP over HTTP.
    """

    def __init__(self, address: str) -> None:
        # Imported here: a process that traces nothing has no use for them.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider: TracerProvider = TracerProvider(
            resource=Resource.create({"service.name": "septet"})
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
        self._tracer: Tracer = self._provider.get_tracer("septet")

    def exchanged(self, reply: Reply, *, route: str, key_id: str) -> None:
        """Make the span of an exchange that is over.

        Parameters
        ----------
        reply
            The exchange.
        route
            Template of the route, or ``unmatched``.
        key_id
            Public id of the key; empty without one.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        now_ns = time.time_ns()
        took_ns = int((time.perf_counter() - reply.started_s) * 1e9)
        given = {
            name.decode(): reply.headers[name].decode("latin-1")
            for name in (_PARENT, _STATE)
            if name in reply.headers
        }
        method = reply.scope["method"]
        span = self._tracer.start_span(
            f"{method} {route}",
            context=TraceContextTextMapPropagator().extract(given),
            kind=SpanKind.SERVER,
            start_time=now_ns - took_ns,
            attributes={
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": reply.status,
                "septet.request_id": reply.request_id.decode(),
                "septet.key": key_id,
            },
        )
        for name in ("model", "version", "rows", "code"):
            if name in reply.notes:
                span.set_attribute(f"septet.{name}", cast("AttributeValue", reply.notes[name]))
        if reply.status >= _SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=now_ns)

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()
