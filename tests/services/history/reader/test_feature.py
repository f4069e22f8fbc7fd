"""Inputs over time against training: groups, shares and the stability index, worked out apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import ModelConfig
from core.refusals import QueryInvalid
from services.history.answers import Series
from services.history.log import PredictionLog
from services.history.questions import FeatureQuestion
from services.history.reader.bins import Chance, marks_of, names_of, shares_of, stability
from services.history.reader.drawing import draw
from services.history.reader.feature import Features
from services.history.reader.plot import plots_of
from services.history.reader.profiles import ReleasedProfiles
from tests.services.history.conftest import release_of
from tests.services.history.reader.tables import (
    START,
    TINY,
    keep,
    opened,
    predicted,
    table_of,
)
from tests.tiny import CONTENT, TinyPredictor
from training.profile import profile_of

RANDOM = np.random.default_rng(11)
TRAINING = {
    "tenure_months": RANDOM.integers(1, 6, 4000).astype(float),
    "hours": np.where(RANDOM.random(4000) < 0.1, np.nan, RANDOM.normal(40, 10, 4000)),
    "is_active": (RANDOM.random(4000) < 0.75).astype(float),
    "plan": np.array(["pro"] * 4000),
    "region": RANDOM.choice(["north", "south", "east"], 4000, p=[0.5, 0.3, 0.2]),
}
PROFILE = profile_of(ModelConfig.model_validate(CONTENT), TRAINING)
WEEK = timedelta(weeks=1)


def noted(_model: str, _version: str) -> Mapping[str, Any]:
    """Give what training noted."""
    return PROFILE


def week(number: int, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Give rows of one week: a column each."""
    size = len(next(iter(columns.values())))
    return [
        {
            "at": START + number * WEEK + timedelta(minutes=i),
            **{name: _plain(values[i]) for name, values in columns.items()},
        }
        for i in range(size)
    ]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value  # noqa: PLR0124 - nan


def ask(log: PredictionLog, feature: str, profile: Any = noted, **given: Any) -> Series:
    asked = {"model": "churn", "since": START, "until": START + 5 * WEEK, **given}
    with opened(log) as database:
        return Features(database, profile).read(FeatureQuestion(**asked), feature, TinyPredictor)


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log", owner="me")


def shares_by_hand(values: Any, edges: list[float]) -> list[float]:
    """Give shares of below, ten groups, above and null, with numpy's histogram."""
    known = values[~np.isnan(values)]
    inside, _ = np.histogram(known, bins=edges[::2])
    counts = [(known < edges[0]).sum(), *inside, (known > edges[-1]).sum(), np.isnan(values).sum()]
    return [int(count) / len(values) for count in counts]


def test_numbers_stand_in_tenths_of_training(log: PredictionLog) -> None:
    first = np.where(RANDOM.random(500) < 0.1, np.nan, RANDOM.normal(40, 10, 500))
    second = RANDOM.normal(60, 10, 400)
    keep(log, "churn", predicted([*week(0, {"hours": first}), *week(1, {"hours": second})]))
    series = ask(log, "hours")
    rows = table_of(series)
    edges = PROFILE["hours"]["edges"]
    for number, values in enumerate((first, second)):
        own = [r for r in rows if r["step"] == (START + number * WEEK).isoformat()]
        expected = shares_by_hand(values, edges)
        names = [f"{edges[0]:.3g} to {edges[2]:.3g}", "null", "below training", "above training"]
        assert {names[0], names[1]} <= {r["bin"] for r in own}
        found = {r["bin"]: r["share"] for r in own}
        assert found.get("below training", 0) == pytest.approx(expected[0])
        assert found["above training"] == pytest.approx(expected[11])
        assert found["null"] == pytest.approx(expected[12])
        middle = [r["share"] for r in own if " to " in r["bin"]]
        assert middle == pytest.approx(expected[1:11])
        assert sum(r["volume"] for r in own) == len(values)
        known = values[~np.isnan(values)]
        assert own[0]["median"] == pytest.approx(np.median(known), rel=0.02)
        assert own[0]["low"] == pytest.approx(np.quantile(known, 0.1), rel=0.04)
        then = [0.0, *[0.1 * (1 - PROFILE["hours"]["nulls"])] * 10, 0.0, PROFILE["hours"]["nulls"]]
        now, past = np.maximum(expected, 1e-4), np.maximum(then, 1e-4)
        assert own[0]["psi"] == pytest.approx(float(((now - past) * np.log(now / past)).sum()))
        assert own[0]["training_median"] == edges[10]
        assert own[0]["training_high"] == edges[18]
    assert rows[0]["psi"] < 0.1
    assert rows[-1]["psi"] > 1
    assert series.title.endswith("a large shift in the last 2 weeks")
    assert [len(plot.lines) for plot in plots_of(series)] == [1, 1]
    assert draw(series, "png").startswith(b"\x89PNG")


