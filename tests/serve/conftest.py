"""Real servers in their own processes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from bentos.catalog import CATALOG, service_of
from core.settings import Settings
from services.access.audit import Actor
from services.access.first_key import prepare_records
from services.access.grant import Grant
from services.access.ledger import KeyLedger

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Parameters
    ----------
    process
        The supervisor that ``bentoml serve`` starts.
    url
        Where it listens.
    log
        What it wrote.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path


@contextmanager
def running(
    target: str,
    *,
    home: Path | None,
    scratch: Path,
    cwd: Path = ROOT,
    wait_for: str = "/readyz",
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run ``bentoml serve`` until the block ends, then ask it to stop as an operator would."""
    server = serve(target, env={**environment(home, scratch), **(more or {})}, cwd=cwd)
    try:
        wait_until_up(server, path=wait_for)
        yield server
    finally:
        stop(server.process)


def serve(
    target: str, *, env: Mapping[str, str], cwd: Path = ROOT, port: int | None = None
) -> Server:
    """Start ``bentoml serve`` without waiting for it."""
    port = port or free_port()
    scratch = Path(env["BENTOML_HOME"]).parent
    log = scratch / f"serve-{port}.log"
    command = [str(BIN / "bentoml"), "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=sink, stderr=sink)
    return Server(process=process, url=f"http://127.0.0.1:{port}", log=log)


TOPOLOGIES = ("colocated", "distributed")
PLATFORM = "services.platform:Platform"


@dataclass
class Fleet:
    """A platform, and the bentos that hold its models in the topology distributed."""

    platform: Server
    home: Path
    scratch: Path
    bentos: dict[str, Server] = field(default_factory=dict)

    def start_bento(self, model: str) -> None:
        """Start a model's bento again, on the port it had."""
        port = int(self.bentos[model].url.rpartition(":")[2])
        self.bentos[model] = serve_bento(model, home=self.home, scratch=self.scratch, port=port)

    def kill_bento(self, model: str) -> None:
        """Kill a model's bento, its workers too."""
        kill_tree(self.bentos[model].process)


def serve_bento(model: str, *, home: Path, scratch: Path, port: int | None = None) -> Server:
    """Start the bento of one model, with a folder of BentoML's own as it asks for."""
    env = {**environment(home, scratch), "BENTOML_HOME": str(scratch / f"bentoml-{model}")}
    return serve(service_of(model), env=env, port=port)


@contextmanager
def running_platform(
    topology: str,
    *,
    home: Path,
    scratch: Path,
    models: Sequence[str] = CATALOG,
    batching: str = "bentoml",
) -> Iterator[Fleet]:
    """Run the platform in one of its topologies; distributed, with bentos of these models."""
    if topology == "colocated":
        with running(PLATFORM, home=home, scratch=scratch) as server:
            yield Fleet(server, home, scratch)
        return
    bentos = {model: serve_bento(model, home=home, scratch=scratch) for model in models}
    missing = {model: f"http://127.0.0.1:{free_port()}" for model in CATALOG}
    addresses = missing | {model: bento.url for model, bento in bentos.items()}
    configs = scratch / f"configs-distributed-{batching}"
    configs.mkdir(exist_ok=True)
    text = (ROOT / "configs" / "platform.yaml").read_text()
    changed = text.replace("topology: colocated", "topology: distributed")
    changed = changed.replace("batching: bentoml", f"batching: {batching}")
    assert changed != text
    (configs / "platform.yaml").write_text(changed)
    more = {
        "SEPTET_CONFIGS": str(configs),
        "SEPTET_BENTOS": ",".join(f"{model}={url}" for model, url in addresses.items()),
    }
    try:
        for bento in bentos.values():
            wait_until_up(bento, path="/readyz")
        with running(PLATFORM, home=home, scratch=scratch, more=more) as server:
            # The fleet's own bentos: a test may start one again.
            yield Fleet(server, home, scratch, bentos)
    finally:
        for bento in bentos.values():
            bento.process.send_signal(signal.SIGTERM)
        for bento in bentos.values():
            stop(bento.process)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started."""
    top = psutil.Process(process.pid)
    for one in [*top.children(recursive=True), top]:
        one.kill()
    process.wait()


def environment(home: Path | None, scratch: Path) -> dict[str, str]:
    """Give a server's environment: everything it writes stays in the test's folders."""
    plain: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("SEPTET_")}
    return {
        **plain,
        **({} if home is None else {"SEPTET_HOME": str(home)}),
        "BENTOML_HOME": str(scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
    }


def wait_until_up(server: Server, *, path: str) -> None:
    """Wait until a path answers with 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            if httpx.get(server.url + path, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{path} never answered with 200; the log says:\n{server.log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to stop, and give what it ended with."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def free_port() -> int:
    """Find a port that nobody listens on, and that no outgoing connection may take meanwhile."""
    while True:
        port = random.randrange(10_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for logs and for what BentoML writes."""
    return tmp_path_factory.mktemp("serve")


@dataclass(frozen=True)
class Home:
    """A platform's home with its releases and one key."""

    path: Path
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What opens the platform."""
        return {"X-API-Key": self.key}


def make_key(settings: Settings) -> str:
    """Make an admin key of the widest tier: these tests ask as fast as they can."""
    by = Actor("tests")
    records = prepare_records(settings, by=by)
    grant = Grant(name="load", role="admin", tier="bulk")
    key: str = KeyLedger(records).create(grant, by=by).key
    records.close()
    return key


@pytest.fixture(scope="session")
def home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Give a copy of the trained home that the servers may have to themselves."""
    path = tmp_path_factory.mktemp("home") / "septet"
    shutil.copytree(tiny_home / "releases", path / "releases")
    return Home(path=path, key=make_key(Settings(home=path)))
