"""The dashboard and the alerts name only what the platform counts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from core.settings import ROOT
from services.metrics import Metrics

FOLDER = ROOT / "deploy" / "monitoring"
_SERIES = re.compile(r"\bseptet_[a-z_]+\b")
_LABELS = re.compile(r"(septet_[a-z_]+)\{([^}]*)\}")
_GROUPS = re.compile(r"\bby \(([^)]*)\)")


def expressions() -> list[str]:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return alerts + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics(["churn"])


@pytest.mark.parametrize("expression", expressions())
def test_every_series_exists(metrics: Metrics, expression: str) -> None:
    found = set(_SERIES.findall(expression))
    assert found
    assert found <= metrics.series.keys()


@pytest.mark.parametrize("expression", expressions())
def test_every_label_exists(metrics: Metrics, expression: str) -> None:
    for name, matchers in _LABELS.findall(expression):
        used = {matcher.partition("=")[0].strip(" !~") for matcher in matchers.split(",")}
        assert used <= metrics.series[name], name
    known = set().union(*(metrics.series[name] for name in _SERIES.findall(expression)))
    for group in _GROUPS.findall(expression):
        assert {label.strip() for label in group.split(",")} <= known | {"le"}


def test_every_alert_says_what_to_do() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert len(rule["annotations"]["action"]) > 20, rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket"}


def test_everything_that_is_counted_is_shown_or_watched() -> None:
    shown = set().union(*(set(_SERIES.findall(text)) for text in expressions()))
    parts = re.compile("_(bucket|sum|count)$")
    counted = {parts.sub("", name) for name in Metrics(["churn"]).series}
    assert counted <= {parts.sub("", name) for name in shown}