def test_integers_that_come_often_are_groups_of_their_own(log: PredictionLog) -> None:
    values = RANDOM.integers(1, 6, 600)
    keep(log, "churn", predicted(week(0, {"tenure_months": values})))
    series = ask(log, "tenure_months")
    rows = table_of(series)
    assert [r["bin"] for r in rows] == ["1", "2", "3", "4", "5"]
    for number, row in enumerate(rows, start=1):
        assert row["share"] == pytest.approx((values == number).mean())
        assert row["training_share"] == pytest.approx(0.2, abs=0.051)
    assert rows[0]["psi"] < 0.1
    assert series.title.endswith("no shift in the last week")


def test_levels_stand_by_name_and_new_ones_together(log: PredictionLog) -> None:
    rows = [*week(0, {"region": ["north"] * 6 + ["south"] * 3 + [None]}),
            *week(1, {"region": ["north"] * 2 + ["mars"] * 5 + ["not in training"]})]  # fmt: skip
    keep(log, "churn", predicted(rows))
    series = ask(log, "region")
    found = {(r["step"][:10], r["bin"]): r for r in table_of(series)}
    assert found["2026-03-02", "north"]["share"] == 0.6
    assert found["2026-03-02", "null"]["share"] == 0.1
    assert found["2026-03-09", "not in training"]["volume"] == 6
    assert found["2026-03-09", "east"]["volume"] == 0
    for level, share in PROFILE["region"]["shares"].items():
        assert found["2026-03-09", level]["training_share"] == pytest.approx(share)
    plots = plots_of(series)
    assert {line.name for line in plots[0].lines} == {bin_ for _, bin_ in found}
    assert len(plots[1].lines) == 1


def test_booleans_stand_as_true_and_false(log: PredictionLog) -> None:
    keep(log, "churn", predicted(week(0, {"is_active": [True] * 3 + [False]})))
    found = {r["bin"]: r["share"] for r in table_of(ask(log, "is_active"))}
    assert found == {"true": 0.75, "false": 0.25}


@pytest.mark.parametrize("feature", ["hours", "region"])
@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        (
            lambda _model, _version: None,
            "version 1, which answered most of these predictions, is not at hand",
        ),
        (lambda _model, _version: {"plan": {}}, "Training of version 1 noted no distribution of"),
    ],
    ids=["no artifact", "not noted"],
)
def test_without_a_profile_nothing_stands_for_training(
    log: PredictionLog, feature: str, profiles: Any, said: str
) -> None:
    values: dict[str, Any] = {
        "hours": RANDOM.normal(40, 10, 400),
        "region": ["north"] * 300 + ["east"] * 100,
    }
    later: dict[str, Any] = {"hours": RANDOM.normal(70, 10, 400), "region": ["west"] * 400}
    rows = [*week(0, {feature: values[feature]}), *week(2, {feature: later[feature]})]
    keep(log, "churn", predicted(rows))
    series = ask(log, feature, profiles)
    assert said in series.notes[0]
    assert series.title == f"churn: input {feature} by week"
    found = table_of(series)
    for row in found:
        of_training = [name for name in row if "training" in name or "psi" in name]
        assert of_training
        assert [row[name] for name in of_training] == [None] * len(of_training)
        assert "training" not in row["bin"]
    assert sum(row["volume"] for row in found) == 800
    [plot] = plots_of(series)
    assert not any(line.references for line in plot.lines)
    assert draw(series, "png")


def test_training_is_that_of_the_version_that_answered_most(log: PredictionLog) -> None:
    trained = {"1": 40.0, "2": 60.0}
    profiles = {
        version: profile_of(
            ModelConfig.model_validate(CONTENT), {**TRAINING, "hours": RANDOM.normal(mean, 1, 4000)}
        )
        for version, mean in trained.items()
    }
    for number, version in enumerate("112"):
        rows = week(number, {"hours": RANDOM.normal(trained[version], 1, 300)})
        keep(log, "churn", predicted(rows, version=version))
    series = ask(log, "hours", lambda _model, version: profiles[version])
    found = table_of(series)
    assert found[0]["training_median"] == pytest.approx(40, abs=0.2)
    assert found[0]["psi"] < 0.2
    assert any("of version 1, which answered 67% of these" in note for note in series.notes)
    own = ask(log, "hours", lambda _model, version: profiles[version], version="2")
    assert table_of(own)[0]["training_median"] == pytest.approx(60, abs=0.2)
    assert own.title.endswith("no shift in the last week")
    assert own.notes[-1] == "Training is that of version 2."


