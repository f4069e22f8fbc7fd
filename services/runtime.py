"""What one serving process holds: settings, limits, keys and releases."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

from bentos.catalog import CATALOG, predictor_type
from bentos.holder import Holder
from bentos.lanes import load_of_process
from bentos.lone import read_platform_config
from bentos.predictor import Predictor
from core import clock
from core.config import ModelConfig, load_model_config
from core.errors import ConfigError, NoChampion
from core.logs import configure_logs, get_logger
from core.platform_config import PlatformConfig
from core.settings import Settings, load_settings
from services.access.audit import Actor, Entry
from services.access.keys import KeyStore
from services.access.limits import Limiter, LocalStore, Store
from services.access.log import AccessLog, Lines
from services.access.origin import Origin
from services.access.recorder import AuditRecorder
from services.access.shared import SharedStore
from services.access.window import Windows
from services.history.remote import Historian
from services.idempotency import Idempotency
from services.metrics import Metrics
from services.places import BATCH, ROW, Handler
from services.predictions.crew import Crew
from services.predictions.desk import Desk
from services.predictions.journal import Journal
from services.predictions.means import Means
from services.predictions.remote_desk import RemoteDesk
from services.predictions.spool import Spool
from services.records import Records
from services.releases.champions import Champions
from services.topology import Bentos
from services.traces import Traces

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
        # What answers: the holder of this process, or bentos that each hold one model.
        self.champions: Champions = self.holder
        self._kind_of = kind_of
        self._bentos: Bentos | None = None
        self.platform = PlatformConfig()
        self._records: Records | None = None
        self.metrics = Metrics(self.holder.models)
        self.origin = Origin()
        self.access_log = AccessLog(Lines())
        self.crew = Crew()
        self.traces: Traces | None = None
        self._limiter: Limiter | None = None
        self._keys: KeyStore | None = None
        self._audit: AuditRecorder | None = None
        self._idempotency: Idempotency | None = None
        self._historian: Historian | None = None
        self._spool: Spool | None = None
        self._journal: Journal | None = None
        self._settings: Settings | None = None
        self._desks: dict[str, Desk] | dict[str, RemoteDesk] = {}

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
    def idempotency(self) -> Idempotency:
        """Keeps the answers of requests that may be sent again."""
        if self._idempotency is None:
            self._idempotency = Idempotency(self.records)
        return self._idempotency

    @property
    def historian(self) -> Historian:
        """Answers what is asked about the past.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._historian is None:
            raise RuntimeError(_NOT_STARTED)
        return self._historian

    @property
    def audit(self) -> AuditRecorder:
        """Takes what is to stand in the audit.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._audit is None:
            raise RuntimeError(_NOT_STARTED)
        return self._audit

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
    def journal(self) -> Journal:
        """Writes down what is predicted, and what really happened.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._journal is None:
            raise RuntimeError(_NOT_STARTED)
        return self._journal

    def config_of(self, model: str) -> ModelConfig:
        """Give the config of a model: that of its champion, or of the file when it has none.

        Parameters
        ----------
        model
            A name of the catalog.

        Raises
        ------
        NoChampion
            It has none, and its file cannot be read.
        """
        release = self.champions.find(model) if model in self.champions.models else None
        if release is not None:
            return release.contract.config
        if self._settings is None:
            raise RuntimeError(_NOT_STARTED)
        try:
            return load_model_config(self._settings.model_config_path(model))
        except ConfigError as error:
            # Callers are not told of files and variables of this machine.
            get_logger(__name__).error("config_unreadable", model=model, reason=error.detail)
            raise NoChampion(model, "and its config cannot be read") from error

    @property
    def limiter(self) -> Limiter:
        """Counts what each caller asks.

        Raises
        ------
        RuntimeError
            The process was not started.
        """
        if self._limiter is None:
            raise RuntimeError(_NOT_STARTED)
        return self._limiter

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Give what answers predictions, by template of the route and model."""
        rows: dict[tuple[str, str], Handler] = {(ROW, m): d.row for m, d in self._desks.items()}
        return rows | {(BATCH, m): d.batch for m, d in self._desks.items()}

    def metrics_page(self) -> bytes:
        """Give all counts in Prometheus' text form."""
        self.metrics.records_stale.set(self.keys.is_stale)
        self.metrics.audit_dropped.set(self.audit.dropped)
        self.metrics.lines_dropped.set(self.access_log.lines.dropped)
        load = load_of_process()
        self.metrics.connections_waiting.set(load.waiting)
        self.metrics.shed.set(load.refused)
        if self._spool is not None:
            self.metrics.spool_bytes.set(self._spool.held_bytes)
            self.metrics.spool_lag_seconds.set(self._spool.lag_seconds)
            self.metrics.spool_full.set(self._spool.is_full)
            self.metrics.spool_dropped.set(self._spool.dropped)
            condition = self._spool.condition
            self.metrics.set_aside.set(condition.set_aside)
            self.metrics.erasing_seconds.set(condition.erasing_seconds(clock.now_s()))
        waiting = {model: desk.waiting for model, desk in self._desks.items()}
        return self.metrics.page(waiting=waiting, under_way=self.limiter.at_once)

    @property
    def is_ready(self) -> bool:
        """Whether any model can answer; each model's own state stands under its health path."""
        return any(map(self.champions.is_serving, self.champions.models))

    async def example(self, model: str) -> tuple[str, dict[str, Any]]:
        """Let a model answer its own example; give its version and the result.

        Parameters
        ----------
        model
            Name of the model.

        Raises
        ------
        NoChampion
            There is nothing to ask.
        ModelUnhealthy
            It does not answer as it may.
        ModelUnreachable
            Its bento does not answer.
        """
        return await self._desks[model].example()

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
        settings = self._settings = settings or load_settings()
        configure_logs(settings.log_level)
        self.metrics.settle()
        self.platform = read_platform_config(settings)
        self._open_records(settings)
        access = self.platform.access
        self.origin = Origin(
            trusted_proxies=access.trusted_proxies,
            hosts=access.hosts,
            cors_origins=access.cors_origins,
        )
        self._limiter = Limiter(
            self.platform.tiers,
            store=self._store(settings),
            bursts=Windows(),
            address_requests=access.address_requests_per_minute,
        )
        if settings.traces_address is not None:
            self.traces = Traces(settings.traces_address)
        self.access_log.is_on = settings.log_level in {"DEBUG", "INFO"}
        self.access_log.lines.start()
        self._historian = Historian(settings)
        self._spool = Spool(settings.spool, self.platform.spool)
        self._spool.start()
        self._journal = Journal(self._spool)
        self._desks = self._open_desks(settings)
        # What was loaded until here lives as long as the process: the collector need not walk it,
        # which was seen to stall requests by more than 100 ms.
        gc.collect()
        gc.freeze()
        # A batch makes tens of thousands of short-lived objects: at Python's own thresholds the
        # collector would walk them forty times.
        gc.set_threshold(50_000, 20, 100)
        get_logger(__name__).info(
            "serving", releases=[list(v[:2]) for v in self.champions.versions]
        )

    def _open_records(self, settings: Settings) -> None:
        """Read the keys and follow them, and take entries for the audit."""
        access = self.platform.access
        self._records = Records(settings.records_url)
        self._audit = AuditRecorder(self._records, most_waiting=access.keys.audit_queue)
        self._audit.start()
        self._keys = KeyStore(
            self._records,
            poll_seconds=access.keys.poll_seconds,
            lockout=access.lockout,
            on_lock=self._note_lock,
        )
        self._keys.start()

    def _store(self, settings: Settings) -> Store:
        """Give where the limits are counted.

        Raises
        ------
        ConfigError
            Several processes would each count for themselves.
        """
        local, address = LocalStore(Windows()), settings.shared_limits()
        if address is not None:
            return SharedStore(
                address,
                local=local,
                processes=settings.workers,
                alarm=self.metrics.limiter_degraded.set,
            )
        return local

    def stop(self) -> None:
        """Stop following, and write what waits."""
        self.champions.stop()
        self.crew.close()
        if self._spool is not None:
            self._spool.stop()
        if self._keys is not None:
            self._keys.stop()
        if self._audit is not None:
            self._audit.stop()
        if self._records is not None:
            self._records.close()
        if self.traces is not None:
            self.traces.close()
        self.access_log.lines.stop()

    def _note_lock(self, network: str, seconds: float) -> None:
        """Put a lock-out into the audit."""
        detail = {"seconds": seconds}
        entry = Entry(Actor("septet", address=network), "network.locked", network, detail=detail)
        self.audit.record(entry)

    async def close(self) -> None:
        """Stop, and close the connections to the bentos."""
        self.stop()
        if self._historian is not None:
            await self._historian.close()
        if self._bentos is not None:
            await self._bentos.lines.close()

    def _open_desks(self, settings: Settings) -> dict[str, Desk] | dict[str, RemoteDesk]:
        """Find who holds the models, follow their champions, and give what answers for each."""
        models, poll_seconds = self.holder.models, self.platform.releases.poll_seconds
        depth = self.platform.limits.json_depth
        means = Means(self.metrics, self.limiter, self.crew, self.journal, depth)
        if self.platform.serving.topology == "colocated":
            self.holder.start(settings.releases, poll_seconds=poll_seconds)
            return {model: Desk(model, self.holder, means) for model in models}
        addresses = settings.bento_addresses(models)
        self._bentos = Bentos(
            addresses,
            kind_of=self._kind_of,
            limits=self.platform.limits,
            is_queued=self.platform.serving.batching == "bentoml",
        )
        self.champions = self._bentos.holder
        self._bentos.holder.start(poll_seconds=poll_seconds)
        return {
            model: RemoteDesk(hop, self.champions, means)
            for model, hop in self._bentos.hops.items()
        }
