"""The on-disk form of a trained model: a folder of text, JSON and arrays; never a pickle.

``manifest.json`` names every file with its SHA-256, and says what the model was trained on. It
holds nothing of the run (no time, no run id), so that the same data, seed and versions give the
same bytes. Who the artifact is in the registry stands beside it, in ``release.json``.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from core.config import ModelConfig, parse_model_config
from core.errors import ArtifactCorrupt, ConfigError

FORMAT = 1
MANIFEST = "manifest.json"
CONFIG = "config.json"
RELEASE = "release.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip needs a date; a fixed one keeps the bytes the same


class DataFacts(BaseModel):
    """What a model was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    source: str
    rows_train: int
    rows_calibration: int
    rows_test: int
    entities: int
    first: str | None
    last: str | None
    left_out: int


class Manifest(BaseModel):
    """What an artifact is, and the SHA-256 of each of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    model: str
    config_digest: str
    data: DataFacts
    seed: int
    versions: dict[str, str]
    metrics: dict[str, float]
    files: dict[str, str]


class Draft:
    """An artifact that is being written.

    Parameters
    ----------
    folder
        An empty folder, made when absent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def path(self, name: str) -> Path:
        """Path of a file of the artifact, for writers that need one."""
        return self.folder / _plain(name, str(self.folder))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, UTF-8."""
        self.path(name).write_bytes(text.encode())

    def write_json(self, name: str, content: object) -> None:
        """Write JSON with sorted keys; NaN and Infinity are refused."""
        self.write_text(name, dump_json(content))

    def write_arrays(self, name: str, **arrays: npt.ArrayLike) -> None:
        """Write arrays as ``.npz`` whose bytes depend on the content alone.

        Raises
        ------
        TypeError
            An array holds objects, which only a pickle could store.
        """
        with zipfile.ZipFile(self.path(name), "w", zipfile.ZIP_STORED) as archive:
            for key in sorted(arrays):
                array = np.ascontiguousarray(arrays[key])
                if array.dtype.hasobject:
                    raise TypeError(f"array {key!r} holds objects; write them as JSON")
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{key}.npy", _EPOCH), buffer.getvalue())

    def finish(
        self,
        config: ModelConfig,
        *,
        data: DataFacts,
        versions: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> Manifest:
        """Write the config and the manifest; call it last.

        Calling it again with other metrics replaces the manifest.
        """
        # In the config's own order: it is the order of the features in every template and page.
        content = config.model_dump(mode="json")
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        self.write_text(CONFIG, f"{text}\n")
        names = sorted(p.name for p in self.folder.iterdir() if p.name != MANIFEST)
        manifest = Manifest(
            format=FORMAT,
            model=config.model,
            config_digest=config.digest(),
            data=data,
            seed=config.training.seed,
            versions=dict(versions),
            metrics={key: float(value) for key, value in metrics.items()},
            files={name: sha256_of(self.folder / name) for name in names},
        )
        self.write_json(MANIFEST, manifest.model_dump(mode="json"))
        return manifest


@dataclass(frozen=True)
class Artifact:
    """A trained model on disk whose every byte was checked.

    Parameters
    ----------
    folder
        Where it lies.
    manifest
        What it says of itself.
    config
        The config it was trained with: the contract it answers.
    """

    folder: Path
    manifest: Manifest
    config: ModelConfig

    def path(self, name: str) -> Path:
        """Path of one of its files.

        Raises
        ------
        ArtifactCorrupt
            The manifest knows no such file.
        """
        if name not in self.manifest.files:
            raise ArtifactCorrupt(str(self.folder), f"it has no file {name!r}")
        return self.folder / name

    def read_text(self, name: str) -> str:
        """Read a text file."""
        return self.path(name).read_text(encoding="utf-8")

    def read_json(self, name: str) -> Any:
        """Read a JSON file."""
        return json.loads(self.read_text(name))

    def read_arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Read an ``.npz`` file."""
        with np.load(self.path(name), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}


def open_artifact(folder: Path) -> Artifact:
    """Open an artifact and check every file against its SHA-256.

    Raises
    ------
    ArtifactCorrupt
        A file is absent, changed, or not named in the manifest; or the manifest itself, or the
        config in it, does not hold.
    """
    where = str(folder)
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ArtifactCorrupt(where, f"{MANIFEST} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise ArtifactCorrupt(where, f"{MANIFEST} does not say what it must") from error
    if manifest.format != FORMAT:
        raise ArtifactCorrupt(where, f"its format is {manifest.format}, this reads {FORMAT}")
    _check_files(folder, manifest)
    try:
        config = parse_model_config(json.loads((folder / CONFIG).read_bytes()))
    except (ConfigError, ValueError, OSError) as error:
        raise ArtifactCorrupt(where, f"{CONFIG} is no valid config") from error
    if config.model != manifest.model or config.digest() != manifest.config_digest:
        raise ArtifactCorrupt(where, f"{CONFIG} is not the config it was trained with")
    return Artifact(folder=folder, manifest=manifest, config=config)


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the folder with the manifest, file by file."""
    present = {p.name for p in folder.iterdir()} - {MANIFEST, RELEASE}
    strangers = sorted(present - set(manifest.files))
    if strangers:
        raise ArtifactCorrupt(str(folder), f"it holds a file it does not name: {strangers[0]!r}")
    for name, digest in manifest.files.items():
        path = folder / _plain(name, str(folder))
        if not path.is_file() or path.is_symlink():
            raise ArtifactCorrupt(str(folder), f"the file {name!r} is missing")
        if sha256_of(path) != digest:
            raise ArtifactCorrupt(str(folder), f"the file {name!r} is not the one that was written")


def manifest_sha256(folder: Path) -> str:
    """SHA-256 of an artifact's manifest, which stands for the whole artifact."""
    return sha256_of(folder / MANIFEST)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dump_json(content: object) -> str:
    """Give JSON whose bytes depend on the content alone."""
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _plain(name: str, folder: str) -> str:
    """Refuse a file name that leads out of the artifact."""
    if not name or name != Path(name).name or name.startswith("."):
        raise ArtifactCorrupt(folder, f"{name!r} is not a plain file name")
    return name
