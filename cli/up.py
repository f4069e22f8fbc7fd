"""`septet up`: everything that one machine needs, started, watched and ended together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit

if TYPE_CHECKING:
    from core.settings import Settings


def up(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the platform (SEPTET_PORT).")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of MLflow (SEPTET_MLFLOW_PORT).")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make and print another admin key.")
    ] = False,
    no_mlflow: Annotated[
        bool, typer.Option("--no-mlflow", help="Do without MLflow's web page; saves 0.5 GB.")
    ] = False,
) -> None:
    """Train what has no champion, then serve: the platform, its worker and the MLflow page.

    Prints the addresses, the first admin key (once) and a curl line that works. Ctrl-C ends every
    process; a later start trains nothing again. Logs: `$SEPTET_HOME/logs`.

    With `serving.topology: distributed` in `configs/platform.yaml` each model runs in a bento of
    its own, started here too; where SEPTET_BENTOS names bentos, those are asked instead.

    Example: `septet up --port 9000`
    """
    from cli import bentos, programs
    from cli.lock import alone
    from cli.processes import Processes, ending
    from cli.screen import err, out
    from core.settings import load_settings

    # The programs read the same variables, so an option is one more way to set them.
    for name, given in (("SEPTET_PORT", port), ("SEPTET_MLFLOW_PORT", mlflow_port)):
        if given is not None:
            os.environ[name] = str(given)
    settings = load_settings()
    # MLflow on another machine has a page of its own there.
    with_mlflow = settings.tracking_uri is None and not no_mlflow
    is_ready = False
    processes = Processes(adopt=True)
    try:
        with alone(settings.home), ending(processes):
            _check_ports(settings, with_mlflow=with_mlflow)
            settings, ports = bentos.placed(settings)
            for model, place in ports.items():
                processes.start(programs.bento(settings, model, port=place))
            processes.start(programs.platform(settings))
            # Only now: the platform takes seconds to start, in which this is imported.
            from cli.startup import Startup

            startup = Startup(
                settings,
                processes=processes,
                out=out(),
                err=err(),
                with_mlflow=with_mlflow,
                bentos=ports,
            )
            startup.make_ready(new_key=new_key)
            is_ready = True
            startup.watch()
    except KeyboardInterrupt:
        err().print("[dim]Stopped; no process is left.[/dim]")
        raise typer.Exit(Exit.OK if is_ready else Exit.INTERRUPTED) from None


def _check_ports(settings: Settings, *, with_mlflow: bool) -> None:
    """Refuse a port that is taken before anything is started.

    Raises
    ------
    PortInUse
        Another process listens there.
    ConfigError
        Both programs want the same port, or one of them cannot be listened on.
    """
    from cli.ports import check_port
    from cli.programs import INNER_HOST
    from core.errors import ConfigError

    wanted = {"SEPTET_PORT": (settings.host, settings.port, "the platform")}
    if settings.history_address is None:
        wanted["SEPTET_HISTORY_PORT"] = (INNER_HOST, settings.history_port, "the historian")
    if with_mlflow:
        wanted["SEPTET_MLFLOW_PORT"] = (INNER_HOST, settings.mlflow_port, "MLflow's page")
    taken: dict[int, str] = {}
    for setting, (host, port, service) in wanted.items():
        if port in taken:
            raise ConfigError(f"{taken[port]} and {setting} are both {port}; move one.")
        taken[port] = setting
        check_port(host, port, service=service, setting=setting)
