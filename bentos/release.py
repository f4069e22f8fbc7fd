"""The champion of a model on disk: found by its pointer, checked, and made to answer once.

``$SEPTET_HOME/releases/<model>/champion.json`` points at a folder beside it, which holds an
artifact and its ``release.json``. Nothing is served that did not pass every check here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bentos.predictor import Predictor, RowPredictor
from core import clock
from core.artifact import RELEASE, Manifest, manifest_sha256, open_artifact
from core.contract import Contract
from core.errors import ArtifactCorrupt
from core.table import Form

POINTER = "champion.json"

# A version names a folder: no separators, no leading dot.
VersionName = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pointer(BaseModel):
    """Which version is the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: VersionName
    manifest_sha256: Digest


class Identity(BaseModel):
    """Who an artifact is in the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: VersionName
    run_id: str
    registered_at: AwareDatetime
    manifest_sha256: Digest


@dataclass(frozen=True)
class ReleaseFacts:
    """What is known of a release, whoever holds its artifact.

    Parameters
    ----------
    kind
        The predictor class of the model: its result, its ranking, its summary.
    contract
        Built from the artifact's own config, not from the file in ``configs/``: what is served is
        what was trained.
    manifest
        What the artifact says of itself.
    identity
        Who it is in the registry.
    loaded_at
        When the process that answers loaded it.
    """

    kind: type[Predictor]
    contract: Contract
    manifest: Manifest
    identity: Identity
    loaded_at: datetime

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.manifest.model

    @property
    def version(self) -> str:
        """Version in the registry."""
        return self.identity.version


@dataclass(frozen=True)
class Release(ReleaseFacts):
    """A checked artifact, ready to answer.

    Parameters
    ----------
    predictor
        Loaded from the artifact.
    """

    predictor: Predictor

    @cached_property
    def form(self) -> Form | None:
        """By which it can be asked in columns; nothing for a model that looks at whole rows."""
        kind = type(self.predictor)
        if not issubclass(kind, RowPredictor) or kind.check is not Predictor.check:
            return None
        return Form.of(self.contract) if kind.predict is RowPredictor.predict else None


def read_pointer(folder: Path) -> Pointer | None:
    """Read which version is the champion; nothing when there is none yet.

    Parameters
    ----------
    folder
        The model's folder under ``releases``.

    Raises
    ------
    ArtifactCorrupt
        The pointer stands there but cannot be understood.
    """
    path = folder / POINTER
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactCorrupt(
            str(folder), f"{POINTER} cannot be read ({error.strerror})"
        ) from error
    try:
        return Pointer.model_validate_json(content)
    except ValidationError as error:
        raise ArtifactCorrupt(str(folder), f"{POINTER} does not say what it must") from error


def open_release(folder: Path, *, pointer: Pointer, kind: type[Predictor]) -> Release:
    """Open one version of a model and check it to the bottom.

    Parameters
    ----------
    folder
        The version's own folder: an artifact with its ``release.json``.
    pointer
        What it must be.
    kind
        The predictor class of the model that is wanted.

    Raises
    ------
    ArtifactCorrupt
        A file was changed, the artifact is of another model or version, or it does not answer.
    """
    where = str(folder)
    identity = _read_identity(folder)
    artifact = open_artifact(folder)
    digest = manifest_sha256(folder)
    if digest != pointer.manifest_sha256 or digest != identity.manifest_sha256:
        raise ArtifactCorrupt(where, "its manifest is not the one that was registered")
    if identity.version != pointer.version:
        raise ArtifactCorrupt(
            where, f"it is version {identity.version}, not the champion {pointer.version}"
        )
    for name in (artifact.manifest.model, identity.model):
        if name != kind.MODEL:
            raise ArtifactCorrupt(where, f"it is a model of {name!r}, not of {kind.MODEL!r}")
    try:
        release = Release(
            kind=kind,
            predictor=kind(artifact),
            contract=Contract(artifact.config, kind.TASKS),
            manifest=artifact.manifest,
            identity=identity,
            loaded_at=clock.now(),
        )
        self_prediction(release)
    except ArtifactCorrupt:
        raise
    except Exception as error:
        raise ArtifactCorrupt(
            where, f"it does not answer its own example ({type(error).__name__}: {error})"
        ) from error
    return release


def self_prediction(release: Release) -> dict[str, Any]:
    """Let a release answer the example of its own contract, and check the answer.

    Returns
    -------
    dict
        The fields of the predictor's result, as they were answered.

    Raises
    ------
    ArtifactCorrupt
        The answer is not one that the model may give.
    """
    row = release.contract.parse_row(release.contract.example())
    release.predictor.check(row)
    [answer] = release.predictor.predict([row])
    result: dict[str, Any] = answer["result"]
    try:
        release.predictor.RESULT.model_validate(result)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ArtifactCorrupt(
            str(release.predictor.artifact.folder),
            f"its answer to its own example is out of range ({place}: {first['msg']})",
        ) from error
    return result


def _read_identity(folder: Path) -> Identity:
    """Read ``release.json``."""
    try:
        return Identity.model_validate_json((folder / RELEASE).read_bytes())
    except OSError as error:
        raise ArtifactCorrupt(
            str(folder), f"{RELEASE} cannot be read ({error.strerror})"
        ) from error
    except ValidationError as error:
        raise ArtifactCorrupt(str(folder), f"{RELEASE} does not say what it must") from error
