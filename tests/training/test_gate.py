"""What a challenger has to show, figure by figure."""

from typing import Any

import numpy as np
import pytest

from core.config import Gate
from training.gate import Verdict, bootstrap_worse_share, decide

METRICS = {"auc_score": 0.8, "brier_error": 0.1}
LOSSES = np.random.default_rng(1).exponential(size=800)


def verdict(*, latency_ms: float = 1.0, losses: Any = LOSSES, champion: Any = None,
            why: str | None = None, metrics: Any = METRICS, **gate: Any) -> Verdict:  # fmt: skip
    rules = Gate.model_validate({"metric": "auc_score", **gate})
    return decide(rules, metrics=metrics, latency_ms=latency_ms, losses=losses,
                  champion_losses=champion, seed=7, no_champion=why)  # fmt: skip


def test_without_a_champion_floors_ceilings_and_latency_decide() -> None:
    found = verdict(floors={"auc_score": 0.8}, ceilings={"brier_error": 0.1})
    assert found.passed
    assert found.summary() == "all 3 checks passed"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"floors": {"auc_score": 0.81}}, "auc_score is 0.8, at least 0.81 wanted"),
        ({"ceilings": {"brier_error": 0.05}}, "brier_error is 0.1, at most 0.05 wanted"),
        ({"max_latency_ms": 0.5}, "one row takes 1.00 ms, at most 0.5 ms allowed"),
        ({"floors": {"aux_score": 0.5}}, "the gate asks for aux_score; measured are auc_score, "),
    ],
)
def test_each_failure_says_the_figure_and_its_limit(gate: dict[str, Any], said: str) -> None:
    found = verdict(**gate)
    assert not found.passed
    assert said in found.summary()


def test_a_metric_that_is_no_number_never_passes() -> None:
    assert not verdict(metrics={"auc_score": float("nan")}, floors={"auc_score": 0.1}).passed


def test_a_clearly_better_challenger_beats_the_champion() -> None:
    found = verdict(losses=LOSSES * 0.8, champion=LOSSES)
    assert found.passed
    assert "better in 100% of resamples, 90% wanted" in found.checks[-1].text


@pytest.mark.parametrize("factor", [1.01, 1.5])
def test_a_worse_challenger_does_not(factor: float) -> None:
    found = verdict(losses=LOSSES * factor, champion=LOSSES)
    assert not found.passed
    assert "better in 0% of resamples" in found.summary()


def test_chance_alone_does_not_beat_the_champion() -> None:
    noise = np.random.default_rng(5).normal(scale=0.5, size=(40, len(LOSSES)))
    passed = [verdict(losses=LOSSES + row, champion=LOSSES).passed for row in noise]
    assert np.mean(passed) == pytest.approx(0.1, abs=0.1)


def test_the_very_answers_of_the_champion_pass() -> None:
    found = verdict(losses=LOSSES, champion=LOSSES.copy())
    assert found.passed
    assert "answers exactly as the champion does" in found.checks[-1].text


def test_a_loss_that_is_no_finite_number_never_passes() -> None:
    broken = LOSSES.copy()
    broken[3] = np.nan
    assert not verdict(losses=broken, champion=LOSSES).passed
    assert verdict(losses=LOSSES, champion=broken).passed


def test_a_champion_that_cannot_be_measured_is_told() -> None:
    found = verdict(why="it cannot be opened")
    assert found.passed
    assert found.checks[-1].text == "not compared: it cannot be opened"


def test_the_same_seed_gives_the_same_share() -> None:
    other = LOSSES + np.random.default_rng(2).normal(scale=0.3, size=len(LOSSES))
    shares = {bootstrap_worse_share(LOSSES, other, seed=s) for s in (3, 3, 3)}
    assert len(shares) == 1


def test_many_rows_are_grouped_and_say_the_same() -> None:
    random = np.random.default_rng(4)
    champion = random.exponential(size=100_000)
    losses = champion + random.normal(-0.0025, 1.0, size=len(champion))
    z = (champion - losses).mean() / (champion - losses).std() * np.sqrt(len(losses))
    from scipy.stats import norm

    assert bootstrap_worse_share(losses, champion, seed=1) == pytest.approx(norm.cdf(-z), abs=0.03)
