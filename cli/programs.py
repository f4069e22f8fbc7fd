"""What `septet up` runs: the platform, the worker, MLflow's page, and the first training."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from bentos.catalog import path_name, service_of
from cli.processes import Program
from core.settings import ROOT, Settings

PLATFORM = "platform"
WORKER = "worker"
HISTORIAN = "historian"
# A bento asks for no key, and MLflow has no sign-in of its own here (whoever reaches it may move a
# champion): only this machine is to reach them.
INNER_HOST = "127.0.0.1"
MLFLOW = "MLflow page"
TRAINING = "training"


def platform(settings: Settings) -> Program:
    """Give the composite service, which answers HTTP."""
    bentoml = [sys.executable, "-m", "bentoml", "serve", "services.platform:Platform"]
    return Program(
        name=PLATFORM,
        command=[*bentoml, "--host", settings.host, "--port", str(settings.port)],
        log=settings.home / "logs" / "platform.log",
        environment=_environment(settings),
        folder=ROOT,
    )


def bento(settings: Settings, model: str, *, port: int) -> Program:
    """Give the bento of one model, which the platform asks in the topology distributed."""
    command = [sys.executable, "-m", "bentoml", "serve", service_of(model)]
    return Program(
        name=bento_name(model),
        command=[*command, "--host", INNER_HOST, "--port", str(port)],
        log=settings.home / "logs" / f"bento-{path_name(model)}.log",
        environment=_environment(settings)
        | {"BENTOML_HOME": str(settings.home / f"bentoml-{path_name(model)}")},
        folder=ROOT,
    )


def bento_name(model: str) -> str:
    """Give what a person calls a model's bento."""
    return f"{model} bento"


def worker(settings: Settings) -> Program:
    """Give the worker, which brings releases from MLflow to the disk."""
    return Program(
        name=WORKER,
        command=[sys.executable, "-m", "services.worker"],
        log=settings.home / "logs" / "worker.log",
        environment=_environment(settings),
        folder=ROOT,
    )


def historian(settings: Settings) -> Program:
    """Give the historian, which reads the prediction log for the platform."""
    return Program(
        name=HISTORIAN,
        command=[sys.executable, "-m", "services.history.historian"],
        log=settings.home / "logs" / "historian.log",
        environment=_environment(settings),
        folder=ROOT,
        is_spare=True,
    )


def mlflow_page(settings: Settings) -> Program:
    """Give MLflow's server, for its page; one worker and no job runner: that halves its memory."""
    artifacts = (settings.mlflow_folder / "artifacts").as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", INNER_HOST, "--port", str(settings.mlflow_port)]
    command += ["--backend-store-uri", settings.mlflow_address]
    command += ["--default-artifact-root", artifacts]
    return Program(
        name=MLFLOW,
        command=command,
        log=settings.home / "logs" / "mlflow.log",
        environment=_environment(settings) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        folder=settings.mlflow_folder,
    )


def training(settings: Settings, models: Sequence[str], *, number: int) -> Program:
    """Give one of the processes that train what has no champion; it tells how it goes.

    Parameters
    ----------
    settings
        Where things lie.
    models
        Names of the models that this process trains, one after the other.
    number
        Which of the processes it is, from 1.
    """
    return Program(
        name=f"{TRAINING} {number}",
        command=[sys.executable, "-m", "cli.first_training", str(number), *models],
        log=settings.home / "logs" / f"training-{number}.log",
        environment=_environment(settings),
        folder=ROOT,
        is_task=True,
    )


def _environment(settings: Settings) -> dict[str, str]:
    """Give what every program finds in its environment, on top of our own."""
    return {
        "SEPTET_HOME": str(settings.home),
        "SEPTET_CONFIGS": str(settings.configs),
        "SEPTET_PORT": str(settings.port),
        "SEPTET_HISTORY_PORT": str(settings.history_port),
        "SEPTET_BENTOS": settings.bentos,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *_inherited_path()]),
        "PYTHONUNBUFFERED": "1",
        # BentoML empties folders of its home when it starts: it must share it with nobody.
        "BENTOML_HOME": str(settings.home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # No proxy is trusted to say who the caller is until one is named.
        "FORWARDED_ALLOW_IPS": "",
    }


def _inherited_path() -> list[str]:
    """Give what the user added to Python's path."""
    given = os.environ.get("PYTHONPATH")
    return given.split(os.pathsep) if given else []
