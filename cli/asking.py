"""Asks a running platform over HTTP, with a key, as any other client does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from cli.exits import Exit
from core.errors import FieldProblem, SeptetError
from core.refusals import FieldsInvalid
from core.settings import Settings

KEY_VARIABLE = "SEPTET_KEY"
Query = Mapping[str, str | list[str]]
_NONE: Mapping[str, str] = MappingProxyType({})
_SECONDS = 60.0
# The platform hangs up on who is silent for seconds, and a new connection costs little.
_SILENCE_SECONDS = 0.5
_LATER = frozenset({429, 503})
_SUCCESS = range(200, 300)
_OF_THE_KEY = frozenset({401, 403})
_SHOWN = 200
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, bound elsewhere


class PlatformDown(SeptetError):
    """No platform answers at an address.

    Parameters
    ----------
    address
        Where it was looked for.
    fault
        What was met there.
    """

    status = 503
    title = "The platform does not answer"
    exit = Exit.PLATFORM_DOWN

    def __init__(self, address: str, fault: str) -> None:
        super().__init__(
            f"No platform answers at {address} ({fault}). Start it with `septet up`, or name its "
            "address with --url, or with SEPTET_HOST and SEPTET_PORT."
        )


class PlatformRefused(SeptetError):
    """The platform answered with a problem document.

    Parameters
    ----------
    status
        Of the answer.
    problem
        The document; empty when the answer was none.
    """

    title = "The platform refused this"
    exit = Exit.PLATFORM_REFUSED

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.answered = status
        self._code = str(problem.get("code", f"Http{status}"))
        detail = problem.get("detail") or (
            f"The answer has the status {status} and is no problem document. Is the address that "
            "of a Septet platform?"
        )
        if problem and status in _OF_THE_KEY:
            detail = f"{detail} `septet` takes the key from {KEY_VARIABLE}, or from --key-file."
        faults = problem.get("problems", ())
        super().__init__(str(detail), problems=[FieldProblem(**fault) for fault in faults])

    @property
    def code(self) -> str:
        """That of the document."""
        return self._code


@dataclass(frozen=True)
class Download:
    """An answer as it is.

    Parameters
    ----------
    content
        Its body.
    notes
        What a reader of it must know, as the header ``Septet-Notes`` says; empty without one.
    """

    content: bytes
    notes: str


class Asker:
    """Asks one platform with one key; as a context, over one connection.

    Failure policy: what says when to come back (429 and 503 with ``Retry-After``) is asked again
    then, as long as patience lasts; everything else is raised at once.

    Parameters
    ----------
    url
        Address of the platform.
    key
        Opens it.
    patience_seconds
        How long one request may wait for its turn in all.

    Raises
    ------
    FieldsInvalid
        The address is none of HTTP.
    """

    def __init__(self, url: str, key: str, *, patience_seconds: float = 0.0) -> None:
        self._place = _read_url(url)
        self._kept: HTTPConnection | None = None
        self._used_s = 0.0
        self._is_open = False
        self._headers = {"X-API-Key": key, "Accept": "application/json, application/problem+json"}
        self._patience_seconds = patience_seconds

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._close()

    @property
    def address(self) -> str:
        """Where the platform is, without what might be secret."""
        return f"{self._place.scheme}://{self._place.netloc}{self._place.path}"

    def get(self, path: str, query: Query | None = None) -> Any:
        """Read; give what the answer's JSON says.

        Parameters
        ----------
        path
            Of the route, such as ``/models``.
        query
            Its parameters.

        Raises
        ------
        PlatformDown
            Nobody answers.
        PlatformRefused
            It answers with a problem.
        """
        return self._ask("GET", _target(path, query), None)

    def download(self, path: str, query: Query | None = None) -> Download:
        """Read; give the answer as it is, such as a picture, with its notes.

        Parameters
        ----------
        path
            Of the route.
        query
            Its parameters.

        Raises
        ------
        PlatformDown
            Nobody answers.
        PlatformRefused
            It answers with a problem.
        """
        response, content = self._exchange("GET", _target(path, query), None)
        if response.status in _SUCCESS:
            return Download(content, response.getheader("Septet-Notes", ""))
        said = _read_json(content)
        raise PlatformRefused(response.status, said if isinstance(said, dict) else {})

    def delete(self, path: str) -> Any:
        """Delete; give what the answer's JSON says.

        Parameters
        ----------
        path
            Of the route.

        Raises
        ------
        PlatformDown
            Nobody answers.
        PlatformRefused
            It answers with a problem.
        """
        return self._ask("DELETE", _target(path, None), None)

    def post(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON; give what the answer's JSON says.

        Parameters
        ----------
        path
            Of the route, such as ``/api/outcomes``.
        content
            Plain data without NaN or infinity, or the bytes of its JSON.
        headers
            More of them.

        Raises
        ------
        PlatformDown
            Nobody answers.
        PlatformRefused
            It answers with a problem.
        """
        if isinstance(content, bytes):
            body = content
        else:
            body = json.dumps(content, allow_nan=False).encode()
        return self._ask("POST", _target(path, None), body, headers or {})

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str] = _NONE
    ) -> Any:
        until_s = time.monotonic() + self._patience_seconds
        while True:
            response, content = self._exchange(method, target, body, headers)
            said = _read_json(content)
            if response.status in _SUCCESS and said is not None:
                return said
            wait = response.getheader("Retry-After", "")
            is_later = response.status in _LATER and wait.isdecimal()
            if not is_later or time.monotonic() + int(wait) > until_s:
                raise PlatformRefused(response.status, said if _is_problem(said) else {})
            time.sleep(int(wait))

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str] = _NONE
    ) -> tuple[HTTPResponse, bytes]:
        """Ask once; nothing is sent twice that may have arrived."""
        if time.monotonic() - self._used_s > _SILENCE_SECONDS:
            self._close()
        connection = self._kept or self._connection()
        self._kept = connection
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(
                method, self._place.path + target, body, {**self._headers, **kind, **headers}
            )
            response = connection.getresponse()
            return response, response.read()
        except (OSError, HTTPException) as error:
            self._close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PlatformDown(self.address, reason[:_SHOWN]) from error
        finally:
            self._used_s = time.monotonic()
            if not self._is_open:
                self._close()

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self._place.scheme == "https" else HTTPConnection
        return kind(self._place.hostname or "", self._place.port, timeout=_SECONDS)

    def _close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _target(path: str, query: Query | None) -> str:
    # An id that a person typed may be anything; what is quoted already stays so.
    plain = quote(path, safe="/%")
    return f"{plain}?{urlencode(query, doseq=True)}" if query else plain


