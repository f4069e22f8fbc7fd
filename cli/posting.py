"""Asks a running platform with a key, over one connection."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

from core.errors import FieldProblem, SeptetError
from core.refusals import FieldsInvalid

_SECONDS = 60.0
_LATER = frozenset({429, 503})
_MOST_TRIES = 20
_SUCCESS = range(200, 300)


class NobodyAnswers(SeptetError):
    """No platform answers at an address.

    Parameters
    ----------
    address
        Where it was looked for.
    fault
        What was met there.
    """

    title = "The platform does not answer"

    def __init__(self, address: str, fault: str) -> None:
        super().__init__(
            f"No platform answers at {address} ({fault}). Start it with `septet up`, or name its "
            "address with --url, or with SEPTET_HOST and SEPTET_PORT."
        )


class Refused(SeptetError):
    """The platform answered with a problem.

    Parameters
    ----------
    path
        What was asked.
    status
        Of the answer.
    problem
        The problem document; empty when there was none.
    """

    title = "The platform refused this"

    def __init__(self, path: str, status: int, problem: Mapping[str, Any]) -> None:
        self.problem_code = str(problem.get("code", ""))
        detail = problem.get("detail", "It gave no problem document: is this a Septet platform?")
        super().__init__(f"{path} was answered with {status} {self.problem_code}. {detail}")


class Poster:
    """Asks one platform with one key.

    Failure policy: what says when to come back (429 and 503 with ``Retry-After``) is asked again
    then; everything else is raised at once, and nothing is sent twice that may have arrived.

    Parameters
    ----------
    url
        Address of the platform.
    key
        Opens it; empty for the probes.

    Raises
    ------
    FieldsInvalid
        The address is none of HTTP.
    """

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            allowed = "an address such as http://127.0.0.1:8800 is allowed"
            raise FieldsInvalid([FieldProblem("--url", "is no address", allowed)])
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._prefix = parts.path
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})

    def get(self, path: str) -> Any:
        """Read; give what the answer's JSON says, or nothing where it is none.

        Raises
        ------
        NobodyAnswers
            Nobody is there.
        Refused
            The answer is a problem.
        """
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON; as ``get``.

        Parameters
        ----------
        path
            Of the route.
        body
            As JSON.
        headers
            More of them.
        """
        return self._ask("POST", path, body, headers or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        for _ in range(_MOST_TRIES):
            status, wait, content = self._exchange(method, path, body, headers)
            said = _read_json(content)
            if status in _SUCCESS:
                return said
            problem = said if isinstance(said, dict) else {}
            if status not in _LATER or not wait.isdecimal():
                break
            # It would be found closed after the wait.
            self._connection.close()
            time.sleep(int(wait))
        raise Refused(path, status, problem)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        """Ask once: status, seconds to wait, content."""
        try:
            self._connection.request(method, self._prefix + path, body, self._headers | {**headers})
            response = self._connection.getresponse()
            return response.status, response.getheader("Retry-After", ""), response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            fault = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NobodyAnswers(self.address, fault) from error


def _read_json(content: bytes) -> Any:
    """Read an answer; nothing when it is no JSON."""
    try:
        return json.loads(content)
    except ValueError:
        return None
