"""What the platform counts of itself, in the form Prometheus reads.

Labels are bounded: templates of routes, never paths; classes of status, never what a caller sent.
Under BentoML every process counts into files of one folder, so that ``/metrics`` of any of them
tells of all; they start from nothing with the server. No disk that is full ends a process that
counts (``services.count_files``).
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from services.count_files import CountFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bentos.release import ReleaseFacts

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLD_SECONDS = 0.5
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Exchanges:
    """Exchanges of one kind that were counted since the last fold."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_SECONDS) + 1)


class Batches:
    """Batches of single rows of one release that were computed since the last fold."""

    __slots__ = ("answered", "buckets", "refused")

    def __init__(self) -> None:
        self.answered = 0
        self.refused = 0
        self.buckets = [0] * (len(_ROWS) + 1)


class Metrics:
    """Counts requests, answers, batches and refusals of one process.

    Parameters
    ----------
    models
        Names of the models that are served.
    """

    def __init__(self, models: Sequence[str]) -> None:
        # Before the first count, which makes the first file.
        self._files = CountFiles()
        self._registry = CollectorRegistry()
        self._declared: list[tuple[type[object], str, tuple[str, ...]]] = []
        self._requests = self._counter(
            "septet_requests", "Requests answered.", "route", "method", "status", "tier"
        )
        self._seconds = self._histogram(
            "septet_request_seconds",
            "Seconds from the first byte read to the last one written.",
            "route",
            buckets=_SECONDS,
        )
        self._predictions = self._counter(
            "septet_predictions", "Rows answered or refused.", "model", "version", "outcome"
        )
        self._batches = self._histogram(
            "septet_batch_rows", "Rows that were computed together.", "model", buckets=_ROWS
        )
        self._limited = self._counter(
            "septet_limited", "Requests refused by a limit.", "limit", "tier"
        )
        self._waiting = self._gauge("septet_waiting_rows", "Rows that wait.", "model")
        self._under_way = self._gauge("septet_requests_under_way", "Requests being answered.")
        self.connections_waiting = self._gauge(
            "septet_waiting_connections", "Connections whose request was not looked at yet."
        )
        self.shed = self._gauge(
            "septet_shed", "Requests refused unread since the start, for too many waited."
        )
        self.limiter_degraded = self._gauge(
            "septet_limiter_degraded", "1 while the shared store of the limits is not reached."
        )
        self.records_stale = self._gauge(
            "septet_records_stale", "1 while the database of the keys is not reached."
        )
        self.audit_dropped = self._gauge(
            "septet_audit_dropped", "Entries of the audit that were lost since the start."
        )
        self.lines_dropped = self._gauge(
            "septet_access_log_dropped", "Lines of the access log that were lost."
        )
        self.spool_bytes = self._gauge(
            "septet_spool_bytes",
            "Bytes of predictions that the worker has not moved yet.",
            of="max",
        )
        self.spool_lag_seconds = self._gauge(
            "septet_spool_lag_seconds",
            "Seconds that the oldest of them has waited for the worker.",
            of="max",
        )
        self.spool_full = self._gauge(
            "septet_spool_full", "1 while there is no room for another prediction.", of="max"
        )
        self.spool_dropped = self._gauge(
            "septet_spool_dropped", "Records that were not kept since the start."
        )
        self.set_aside = self._gauge(
            "septet_history_set_aside",
            "Files of the spool and of the log that could not be read.",
            of="max",
        )
        self.erasing_seconds = self._gauge(
            "septet_history_erasing_seconds",
            "Seconds since the oldest erasure was asked that is not done.",
            of="max",
        )
        # Counted in plain numbers first: files are written twice a second, not per request.
        self._open: dict[tuple[str, str, int, str], Exchanges] = {}
        self._open_batches: dict[tuple[str, str], Batches] = {}
        self._is_armed = False
        self._by_version: dict[tuple[str, str, str], Counter] = {}
        self._by_model = {model: self._batches.labels(model) for model in models}
        self._waiting_of = {model: self._waiting.labels(model) for model in models}

    def exchanged(self, *, route: str, method: str, status: int, tier: str, seconds: float) -> None:
        """Count one exchange.

        Parameters
        ----------
        route
            Template of the route, or ``unmatched``.
        method
            HTTP method; any but the usual ones counts as ``other``.
        status
            HTTP status; its class is what is counted.
        tier
            Of the caller; empty for one who was not let in.
        seconds
            How long it took.
        """
        key = (route, method, status // 100, tier)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Exchanges()
            self._arm()
        found.count += 1
        found.seconds += seconds
        found.buckets[bisect_left(_SECONDS, seconds)] += 1

    def fold(self) -> None:
        """Move what was counted in plain numbers to where Prometheus reads it."""
        self._is_armed = False
        done, self._open = self._open, {}
        for (route, method, status, tier), found in done.items():
            known = method if method in _METHODS else "other"
            self._requests.labels(route, known, f"{status}xx", tier).inc(found.count)
            _add(self._seconds.labels(route), found.seconds, found.buckets)
        batches, self._open_batches = self._open_batches, {}
        for (model, version), batch in batches.items():
            _add(self._by_model[model], batch.answered + batch.refused, batch.buckets)
            self.answered(model, version, batch.answered)
            self.refused(model, version, batch.refused)

    def _arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            asyncio.get_running_loop().call_later(FOLD_SECONDS, self.fold)

    def answered(self, model: str, version: str, rows: int) -> None:
        """Count rows that were answered."""
        if not rows:
            return
        self._outcome(model, version, "answered").inc(rows)

    def refused(self, model: str, version: str, rows: int) -> None:
        """Count rows of a batch that were refused."""
        if rows:
            self._outcome(model, version, "refused").inc(rows)

    def limited(self, limit: str, tier: str) -> None:
        """Count a request that a limit refused."""
        self._limited.labels(limit, tier).inc()

    def computed(self, release: ReleaseFacts, answered: int, refused: int) -> None:
        """Count single rows that were computed together."""
        key = (release.model, release.version)
        found = self._open_batches.get(key)
        if found is None:
            found = self._open_batches[key] = Batches()
            self._arm()
        found.answered += answered
        found.refused += refused
        found.buckets[bisect_left(_ROWS, answered + refused)] += 1

    def settle(self) -> None:
        """Say in the log when a disk has no room for what is counted, and when it has again."""
        self._files.settle()

    def page(self, *, waiting: dict[str, int], under_way: int) -> bytes:
        """Give all counts in Prometheus' text form.

        Parameters
        ----------
        waiting
            Rows that wait, by model.
        under_way
            Requests being answered in this process.
        """
        self.fold()
        for model, rows in waiting.items():
            self._waiting_of[model].set(rows)
        self._under_way.set(under_way)
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = self._files.collect()
        return generate_latest(registry)

    @property
    def series(self) -> dict[str, set[str]]:
        """Labels of every series that may appear, by which dashboard and alerts are checked."""
        found: dict[str, set[str]] = {}
        for kind, name, labels in self._declared:
            if kind is Histogram:
                found |= {f"{name}_bucket": {*labels, "le"}}
                found |= {f"{name}_sum": set(labels), f"{name}_count": set(labels)}
            else:
                found[f"{name}_total" if kind is Counter else name] = set(labels)
        return found

    def _outcome(self, model: str, version: str, outcome: str) -> Counter:
        key = (model, version, outcome)
        counter = self._by_version.get(key)
        if counter is None:
            counter = self._by_version[key] = self._predictions.labels(*key)
        return counter

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._declared.append((Counter, name, labels))
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: Sequence[float]) -> Histogram:
        self._declared.append((Histogram, name, labels))
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def _gauge(
        self, name: str, text: str, *labels: str, of: Literal["sum", "max"] = "sum"
    ) -> Gauge:
        """Declare a gauge; of several processes their sum is told, or the largest."""
        self._declared.append((Gauge, name, labels))
        mode: Literal["livesum", "livemax"] = "livemax" if of == "max" else "livesum"
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=mode)


def _add(histogram: Histogram, total: float, buckets: Sequence[int]) -> None:
    """Add what was counted: the library observes one value at a time only, by these parts."""
    histogram._sum.inc(total)  # noqa: SLF001
    for bucket, count in zip(histogram._buckets, buckets, strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
