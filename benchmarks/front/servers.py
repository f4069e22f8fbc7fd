"""What each server is: how it is started, what it is asked, and where its number stands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.front.environments import RIVALS, python_of
from benchmarks.front.model import NAMES, Bench, write_churn_release
from benchmarks.front.own import churn, churn_over_a_hop, one_process, two_processes
from benchmarks.front.ready import Ready, bentoml_home, plain
from core.settings import ROOT

Row = Sequence[float]


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Parameters
    ----------
    name
        As ``--only`` takes it.
    title
        As the table says it.
    path
        Where one row is posted.
    body
        Gives the body of one row.
    read
        Finds the number in the answer.
    prepare
        Installs and writes what it needs in a folder of its own.
    model
        ``booster``, or ``churn`` for the product's own.
    """

    name: str
    title: str
    path: str
    body: Callable[[Row], dict[str, Any]]
    read: Callable[[Any], float]
    prepare: Callable[[Bench, Path], Ready]
    model: str = "booster"


def _named(row: Row) -> dict[str, Any]:
    return {"client_id": "c17", **dict(zip(NAMES, row, strict=True))}


def _tensor(row: Row) -> dict[str, Any]:
    """Give a row in the V2 protocol."""
    values = list(row)
    return {"inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP64", "data": values}]}


def _churn_row(row: Row) -> dict[str, Any]:
    """Give a row of the product's synthetic churn model: 15 numbers and 5 categories."""
    numbers = {f"number_{i}": value for i, value in enumerate(row[:15])}
    levels = ("alpha", "beta", "gamma", "delta", "epsilon")
    picks = {f"category_{i}": levels[int(abs(value) * 1e4) % 5] for i, value in enumerate(row[15:])}
    return {"client_id": "c17", **numbers, **picks}


def _python(rival: str) -> Path:
    return python_of(rival, ROOT / ".septet" / "bench")


def _uvicorn(module: str, python: Path) -> list[str]:
    return [
        str(python), "-m", "uvicorn", module, "--host", "127.0.0.1", "--port", "{port}",
        "--workers", "1", "--loop", "uvloop", "--http", "httptools", "--no-access-log",
        "--log-level", "warning",
    ]  # fmt: skip


def _fastapi(bench: Bench, _: Path) -> Ready:
    command = _uvicorn("fastapi_bare:app", _python("fastapi"))
    return Ready(command, plain(bench) | {"PYTHONPATH": str(RIVALS)})


def _fastapi_churn(bench: Bench, folder: Path) -> Ready:
    home = folder / "septet"
    write_churn_release(bench, home)
    paths = {"PYTHONPATH": f"{RIVALS}{os.pathsep}{ROOT}", "SEPTET_HOME": str(home)}
    return Ready(_uvicorn("fastapi_churn:app", _python("fastapi")), plain(bench) | paths)


def _bentoml(service: str) -> Callable[[Bench, Path], Ready]:
    def prepare(bench: Bench, folder: Path) -> Ready:
        tool = _python("bentoml").with_name("bentoml")
        command = [
            str(tool), "serve", f"bentoml_stock:{service}", "--host", "127.0.0.1", "--port",
            "{port}", "--working-dir", str(RIVALS),
        ]  # fmt: skip
        return Ready(command, plain(bench) | bentoml_home(folder))

    return prepare


def _mlserver(workers: int) -> Callable[[Bench, Path], Ready]:
    return lambda bench, folder: _mlserver_with(workers, bench, folder)


def _mlserver_with(workers: int, bench: Bench, folder: Path) -> Ready:
    settings = {
        "debug": False, "host": "127.0.0.1", "parallel_workers": workers,
        "metrics_endpoint": None, "gzip_enabled": False, "kafka_enabled": False,
    }  # fmt: skip
    model = {
        "name": "booster",
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "max_batch_size": 32,
        "max_batch_time": 0.002,
        "parameters": {"uri": str(bench.booster_file)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    tool = _python("mlserver").with_name("mlserver")
    variables = {
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": "0",
        "MLSERVER_LOGGING_SETTINGS": str(_quiet(folder)),
    }
    return Ready([str(tool), "start", str(folder)], plain(bench) | variables)


def _quiet(folder: Path) -> Path:
    """Write a logging configuration that says only what goes wrong."""
    path = folder / "logging.json"
    content = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"level": "WARNING", "handlers": ["console"]},
    }
    path.write_text(json.dumps(content))
    return path


