"""Runs, versions and aliases in MLflow; the only module that imports mlflow.

An artifact's identity is the SHA-256 of its manifest, kept as a tag of the version: what comes
down is compared with it, so that nobody's artifact passes for ours.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from core import clock
from core.artifact import manifest_sha256, open_artifact
from core.errors import ArtifactCorrupt, NotFound, RegistryDown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST_TAG = "septet.manifest_sha256"
REFUSED_TAG = "septet.refused"
FACTS_TAG = "septet.facts"
GATE_TAG = "septet.gate"
_ARTIFACT = "artifact"
_SQLITE = "sqlite:///"
_SERVERS = ("http://", "https://")
_PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Version:
    """A registered version of a model.

    Parameters
    ----------
    model
        Name of the model.
    version
        Its number in the registry, as text.
    run_id
        The run that trained it.
    registered_at
        When it was registered, UTC.
    digest
        SHA-256 of its manifest, where it was registered by us.
    aliases
        The aliases it bears.
    facts
        Data, config and library digests: equal facts need no new training.
    refused
        Why it is not served, if it was refused.
    """

    model: str
    version: str
    run_id: str
    registered_at: datetime
    digest: str | None
    aliases: tuple[str, ...]
    facts: str | None
    refused: str | None


@dataclass(frozen=True)
class RunRecord:
    """What a training run leaves behind.

    Parameters
    ----------
    params, metrics, tags
        Plain names and values.
    artifact
        Folder of the finished artifact.
    figures
        PNG files by name, under a folder.
    texts
        Further texts by file name, such as the quality report.
    """

    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifact: Path
    figures: Path
    texts: Mapping[str, str]


class Registry:
    """MLflow behind the few verbs the platform needs.

    Failure policy: every verb raises ``RegistryDown`` when MLflow does not answer, within ten
    seconds for a remote address, and leaves what is on disk alone.

    Parameters
    ----------
    address
        Tracking address: ``sqlite:///…``, ``postgresql://…`` or ``http://…``.
    artifacts
        Folder of the artifacts where the address is a database; beside an SQLite file when not
        given. A tracking server has a store of its own.
    """

    def __init__(self, address: str, *, artifacts: Path | None = None) -> None:
        # MLflow would ask for psycopg2; psycopg is what Septet installs.
        plain = "postgresql://"
        if address.startswith(plain):
            address = f"postgresql+psycopg://{address.removeprefix(plain)}"
        self.address = address
        self._artifacts = artifacts
        self._client_: MlflowClient | None = None

    def champion(self, model: str) -> Version | None:
        """Give the version that bears the alias champion, if any does.

        Raises
        ------
        RegistryDown
            MLflow does not answer.
        """
        return self.by_alias(model, CHAMPION)

    def by_alias(self, model: str, alias: str) -> Version | None:
        """Give the version that bears an alias, if any does."""
        with self._answering() as client:
            found = _or_none(lambda: client.get_model_version_by_alias(model, alias))
        return None if found is None else _version(found)

    def versions(self, model: str) -> list[Version]:
        """Give all versions of a model, the newest first."""
        with self._answering() as client:
            registered = _or_none(lambda: client.get_registered_model(model))
            if registered is None:
                return []
            found = client.search_model_versions(f"name='{model}'", max_results=1000)
        by_alias: dict[str, list[str]] = {}
        for alias, number in registered.aliases.items():
            by_alias.setdefault(str(number), []).append(alias)
        versions = [_version(v, aliases=by_alias.get(str(v.version), [])) for v in found]
        return sorted(versions, key=lambda version: -int(version.version))

    def register(self, model: str, record: RunRecord) -> Version:
        """Log a run and register its artifact as the challenger.

        Parameters
        ----------
        model
            Name of the model; its experiment bears the same name.
        record
            What the run leaves behind.
        """
        with self._answering() as client:
            run = client.create_run(self._experiment(client, model), tags=dict(record.tags))
            run_id = run.info.run_id
            status = "FAILED"
            try:
                self._log(client, run_id, record)
                source = f"{run.info.artifact_uri}/{_ARTIFACT}"
                number = self._create_version(client, model, record, source=source, run_id=run_id)
                client.set_registered_model_alias(model, CHALLENGER, number)
                status = "FINISHED"
            finally:
                client.set_terminated(run_id, status)
            return _version(client.get_model_version(model, number))

    def promote(self, model: str, version: str) -> None:
        """Make a version the champion; the old champion becomes previous."""
        with self._answering() as client:
            before = _or_none(lambda: client.get_model_version_by_alias(model, CHAMPION))
            if before is not None and str(before.version) != version:
                client.set_registered_model_alias(model, PREVIOUS, before.version)
            client.set_registered_model_alias(model, CHAMPION, version)
            challenger = _or_none(lambda: client.get_model_version_by_alias(model, CHALLENGER))
            if challenger is not None and str(challenger.version) == version:
                client.delete_registered_model_alias(model, CHALLENGER)

    def note_verdict(self, version: Version, *, summary: str, checks: str) -> None:
        """Write the gate's verdict on a version and its run, where people look.

        Parameters
        ----------
        version
            The challenger.
        summary
            What failed, or that nothing did.
        checks
            Every check with its figure and limit, as JSON.
        """
        with self._answering() as client:
            client.set_model_version_tag(version.model, version.version, GATE_TAG, summary)
            client.set_tag(version.run_id, GATE_TAG, summary)
            client.set_tag(version.run_id, f"{GATE_TAG}.checks", checks)

    def download(self, model: str, version: str, folder: Path) -> None:
        """Copy a version's artifact into an empty folder and check it.

        Raises
        ------
        ArtifactCorrupt
            The artifact is damaged, or was not registered by this platform.
        NotFound
            There is no such version.
        RegistryDown
            MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            found = _or_none(lambda: client.get_model_version(model, version))
            if found is None:
                raise NotFound(f"{model} has no version {version}. See `septet models`.")
            where = f"{model} version {version}"
            digest = found.tags.get(DIGEST_TAG)
            if digest is None:
                raise ArtifactCorrupt(where, "it was not registered by this platform")
            source = client.get_model_version_download_uri(model, version)
            try:
                self._fetch(source, folder)
            except (MlflowException, OSError) as error:
                reason = str(error).splitlines()[0]
                raise ArtifactCorrupt(where, f"its files cannot be read ({reason})") from error
        if not (folder / "manifest.json").is_file() or manifest_sha256(folder) != digest:
            raise ArtifactCorrupt(where, "its manifest is not the one that was registered")
        open_artifact(folder)

    def mark_refused(self, model: str, version: str, reason: str) -> None:
        """Note on a version why it is not served."""
        with self._answering() as client:
            text = f"{clock.now().isoformat(timespec='seconds')} {reason}"
            client.set_model_version_tag(model, version, REFUSED_TAG, text)

    def _fetch(self, source: str, folder: Path) -> None:
        """Copy every file of an artifact's address into a folder, without symbolic links."""
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as temporary:
            place = Path(
                download_artifacts(
                    artifact_uri=source, dst_path=temporary, tracking_uri=self.address
                )
            )
            if not place.is_dir():
                raise OSError(f"{source} is no folder")
            shutil.copytree(place, folder, dirs_exist_ok=True, symlinks=True)

    def _experiment(self, client: MlflowClient, model: str) -> str:
        """Give the model's experiment, made when it was not yet."""
        found = client.get_experiment_by_name(model)
        if found is None:
            # Another process may make it at the same moment.
            _or_none(
                lambda: client.create_experiment(model, artifact_location=self._location(model)),
                also="RESOURCE_ALREADY_EXISTS",
            )
            found = client.get_experiment_by_name(model)
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        number: str = found.experiment_id
        return number

    def _location(self, model: str) -> str | None:
        """Say where an experiment's artifacts lie; a tracking server says so itself."""
        if self.address.startswith(_SERVERS):
            return None
        folder = self._artifacts
        if folder is None and self.address.startswith(_SQLITE):
            folder = Path(self.address.removeprefix(_SQLITE)).parent / "artifacts"
        return None if folder is None else (folder.resolve() / model).as_uri()

    def _create_version(
        self, client: MlflowClient, model: str, record: RunRecord, *, source: str, run_id: str
    ) -> str:
        _or_none(lambda: client.create_registered_model(model), also="RESOURCE_ALREADY_EXISTS")
        created = client.create_model_version(
            model,
            source=source,
            run_id=run_id,
            tags={
                DIGEST_TAG: manifest_sha256(record.artifact),
                FACTS_TAG: record.tags.get(FACTS_TAG, ""),
            },
        )
        return str(created.version)

    def _log(self, client: MlflowClient, run_id: str, record: RunRecord) -> None:
        from mlflow.entities import Metric, Param

        moment = int(clock.now().timestamp() * 1000)
        metrics = [Metric(key, value, moment, 0) for key, value in record.metrics.items()]
        params = [Param(key, str(value)[:500]) for key, value in record.params.items()]
        client.log_batch(run_id, metrics=metrics, params=params)
        client.log_artifacts(run_id, str(record.artifact), _ARTIFACT)
        client.log_artifacts(run_id, str(record.figures), "figures")
        for name, text in record.texts.items():
            client.log_text(run_id, text, name)

    def _client(self) -> MlflowClient:
        if self._client_ is None:
            # A remote address that hangs must not hang the worker with it.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_PATIENCE_SECONDS))
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            for name in ("alembic", "mlflow"):
                logging.getLogger(name).setLevel(logging.ERROR)
            from mlflow import MlflowClient

            if self.address.startswith(_SQLITE):
                file = Path(self.address.removeprefix(_SQLITE))
                file.parent.mkdir(parents=True, exist_ok=True)
            if not self.address.startswith(_SERVERS):
                _reach(self.address)
            self._client_ = MlflowClient(tracking_uri=self.address, registry_uri=self.address)
        return self._client_

    @contextmanager
    def _answering(self) -> Iterator[MlflowClient]:
        """Turn whatever says that MLflow does not answer into ``RegistryDown``."""
        from mlflow.exceptions import MlflowException

        try:
            yield self._client()
        except (MlflowException, SQLAlchemyError, ConnectionError, PermissionError) as error:
            fault = str(error).strip().splitlines()[0][:200]
            password = sqlalchemy.make_url(self.address).password
            if password:
                fault = fault.replace(str(password), "***")
            raise RegistryDown(_without_password(self.address), fault) from error


