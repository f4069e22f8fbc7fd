"""The command as a person or a script meets it: panels, exit codes, never a trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from cli.exits import Exit
from cli.main import app
from cli.screen import err, out
from tests.tiny import CONTENT, Shelf

pytestmark = pytest.mark.usefixtures("home")

WORDS = (
    "up", "train", "models", "predict", "template", "sample", "demo", "doctor", "audit", "migrate",
    "replay", "backtest", "keys", "keys create", "keys list", "keys rotate", "keys revoke",
    "outcomes", "outcomes load", "history", "history predictions", "history receipt",
    "history trends", "history compare", "history feature", "history entity", "history outcomes",
    "history erase", "history erasure",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and configs of our own: the tiny model for churn."""
    configs = tmp_path / "configs"
    (configs / "models").mkdir(parents=True)
    (configs / "models" / "churn.yaml").write_text(yaml.safe_dump(CONTENT, sort_keys=False))
    (configs / "platform.yaml").write_text("limits: {}\n")
    home = tmp_path / "home"
    monkeypatch.setenv("SEPTET_HOME", str(home))
    monkeypatch.setenv("SEPTET_CONFIGS", str(configs))
    monkeypatch.delenv("SEPTET_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return home


def septet(*arguments: str) -> Result:
    # The consoles keep the streams they were made with: each run has streams of its own.
    out.cache_clear()
    err.cache_clear()
    try:
        return CliRunner().invoke(app, arguments)
    finally:
        structlog.reset_defaults()


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_a_help_text_with_an_example(word: str) -> None:
    result = septet(*word.split(), "--help")

    assert result.exit_code == Exit.OK
    assert f"Example: septet {word}" in " ".join(result.output.split())


def test_the_help_names_every_word_and_exit_code() -> None:
    shown = " ".join(septet("--help").output.split())

    for word in WORDS:
        assert word.split()[0] in shown
    for code in Exit:
        assert str(int(code)) in shown


def test_a_word_that_is_not_there_is_a_usage_fault() -> None:
    assert septet("trian", "churn").exit_code == Exit.USAGE


def test_an_unknown_model_is_named_with_the_nearest_and_no_trace() -> None:
    result = septet("template", "chrun")

    assert result.exit_code == Exit.USAGE
    assert "There is no model 'chrun'. Did you mean 'churn'?" in result.output
    assert "Traceback" not in result.output


def test_debug_shows_the_trace() -> None:
    assert "Traceback" in septet("--debug", "template", "chrun").output


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_PORT", "eighty")

    result = septet("models")

    assert result.exit_code == Exit.CONFIG
    assert "SEPTET_PORT='eighty'" in result.output


def test_a_wrong_config_is_named_with_file_line_and_nearest_key(home: Path) -> None:
    path = home.parent / "configs" / "models" / "churn.yaml"
    path.write_text(path.read_text().replace("entity:", "entiti:"))

    result = septet("template", "churn")

    assert result.exit_code == Exit.CONFIG
    assert "churn.yaml, line" in result.output
    assert "'entity'" in result.output


def test_a_template_is_a_header_and_a_row_and_nothing_else() -> None:
    result = septet("template", "churn")

    header, row = result.stdout.splitlines()
    assert header == "client_id,tenure_months,hours,is_active,plan,region,left,as_of"
    assert row.startswith("example-1,12,10.5,True,basic,north,yes,")


def test_the_meanings_of_a_template_are_a_table() -> None:
    shown = septet("template", "churn", "--meanings").stdout

    assert "Months as a client" in shown
    assert "an integer from 0 to 600 in months" in shown


def test_models_says_what_to_run_where_nothing_is_trained() -> None:
    assert "none: septet train churn" in septet("models").stdout


def test_models_lists_a_champion_with_its_figure(home: Path) -> None:
    shelf = Shelf(home / "releases")
    shelf.write("4")
    shelf.point("4")

    shown = septet("models").stdout

    assert "version 4" in shown
    assert "auc_score 0.8" in shown


def test_predict_without_a_champion_says_what_to_run(tmp_path: Path) -> None:
    result = septet("predict", "churn", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"))

    assert result.exit_code == Exit.NO_CHAMPION
    assert "Run `septet train churn`" in result.output


def test_training_a_config_of_another_model_is_refused(home: Path) -> None:
    path = home.parent / "configs" / "models" / "churn.yaml"

    result = septet("train", "profitability", "--config", str(path))

    assert result.exit_code == Exit.CONFIG
    assert "is of the model 'churn', not of 'profitability'" in result.output


def test_a_password_on_the_command_line_is_refused() -> None:
    source = ("--source", "postgresql://me:secret@db/firm", "--query", "SELECT 1")

    result = septet("train", "churn", *source)

    assert result.exit_code == Exit.CONFIG
    assert "the address holds a password" in result.output
    assert "secret" not in result.output


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'bentoml', 'matplotlib', 'mlflow', 'numpy', 'pyarrow', 'pydantic'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_commands_that_mend_something_are_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    fixes = [line.partition("Fix: ")[2] for line in septet("doctor").output.splitlines()]
    assert {"septet train profitability", "septet train revenue_leak"} <= set(fixes)
    assert "none: septet train profitability" in septet("models").output