def _litserve(bench: Bench, _: Path) -> Ready:
    command = [str(_python("litserve")), str(RIVALS / "litserve_server.py")]
    return Ready(command, plain(bench) | {"PORT": "{port}"})


def _mlflow(bench: Bench, folder: Path) -> Ready:
    python = _python("mlflow")
    saved = folder / "model"
    if not saved.exists():
        command = [str(python), str(RIVALS / "mlflow_save.py"), str(saved)]
        environment = {**os.environ, **plain(bench)}
        subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True)  # noqa: S603 - our own
    command = [
        str(python.with_name("mlflow")), "models", "serve", "-m", str(saved), "-h", "127.0.0.1",
        "-p", "{port}", "-w", "1", "--env-manager", "local",
    ]  # fmt: skip
    variables = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "UVICORN_ACCESS_LOG": "0",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    return Ready(command, plain(bench) | variables)


def _ray(bench: Bench, folder: Path) -> Ready:
    # Its sockets lie in its folder, and the path of a socket may be 107 signs long at most.
    short = Path("/tmp") / f"septet-ray-{os.getuid()}"  # noqa: S108 - see above
    variables = {
        "PORT": "{port}",
        "RAY_TEMP": str(short),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "HOME": str(folder),
    }
    command = [str(_python("ray")), str(RIVALS / "ray_server.py")]
    return Ready(command, plain(bench) | variables)


SERVERS = (
    Server(
        "fastapi", "bare FastAPI handler", "/predict", _named,
        lambda answer: answer["prediction"], _fastapi,
    ),
    Server(
        "ours", "Septet, everything on", "/api/churn", _named,
        lambda answer: answer["result"]["prediction"],
        one_process,
    ),
    Server(
        "ours-two", "Septet, two serving processes and Redis", "/api/churn", _named,
        lambda answer: answer["result"]["prediction"],
        two_processes,
    ),
    Server(
        "bentoml", "BentoML, batchable", "/predict", lambda row: {"rows": [list(row)]},
        lambda answer: answer[0], _bentoml("Model"),
    ),
    Server(
        "composite", "BentoML, composite over depends", "/predict",
        lambda row: {"rows": [list(row)]}, lambda answer: answer[0], _bentoml("Front"),
    ),
    Server(
        "mlserver", "MLServer, in its own process", "/v2/models/booster/infer", _tensor,
        lambda answer: answer["outputs"][0]["data"][0], _mlserver(0),
    ),
    Server(
        "mlserver-worker", "MLServer, with a worker (its default)", "/v2/models/booster/infer",
        _tensor, lambda answer: answer["outputs"][0]["data"][0], _mlserver(1),
    ),
    Server(
        "litserve", "LitServe", "/predict", lambda row: {"row": list(row)},
        lambda answer: answer["prediction"], _litserve,
    ),
    Server(
        "mlflow", "mlflow models serve", "/invocations", lambda row: {"inputs": [list(row)]},
        lambda answer: answer["predictions"][0], _mlflow,
    ),
    Server(
        "ray", "Ray Serve, @serve.batch", "/predict", lambda row: {"row": list(row)},
        lambda answer: answer["prediction"], _ray,
    ),
    Server(
        "fastapi-churn", "bare FastAPI handler", "/predict", _churn_row,
        lambda answer: answer["result"]["probability"], _fastapi_churn, model="churn",
    ),
    Server(
        "ours-churn", "Septet, everything on", "/api/churn", _churn_row,
        lambda answer: answer["result"]["probability"],
        churn, model="churn",
    ),
    Server(
        "ours-hop", "Septet, the model in a bento of its own", "/api/churn", _churn_row,
        lambda answer: answer["result"]["probability"], churn_over_a_hop, model="churn",
    ),
)  # fmt: skip


def chosen(only: str | None) -> list[Server]:
    """Give the servers that ``--only`` names; all when it names none.

    Raises
    ------
    SystemExit
        A name is not known.
    """
    if not only:
        return list(SERVERS)
    names = only.split(",")
    known = {server.name: server for server in SERVERS}
    for name in names:
        if name not in known:
            raise SystemExit(f"--only knows no {name!r}; it knows {', '.join(known)}")
    return [known[name] for name in names]
