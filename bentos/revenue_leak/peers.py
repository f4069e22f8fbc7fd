"""What peers usually show: medians of a quantity by group, learned once, looked up from a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
# Keys of two features are packed into one int64: code x SPAN + code.
SPAN = 2**31


@dataclass(frozen=True)
class Standing:
    """What a row's peers show, and how sure that is; each array has shape ``(n,)``.

    Parameters
    ----------
    center
        Usual value of the finest group that is known.
    spread
        Standard deviation (robust) of a value round its group's center.
    doubt
        Standard deviation of ``center`` itself: large where few peers speak.
    count
        Peers that the finest group has.
    """

    center: FloatArray
    spread: FloatArray
    doubt: FloatArray
    count: FloatArray


@dataclass(frozen=True)
class Level:
    """One level of a chain: groups by one key, or by two together; at least one group.

    Parameters
    ----------
    features
        One or two category features that name the group.
    keys
        Shape ``(g,)``, sorted: the packed codes of the groups.
    center, spread, doubt, count
        Shape ``(g,)``: see ``Standing``; already shrunk towards the level above.
    usual
        Spread inside a group and difference between groups, as usual on this level: what is
        known of a group that was never seen.
    """

    features: tuple[str, ...]
    keys: IntArray
    center: FloatArray
    spread: FloatArray
    doubt: FloatArray
    count: FloatArray
    usual: tuple[float, float]

    def find(self, codes: Mapping[str, FloatArray]) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Give each row's group, and whether it is known."""
        wanted = pack([codes[name] for name in self.features])
        place = np.minimum(np.searchsorted(self.keys, wanted), self.keys.size - 1)
        return place, (self.keys[place] == wanted) & (wanted >= 0)


@dataclass(frozen=True)
class Chain:
    """Levels from coarse to fine; the finest that knows a row speaks for it.

    Parameters
    ----------
    root
        Center, spread, doubt and count over all rows.
    levels
        Coarsest first.
    """

    root: tuple[float, float, float, float]
    levels: tuple[Level, ...]

    def look_up(self, codes: Mapping[str, FloatArray], *, rows: int) -> Standing:
        """Give the standing of ``rows`` rows from the codes of their categories."""
        center, spread, doubt, count = (np.full(rows, value) for value in self.root)
        for level in self.levels:
            place, known = level.find(codes)
            usual_spread, usual_doubt = level.usual
            center = np.where(known, level.center[place], center)
            spread = np.where(known, level.spread[place], usual_spread)
            doubt = np.where(known, level.doubt[place], np.hypot(doubt, usual_doubt))
            count = np.where(known, level.count[place], 0.0)
        return Standing(center, spread, doubt, count)

    def to_arrays(self, prefix: str) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays from which ``from_arrays`` builds the same chain."""
        arrays: dict[str, npt.NDArray[np.generic]] = {f"{prefix}.root": np.array(self.root)}
        for i, level in enumerate(self.levels):
            arrays[f"{prefix}.{i}.keys"] = level.keys
            arrays[f"{prefix}.{i}.usual"] = np.array(level.usual)
            for name in ("center", "spread", "doubt", "count"):
                arrays[f"{prefix}.{i}.{name}"] = getattr(level, name)
        return arrays

    @classmethod
    def from_arrays(
        cls,
        prefix: str,
        *,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        features: Sequence[Sequence[str]],
    ) -> Chain:
        """Build the chain that ``to_arrays`` described; ``features`` names each level's keys."""
        levels = [
            Level(
                features=tuple(names),
                keys=arrays[f"{prefix}.{i}.keys"].astype(np.int64),
                usual=(
                    float(arrays[f"{prefix}.{i}.usual"][0]),
                    float(arrays[f"{prefix}.{i}.usual"][1]),
                ),
                **{
                    part: arrays[f"{prefix}.{i}.{part}"].astype(np.float64)
                    for part in ("center", "spread", "doubt", "count")
                },
            )
            for i, names in enumerate(features)
        ]
        center, spread, doubt, count = arrays[f"{prefix}.root"].astype(np.float64).tolist()
        return cls(root=(center, spread, doubt, count), levels=tuple(levels))


def pack(codes: Sequence[FloatArray]) -> IntArray:
    """Pack the codes of one or two categories into one key a row; -1 where one is missing."""
    if len(codes) == 1:
        return np.where(np.isnan(codes[0]), -1.0, codes[0]).astype(np.int64)
    known = np.logical_and.reduce([~np.isnan(code) for code in codes])
    packed = np.zeros(len(known), dtype=np.int64)
    for code in codes:
        packed = packed * SPAN + np.where(known, code, 0.0).astype(np.int64)
    return np.where(known, packed, -1)