def test_a_version_without_the_input_counts_for_no_null(log: PredictionLog) -> None:
    hours = np.where(RANDOM.random(300) < 0.1, np.nan, RANDOM.normal(40, 10, 300))
    keep(log, "churn", predicted(week(0, {"hours": hours})))
    without = {name: kind for name, kind in TINY.items() if name != "hours"}
    for number in (1, 2):
        rows = predicted(week(number, {"region": ["north"] * 300}), version="2", inputs=without)
        keep(log, "churn", rows)
    series = ask(log, "hours", lambda _model, version: PROFILE if version == "1" else {})
    assert {row["step"] for row in table_of(series)} == {START.isoformat()}
    assert series.title.endswith("no shift in the last week")
    assert "Version 2 does not have this input: 600 predictions are left out." in series.notes
    nothing = ask(log, "hours", version="2")
    assert (nothing.rows, len(nothing.notes)) == ([], 2)


def test_few_predictions_cry_no_shift(log: PredictionLog) -> None:
    rows = [
        {"at": START + timedelta(days=day, minutes=i), "hours": float(RANDOM.normal(40, 10))}
        for day in range(4)
        for i in range(6)
    ]
    keep(log, "churn", predicted(rows))
    series = ask(log, "hours", by="day")
    found = table_of(series)
    assert max(row["psi"] for row in found) > 1
    assert all(row["psi"] < row["psi_by_chance"] for row in found)
    assert series.title.endswith("too few predictions to tell a shift in the last 4 days")
    psi = next(plot for plot in plots_of(series) if plot.label == "psi")
    assert list(psi.lines[0].references) == ["psi by chance"]


def test_steps_and_filters_are_those_asked_for(log: PredictionLog) -> None:
    rows = week(0, {"hours": np.full(3000, 40.0)})
    keep(log, "churn", predicted(rows), predicted(rows[:7], version="2"))
    series = ask(log, "hours", by="day", version="1")
    steps = {r["step"]: 0 for r in table_of(series)}
    for row in table_of(series):
        steps[row["step"]] += row["volume"]
    expected = {(START + timedelta(days=i)).isoformat(): n for i, n in enumerate([1440, 1440, 120])}
    assert steps == expected
    assert all(datetime.fromisoformat(step).tzinfo for step in steps)


def test_an_empty_time_is_answered_and_drawn(log: PredictionLog) -> None:
    series = ask(log, "hours", where=["region:north"])
    assert series.rows == []
    assert "No predictions in this time." in series.notes
    assert draw(series, "svg")
    keep(log, "churn", predicted(week(0, {"hours": [1.0]})))
    for profile in (noted, lambda _model, _version: None):
        assert ask(log, "hours", profile, version="9").rows == []
        assert ask(log, "region", profile, version="9").rows == []


def test_an_input_that_is_always_null_is_told(log: PredictionLog) -> None:
    keep(log, "churn", predicted(week(0, {"hours": [None] * 4})))
    for profile in (noted, lambda _model, _version: None):
        series = ask(log, "hours", profile)
        assert {r["bin"]: r["share"] for r in table_of(series)}["null"] == 1
        assert "NaN" not in series.model_dump_json()
        assert draw(series, "png")


def test_an_unknown_input_is_named_with_those_that_there_are(log: PredictionLog) -> None:
    keep(log, "churn", predicted(week(0, {"hours": [1.0]})))
    with pytest.raises(QueryInvalid, match=r"did you mean 'hours'.*hours, is_active, region"):
        ask(log, "huors")
    with pytest.raises(QueryInvalid):
        ask(log, 'hours" FROM x; --')


def test_a_damaged_file_is_left_out_with_a_note(log: PredictionLog) -> None:
    keep(log, "churn", predicted(week(0, {"hours": [1.0, 2.0]})))
    path = keep(log, "churn", predicted(week(1, {"hours": [1.0] * 500})))[0]
    path.write_bytes(path.read_bytes()[:-9])
    series = ask(log, "hours")
    assert {r["step"] for r in table_of(series)} == {START.isoformat()}
    assert any("could not be read" in note for note in series.notes)


@pytest.mark.parametrize(
    ("kinds", "values"), [(("text", "number"), ("x", 7.0)), (("number", "text"), (7.0, "x"))]
)
def test_an_input_that_changed_its_kind_is_read_in_its_latest_one(
    log: PredictionLog, kinds: tuple[str, str], values: tuple[Any, Any]
) -> None:
    for number, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        rows = week(number, {"hours": [value] * 3})
        keep(log, "churn", predicted(rows, version=f"{number}", inputs={"hours": kind}))
    series = ask(log, "hours", lambda *_: None)
    assert sum(row["volume"] for row in table_of(series)) == 6


