"""How BentoML runs every service of ours."""

from __future__ import annotations

from typing import Any

from bentos.border import BENTOML_TIMEOUT_SECONDS

# More than a batch has rows by default: BentoML's queue parts a longer one, counts the waiting of
# the parts, and then lets every lone request wait as long (50 ms were seen).
MAX_BATCH_SIZE = 1024
# BentoML drops what it thinks will be later than this: far above any real batch, so that only a
# stuck process sheds. The deadline that callers see is the border's.
MAX_LATENCY_MS = 5000


def service_options(*, workers: int = 1) -> dict[str, Any]:
    """Give the settings of ``bentoml.service``.

    Parameters
    ----------
    workers
        Serving processes.

    Its metrics write files a request and keep every path ever asked for; its tracing makes three
    spans a request that nobody collects; its access log writes paths as they come. All are off.
    """
    return {
        "workers": workers,
        "metrics": {"enabled": False},
        "tracing": {"excluded_urls": ".*"},
        "logging": {"access": {"enabled": False}},
        "traffic": {"timeout": BENTOML_TIMEOUT_SECONDS},
    }
