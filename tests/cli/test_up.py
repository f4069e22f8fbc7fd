"""`septet up` for real: trains, serves, says what works, and leaves no process behind."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from cli.exits import Exit
from core.settings import ROOT

pytestmark = [pytest.mark.serve, pytest.mark.timeout(400)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Up:
    """One run of `septet up`, with all it prints in a file."""

    def __init__(self, home: Path, *options: str, ports: tuple[int, int]) -> None:
        self.home = home
        self.ports = ports
        self.printed = home.parent / f"shown-{time.monotonic_ns()}.txt"
        variables = {
            "SEPTET_HOME": str(home),
            "SEPTET_PORT": str(ports[0]),
            "SEPTET_MLFLOW_PORT": str(ports[1]),
            "COLUMNS": "100",
        }
        with self.printed.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", *options],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.printed.read_text()

    def wait_ready(self, seconds: float = 280) -> float:
        """Wait for the line that works; give how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if "  Try it:\ncurl " in self.text and self.text.rstrip().endswith("'"):
                return time.monotonic() - began
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"not ready:\n{self.text}")

    def family(self) -> list[psutil.Process]:
        """Every process that works on this home folder, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("SEPTET_HOME") == str(self.home):
                    found.append(process)
        return found

    def wait_gone(self) -> list[psutil.Process]:
        """Give what is left some seconds after the command ended."""
        self.process.wait(timeout=60)
        _, alive = psutil.wait_procs(self.family(), timeout=10)
        return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def running(home: Path, *options: str, ports: tuple[int, int]) -> Iterator[Up]:
    up = Up(home, *options, ports=ports)
    try:
        yield up
    finally:
        for process in up.family():
            with suppress(psutil.Error):
                process.kill()
        up.process.wait()


def send(curl: str, **variables: str) -> httpx.Response:
    """Do what a printed curl line does."""
    words = shlex.split(curl)
    headers = {}
    for place, word in enumerate(words):
        if word == "-H":
            name, value = words[place + 1].split(": ", 1)
            headers[name] = variables.get(value.removeprefix("$"), value)
    return httpx.post(words[2], headers=headers, content=words[words.index("-d") + 1])


def curl_line(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("curl "))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder that the first test fills and the others go on with."""
    return tmp_path_factory.mktemp("up") / "home"


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


def test_the_first_start_trains_and_prints_a_line_that_works_and_leaves_nothing(
    home: Path, ports: tuple[int, int]
) -> None:
    with running(home, ports=ports) as up:
        up.wait_ready()
        key = next(line.strip() for line in up.text.splitlines() if "sep_live_" in line)

        answer = send(curl_line(up.text))

        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "churn"
        for model in ("profitability", "churn", "revenue-leak"):
            address = f"http://127.0.0.1:{ports[0]}/models/{model}/health"
            assert httpx.get(address, headers={"X-API-Key": key}).status_code == 200
        up.process.send_signal(signal.SIGINT)
        assert up.wait_gone() == []
        assert up.process.returncode == Exit.OK
    (home / "shown-key").write_text(key)


def test_a_later_start_trains_nothing_and_prints_no_key(home: Path, ports: tuple[int, int]) -> None:
    key = (home / "shown-key").read_text()
    (home / "logs" / "training-1.log").unlink()
    with running(home, "--no-mlflow", ports=ports) as up:
        up.wait_ready(150)

        assert send(curl_line(up.text), SEPTET_KEY=key).status_code == 200
        assert "sep_live_" not in up.text
        assert not (home / "logs" / "training-1.log").exists()
        up.process.terminate()
        assert up.wait_gone() == []
        assert up.process.returncode == Exit.OK


def test_a_second_up_on_the_same_folder_is_refused(home: Path, ports: tuple[int, int]) -> None:
    with running(home, "--no-mlflow", ports=ports) as up:
        up.wait_ready(150)
        with running(home, "--no-mlflow", ports=(free_port(), free_port())) as second:
            assert second.process.wait(timeout=60) == Exit.PORT_IN_USE
            assert "Septet is up already" in second.text
        # The finally above ends whatever works on this folder, the first one included.
        assert up.wait_gone() == []


def test_a_program_that_dies_ends_the_others_and_is_named(
    home: Path, ports: tuple[int, int]
) -> None:
    with running(home, "--no-mlflow", ports=ports) as up:
        up.wait_ready(150)
        [worker] = [p for p in up.family() if "services.worker" in p.cmdline()[-1]]
        worker.kill()

        assert up.process.wait(timeout=60) == Exit.PROGRAM_DIED
        assert up.wait_gone() == []
        assert "The worker was ended by SIGKILL" in " ".join(up.text.replace("│", "").split())


def test_a_killed_platform_leaves_no_worker_of_its_own(home: Path, ports: tuple[int, int]) -> None:
    with running(home, "--no-mlflow", ports=ports) as up:
        up.wait_ready(150)
        [platform] = [p for p in up.family() if "serve" in p.cmdline()]
        platform.kill()

        assert up.process.wait(timeout=60) == Exit.PROGRAM_DIED
        assert up.wait_gone() == []


def test_a_port_in_use_is_said_before_anything_starts(home: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with running(home, ports=(port, free_port())) as up:
            assert up.process.wait(timeout=60) == Exit.PORT_IN_USE
            assert f"Port {port}, wanted for the platform, is in use" in up.text
            assert up.wait_gone() == []


def test_the_trainings_are_shared_out_by_their_length() -> None:
    from cli.startup import shared_out

    shares = shared_out(("profitability", "churn", "revenue_leak", "pricing", "demand"), 2)
    assert shares == {1: ["demand", "revenue_leak", "pricing"], 2: ["churn", "profitability"]}
    assert shared_out(("churn",), 1) == {1: ["churn"]}