def _reach(address: str) -> None:
    """Ask a database once: MLflow would ask again and again for a minute and a half."""
    url = sqlalchemy.make_url(address)
    networked = url.get_backend_name() != "sqlite" and "connect_timeout" not in url.query
    patience = {"connect_timeout": _PATIENCE_SECONDS} if networked else {}
    engine = sqlalchemy.create_engine(url, connect_args=patience)
    try:
        sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _or_none(ask: Callable[[], Any], *, also: str = "RESOURCE_DOES_NOT_EXIST") -> Any:
    """Give what MLflow answers, or nothing where it says that there is none."""
    from mlflow.exceptions import MlflowException

    # A missing alias is an invalid parameter to the SQL store, and not found to the server.
    absent = {also, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
    try:
        return ask()
    except MlflowException as error:
        if error.error_code in absent:
            return None
        raise


def _version(found: ModelVersion, *, aliases: list[str] | None = None) -> Version:
    borne = found.aliases if aliases is None else aliases
    return Version(
        model=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        registered_at=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
        digest=found.tags.get(DIGEST_TAG),
        aliases=tuple(sorted(borne or ())),
        facts=found.tags.get(FACTS_TAG),
        refused=found.tags.get(REFUSED_TAG),
    )


def _without_password(address: str) -> str:
    return str(sqlalchemy.make_url(address).render_as_string(hide_password=True))
