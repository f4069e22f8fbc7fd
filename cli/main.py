"""`septet`: the command. Each word is a module of its own, which imports what it needs late."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.audit import audit
from cli.demo import demo
from cli.doctor import doctor
from cli.exits import Exit
from cli.history import backtest, history, replay
from cli.keys import keys
from cli.migrate import migrate
from cli.models import models
from cli.outcomes import outcomes
from cli.predict import predict
from cli.sample import sample
from cli.template import template
from cli.train import train
from cli.up import up
from core.errors import SeptetError

_HELP = """Train, serve and watch the models that a services firm steers its money by.

Your own tables come in through `configs/models/*.yaml`; addresses and folders are `SEPTET_*`
variables. Begin with `septet up`.
"""
_EPILOG = "Exit codes: " + " · ".join(f"**{int(code)}** {code.meaning}" for code in Exit)


class Commands(TyperGroup):
    """Shows an error as a person reads it, and ends with its exit code; never with a trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and turn what it raises into an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Exit(Exit.INTERRUPTED) from error
        except typer.Abort:
            raise
        except Exception as error:
            # Typer's own exceptions, such as a missing argument, bear an exit code: typer shows
            # them. A closed pipe (`septet models | head -1`) is no fault; typer knows that too.
            if hasattr(error, "exit_code") or isinstance(error, BrokenPipeError):
                raise
            if ctx.params.get("debug"):
                _show_trace()
            raise typer.Exit(_show(error)) from error


app = typer.Typer(
    cls=Commands,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the trace of an error, and log in full.")
    ] = False,
) -> None:
    """Set what holds for every command."""
    from core.logs import configure_logs

    # What a person needs is in the panels; log lines, with their traces, are for --debug.
    configure_logs("DEBUG" if debug else "CRITICAL")


for word in (
    up,
    train,
    models,
    predict,
    template,
    sample,
    demo,
    replay,
    backtest,
    audit,
    migrate,
    doctor,
):
    app.command()(word)
app.add_typer(keys, name="keys")
app.add_typer(outcomes, name="outcomes")
app.add_typer(history, name="history")


def _show(error: Exception) -> Exit:
    """Show an error as a panel."""
    from cli.screen import show_error, show_fault

    return show_error(error) if isinstance(error, SeptetError) else show_fault(error)


def _show_trace() -> None:
    """Show where the error came from."""
    from cli.screen import err

    err().print_exception()


if __name__ == "__main__":
    app(prog_name="septet")
