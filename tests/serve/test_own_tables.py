"""Tables of other firms, trained by the command and answered over HTTP, from a YAML each."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config import load_model_config
from services.access.first_key import create_admin_key
from tests.serve.conftest import ROOT, running

CONFIGS = ROOT / "tests" / "quality" / "configs"
pytestmark = [pytest.mark.serve, pytest.mark.timeout(400)]
CASES = (
    ("churn", ("telco_ibm", "churn/telco_ibm.csv")),
    ("churn", ("bank_churn", "churn/bank_churn_modelling.csv")),
    ("profitability", ("superstore_profit", "profitability/superstore.csv")),
)


@pytest.fixture(scope="module")
def tables() -> Iterator[Path]:
    folder = Path(os.environ.get("SEPTET_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"the open data is not here ({folder}); set SEPTET_DATA to its folder")
    before = os.environ.get("SEPTET_DATA")
    os.environ["SEPTET_DATA"] = str(folder)
    yield folder
    if before is None:
        del os.environ["SEPTET_DATA"]


@pytest.fixture(scope="module")
def registry_home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty registry, copied to save MLflow's long set-up: its tables, no models of it."""
    home = tmp_path_factory.mktemp("own") / "home"
    (home / "mlflow").mkdir(parents=True)
    shutil.copy(tiny_home / "mlflow" / "mlflow.db", home / "mlflow")
    return home


def sent_row(path: Path, config_path: Path, number: int) -> dict[str, Any]:
    """Give a row of the file as a caller would send it."""
    config = load_model_config(config_path)
    with path.open(encoding="utf-8-sig") as file:
        line = list(csv.DictReader(file))[number]
    row: dict[str, Any] = {}
    for name, feature in config.features.items():
        cell = line[config.source.columns.get(name, name)]
        if cell == "":
            row[name] = None
        elif feature.type == "category":
            row[name] = cell
        elif feature.type == "boolean":
            row[name] = cell in {"Yes", "1", "True", "true"}
        else:
            row[name] = int(float(cell)) if feature.type == "integer" else float(cell)
    return row


@pytest.mark.parametrize(("model", "table"), CASES)
def test_a_yaml_alone_makes_a_table_of_another_firm_answer(
    tables: Path, registry_home: Path, tmp_path: Path, model: str, table: tuple[str, str]
) -> None:
    name, file = table
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    shutil.copy(CONFIGS / f"{name}.yaml", configs / "models" / f"{model}.yaml")
    home = tmp_path / "home"
    shutil.copytree(registry_home, home)
    variables = {**os.environ, "SEPTET_HOME": str(home), "SEPTET_CONFIGS": str(configs)}
    command = [sys.executable, "-m", "cli.main", "train", model, "--force"]
    done = subprocess.run(
        command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    key = {"X-API-Key": create_admin_key(home)}
    row = sent_row(tables / file, configs / "models" / f"{model}.yaml", 5)
    with running("services.platform:Platform", home=home, scratch=tmp_path) as server:
        answer = httpx.post(f"{server.url}/api/{model}", json=row, headers=key)
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"]
        broken = httpx.post(f"{server.url}/api/{model}", json=row | {"zzz": 1}, headers=key)
        assert broken.status_code == 422
        info = httpx.get(f"{server.url}/models/{model}/info", headers=key).json()
    assert [f["name"] for f in info["features"]] == list(row)
