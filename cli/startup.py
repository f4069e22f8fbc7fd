"""The order in which `septet up` starts things, what it waits for, and how it ends them.

Nothing trained: the platform starts while the models train, because its import and theirs hardly
compete; the worker and MLflow's page come after, because the first use of MLflow's database makes
its tables, which two processes must not do at once. Everything trained: the platform answers
before MLflow is imported anywhere.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from bentos.catalog import CATALOG, path_name
from bentos.release import read_pointer
from cli import programs
from cli.announcement import announce
from cli.board import Board
from cli.events import Event, read_events, show
from cli.faults import NeverReady, NothingTrained, ProgramDied
from cli.ports import status_of
from cli.processes import Processes, Program
from cli.revival import Revival
from core.config import load_model_config
from core.errors import ArtifactCorrupt
from core.platform_config import PlatformConfig, load_platform_config
from core.settings import Settings
from services.access.audit import Actor
from services.access.first_key import make_first_key, prepare_records

_READY_SECONDS = 120.0
_KEY_SECONDS = 5.0
_TAKEN_SECONDS = 30.0
_OPENING_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_WATCH_SECONDS = 0.5
_HTTP_OK = 200
# The recipes use one core each by default, and two is what the smallest machine has.
_TRAININGS = 2


# How much longer than the others a first training takes (seconds stand in docs/performance.md).
_WEIGHTS = {"demand": 4, "churn": 3, "profitability": 2}


def shared_out(models: Sequence[str], count: int) -> dict[int, list[str]]:
    """Share models out so that the processes end at about the same time.

    Parameters
    ----------
    models
        What is to be trained.
    count
        Processes, numbered from 1; each begins with its longest.
    """
    shares: dict[int, list[str]] = {number: [] for number in range(1, count + 1)}
    loads = dict.fromkeys(shares, 0)
    for model in sorted(models, key=lambda name: -_WEIGHTS.get(name, 1)):
        number = min(loads, key=loads.__getitem__)
        shares[number].append(model)
        loads[number] += _WEIGHTS.get(model, 1)
    return shares


class Startup:
    """One run of `septet up`, from the moment the platform was told to start.

    Parameters
    ----------
    settings
        Read from the environment.
    processes
        Holds the platform; whoever gives it ends what it holds.
    out
        Console of results: addresses, key, curl line.
    err
        Console of progress and troubles.
    with_mlflow
        Whether to start MLflow's page.
    bentos
        Model to port of the bentos that were started beside the platform.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        processes: Processes,
        out: Console,
        err: Console,
        with_mlflow: bool,
        bentos: Mapping[str, int] | None = None,
    ) -> None:
        self.settings = settings
        self.not_trained: dict[str, str] = {}
        self._processes = processes
        self._out, self._err = out, err
        self._with_mlflow = with_mlflow
        self._bentos = dict(bentos or {})
        self._revival = Revival(processes, err)

    def make_ready(self, *, new_key: bool = False) -> None:
        """Train what has no champion, start the rest, wait, and say what a person needs.

        Parameters
        ----------
        new_key
            Whether to make a key though there is one.

        Raises
        ------
        ConfigError
            A config is wrong.
        ProgramDied, NeverReady, NothingTrained
            It cannot be made ready.
        """
        with Board(self._err) as board:
            board.begin(programs.PLATFORM, "starts")
            platform = self._check_configs()
            for model in self._bentos:
                board.begin(programs.bento_name(model), "starts")
            trained = self._start(board)
            self._wait_for_bentos(platform.releases.poll_seconds, board=board)
            key = self._make_key(anew=new_key)
            self._wait_taken(trained, key=key, poll_seconds=platform.releases.poll_seconds)
            board.done(programs.PLATFORM, "ready")
        if self._with_mlflow:
            self._processes.start(programs.mlflow_page(self.settings))
        announce(
            self._out,
            settings=self.settings,
            live=[model for model in CATALOG if self._is_live(model)],
            key=key,
            with_page=self._with_mlflow,
        )
        for model, reason in self.not_trained.items():
            self._err.print(Text(f"! {model} was not trained. {reason}\n", style="yellow"))

    def watch(self) -> NoReturn:
        """Watch until a program ends by itself, or an interrupt ends the watching.

        Raises
        ------
        ProgramDied
            A program ended that the others need.
        """
        page_is_up = not self._with_mlflow
        while True:
            self._raise_ended()
            if not page_is_up:
                port = self.settings.mlflow_port
                page_is_up = status_of(programs.INNER_HOST, port, "/health") == _HTTP_OK
                if page_is_up:
                    self._out.print(f"MLflow's page is up: http://{programs.INNER_HOST}:{port}")
            time.sleep(_WATCH_SECONDS)

    def _check_configs(self) -> PlatformConfig:
        """Refuse now what a training or the platform would stumble over later."""
        self.settings.shared_limits()
        for model in CATALOG:
            load_model_config(self.settings.model_config_path(model))
        # Here, because the platform that is starting meanwhile takes notice of it by itself.
        prepare_records(self.settings, by=Actor.shell()).close()
        return load_platform_config(self.settings.platform_config_path)

    def _start(self, board: Board) -> list[str]:
        """Start what serves, training first what has no champion; give what was trained."""
        missing = [model for model in CATALOG if not self._is_live(model)]
        if missing:
            self._train(missing, board=board)
        self._wait_for("/livez", board=board)
        # Not before: its import of MLflow would take the processor from the platform's. Before
        # readiness, because the worker puts back a release that is damaged on disk.
        self._processes.start(programs.worker(self.settings))
        if self.settings.history_address is None:
            self._processes.start(programs.historian(self.settings))
        self._wait_for("/readyz", board=board)
        return [model for model in missing if self._is_live(model)]

    def _is_live(self, model: str) -> bool:
        """Say whether the disk has a champion, whole or not: the platform checks it."""
        try:
            return read_pointer(self.settings.releases / model) is not None
        except ArtifactCorrupt:
            return False

    def _train(self, models: Sequence[str], *, board: Board) -> None:
        """Train in as many processes as help, and show how it goes."""
        count = min(_TRAININGS, len(models))
        shares = shared_out(models, count)
        pending: dict[str, Program] = {}
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        for number, share in shares.items():
            program = programs.training(self.settings, share, number=number)
            pending |= dict.fromkeys(share, program)
            read_events(self._processes.start_piped(program), events)
        for event in self._events(events, streams=count):
            show(event, board=board)
            if event.kind in {"done", "failed"}:
                pending.pop(event.model, None)
            if event.kind == "failed":
                self.not_trained[event.model] = event.text
            if not pending:
                break  # the processes need seconds more to be gone, and nobody needs to wait
        for model, program in pending.items():
            last = program.last_lines(1) or "it says nothing"
            self.not_trained[model] = f"The training ended early. Its log, {program.log}: {last}"
            board.fail(model, "the training ended early")
        if not any(self._is_live(model) for model in CATALOG):
            raise NothingTrained(self.not_trained)

    def _events(self, events: queue.SimpleQueue[Event | None], *, streams: int) -> Iterator[Event]:
        """Give events until every stream has ended, looking after the programs meanwhile."""
        while streams:
            try:
                event = events.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                self._raise_ended()
                continue
            if event is None:
                streams -= 1
            else:
                yield event

    def _wait_for(self, path: str, *, board: Board) -> None:
        """Wait until the platform answers a probe with 200."""
        began = time.monotonic()
        while self._status(path) != _HTTP_OK:
            self._raise_ended()
            if time.monotonic() - began > _READY_SECONDS:
                board.fail(programs.PLATFORM, "does not become ready")
                raise NeverReady(_READY_SECONDS, programs.platform(self.settings).log)
            time.sleep(_LOOK_SECONDS)

    def _wait_for_bentos(self, poll_seconds: float, *, board: Board) -> None:
        """Wait until every bento answers that has something to answer with, and is known to."""
        for model, port in self._bentos.items():
            name = programs.bento_name(model)
            path = "/readyz" if self._is_live(model) else "/livez"
            began = time.monotonic()
            while status_of(programs.INNER_HOST, port, path) != _HTTP_OK:
                self._raise_ended()
                if time.monotonic() - began > _READY_SECONDS:
                    board.fail(name, "does not become ready")
                    log = programs.bento(self.settings, model, port=port).log
                    raise NeverReady(_READY_SECONDS, log, program=name)
                time.sleep(_LOOK_SECONDS)
            board.done(name, f"ready on port {port}")
        if self._bentos:
            # The platform looks this often at bentos that were not there when it started.
            time.sleep(poll_seconds + _OPENING_SECONDS)

    def _make_key(self, *, anew: bool) -> str | None:
        """Make the first admin key, or another when asked for, and wait until it opens."""
        key = make_first_key(self.settings, anew=anew)
        if key is None:
            return None
        began = time.monotonic()
        while not self._opens(key) and time.monotonic() - began < _KEY_SECONDS:
            time.sleep(_LOOK_SECONDS)
        return key

    def _opens(self, key: str) -> bool:
        """Say whether the platform has taken notice of a key; it looks once a second."""
        return self._status("/models", key=key) == _HTTP_OK

    def _wait_taken(self, models: Sequence[str], *, key: str | None, poll_seconds: float) -> None:
        """Wait until the platform, which was up before them, has taken up new champions."""
        if key is None:
            # Nobody tells us without a key: it looks this often, and then opens what it found.
            time.sleep(poll_seconds + _OPENING_SECONDS if models else 0)
            return
        deadline = time.monotonic() + _TAKEN_SECONDS
        for model in models:
            path = f"/models/{path_name(model)}/health"
            while self._status(path, key=key) != _HTTP_OK and time.monotonic() < deadline:
                self._raise_ended()
                time.sleep(_LOOK_SECONDS)

    def _status(self, path: str, *, key: str | None = None) -> int | None:
        return status_of(self.settings.host, self.settings.port, path, key=key)

    def _raise_ended(self) -> None:
        self._revival.look()
        ended = self._processes.ended()
        if ended is not None:
            raise ProgramDied(ended)
