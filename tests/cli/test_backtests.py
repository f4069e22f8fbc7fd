"""A backtest is waited for as long as it gets on, and no longer; asked of a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.asking import Asker
from cli.backtests import BacktestStill, wait_for


@contextmanager
def telling(pages: Iterator[dict[str, Any]]) -> Iterator[Asker]:
    """Answer with one page after the other."""

    class Teller(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(next(pages)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Teller)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Asker(f"http://127.0.0.1:{server.server_port}", "sep_live_x")
    finally:
        server.shutdown()
        server.server_close()


def page(rows: int, state: str = "running") -> dict[str, Any]:
    return {"backtest_id": "b1", "state": state, "rows": rows}


def endless(pages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give pages, and then the last one for ever."""
    yield from pages
    while True:
        yield pages[-1]


def test_one_that_stays_as_it_is_is_given_up_with_what_to_do() -> None:
    seen: list[int] = []
    with (
        telling(endless([page(2), page(4)])) as asker,
        pytest.raises(BacktestStill, match="GET /api/history/backtests/b1"),
    ):
        wait_for(asker, page(0), show=seen.append, look_seconds=0.01, still_seconds=0.2)
    assert seen[:2] == [2, 4]
    assert set(seen[2:]) == {4}


def test_one_that_gets_on_is_waited_for_to_its_end() -> None:
    pages = [page(number) for number in range(40)] + [page(40, "done")]
    seen: list[int] = []
    with telling(endless(pages)) as asker:
        # In all longer than it may stay as it is.
        last = wait_for(asker, page(0), show=seen.append, look_seconds=0.02, still_seconds=0.5)
    assert (last, seen) == (page(40, "done"), list(range(41)))