def test_a_profile_is_read_from_the_artifact_of_its_version(tmp_path: Path) -> None:
    release_of(tmp_path / "releases")
    replayed = tmp_path / "replays" / "churn" / "0"
    replayed.mkdir(parents=True)
    profiles = ReleasedProfiles((tmp_path / "releases", tmp_path / "replays"))
    assert profiles("churn", "1") == {}
    (replayed / "profile.json").write_text('{"hours": {"rows": 3}}')
    assert profiles("churn", "0") == {"hours": {"rows": 3}}
    assert profiles("churn", "7") is None
    assert profiles("nothing", "1") is None


class TestGroups:
    @pytest.mark.parametrize("number", [0.0, 7.0])
    def test_of_a_constant_are_one(self, number: float) -> None:
        marks = marks_of({"edges": [number] * 21})
        assert names_of(marks) == ["below training", f"{number:g}", "above training"]
        assert shares_of(marks, 0.25) == [0, 0.75, 0, 0.25]

    def test_add_up_to_one(self) -> None:
        for values in (
            RANDOM.poisson(1.5, 999),
            RANDOM.gamma(1, 1, 50),
            np.round(RANDOM.random(99)),
        ):
            edges = np.quantile(values, np.linspace(0, 1, 21)).tolist()
            marks = marks_of({"edges": edges})
            shares = shares_of(marks, 0.1)
            assert sum(shares) == pytest.approx(1)
            assert min(shares) >= 0
            assert len(names_of(marks)) + 1 == len(shares)

    @pytest.mark.parametrize(
        "values",
        [
            RANDOM.integers(1, 6, 40_000), RANDOM.integers(0, 2, 40_000),
            RANDOM.poisson(0.3, 40_000), RANDOM.poisson(4, 40_000), RANDOM.integers(0, 31, 40_000),
            RANDOM.choice([10.0, 20.0, 49.9], 40_000), np.maximum(RANDOM.normal(0, 1, 40_000), 0),
            np.minimum(RANDOM.gamma(2, 1, 40_000), 3), np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 8000),
        ],
    )  # fmt: skip
    def test_of_the_same_values_show_no_shift(self, values: np.ndarray[Any, Any]) -> None:
        edges = np.quantile(values, np.linspace(0, 1, 21)).tolist()
        marks = marks_of({"edges": edges})
        upto = [
            float((values <= m.value if m.is_within else values < m.value).mean()) for m in marks
        ]
        now = [*np.diff([0.0, *upto, 1.0]), 0.0]
        assert stability(now, shares_of(marks, 0.0)) < 0.05
        assert len(now) >= min(len(set(values)), 8)

    def test_are_named_so_that_they_can_be_told_apart(self) -> None:
        edges = [1000 + i / 1000 for i in range(21)]
        names = names_of(marks_of({"edges": edges}))
        assert len(set(names)) == len(names) == 12
        assert names_of(marks_of({"edges": [0.0, 25_000.0, 50_000.0]}))[1] == "0 to 50,000"

    def test_that_are_the_same_have_an_index_of_zero(self) -> None:
        assert stability([0.2, 0.8, 0], [0.2, 0.8, 0]) == 0

    def test_have_the_index_of_a_worked_example(self) -> None:
        # (.3 - .2) ln(.3 / .2) + (.7 - .8) ln(.7 / .8) = 0.0405465 + 0.0133531
        assert stability([0.3, 0.7], [0.2, 0.8]) == pytest.approx(0.0538996, abs=1e-6)

    @pytest.mark.parametrize(("rows", "trained"), [(8, 5000), (200, 10**6), (3000, 3000)])
    def test_differ_by_chance_as_is_said(self, rows: int, trained: int) -> None:
        shares = np.full(10, 0.1)
        usual = Chance(list(shares), trained).of(rows)
        now, then = (RANDOM.multinomial(n, shares, 2000) / n for n in (rows, trained))
        found = [stability(list(a), list(b)) for a, b in zip(now, then, strict=True)]
        assert np.mean(np.array(found) <= usual.most) == pytest.approx(0.95, abs=0.03)
        assert np.mean(found) == pytest.approx(usual.mean, rel=0.1)

    def test_of_many_rows_differ_by_chance_as_the_formula_says(self) -> None:
        # Yurdakul and Naranjo 2020: groups less one, times the sum of both one over the rows.
        assert Chance([0.1] * 10, 4000).of(1000).mean == pytest.approx(9 * 0.00125, rel=0.08)
