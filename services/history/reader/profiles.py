"""How inputs were distributed in training, as the released artifact tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentos.release import read_pointer

_FILE = "profile.json"


@dataclass(frozen=True)
class ReleasedProfiles:
    """Reads the profiles of what is released now.

    Parameters
    ----------
    releases
        Folder of the releases, by model and version.
    """

    releases: Path

    def __call__(self, model: str, feature: str) -> Mapping[str, Any] | None:
        """Give the profile of an input; nothing where training did not note it.

        Parameters
        ----------
        model, feature
            Their names.
        """
        folder = self.releases / model
        pointer = read_pointer(folder)
        if pointer is None:
            return None
        try:
            noted = json.loads((folder / pointer.version / _FILE).read_bytes())
        except FileNotFoundError:
            return None
        found: Mapping[str, Any] | None = noted.get(feature)
        return found
