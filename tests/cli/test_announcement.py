"""What `septet up` prints can be copied and works."""

from __future__ import annotations

import copy
import io
import json
import shlex
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from cli.announcement import announce, curl
from core.config import load_model_config
from core.contract import Contract
from core.settings import Settings
from tests.tiny import CONTENT

KEY = "sep_live_abc_def"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    content = copy.deepcopy(CONTENT)
    content["features"]["region"]["example"] = "l'Aquila [north]"
    (tmp_path / "models" / "churn.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    return Settings(home=tmp_path, configs=tmp_path, host="0.0.0.0", port=9000)  # noqa: S104


def test_the_curl_line_sends_a_row_that_the_contract_accepts(settings: Settings) -> None:
    words = shlex.split(curl(settings, live=["churn"], key=KEY))

    assert words[:3] == ["curl", "-s", "http://127.0.0.1:9000/api/churn"]
    assert f"X-API-Key: {KEY}" in words
    row = json.loads(words[words.index("-d") + 1])
    config = load_model_config(settings.model_config_path("churn"))
    assert Contract(config).parse_row(row)["region"] == "l'Aquila [north]"


def test_without_a_new_key_the_shell_fills_it_in(settings: Settings) -> None:
    assert '"X-API-Key: $SEPTET_KEY"' in curl(settings, live=["churn"], key=None)


def test_the_line_is_printed_as_it_is_however_narrow_the_window(settings: Settings) -> None:
    written = io.StringIO()
    console = Console(file=written, width=40)

    announce(console, settings=settings, live=["churn"], key=KEY, with_page=True)

    lines = written.getvalue().splitlines()
    assert curl(settings, live=["churn"], key=KEY) in lines
    assert any(line.strip() == KEY for line in lines)
    assert any("http://127.0.0.1:8801" in line for line in lines)
    assert not any("profitability" in line for line in lines)
