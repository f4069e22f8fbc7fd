"""Traces, as a collector receives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from core.settings import ROOT, Settings
from services.access.first_key import create_admin_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.services.conftest import MODELS, Client
from tests.tiny import Shelf, tiny_type

ROW = {"tenure_months": 12, "hours": 3.5, "is_active": True, "plan": "basic", "region": "north"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(ThreadingHTTPServer):
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Span] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class Receiver(BaseHTTPRequestHandler):
    """Takes one export."""

    server: Collector

    def do_POST(self) -> None:
        """Keep the spans."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_each_exchange_is_a_span_under_its_callers_trace(
    collector: Collector, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.point("1")
    key = create_admin_key(tmp_path)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    settings = Settings(home=tmp_path, configs=ROOT / "configs", traces_address=collector.address)
    runtime.start(settings)
    app = Gate(create_app(runtime, docs_files=docs_files()), runtime=runtime)
    headers = {"X-API-Key": key, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    client = Client(app, headers=headers)
    assert client.post("/api/churn", json=ROW).status_code == 200
    assert client.post("/api/churn", json=ROW | {"hours": -1}).status_code == 422
    runtime.stop()
    first, second = collector.spans
    assert first.name == second.name == "POST /api/{model}"
    assert first.trace_id.hex() == TRACE
    said = {a.key: a.value.string_value or a.value.int_value for a in first.attributes}
    assert said["septet.model"] == "churn"
    assert said["septet.version"] == "1"
    assert said["http.response.status_code"] == 200
    assert 0 < first.end_time_unix_nano - first.start_time_unix_nano < 60e9
    refused = {a.key: a.value.string_value for a in second.attributes}
    assert refused["septet.code"] == "RowInvalid"
    text = str(collector.spans)
    assert key not in text
    assert "north" not in text


def test_without_an_address_nothing_is_traced(tmp_path: Path) -> None:
    create_admin_key(tmp_path)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    runtime.start(Settings(home=tmp_path, configs=ROOT / "configs"))
    assert runtime.traces is None
    runtime.stop()
