"""One model served on its own, behind the same border as the platform.

A lone bento asks for no key: it is an inner part, to be reached by the platform or from the same
machine only. Run `septet up`, or put the platform before it, for anyone else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bentos.answering import answer_rows, read_rows
from bentos.catalog import predictor_type
from bentos.holder import Holder
from bentos.strict_json import read_json
from core.logs import configure_logs
from core.platform_config import Limits, PlatformConfig, load_platform_config
from core.refusals import BatchTooLarge, NotReady
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from starlette.types import Scope

    from bentos.reply import Headers

READY_PATH = "/readyz"


class Lone:
    """What a lone bento holds; inert until ``start``.

    Parameters
    ----------
    model
        Name of the model.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.holder = Holder((model,), predictor_type=predictor_type)
        self._platform = PlatformConfig()

    def start(self) -> None:
        """Read the settings, load the champion if there is one, and follow it."""
        settings = load_settings()
        configure_logs(settings.log_level)
        self._platform = read_platform_config(settings)
        self.holder.start(settings.releases, poll_seconds=self._platform.releases.poll_seconds)

    def stop(self) -> None:
        """Stop following."""
        self.holder.stop()

    def limits(self) -> Limits:
        """Limits of a request."""
        return self._platform.limits

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


def read_platform_config(settings: Settings) -> PlatformConfig:
    """Read the platform's config; a bento may come without one, and then has the defaults."""
    path = settings.platform_config_path
    return load_platform_config(path) if path.is_file() else PlatformConfig()
