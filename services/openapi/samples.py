"""One instance of every error class, to be shown as its example."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from bentos.catalog import CATALOG, path_name
from core.errors import FieldProblem, SeptetError

INSTANCE = "01a208e3-aa18-7595-b18e-361f686aad6c"

_MISSING = FieldProblem("tenure_months", "is missing", "an integer from 0 to 1200 in months")
# Arguments bear the same meaning wherever they bear the same name.
_BY_NAME: Mapping[str, object] = {
    "backtest_id": "5b0a0f63-6c2f-4d8e-8c89-0f1d2e3c4b5a",
    "erasure_id": "0f1d2e3c4b5a6978a7b6c5d4e3f2a1b0",
    "prediction_id": INSTANCE,
    "most": 1_000,
    "seconds": 20.0,
    "address": "postgresql://records.example/septet",
    "allowed": ["revenue-leak", "pricing"],
    "detail": "The server failed on this request; the reason stands in its log.",
    "given": "text/plain",
    "held": "viewer",
    "host": "elsewhere.example",
    "key_id": "4fQ7hYb2LkTz",
    "known": [path_name(model) for model in CATALOG],
    "library": "lib_lightgbm.so",
    "limit": 6_000,
    "limit_bytes": 8_388_608,
    "limit_name": "requests",
    "limit_seconds": 20.0,
    "method": "GET",
    "model": "churn",
    "models": list(CATALOG),
    "name": "chrun",
    "needed": "analyst",
    "network": "203.0.113.7/32",
    "origin": "https://elsewhere.example",
    "path": "/api/nothing",
    "problems": [_MISSING],
    "reason": "there is no history for the series 'build-north'; send one of those in /models",
    "retry_seconds": 7,
    "rows": 5_001,
    "state": "revoked",
    "version": "3",
    "wait_seconds": 60.0,
    "what": "2,048 rows wait for churn.",
    "window_seconds": 60,
}
_BY_CLASS: Mapping[str, Mapping[str, object]] = {
    "AccessDenied": {"fault": "No API key was sent."},
    "BatchTooLarge": {"limit": 5_000},
    "HeaderInvalid": {
        "name": "Septet-Backfill-At",
        "fault": "is 'yesterday', no time with its zone",
        "allowed": "a past time with its zone since 2000 is allowed, such as 2026-03-01T09:00:00Z",
    },
    "HeadersTooLarge": {"limit_bytes": 32_768},
    "ExportsBusy": {"most": 2},
    "HistoryTooLarge": {"seconds": 15.0},
    "HistoryDown": {"address": "http://127.0.0.1:8802", "fault": "ClientConnectorError"},
    "ReleaseGone": {"fault": "MLflow has no artifact of it"},
    "ReplayImpossible": {"fault": "its input region is masked"},
    "BacktestsWaiting": {"most": 8},
    "ExportTooLarge": {"limit": 50_000},
    "HttpInvalid": {"fault": "Invalid HTTP request received."},
    "JsonInvalid": {"fault": "Trailing comma at line 1 column 9"},
    "MethodNotAllowed": {"allowed": ["POST"]},
    "ModelUnhealthy": {"fault": "ValueError"},
    "PathInvalid": {
        "name": "prediction_id",
        "fault": "is the text 'nothing'",
        "allowed": "it should be the prediction_id of an answer, a UUID of version 7",
    },
    "QueryInvalid": {
        "name": "explain",
        "fault": "is 'maybe'",
        "allowed": "true or false is allowed",
    },
    "TableInvalid": {
        "kind": "application/vnd.apache.parquet",
        "fault": "it is packed with ZSTD; use SNAPPY",
    },
    "TooManyAtOnce": {"limit": 64},
    "TooManyConnections": {"limit": 8_192},
}


def sample(kind: type[SeptetError]) -> SeptetError:
    """Build one instance of an error class.

    Parameters
    ----------
    kind
        The class; arguments that have a default keep it.
    """
    own = _BY_CLASS.get(kind.__name__, {})
    given: dict[str, Any] = {}
    ordered: list[Any] = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.default is not parameter.empty and name not in own:
            continue
        value = own[name] if name in own else _BY_NAME.get(name, _plain(parameter.annotation, name))
        if parameter.kind is parameter.KEYWORD_ONLY:
            given[name] = value
        else:
            ordered.append(value)
    return kind(*ordered, **given)


def _plain(annotation: object, name: str) -> object:
    """Give a value of an annotation, for an argument that has no sample yet."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if "Sequence" in text or "list" in text:
        return []
    return 1 if text.startswith(("int", "float")) else name.replace("_", " ")
