"""One model served on its own, behind the same border as the platform.

A lone bento asks for no key: it is an inner part, to be reached by the platform or from the same
machine only. Run `septet up`, or put the platform before it, for anyone else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bentos.answering import answer_rows, read_rows
from bentos.border import JSON, Border
from bentos.catalog import predictor_type
from bentos.holder import Holder, Refusal
from bentos.sheet import PATH, Sheet
from bentos.strict_json import read_json
from core.logs import configure_logs
from core.platform_config import Limits, PlatformConfig, load_platform_config
from core.refusals import BatchTooLarge, NotReady
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope

    from bentos.predictor import Predictor
    from bentos.release import Release
    from bentos.reply import Headers, Reply

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
        rows = read_rows(read_json(body, max_depth=self.limits().json_depth))
        most = self.holder.champion(self.model).contract.config.serving.max_batch_rows
        if len(rows) > most:
            raise BatchTooLarge(len(rows), most)

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


class Front(Border):
    """The border of a lone bento, which also tells the platform what is served.

    Parameters
    ----------
    app
        What answers the rest.
    lone
        What the process holds.
    """

    def __init__(self, app: ASGIApp, *, lone: Lone) -> None:
        super().__init__(app, limits=lone.limits, admit=lone.admit, inspect=lone.inspect)
        self._lone = lone

    async def _answer(self, reply: Reply, receive: Receive) -> None:
        """Tell what is held, or let the app answer."""
        if reply.scope["path"] == PATH and reply.scope["method"] == "GET":
            await reply.answer(self._lone.sheet(), media_type=JSON)
            return
        await super()._answer(reply, receive)


def read_platform_config(settings: Settings) -> PlatformConfig:
    """Read the platform's config; a bento may come without one, and then has the defaults."""
    path = settings.platform_config_path
    return load_platform_config(path) if path.is_file() else PlatformConfig()
