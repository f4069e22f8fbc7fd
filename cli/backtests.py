"""Waits for a backtest, as long as it gets on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cli.asking import Asker
from cli.exits import Exit
from core.errors import SeptetError

_LOOK_SECONDS = 1.0
# Longer than a part takes that is tried again three times, each at its limit.
_STILL_SECONDS = 600.0


class BacktestStill(SeptetError):
    """A backtest does not get on.

    Parameters
    ----------
    backtest_id
        Which.
    seconds
        For how long.
    """

    title = "The backtest does not get on"
    exit = Exit.PLATFORM_REFUSED

    def __init__(self, backtest_id: str, seconds: float) -> None:
        super().__init__(
            f"Nothing of the backtest {backtest_id} has changed for {seconds:g} seconds, so it is "
            "not waited for any longer. It may wait for others, of which one runs at a time: GET "
            f"/api/history/backtests/{backtest_id} tells how far it is. The historian's log says "
            "what else may be wrong."
        )


def wait_for(
    asker: Asker,
    page: dict[str, Any],
    *,
    show: Callable[[int], None],
    look_seconds: float = _LOOK_SECONDS,
    still_seconds: float = _STILL_SECONDS,
) -> dict[str, Any]:
    """Wait until a backtest has ended; give its last page.

    Parameters
    ----------
    asker
        Asks the platform.
    page
        As it was begun.
    show
        Is told how many rows were asked again.
    look_seconds
        How long between two looks.
    still_seconds
        How long it may stay as it is.

    Raises
    ------
    BacktestStill
        It does not get on.
    PlatformDown, PlatformRefused
        The platform does not say how far it is.
    """
    since_s = time.monotonic()
    while page["state"] == "running":
        time.sleep(look_seconds)
        last, page = page, asker.get(f"/api/history/backtests/{page['backtest_id']}")
        show(page["rows"])
        if page != last:
            since_s = time.monotonic()
        elif time.monotonic() - since_s > still_seconds:
            raise BacktestStill(page["backtest_id"], still_seconds)
    return page
