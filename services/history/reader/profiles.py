"""How inputs were distributed in training, as the artifacts that are at hand tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = "profile.json"


@dataclass(frozen=True)
class ReleasedProfiles:
    """Reads the profiles of the versions whose artifacts are on this disk.

    Parameters
    ----------
    folders
        Where artifacts are, by model and version; the first that has one counts.
    """

    folders: tuple[Path, ...]

    def __call__(self, model: str, version: str) -> Mapping[str, Any] | None:
        """Give the profiles of a version by input; nothing where its artifact is not at hand.

        Parameters
        ----------
        model, version
            Which one; empty where its training did not note any.
        """
        for folder in self.folders:
            place = folder / model / version
            if place.is_dir():
                return _noted(place / _FILE)
        return None


def _noted(path: Path) -> Mapping[str, Any]:
    try:
        noted: Mapping[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return noted
