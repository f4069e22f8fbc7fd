from pathlib import Path

import pytest

from core.config import ModelConfig, fill_variables, load_model_config
from core.errors import ConfigError
from core.platform_config import load_platform_config

GOOD = """\
model: churn
title: Client churn
description: Will the client leave?
source: {kind: csv, path: clients.csv}
entity: client_id
as_of: as_of
target: {column: churned, description: left within the horizon, horizon_days: 90}
features:
  tenure_months: {type: integer, unit: months, minimum: 0, description: months as a client}
  plan: {type: category, categories: [monthly, annual], description: contract}
split: {rule: time, test_share: 0.25}
gate: {metric: log_loss_error, floors: {auc_score: 0.6}}
"""


def config_of(tmp_path: Path, *, swap: tuple[str, str] = ("", "")) -> ModelConfig:
    file = tmp_path / "churn.yaml"
    file.write_text(GOOD.replace(*swap) if swap[0] else GOOD, encoding="utf-8")
    return load_model_config(file)


def fault_of(tmp_path: Path, old: str, new: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, swap=(old, new))
    return caught.value.detail


def test_a_good_file_is_read_and_frozen(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert config.features["plan"].categories == ("monthly", "annual")
    assert config.table_columns == ("client_id", "tenure_months", "plan", "churned", "as_of")
    with pytest.raises(ValueError, match="frozen"):
        config.title = "other"  # type: ignore[misc]


def test_the_digest_depends_on_content_and_not_on_layout(tmp_path: Path) -> None:
    plain = config_of(tmp_path).digest()
    assert config_of(tmp_path, swap=("{rule: time,", "{rule:   time,")).digest() == plain
    assert config_of(tmp_path, swap=("0.25", "0.3")).digest() != plain


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("title:", "titel:", 2, "Did you mean 'title'"),
        ("path:", "pth:", 4, "Did you mean 'path'"),
        ("unit: months", "untt: months", 9, "Did you mean 'unit'"),
        ("minimum: 0", "minimum: 5, maximum: 1", 9, "minimum 5.0 is above maximum 1.0"),
        ("type: integer", "type: int", 9, "'number', 'integer', 'boolean' or 'category'"),
        ("[monthly, annual]", "[monthly, monthly]", 10, "different names"),
        ("as_of: as_of\n", "", None, "a split by time needs the key as_of"),
        (
            "rule: time, test_share: 0.25",
            "rule: column",
            11,
            "needs the keys column and test_value",
        ),
        ("test_share: 0.25", "test_share: 0.25, test_days: 9", 11, "not both"),
        ("entity: client_id", "entity: plan", None, "is a key, target or split column and also"),
        ("kind: csv, path: clients.csv", "kind: tape", 4, "tape"),
        ("path: clients.csv", "path: a, columns: {plann: b}", None, "Did you mean 'plan'"),
        ("split:", "roles: {x: plam}\nsplit:", None, "Did you mean 'plan'"),
        ("features:", "features:\n  explain: {type: number, description: abc}", None, "taken"),
        ("title: Client churn", "title: Client churn\ntitle: again", 3, "twice, first on line 2"),
        ("description: Will the client leave?\n", "", None, "needed and is missing"),
        (
            "path: clients.csv",
            "path: '${NOT_SET_ANYWHERE}/c.csv'",
            4,
            "NOT_SET_ANYWHERE is not set",
        ),
    ],
)
def test_a_wrong_key_names_file_line_and_fix(
    tmp_path: Path, old: str, new: str, line: int | None, says: str
) -> None:
    detail = fault_of(tmp_path, old, new)
    assert "churn.yaml" in detail
    assert says in detail
    if line is not None:
        assert f"line {line}" in detail


def test_a_file_that_is_no_mapping_or_no_yaml_or_absent_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    for text, says in (("- a\n", "mapping"), ("a: [", "not YAML")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=says):
            load_model_config(file)
    with pytest.raises(ConfigError, match="does not exist"):
        load_model_config(tmp_path / "absent.yaml")


def test_variables_stay_as_written_until_the_source_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    config = config_of(tmp_path, swap=("clients.csv", "'${DB_PASSWORD}/c.csv'"))
    assert "hunter2" not in config.model_dump_json()
    assert fill_variables("${DB_PASSWORD}/c.csv") == "hunter2/c.csv"


def test_the_committed_platform_file_is_valid() -> None:
    root = Path(__file__).parents[2]
    assert load_platform_config(root / "configs" / "platform.yaml").limits.body_bytes == 2**23
