"""The page ``/docs`` in a real browser: it works without any other host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve import browser
from tests.serve.conftest import Home, Server, running

pytestmark = [
    pytest.mark.serve,
    pytest.mark.skipif(
        browser.COMMAND is None and not os.environ.get("CI"),
        reason="there is no browser: apt-get install chromium",
    ),
]

CHURN = '.opblock-summary-path[data-path="/api/churn"]'


@pytest.fixture(scope="module")
def server(home: Home, scratch: Path) -> Iterator[Server]:
    with running("services.platform:Platform", home=home.path, scratch=scratch) as started:
        yield started


async def look(server: Server, home: Home, port: int, count: int) -> tuple[browser.Page, bytes]:
    """Open the page as a person would, and unfold one operation."""
    host = server.url.removeprefix("http://")
    async with browser.tab_of(port) as page:
        await page.call("Page.navigate", url=f"http://me:{home.key}@{host}/docs")
        await page.wait_for(f"document.querySelectorAll('.opblock').length === {count}")
        await page.read(f"document.querySelector('{CHURN}').click()")
        await page.wait_for("document.querySelector('.opblock-body .body-param__example')")
        text = await page.read("document.body.textContent")
        for said in ("X-API-Key", "monthly_amount", "Too many requests (RateLimited)"):
            assert said in text
        return page, await page.picture()


def test_the_page_shows_every_operation_and_asks_no_other_host(
    server: Server, home: Home, tmp_path: Path
) -> None:
    document: Any = httpx.get(f"{server.url}/openapi.json", headers=home.headers).json()
    count = sum(len(operations) for operations in document["paths"].values())
    with browser.started(tmp_path) as port:
        page, picture = asyncio.run(look(server, home, port, count))
    (tmp_path / "docs.png").write_bytes(picture)
    assert not page.faults
    asked = {urlsplit(address) for address in page.asked}
    ours = urlsplit(server.url).netloc
    assert {part.netloc.rpartition("@")[2] for part in asked if part.scheme != "data"} == {ours}
    paths = {part.path for part in asked if part.scheme != "data"}
    assert paths >= {"/docs", "/docs/start.js", "/docs/files/swagger-ui.css", "/openapi.json"}
    assert len(picture) > 10_000
