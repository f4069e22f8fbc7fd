"""The rules by which figures pass, and the page that is rendered from them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from tests.quality.conftest import Figure, Rival, over_seeds, replace_block, why
from tests.quality.difference import Answers, auc_figure, on_rows
from tests.quality.record import Record, keep, read_records
from tests.quality.report import render, verdict
from tests.quality.seeds import ORACLE, OURS, Seeds

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class TestPasses:
    @pytest.mark.parametrize(
        ("figure", "passes"),
        [
            (Figure("AUC", 0.84, least=0.838), True),
            (Figure("AUC", 0.83, least=0.838), False),
            (Figure("Brier", 0.15, most=0.141), False),
            (Figure("coverage", 0.94, least=0.87, most=0.93), False),
            (Figure("PR-AUC", 0.1), True),
        ],
    )
    def test_without_seeds_the_value_lies_within_the_gate(
        self,
        figure: Figure,
        passes: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        assert figure.passes is passes

    def test_one_seed_may_be_worse_by_a_quarter_of_the_way_to_the_oracle(self) -> None:
        def regret(worst: float) -> Figure:
            return over_seeds("regret", [0.01, 0.02, worst], most=0.03, best=0.0)

        assert regret(0.0374).passes
        assert not regret(0.0376).passes

    def test_the_mean_has_to_pass_whatever_the_seeds_do(self) -> None:
        assert not over_seeds("regret", [0.031, 0.031], most=0.03, best=0.0).passes

    def test_a_gate_of_two_sides_gives_a_quarter_of_half_its_width(self) -> None:
        assert over_seeds("coverage", [0.8951, 0.8951, 0.8749], least=0.88, most=0.92).slack == (
            pytest.approx(0.005)
        )

    def test_each_seed_has_to_pass_where_nothing_tells_the_gap(self) -> None:
        figure = over_seeds("NAB score", [60.0, 49.0, 47.9], least=48)
        assert figure.ours > 48
        assert not figure.passes

    def test_a_miss_of_a_seed_alone_is_told_as_such(self) -> None:
        assert over_seeds("x", [0.01, 0.04], most=0.03, best=0.0).reached == "**no**, a seed misses"
        assert over_seeds("x", [0.04, 0.04], most=0.03, best=0.0).reached == "**no**"

    def test_a_miss_is_said_with_its_seeds(self) -> None:
        figure = over_seeds("regret", [0.01, 0.05], most=0.03, best=0.0)
        assert why(figure) == (
            "regret: 0.03, gate at most 0.03; seeds 0.01, 0.05, each within 0.0075 of it"
        )


class TestPlace:
    @pytest.mark.parametrize(
        ("figure", "place"),
        [
            (Figure("AUC", 0.9, least=0.8), 0.5),
            (Figure("ratio to the oracle", 1.15, most=1.3, best=1.0), 0.5),
            (Figure("captured", 0.9, least=0.88, oracle=0.92), 0.5),
            (Figure("coverage", 0.91, least=0.88, most=0.92), 0.5),
            (Figure("NAB score", 60.0, least=48), 0.75),
            (Figure("elasticity", -2.5, most=-2.0), 0.75),
            (Figure("share of rising curves", 0.0, most=0.0), 0.0),
            (Figure("share of rising curves", 0.1, most=0.0), 2.0),
        ],
    )
    def test_zero_is_the_best_and_one_the_gate(self, figure: Figure, place: float) -> None:
        assert figure.place(figure.ours) == pytest.approx(place)

    def test_an_oracle_short_of_the_gate_is_no_best(self) -> None:
        assert Figure("captured", 0.9, least=0.95, oracle=0.94).place(0.95) == pytest.approx(1)


class TestDifference:
    def test_delong_agrees_with_the_bootstrap(self) -> None:
        draw = np.random.default_rng(1)
        target = (draw.random(1500) < 0.3).astype(np.float64)
        ours = target + draw.normal(0, 1.2, 1500)
        theirs = target + draw.normal(0, 1.5, 1500)

        def auc(answers: Answers, rows: npt.NDArray[np.int64]) -> float:
            return float(roc_auc_score(answers["target"][rows], answers["score"][rows]))

        blank = Figure("AUC", 0, better="higher")
        exact = auc_figure(blank, target, ours=ours, others={"other": theirs})
        drawn = on_rows(
            blank, auc, ours={"target": target, "score": ours},
            others={"other": {"target": target, "score": theirs}},
        )  # fmt: skip
        assert exact.ours == pytest.approx(roc_auc_score(target, ours), abs=1e-12)
        assert exact.difference == pytest.approx(drawn.difference, abs=1e-12)
        assert exact.standard_error == pytest.approx(drawn.standard_error, rel=0.15)
        assert exact.low == pytest.approx(drawn.low, abs=0.005)

    def test_seeds_are_paired(self) -> None:
        seeds = Seeds()
        for luck in (0.0, 1.0, 2.0):
            seeds.add(OURS, loss=luck)
            seeds.add("LightGBM", loss=luck + 0.5)
            seeds.add(ORACLE, loss=luck - 0.1)
        figure = seeds.figure("loss", "loss", most=5)
        assert (figure.ours, figure.low, figure.high) == (1, 0, 2)
        assert figure.oracle == pytest.approx(0.9)
        assert (figure.difference, figure.standard_error) == (-0.5, 0)
        assert verdict(figure) == "better"

    @pytest.mark.parametrize(
        ("ours", "stands"), [(0.85, "better"), (0.82, "level"), (0.79, "level"), (0.75, "worse")]
    )
    def test_what_two_standard_errors_cannot_tell_apart_is_level(
        self, ours: float, stands: str
    ) -> None:
        figure = Figure("AUC", ours, least=0.7)
        assert verdict(figure.against(Rival("x", 0.8, ours - 0.8, 0.02))) == stands


class TestPage:
    def test_a_record_comes_back_as_it_was_kept(self, tmp_path: Path) -> None:
        figure = over_seeds("regret", [0.01, 0.02], most=0.03, best=0.0, oracle=0.001)
        figure = figure.against(Rival("a", 0.03, -0.01, 0.004), Rival("b", 0.5))
        kept = keep("churn", "here", about="A.", figures=[figure], seconds=3, folder=tmp_path)
        assert [record.figures for record in read_records(tmp_path)] == [kept.figures]

    def test_a_run_of_one_model_leaves_the_others(self, tmp_path: Path) -> None:
        for model in ("churn", "profitability", "churn"):
            keep(model, "x", about="", figures=[Figure("m", 1.0)], seconds=1, folder=tmp_path)
        assert [record.model for record in read_records(tmp_path)] == ["profitability", "churn"]

    def test_a_number_that_is_not_finite_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            keep("churn", "x", about="", figures=[Figure("m", np.nan)], seconds=1, folder=tmp_path)

    def test_the_page_says_what_is_missed_and_where_another_is_better(self, tmp_path: Path) -> None:
        missed = Figure("AUC", 0.7, least=0.8).against(Rival("CatBoost", 0.9, -0.2, 0.01))
        plain = Figure("MASE", 0.8, most=0.86, reference="AutoETS .830")
        records = [Record("demand", "m3", "Monthly.", AT, 12, {"numpy": "2"}, (missed, plain))]
        render(records, page=tmp_path / "quality.md", pictures=tmp_path / "quality")
        page = (tmp_path / "quality.md").read_text(encoding="utf-8")
        assert "**1 of 2 gates are reached." in page
        assert (
            "- demand, m3, AUC 0.7: gate at least 0.8 **missed**; CatBoost 0.9, "
            "difference -0.2 ± 0.01 (worse)." in page
        )
        assert "| MASE | 0.8 | AutoETS .830 |  |  | at most 0.86 | yes |" in page
        assert "2026-01-02 03:04" in page
        for name in ("overview", "demand"):
            assert (tmp_path / "quality" / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    def test_nothing_measured_makes_a_page_too(self, tmp_path: Path) -> None:
        render([], page=tmp_path / "quality.md", pictures=tmp_path / "quality")
        assert "Nothing was measured yet." in (tmp_path / "quality.md").read_text(encoding="utf-8")

    def test_a_card_without_the_block_is_named(self, tmp_path: Path) -> None:
        card = tmp_path / "churn.md"
        card.write_text("# churn", encoding="utf-8")
        with pytest.raises(AssertionError, match="has no block 'telco'"):
            replace_block(card, "telco", "text")
