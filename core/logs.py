"""Structured logs: one JSON line an event, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog


def configure_logs(level: str = "INFO") -> None:
    """Send every event as one JSON line to standard error.

    Parameters
    ----------
    level
        Least level that is written: DEBUG, INFO, WARNING or ERROR.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Give the logger of a module; ``name`` becomes the field ``module``."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(module=name))
