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
from services.access.keys import FILE, KeyStore
from services.access.limits import Limiter, LocalStore
from services.access.log import AccessLog, Lines
from services.access.origin import Origin
from services.access.window import WindowStorage
from services.metrics import Metrics
from services.places import BATCH, ROW, Handler
from services.predictions.desk import Desk


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
        self.metrics = Metrics(self.holder.models)
        self.origin = Origin()
        self.access_log = AccessLog(Lines())
        self._limiter: Limiter | None = None
        self._keys: KeyStore | None = None
        self._desks: dict[str, Desk] = {}

    @property
    def keys(self) -> KeyStore:
        """The keys that open.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._keys is None:
            raise RuntimeError("the runtime is used before it is started")
        return self._keys

    @property
    def limiter(self) -> Limiter:
        """Counts what each caller asks.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._limiter is None:
            raise RuntimeError("the runtime is used before it is started")
        return self._limiter

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Give what answers predictions, by template of the route and model."""
        rows: dict[tuple[str, str], Handler] = {(ROW, m): d.row for m, d in self._desks.items()}
        return rows | {(BATCH, m): d.batch for m, d in self._desks.items()}

    def metrics_page(self) -> bytes:
        """Give all counts in Prometheus' text form."""
        waiting = {model: desk.waiting for model, desk in self._desks.items()}
        return self.metrics.page(waiting=waiting, under_way=self.limiter.at_once)

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
        self._keys = KeyStore(settings.home / FILE)
        access = self.platform.access
        self.origin = Origin(
            trusted_proxies=access.trusted_proxies,
            hosts=access.hosts,
            cors_origins=access.cors_origins,
        )
        self._limiter = Limiter(
            self.platform.tiers,
            store=LocalStore(WindowStorage()),
            bursts=WindowStorage(),
            address_requests=access.address_requests_per_minute,
        )
        self._desks = {model: Desk(model, self) for model in self.holder.models}
        self.access_log.lines.start()
        self.holder.start(settings.releases, poll_seconds=self.platform.releases.poll_seconds)
        # What was loaded until here lives as long as the process: the collector need not walk it,
        # which was seen to stall requests by more than 100 ms.
        gc.collect()
        gc.freeze()
        # A batch makes tens of thousands of short-lived objects: at Python's own thresholds the
        # collector would walk them forty times.
        gc.set_threshold(50_000, 20, 100)
        get_logger(__name__).info("serving", releases=[list(v[:2]) for v in self.holder.versions])

    def stop(self) -> None:
        """Stop following, and write what waits."""
        self.holder.stop()
        self.access_log.lines.stop()
