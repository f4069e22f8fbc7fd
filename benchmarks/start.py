"""Time and memory of `septet up`, first and again: ``python -m benchmarks.start``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import write_section
from bentos.catalog import CATALOG, contract_of, path_name
from core.config import load_model_config
from core.settings import load_settings

PORT, MLFLOW_PORT = 18_800, 18_801
URL = f"http://127.0.0.1:{PORT}"
MOST_SECONDS = 300.0
KEY = re.compile(r"sep_live_\w+")


@dataclass(frozen=True)
class Started:
    """A start that was waited for.

    Parameters
    ----------
    seconds
        Until every model had answered.
    rss_mib
        Resident memory of the process that serves, after that.
    key
        The key it was asked with.
    """

    seconds: float
    rss_mib: float
    key: str


def main() -> None:
    """Start twice on one home folder and write the figures down."""
    with tempfile.TemporaryDirectory() as home:
        first = _start(Path(home), key=None)
        second = _start(Path(home), key=first.key)
    lines = [
        "| start | until every model answered |",
        "| --- | --- |",
        f"| nothing trained: the firm simulated, all models trained | {first.seconds:.1f} s |",
        f"| everything trained | {second.seconds:.1f} s |",
    ]
    write_section("start", "\n".join(lines))
    text = f"{len(CATALOG)} models loaded and asked: {second.rss_mib:.0f} MiB resident."
    write_section("serving memory", text)


def _start(home: Path, *, key: str | None) -> Started:
    log = home / "up.txt"
    environment = {
        **os.environ,
        "SEPTET_HOME": str(home / "septet"),
        "SEPTET_PORT": str(PORT),
        "SEPTET_MLFLOW_PORT": str(MLFLOW_PORT),
        "COLUMNS": "200",
    }
    began = time.perf_counter()
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up"], env=environment, stdout=sink, stderr=sink
        )
    try:
        while "curl" not in log.read_text():
            if process.poll() is not None or time.perf_counter() - began > MOST_SECONDS:
                raise RuntimeError(f"it did not start:\n{log.read_text()}")
            time.sleep(0.05)
        found = KEY.search(log.read_text())
        key = found.group() if found else key
        for model in CATALOG:
            _ask(model, key or "")
        seconds = time.perf_counter() - began
        return Started(seconds, _serving_rss_mib(process.pid), key or "")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _ask(model: str, key: str) -> None:
    config = load_model_config(load_settings().model_config_path(model))
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{URL}/api/{path_name(model)}",
        data=json.dumps(contract_of(config).example()).encode(),
        headers={"Content-Type": "application/json", "X-API-Key": key},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        if "result" not in json.load(answer):
            raise RuntimeError(f"{model} gave no result")


def _serving_rss_mib(pid: int) -> float:
    """Largest resident memory among the processes that serve the platform."""
    sizes = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a training that has just ended, say
            command = " ".join(process.cmdline())
            if "services.platform:Platform" in command and "worker" in command:
                sizes.append(process.memory_info().rss / 2**20)
    return max(sizes)


if __name__ == "__main__":
    main()
