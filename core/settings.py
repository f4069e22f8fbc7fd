"""Settings from the environment: addresses, folders and secrets, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigError, nearest

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What an installation sets through ``SEPTET_*`` variables.

    Behaviour stands in ``configs/`` and is reviewed in git; here are only places and ports.
    """

    model_config = SettingsConfigDict(env_prefix="SEPTET_", frozen=True, extra="ignore")

    home: Path = Field(
        default=ROOT / ".septet", description="Folder of everything the platform writes."
    )
    configs: Path = Field(default=ROOT / "configs", description="Folder of the YAML files.")
    predictions: str | None = Field(
        default=None,
        description="Where the prediction log lies: a folder, or an address of fsspec such as "
        "s3://bucket/septet; predictions under the home folder when unset.",
    )
    tracking_uri: str | None = Field(
        default=None, description="MLflow's address; SQLite under the home folder when unset."
    )
    records_address: SecretStr | None = Field(
        default=None,
        description="Database of keys and audit, as SQLAlchemy writes it; SQLite under the home "
        "folder when unset. It may hold a password, so it is never printed.",
    )
    host: str = Field(default="127.0.0.1", description="Address the platform listens on.")
    port: int = Field(default=8800, ge=1, le=65535, description="Port of the platform.")
    workers: int = Field(default=1, ge=1, le=64, description="Serving processes of the platform.")
    limits_address: SecretStr | None = Field(
        default=None,
        description="Redis that counts the limits of several processes; memory when unset. It may "
        "hold a password, so it is never printed.",
    )
    traces_address: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where traces are sent, OTLP over HTTP; without it none are made.",
    )
    mlflow_port: int = Field(default=8801, ge=1, le=65535, description="Port of the MLflow UI.")
    history_address: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+$",
        description="Where the historian answers; on this machine when unset.",
    )
    history_host: str = Field(default="127.0.0.1", description="Address the historian listens on.")
    history_port: int = Field(default=8802, ge=1, le=65535, description="Port of the historian.")
    history_token: SecretStr | None = Field(
        default=None,
        description="What the platform shows the historian; made under the home folder when unset. "
        "It is never printed.",
    )
    bentos: str = Field(
        default="",
        description="Where each model's bento answers, in the topology distributed: "
        "churn=http://127.0.0.1:8811,pricing=http://…",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is logged."
    )

    @property
    def releases(self) -> Path:
        """Folder of the releases on disk, one sub-folder a model."""
        return self.home / "releases"

    @property
    def spool(self) -> Path:
        """Folder of the predictions that the worker has not moved yet."""
        return self.home / "spool"

    @property
    def predictions_place(self) -> Path | str:
        """Folder of the prediction log, or its address.

        Raises
        ------
        ConfigError
            The address holds a name or a password.
        """
        if not self.predictions:
            return self.home / "predictions"
        protocol, _, rest = self.predictions.rpartition("://")
        if protocol not in {"", "file"}:
            if "@" in rest.partition("/")[0]:
                raise ConfigError(
                    f"SEPTET_PREDICTIONS={protocol}://… has a name or a password in it. Give "
                    "them by the variables of what reads such addresses, for S3 AWS_ACCESS_KEY_ID "
                    "and AWS_SECRET_ACCESS_KEY"
                )
            return self.predictions
        return Path(rest).expanduser().resolve()

    @property
    def historian(self) -> str:
        """Address of the process that reads the log."""
        return self.history_address or f"http://127.0.0.1:{self.history_port}"

    @property
    def predictions_secret(self) -> Path:
        """File of the secret by which columns of the prediction log are hashed."""
        return self.home / "predictions-secret"

    @property
    def mlflow_folder(self) -> Path:
        """Folder of MLflow's own database and artifacts."""
        return self.home / "mlflow"

    @property
    def mlflow_address(self) -> str:
        """MLflow's tracking address, the embedded SQLite by default."""
        return self.tracking_uri or f"sqlite:///{self.mlflow_folder / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow's artifacts where its address is a database."""
        return self.mlflow_folder / "artifacts"

    @property
    def records_url(self) -> str:
        """Address of the records, the embedded SQLite by default; it may hold a password."""
        given = self.records_address
        return given.get_secret_value() if given else f"sqlite:///{self.home / 'records.db'}"

    @property
    def jobs_url(self) -> str:
        """Address of the jobs: beside the records on PostgreSQL, else a file of their own."""
        records = self.records_url
        return records if records.startswith("postgres") else f"sqlite:///{self.home / 'jobs.db'}"

    def shared_limits(self) -> str | None:
        """Give the address of the store that counts limits for all processes; nothing for one.

        Raises
        ------
        ConfigError
            Several processes would each count for themselves, or the address is none of Redis.
        """
        if self.limits_address is None:
            if self.workers > 1:
                raise ConfigError(
                    f"SEPTET_WORKERS={self.workers}, and each process would count the limits for "
                    "itself. Set SEPTET_LIMITS_ADDRESS=redis://host:6379/0, or SEPTET_WORKERS=1"
                )
            return None
        address = self.limits_address.get_secret_value()
        if not address.startswith(("redis://", "rediss://")):
            raise ConfigError("SEPTET_LIMITS_ADDRESS is no address like redis://host:6379/0")
        return address

    def bento_addresses(self, models: Sequence[str]) -> dict[str, str]:
        """Give where each model's bento answers.

        Parameters
        ----------
        models
            Names of the models; each needs an address.

        Returns
        -------
        dict
            Model to base URL, without a slash at its end.

        Raises
        ------
        ConfigError
            ``SEPTET_BENTOS`` names a model that there is not, leaves one out, names one twice, or
            has an address that is no plain HTTP one.
        """
        found: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in self.bentos.split(","))):
            model, _, address = (piece.strip() for piece in part.partition("="))
            if model not in models:
                known = ", ".join(models)
                raise ConfigError(
                    f"SEPTET_BENTOS names the model {model[:80]!r}, which there is not."
                    f"{nearest(model, models)} Models: {known}."
                )
            if model in found:
                raise ConfigError(f"SEPTET_BENTOS names {model} twice; leave one of them out.")
            found[model] = _checked_address(model, address)
        for model in models:
            if model not in found:
                raise ConfigError(
                    f"The topology is distributed, and SEPTET_BENTOS has no address of {model}; "
                    f"add {model}=http://host:port, with a comma between two models, or set "
                    "serving.topology to colocated in platform.yaml."
                )
        return found

    def model_config_path(self, model: str) -> Path:
        """Path of a model's YAML file."""
        return self.configs / "models" / f"{model}.yaml"

    @property
    def platform_config_path(self) -> Path:
        """Path of the platform's YAML file."""
        return self.configs / "platform.yaml"


def _checked_address(model: str, address: str) -> str:
    """Give an address back when a bento can be asked there."""
    # A password that should not be there is not to be shown either.
    shown = address.rpartition("@")[2][:120]
    fault = f"SEPTET_BENTOS gives {model} the address {shown!r}"
    fix = f"write {model}=http://host:port"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{fault}: {error}; {fix}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(f"{fault}, which is no http:// address; {fix}.")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{fault}, which has more than a host and a port; {fix}.")
    return f"{parts.scheme}://{parts.netloc}"


def load_settings() -> Settings:
    """Read the environment once.

    Raises
    ------
    ConfigError
        A variable has a value that is not allowed; the message names it.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "SEPTET_" + "_".join(str(p) for p in first["loc"]).upper()
        raise ConfigError(f"{name}={first.get('input')!r}: {first['msg']}.") from error
    return settings.model_copy(
        update={"home": settings.home.resolve(), "configs": settings.configs.resolve()}
    )
