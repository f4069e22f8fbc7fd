"""Public holidays by country, for the years a release sees and answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ConfigError
from training.recipes.demand_series import Series

_KEY = "training.options.holidays_countries"


@dataclass(frozen=True)
class Calendars:
    """Holidays by country and name.

    Parameters
    ----------
    days
        Country -> name -> days since 1970.
    default
        The training's country; nothing without one.
    """

    days: Mapping[str, Mapping[str, frozenset[int]]]
    default: str | None

    @property
    def usual(self) -> Mapping[str, frozenset[int]]:
        """The training country's."""
        return self.days.get(self.default or "", {})


def calendars_of(countries: str, panel: Sequence[Series], horizon: int) -> Calendars:
    """Look the holidays up that concern the daily series of a panel.

    Parameters
    ----------
    countries
        ISO 3166 codes, comma between.
    panel
        All series.
    horizon
        Steps ahead that are answered.

    Raises
    ------
    ConfigError
        A country is not known.
    """
    codes = [code.strip().upper() for code in countries.split(",") if code.strip()]
    daily = [series for series in panel if series.kind.name == "day"]
    if not codes or not daily:
        return Calendars({code: {} for code in codes}, codes[0] if codes else None)
    from holidays import country_holidays  # noqa: PLC0415 - where there are daily series alone

    first = min(series.times[0] for series in daily).astype("datetime64[Y]").astype(int) + 1970
    last = max(series.times[-1] for series in daily).astype("datetime64[Y]").astype(int) + 1970
    years = range(int(first), int(last) + horizon // 365 + 3)
    days: dict[str, dict[str, frozenset[int]]] = {}
    for code in codes:
        try:
            found = country_holidays(code, years=years, language="en_US")
        except NotImplementedError as error:
            raise ConfigError(
                f"{code!r} is no country whose holidays are known", key=_KEY
            ) from error
        named: dict[str, set[int]] = defaultdict(set)
        for date, name in found.items():
            named[str(name)].add(int(np.datetime64(date, "D").astype(np.int64)))
        days[code] = {name: frozenset(found_days) for name, found_days in sorted(named.items())}
    return Calendars(days, codes[0])
