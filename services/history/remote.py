"""The way from the platform to the historian, the process that reads the log.

Failure policy: a historian that is down or hangs costs the questions about the history alone, which
get ``HistoryDown``; predictions never wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from bentos.border import DEADLINE_SECONDS
from core import errors as e
from core import history_faults as h
from core import refusals as r
from services.history.answers import NOTES
from services.history.token import history_token

if TYPE_CHECKING:
    from core.settings import Settings

CONNECT_SECONDS = 2.0
# Below the deadline of the border, so that what we say of it reaches the caller.
ASK_SECONDS = DEADLINE_SECONDS - 2.0
_PASSED = frozenset({"content-disposition", "link", NOTES.lower()})
_OK, _FAULT = 200, 500
_KINDS: Mapping[str, type[e.SeptetError]] = {
    kind.__name__: kind
    for kind in (
        h.BacktestsWaiting, h.BacktestUnknown, h.ErasureUnknown, h.ExportsBusy, h.ExportTooLarge,
        h.HistoryTooLarge, h.PathInvalid, h.PredictionUnknown, h.ReleaseGone, h.ReplayImpossible,
        r.QueryInvalid, r.FieldsInvalid, e.ModelUnknown, e.RegistryDown,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What the historian answered.

    Parameters
    ----------
    content
        The body.
    media_type
        What it is.
    headers
        Others that are passed on.
    """

    content: bytes
    media_type: str
    headers: Mapping[str, str]


class Historian:
    """Asks the historian.

    Parameters
    ----------
    settings
        Where it is, and the token.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: str, content: Mapping[str, Any]) -> Told:
        """Ask a question.

        Parameters
        ----------
        question
            Its name.
        content
            What is asked, as plain data.

        Raises
        ------
        HistoryDown
            It does not answer, or another process does.
        SeptetError
            What it refuses.
        """
        address = self._settings.historian
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ASK_SECONDS, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        try:
            async with self._session.post(
                f"{address}/{question}",
                data=orjson.dumps(content),
                headers={"Authorization": f"Bearer {history_token(self._settings)}"},
            ) as answer:
                body = await answer.read()
                status, headers = answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise h.HistoryDown(address, type(error).__name__) from error
        if status == _OK:
            passed = {k: v for k, v in headers.items() if k.lower() in _PASSED}
            return Told(body, headers["Content-Type"], passed)
        raise _error_of(body, address=address, status=status)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _error_of(body: bytes, *, address: str, status: int) -> e.SeptetError:
    """Give the error behind a problem document of the historian."""
    try:
        told = orjson.loads(body)
        kind, detail = _KINDS[told["code"]], str(told["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        if status >= _FAULT:
            return e.SeptetError("The historian failed on this question; its log says why.")
        return h.HistoryDown(address, f"status {status}; the reason stands in its log")
    # Past the class's own constructor, which would build the sentence anew from its parts.
    error = kind.__new__(kind)
    problems = [e.FieldProblem(**one) for one in told.get("problems") or ()]
    e.SeptetError.__init__(error, detail, problems=problems)
    return error
