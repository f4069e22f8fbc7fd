"""The way from the platform to a bento that runs on its own: HTTP and JSON, never a pickle.

Failure policy: a bento that refuses the connection, or drops it before it answered, is asked once
more on a fresh one; then its callers get ``ModelUnreachable`` at once. One that says nothing costs
its callers ``HOP_SECONDS``. No other model waits for any of this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from bentos.answering import Outcome
from bentos.border import DEADLINE_SECONDS
from bentos.front import GATHERED
from bentos.stepping import in_task
from core.errors import SeptetError
from core.overload import Overloaded
from core.refusals import DeadlinePassed, ModelUnreachable
from services.predictions.relay import error_of

if TYPE_CHECKING:
    from bentos.release import ReleaseFacts

CONNECT_SECONDS = 2.0
# Below the deadline of the border, so that what we say of it reaches the caller.
HOP_SECONDS = DEADLINE_SECONDS - 5.0
# Below the bento's own, so that it is we who end an idle connection, and never in mid-request.
IDLE_SECONDS = 4.0
MOST_CONNECTIONS = 32
_OK = 200
_AROUND = (b'{"rows":[', b"]}")


class Lines:
    """The connections of this process to all bentos; opened when first used."""

    def __init__(self) -> None:
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    @property
    def kept(self) -> aiohttp.ClientSession:
        """Connections that are kept open and used again."""
        if self._kept is None:
            self._kept = _session(
                aiohttp.TCPConnector(
                    limit=0, limit_per_host=MOST_CONNECTIONS, keepalive_timeout=IDLE_SECONDS
                )
            )
        return self._kept

    @property
    def fresh(self) -> aiohttp.ClientSession:
        """A new connection for each request."""
        if self._fresh is None:
            self._fresh = _session(
                aiohttp.TCPConnector(limit=0, limit_per_host=MOST_CONNECTIONS, force_close=True)
            )
        return self._fresh

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()
        self._kept = self._fresh = None


class Hop:
    """Asks one model's bento.

    Parameters
    ----------
    model
        Its name.
    address
        Base URL of the bento.
    lines
        The connections.
    body_bytes
        Most bytes of a body.
    is_queued
        Whether BentoML's own queue is to gather the rows once more, with those of other platforms.
    """

    def __init__(
        self, model: str, address: str, lines: Lines, *, body_bytes: int, is_queued: bool = False
    ) -> None:
        self.model = model
        self.address = address
        self._lines = lines
        self._body_bytes = body_bytes
        self._headers = {"Content-Type": "application/json"}
        if not is_queued:
            self._headers[GATHERED.decode()] = "1"

    async def rows(
        self, release: ReleaseFacts, rows: Sequence[bytes], *, explain: bool
    ) -> list[Outcome]:
        """Ask single rows together.

        Parameters
        ----------
        release
            The release that is known to answer.
        rows
            ``n`` rows, each a JSON text of its own.
        explain
            Whether to ask for the reasons.

        Returns
        -------
        list of Outcome
            ``n`` outcomes, in the order of the rows.
        """
        most = release.contract.config.serving.max_batch_rows
        outcomes: list[Outcome] = []
        for part in _parts(rows, most_rows=most, most_bytes=self._body_bytes):
            outcomes += await self._part(part, explain=explain)
        return outcomes

    async def batch(
        self, body: bytes, size: int, *, explain: bool, request_id: bytes | None = None
    ) -> list[Outcome]:
        """Ask a batch with the bytes in which it came.

        Parameters
        ----------
        body
            ``{"rows": [...]}`` in strict JSON.
        size
            How many rows it has.
        explain
            Whether to ask for the reasons.
        request_id
            Of the caller's request: the bento's log names it.

        Returns
        -------
        list of Outcome
            ``size`` outcomes, in the order of the rows.

        Raises
        ------
        ModelUnreachable
            The bento does not answer.
        SeptetError
            What the bento refused the batch for.
        """
        headers = self._headers
        if request_id is not None:
            headers = {**headers, "X-Request-Id": request_id.decode("latin-1")}
        await in_task()
        try:
            async with asyncio.timeout(HOP_SECONDS):
                status, content = await self._post(body, explain=explain, headers=headers)
        except TimeoutError:
            raise self._unreachable(f"no answer within {HOP_SECONDS:g} seconds") from None
        except aiohttp.ClientError as error:
            raise self._unreachable(_fault_of(error)) from error
        if status != _OK:
            raise error_of(_problem_in(content), model=self.model, status=status)
        try:
            said = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise self._unreachable("its answer is no JSON") from error
        if not isinstance(said, list) or len(said) != size:
            raise self._unreachable(f"its answer is not one for each of {size:,} rows")
        return [self._outcome(one) for one in said]

    async def _part(self, rows: Sequence[bytes], *, explain: bool) -> list[Outcome]:
        """Ask some rows at once; when they are refused together, each alone."""
        start, end = _AROUND
        try:
            return await self.batch(start + b",".join(rows) + end, len(rows), explain=explain)
        except (ModelUnreachable, Overloaded, DeadlinePassed) as error:
            return [Outcome(answer=None, error=error) for _ in rows]
        except SeptetError as error:
            if len(rows) == 1:
                return [Outcome(answer=None, error=error)]
        alone = [await self._part([row], explain=explain) for row in rows]
        return [outcome for [outcome] in alone]

    async def _post(
        self, body: bytes, *, explain: bool, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        url = f"{self.address}/{'explain' if explain else 'predict'}"
        try:
            return await _send(self._lines.kept, url, body, headers)
        except aiohttp.ServerTimeoutError:
            raise
        except aiohttp.ClientConnectionError:
            # Nothing was answered, and asking a model changes nothing: once more is safe.
            return await _send(self._lines.fresh, url, body, headers)

    def _outcome(self, said: Any) -> Outcome:
        if not isinstance(said, dict):
            raise self._unreachable("a row's answer is no object")
        problem = said.get("problem")
        error = None if problem is None else error_of(problem, model=self.model)
        answer = said.get("answer")
        if (answer is None) == (error is None):
            raise self._unreachable("a row has neither an answer nor a problem, or both")
        return Outcome(answer=answer, error=error)

    def _unreachable(self, fault: str) -> ModelUnreachable:
        return ModelUnreachable(self.model, self.address, fault)


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


async def _send(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes]:
    async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.read()


def _problem_in(content: bytes) -> object:
    """Read the problem in a refusal; nothing when another than a bento of ours wrote it."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _fault_of(error: aiohttp.ClientError) -> str:
    """Say in words what was met."""
    if isinstance(error, aiohttp.ServerTimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} seconds"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number else "no connection could be made"
    if isinstance(error, aiohttp.ClientConnectionError):
        return "the connection was dropped"
    return "its answer broke off"


def _parts(rows: Sequence[bytes], *, most_rows: int, most_bytes: int) -> Iterator[Sequence[bytes]]:
    """Part rows so that none of the bodies has too many rows or bytes."""
    start = size = 0
    for place, row in enumerate(rows):
        longer = size + len(row) + 1
        if place > start and (place - start == most_rows or longer > most_bytes):
            yield rows[start:place]
            start, longer = place, len(row) + 1
        size = longer
    if rows:
        yield rows[start:]
