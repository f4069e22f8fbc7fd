"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

COMMAND = shutil.which("chromium")
START_SECONDS = 40.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,2000", "--remote-debugging-port=0",
)  # fmt: skip


@dataclass
class Page:
    """One tab.

    Parameters
    ----------
    line
        The websocket of its DevTools.
    asked
        Addresses that it asked for.
    faults
        Errors of its console.
    """

    line: aiohttp.ClientWebSocketResponse
    asked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _turn: int = 0

    async def call(self, method: str, **options: Any) -> dict[str, Any]:
        """Call a method of the protocol, and take note of what happens meanwhile."""
        self._turn += 1
        turn = self._turn
        await self.line.send_json({"id": turn, "method": method, "params": options})
        while True:
            message = await self.line.receive_json(timeout=START_SECONDS)
            if message.get("id") == turn:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._note(message)

    async def read(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        said = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return said["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression holds."""
        deadline = time.monotonic() + START_SECONDS
        while not await self.read(f"Boolean({expression})"):
            assert time.monotonic() < deadline, (expression, self.faults, self.asked)
            await asyncio.sleep(0.1)

    async def picture(self) -> bytes:
        """Take a picture of what a person sees."""
        said = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(said["data"])

    def _note(self, message: dict[str, Any]) -> None:
        method, facts = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(facts["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(facts["exceptionDetails"])[:2000])
        elif method == "Runtime.consoleAPICalled" and facts["type"] in {"error", "assert"}:
            self.faults.append(json.dumps(facts["args"])[:2000])
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.faults.append(json.dumps(facts["entry"])[:2000])


@contextmanager
def started(folder: Path) -> Iterator[int]:
    """Start a browser with an empty profile, and give the port of its DevTools.

    Parameters
    ----------
    folder
        Where the profile is written.
    """
    assert COMMAND is not None
    command = [COMMAND, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield _port_of(folder / "profile" / "DevToolsActivePort")
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
        # It holds the address with the key in it, as any browser's history does.
        shutil.rmtree(folder / "profile", ignore_errors=True)


@asynccontextmanager
async def tab_of(port: int) -> AsyncIterator[Page]:
    """Give the one tab of a browser.

    Parameters
    ----------
    port
        Of its DevTools.
    """
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
        address = tabs[0]["webSocketDebuggerUrl"]
        async with session.ws_connect(address, max_msg_size=0) as line:
            page = Page(line)
            for part in ("Network", "Runtime", "Log", "Page"):
                await page.call(f"{part}.enable")
            yield page


def _port_of(path: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, IndexError):
            return int(path.read_text().splitlines()[0])
        time.sleep(0.1)
    raise TimeoutError(f"{path} was never written")
