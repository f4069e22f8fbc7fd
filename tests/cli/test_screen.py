"""What is shown of an error: folded to the window, and every command of it whole."""

from __future__ import annotations

import pytest
from rich.console import Console

from cli.asking import PlatformDown
from cli.screen import Sentences, err, show_error
from core.history_faults import HistoryDown
from core.refusals import AccessDenied, BodyTooLarge


@pytest.mark.parametrize("width", range(50, 120))
def test_no_command_of_an_error_is_folded(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    err.cache_clear()
    show_error(HistoryDown("http://127.0.0.1:8810", "ClientConnectorError"))
    show_error(PlatformDown("http://127.0.0.1:8800", "Connection refused"))
    show_error(BodyTooLarge(10_000_000))
    show_error(AccessDenied("No key was sent."))
    err.cache_clear()
    shown = capsys.readouterr().err
    assert max(map(len, shown.splitlines())) <= width
    for command in (
        "`python -m services.history.historian`",
        "`septet up`",
        "`septet predict`",
        "`septet outcomes load`",
        "`X-API-Key`.",
    ):
        assert command in shown


def test_lines_and_what_is_wider_than_the_window_are_kept() -> None:
    console = Console(width=20)
    with console.capture() as capture:
        console.print(
            Sentences("Its end:\n  at line 3\nRun `septet outcomes load churned.csv` now.")
        )
    assert capture.get() == (
        "Its end:\n  at line 3\nRun\n`septet outcomes \nload churned.csv`\nnow.\n"
    )
