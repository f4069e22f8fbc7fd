"""What the platform knows of champions that other processes hold: it asks each bento for it.

Failure policy: of a bento that does not answer, what was last known goes on to be told; only that
model is refused, until the bento is seen again.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from bentos.sheet import PATH, Sheet
from core.errors import ConfigError, NoChampion
from core.logs import get_logger
from core.refusals import ModelUnreachable

if TYPE_CHECKING:
    from bentos.holder import Refusal
    from bentos.predictor import Predictor
    from bentos.release import ReleaseFacts

LOOK_SECONDS = 2.0
# A bento that is busy, or whose worker is being started again, may be late with its sheet; one
# that was late for as long as a hop may take is not there.
MOST_LATE = 5
_OK = 200


@dataclass(frozen=True)
class Known:
    """What is known of one model.

    Parameters
    ----------
    release
        The release that answers, or answered last.
    refusal
        The last release that its bento did not take.
    fault
        Why its bento is not to be asked, if it is not.
    late
        How often in a row it was too late to tell.
    """

    release: ReleaseFacts | None = None
    refusal: Refusal | None = None
    fault: str | None = None
    late: int = 0


class RemoteHolder:
    """Follows the champions of bentos by asking them; the counterpart of ``bentos.holder.Holder``.

    Parameters
    ----------
    addresses
        Model to base URL of its bento.
    predictor_type
        Gives the predictor class of a model; none is opened here.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        predictor_type: Callable[[str], type[Predictor]],
    ) -> None:
        self.models = tuple(addresses)
        self._addresses = dict(addresses)
        self._predictor_type = predictor_type
        self._known: Mapping[str, Known] = dict.fromkeys(self.models, Known())
        self._bodies: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._log = get_logger(__name__)

    def start(self, *, poll_seconds: float) -> None:
        """Look at every bento once, then follow each in a thread of its own.

        Parameters
        ----------
        poll_seconds
            Seconds between two looks.
        """
        self._stop.clear()
        self.refresh()
        for model in self.models:
            thread = threading.Thread(
                target=self._follow, args=(model, poll_seconds), name=f"bento-{model}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop looking; what is known stays."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._threads.clear()

    def champion(self, model: str) -> ReleaseFacts:
        """Give the release that answers now.

        Raises
        ------
        NoChampion
            There is none; the reason is named when one was refused.
        ModelUnreachable
            Its bento does not answer.
        """
        known = self._known[model]
        if known.fault is not None:
            raise ModelUnreachable(model, self._addresses[model], known.fault)
        if known.release is None:
            raise NoChampion(model, known.refusal.reason if known.refusal else None)
        return known.release

    def find(self, model: str) -> ReleaseFacts | None:
        """Give the release that answers now, or answered last, if there is one."""
        return self._known[model].release

    def is_serving(self, model: str) -> bool:
        """Whether a model answers."""
        known = self._known[model]
        return known.release is not None and known.fault is None

    def refusal(self, model: str) -> Refusal | None:
        """Give the last release that was not taken, until another one is."""
        return self._known[model].refusal

    @property
    def versions(self) -> tuple[tuple[str, str, str], ...]:
        """Model, version and manifest of all that is known: changes when anything is switched."""
        held = {m: known.release for m, known in self._known.items() if known.release is not None}
        return tuple((m, r.version, r.identity.manifest_sha256) for m, r in held.items())

    def refresh(self) -> None:
        """Look once at every bento, at all of them at the same time."""
        with ThreadPoolExecutor(max_workers=len(self.models)) as pool:
            list(pool.map(self._look, self.models))

    def _follow(self, model: str, poll_seconds: float) -> None:
        while not self._stop.wait(poll_seconds):
            self._look(model)

    def _look(self, model: str) -> None:
        """Ask one bento for its sheet, and take what it tells."""
        try:
            body = self._ask_again(model)
            if body == self._bodies.get(model):
                self._set(model, replace(self._known[model], fault=None, late=0))
                return
            known = self._read(model, body)
        except TimeoutError:
            before = self._known[model]
            late = before.late + 1
            if late < MOST_LATE and before.release is not None:
                self._set(model, replace(before, late=late))
            else:
                fault = f"it says nothing for {LOOK_SECONDS:g} seconds, again and again"
                self._lose(model, fault, late=late)
        except (OSError, http.client.HTTPException) as error:
            self._lose(model, getattr(error, "strerror", None) or "it answers no HTTP")
        except (ValidationError, ConfigError) as error:
            fault = (
                error.detail if isinstance(error, ConfigError) else "it tells no release of ours"
            )
            self._lose(model, fault)
        except Exception as error:  # noqa: BLE001 - the thread must outlive any bento
            self._lose(model, f"{type(error).__name__}: {error}")
        else:
            self._bodies[model] = body
            self._set(model, known)

    def _read(self, model: str, body: bytes) -> Known:
        sheet = Sheet.model_validate_json(body)
        facts = sheet.facts(self._predictor_type(model))
        if facts is not None:
            self._log.info("release_seen", model=model, version=facts.version)
        return Known(release=facts, refusal=sheet.refusal())

    def _ask_again(self, model: str) -> bytes:
        """Ask, once more when the connection is dropped: a new worker may take the next one."""
        try:
            return self._ask(model)
        except ConnectionResetError:
            return self._ask(model)

    def _ask(self, model: str) -> bytes:
        parts = urlsplit(self._addresses[model])
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.netloc, timeout=LOOK_SECONDS)
        try:
            connection.request("GET", PATH)
            with connection.getresponse() as answer:
                if answer.status != _OK:
                    raise ConfigError(f"it answers {PATH} with status {answer.status}")
                return answer.read()
        finally:
            connection.close()

    def _lose(self, model: str, fault: str, *, late: int = 0) -> None:
        before = self._known[model]
        if before.fault != fault:
            self._log.error(
                "bento_unreachable", model=model, address=self._addresses[model], fault=fault
            )
        self._set(model, replace(before, fault=fault, late=late))

    def _set(self, model: str, known: Known) -> None:
        """Let it be known from now on: one assignment, so that no request sees a half."""
        with self._lock:
            before = self._known[model]
            self._known = {**self._known, model: known}
        if before.fault is not None and known.fault is None and before.release is not None:
            self._log.info("bento_back", model=model)
