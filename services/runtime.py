"""What one serving process holds: settings, limits, keys and releases."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from bentos.catalog import CATALOG, predictor_type
from bentos.holder import Holder
from bentos.lone import read_platform_config
from bentos.predictor import Predictor
from core.config import PlatformConfig
from core.logs import configure_logs, get_logger
from core.settings import Settings, load_settings
from services.access.keys import KeyStore
from services.records import Records

_NOT_STARTED = "the runtime is used before it is started"


class Runtime:
    """The parts of a serving process; inert until ``start``.

    Parameters
    ----------
    models
        Names of the models that are served.
    kind_of
        Gives the predictor class of a model.
    """

    def __init__(
        self,
        models: Sequence[str] = CATALOG,
        *,
        kind_of: Callable[[str], type[Predictor]] = predictor_type,
    ) -> None:
        self.holder = Holder(models, predictor_type=kind_of)
        self.platform = PlatformConfig()
        self._records: Records | None = None
        self._keys: KeyStore | None = None

    @property
    def records(self) -> Records:
        """The database of keys and audit.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._records is None:
            raise RuntimeError(_NOT_STARTED)
        return self._records

    @property
    def keys(self) -> KeyStore:
        """The keys that open.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._keys is None:
            raise RuntimeError(_NOT_STARTED)
        return self._keys

    @property
    def is_ready(self) -> bool:
        """Whether any model can answer; each model's own state stands under its health path."""
        return any(self.holder.find(model) is not None for model in self.holder.models)

    def start(self, settings: Settings | None = None) -> None:
        """Read the settings, load the champions, and follow them.

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
        self.platform = read_platform_config(settings)
        self._records = Records(settings.records_url)
        self._keys = KeyStore(self._records, config=self.platform.access)
        self._keys.start()
        self.holder.start(settings.releases, poll_seconds=self.platform.releases.poll_seconds)
        # What was loaded until here lives as long as the process: the collector need not walk it,
        # which was seen to stall requests by more than 100 ms.
        gc.collect()
        gc.freeze()
        get_logger(__name__).info("serving", releases=[list(v[:2]) for v in self.holder.versions])

    def stop(self) -> None:
        """Stop following."""
        self.holder.stop()
        if self._keys is not None:
            self._keys.stop()
        if self._records is not None:
            self._records.close()
