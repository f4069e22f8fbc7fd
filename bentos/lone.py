"""One model served on its own, behind the same border as the platform.

A lone bento asks for no key: it is an inner part, to be reached by the platform or from the same
machine only. Run `septet up`, or put the platform before it, for anyone else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bentos.answering import answer_rows, read_rows
from bentos.catalog import predictor_type
from bentos.holder import Holder, Refusal
from bentos.problem import to_fast_bytes
from bentos.sheet import Sheet
from bentos.strict_json import read_json
from bentos.tabular import answer_table, batch_json, read_body
from core.logs import configure_logs
from core.platform_config import Limits, PlatformConfig, load_platform_config
from core.refusals import BatchTooLarge, NotReady
from core.settings import Settings, load_settings
from core.table import CloserLook

if TYPE_CHECKING:
    from starlette.types import Scope

    from bentos.predictor import Predictor
    from bentos.release import Release
    from bentos.reply import Headers

READY_PATH = "/readyz"
# A row that the platform passes on stands within `{"rows": [...]}`: what it lets pass as a row
# must not be too deep or too long here.
_ENVELOPE_DEPTH = 2
_ENVELOPE_BYTES = 64


class Lone:
    """What a lone bento holds; inert until ``start``.

    Parameters
    ----------
    model
        Name of the model.
    kind_of
        Gives the predictor class of a model.
    """

    def __init__(
        self, model: str, *, kind_of: Callable[[str], type[Predictor]] = predictor_type
    ) -> None:
        self.model = model
        self.holder = Holder((model,), predictor_type=kind_of)
        self._limits = Limits()
        self._told: tuple[Release | None, Refusal | None, bytes] | None = None

    def start(self, settings: Settings | None = None) -> None:
        """Load the champion if there is one, and follow it.

        Parameters
        ----------
        settings
            Read from the environment when not given.

        Raises
        ------
        ConfigError
            A setting or ``platform.yaml`` is wrong.
        """
        settings = settings or load_settings()
        configure_logs(settings.log_level)
        platform = read_platform_config(settings)
        self._limits = platform.limits.model_copy(
            update={
                "json_depth": platform.limits.json_depth + _ENVELOPE_DEPTH,
                "body_bytes": platform.limits.body_bytes + _ENVELOPE_BYTES,
            }
        )
        self.holder.start(settings.releases, poll_seconds=platform.releases.poll_seconds)

    def stop(self) -> None:
        """Stop following."""
        self.holder.stop()

    def limits(self) -> Limits:
        """Limits of a request."""
        return self._limits

    def sheet(self) -> bytes:
        """Tell what is held, as ``GET /release`` answers it."""
        release, refusal = self.holder.find(self.model), self.holder.refusal(self.model)
        told = self._told
        if told is None or told[0] is not release or told[1] is not refusal:
            content = Sheet.of(release, refusal).model_dump_json().encode()
            told = self._told = (release, refusal, content)
        return told[2]

    def admit(self, scope: Scope, _: Headers) -> None:
        """Refuse what cannot be answered without a champion.

        Raises
        ------
        NotReady
            Readiness is asked for, and there is none.
        NoChampion
            A prediction is asked for, and there is none.
        """
        if scope["path"] == READY_PATH and self.holder.find(self.model) is None:
            raise NotReady([self.model])
        if scope["method"] == "POST":
            self.holder.champion(self.model)

    def inspect(self, body: bytes) -> None:
        """Refuse a body that is not ``{"rows": [...]}`` in strict JSON, or has too many rows.

        Raises
        ------
        JsonInvalid
            It is not strict JSON.
        RowInvalid
            It is of another shape.
        BatchTooLarge
            It has more rows than the model's config allows.
        """
        self.read(body)

    def read(self, body: bytes) -> list[object]:
        """Give the rows of a body; raises as ``inspect`` does.

        Parameters
        ----------
        body
            The bytes as they were sent.
        """
        rows = read_rows(read_json(body, max_depth=self.limits().json_depth))
        most = self.holder.champion(self.model).contract.config.serving.max_batch_rows
        if len(rows) > most:
            raise BatchTooLarge(len(rows), most)
        return rows

    def answer_body(self, body: bytes, *, explain: bool = False) -> bytes:
        """Answer the rows of a body, a column at a time where that can be; raises as ``read``.

        Parameters
        ----------
        body
            The bytes as they were sent.
        explain
            Whether to add the reasons.

        Returns
        -------
        bytes
            What ``answer`` gives, as JSON; with the index of each row where that came for nothing.
        """
        release = self.holder.champion(self.model)
        if not explain:
            with suppress(CloserLook):
                return to_fast_bytes(self._answer_table(release, body))
        return to_fast_bytes(self.answer(self.read(body), explain=explain))

    def _answer_table(self, release: Release, body: bytes) -> list[dict[str, Any]]:
        form = release.form
        if form is None:
            raise CloserLook
        table = read_body(form, body)
        if table.size > release.contract.config.serving.max_batch_rows:
            raise CloserLook
        answers = answer_table(release, table)
        rows: list[dict[str, Any]] = batch_json(release, table, answers)["rows"]
        return rows

    def answer(self, rows: Sequence[object], *, explain: bool = False) -> list[dict[str, Any]]:
        """Answer rows that BentoML gathered, maybe from several requests.

        Parameters
        ----------
        rows
            ``n`` rows.
        explain
            Whether to add the reasons.

        Returns
        -------
        list of dict
            ``n`` times ``answer`` or ``problem``, in the same order; BentoML hands each request
            its own part.
        """
        release = self.holder.champion(self.model)
        return [outcome.to_json() for outcome in answer_rows(release, rows, explain=explain)]


def read_platform_config(settings: Settings) -> PlatformConfig:
    """Read the platform's config; a bento may come without one, and then has the defaults."""
    path = settings.platform_config_path
    return load_platform_config(path) if path.is_file() else PlatformConfig()