def read_key(file: Path | None) -> str:
    """Give the key to ask with: from a file, else from the environment.

    Never from the command line, which every user of the machine can read.

    Parameters
    ----------
    file
        Holds the key and nothing else.

    Raises
    ------
    FieldsInvalid
        There is none, or it cannot be one.
    """
    if file is None:
        field, text = KEY_VARIABLE, os.environ.get(KEY_VARIABLE, "")
        fix = f"export {KEY_VARIABLE}=sep_live_…, or name a file that holds the key with --key-file"
    else:
        field, fix = "--key-file", "a file that holds a key and nothing else is allowed"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fault = f"cannot be read ({getattr(error, 'strerror', 'it is no text')})"
            raise FieldsInvalid([FieldProblem(field, fault, fix)]) from error
    key = text.strip()
    if not key:
        fault = "is not set" if file is None else "is empty"
        raise FieldsInvalid([FieldProblem(field, fault, fix)])
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise FieldsInvalid([FieldProblem(field, "is no key", fix)])
    return key


def platform_url(settings: Settings) -> str:
    """Give where the platform of these settings answers.

    Parameters
    ----------
    settings
        Of this installation.
    """
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _read_url(url: str) -> SplitResult:
    """Take an address apart."""
    allowed = "an address such as http://127.0.0.1:8800 is allowed"
    # A password that should not be there is not to be shown either.
    fault = f"is {url.rpartition('@')[2][:_SHOWN]!r}"
    try:
        parts = urlsplit(url.rstrip("/"))
        is_plain = parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        raise FieldsInvalid([FieldProblem("--url", fault, allowed)]) from None
    known = parts.scheme in {"http", "https"} and parts.hostname and url.isascii()
    if not known or not is_plain or parts.query or parts.fragment or not url.isprintable():
        raise FieldsInvalid([FieldProblem("--url", fault, allowed)])
    return parts


def _is_problem(said: Any) -> bool:
    return isinstance(said, dict) and {"code", "detail"} <= said.keys()


def _read_json(content: bytes) -> Any:
    """Read an answer; nothing when it is no JSON."""
    try:
        return json.loads(content)
    except ValueError:
        return None
