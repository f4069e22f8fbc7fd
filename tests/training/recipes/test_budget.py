import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from core.errors import ConfigError, TrainingRefused
from tests.campaigns import NAMES, QUICK, config_of, train, weeks
from training.fitting import Fitted
from training.frame import Frame
from training.recipes import budget


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return train(config_of(), weeks())


def channels_of(fitted: Fitted) -> dict[str, dict[str, object]]:
    listed = fitted.predictor.artifact.read_json("channels.json")["channels"]
    return {known["channel"]: known for known in listed}


def refusal(frame: Frame, channels: tuple[str, ...] = NAMES) -> str:
    with pytest.raises(TrainingRefused) as caught:
        train(config_of(channels), frame)
    return str(caught.value)


class TestFit:
    def test_returns_are_found(self, fitted: Fitted) -> None:
        kept = fitted.predictor.artifact.read_arrays("history.npz")
        spend = kept["spend"]
        truth = sum(
            (worth * spend[:, k] / (spend[:, k] + half)).sum() * (np.arange(3) == k)
            for k, (worth, half) in enumerate(((300, 20), (200, 10), (80, 10)))
        )
        assert kept["total"].mean(axis=0) == pytest.approx(truth, rel=0.35)

    def test_the_held_out_weeks_are_predicted(self, fitted: Fitted) -> None:
        assert fitted.metrics["r2_score"] > 0.8
        assert fitted.metrics["coverage_ratio"] > 0.7
        assert fitted.metrics["rhat_error"] < 1.4

    def test_the_release_is_fitted_on_all_weeks(self, fitted: Fitted) -> None:
        assert len(fitted.predictor.artifact.read_arrays("history.npz")["outcome"]) == 140

    def test_the_outcome_of_the_test_is_not_used_for_what_is_measured(self) -> None:
        frame = weeks()
        other = weeks()
        other.target[-20:] += 1000.0
        said = [train(config_of(), one).outputs["value"] for one in (frame, other)]
        assert (said[0] == said[1]).all()

    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        frame = weeks()
        order = np.random.default_rng(0).permutation(len(frame))
        one, two = train(config_of(), frame), train(config_of(), frame.take(order))
        assert one.metrics == pytest.approx(two.metrics)

    def test_the_same_table_gives_the_same_bytes(self) -> None:
        digests = [_digest(train(config_of(), weeks()).predictor.artifact.folder) for _ in range(2)]
        assert digests[0] == digests[1]

    def test_every_figure_can_be_drawn(self, fitted: Fitted) -> None:
        artifact = fitted.predictor.artifact
        drawn = dict(budget.figures(fitted.outputs, fitted.split.test, artifact))
        assert list(drawn) == [
            "response_curves", "what_brought_the_outcome", "held_out_weeks", "past_returns",
        ]  # fmt: skip
        for figure in drawn.values():
            FigureCanvasAgg(figure).print_png(BytesIO())  # type: ignore[no-untyped-call]  # matplotlib's

    def test_losses_are_one_a_week(self, fitted: Fitted) -> None:
        losses = budget.losses(fitted.outputs, fitted.split.test)
        assert losses.shape == (20,)
        assert (losses >= 0).all()

    def test_the_form_is_chosen_by_past_origins(self) -> None:
        options = {**QUICK, "form": "auto", "origins": 1}
        fitted = train(config_of(training={"options": options}), weeks())
        listed = fitted.predictor.artifact.read_json("channels.json")
        assert set(listed["form_errors"]) == {"hill", "tanh"}
        assert listed["form"] in listed["form_errors"]


class TestTrust:
    def test_channels_that_vary_by_themselves_are_identified(self, fitted: Fitted) -> None:
        assert channels_of(fitted)["tv"]["reason"] is None
        assert fitted.metrics["identified_ratio"] >= 2 / 3

    def test_a_constant_channel_is_kept_and_said(self) -> None:
        found = channels_of(train(config_of(), weeks(radio=np.full(140, 10.0))))
        assert "hardly changed: by 0.0% of its mean" in str(found["radio"]["reason"])
        assert found["tv"]["reason"] is None

    def test_channels_that_move_together_are_said(self) -> None:
        moved = 10 * np.exp(np.random.default_rng(1).normal(0, 0.5, 140))
        found = channels_of(train(config_of(), weeks(search=moved, radio=1.5 * moved)))
        assert "moves with that of radio: correlation 1.000" in str(found["search"]["reason"])
        assert "moves with that of search" in str(found["radio"]["reason"])
        assert found["tv"]["reason"] is None

    def test_a_null_of_spend_is_nothing_spent(self) -> None:
        frame = weeks()
        np.asarray(frame.columns["radio"])[:30] = np.nan
        kept = train(config_of(), frame).predictor.artifact.read_arrays("history.npz")
        assert (kept["spend"][:30, 2] == 0).all()


class TestRefused:
    def test_one_channel_is_nothing_to_split(self) -> None:
        assert "names 1 channel (tv); with one there is nothing to split" in refusal(
            weeks(), ("tv",)
        )

    def test_missing_weeks_are_named(self) -> None:
        frame = weeks()
        kept = np.delete(np.arange(140), 7)
        assert "after 2022-02-14 comes 2022-02-28" in refusal(frame.take(kept))

    def test_several_markets_are_named(self) -> None:
        frame = weeks()
        frame.entity[70:] = "abroad"
        assert "2 markets (abroad, home" in refusal(frame)

    def test_negative_spend_is_named(self) -> None:
        frame = weeks()
        np.asarray(frame.columns["radio"])[3] = -2.0
        assert "'radio' holds negative spend, -2" in refusal(frame)

    def test_a_channel_without_any_spend_is_named(self) -> None:
        assert "'radio' never had any spend" in refusal(weeks(radio=np.zeros(140)))

    def test_too_few_weeks_are_refused(self) -> None:
        assert "weeks are too few" in refusal(weeks(60))

    def test_a_channel_that_is_a_control_too_is_refused(self) -> None:
        roles = {"channels": ["tv", "search"], "controls": ["tv"]}
        with pytest.raises(TrainingRefused, match="'tv' is a channel and a control"):
            train(config_of(roles=roles), weeks())

    def test_a_category_is_no_control(self) -> None:
        config = config_of()
        text = config.features["economy"].model_copy(update={"type": "category"})
        config = config.model_copy(update={"features": {**config.features, "economy": text}})
        frame, good = weeks(), np.full(140, "good", dtype=object)
        frame = Frame(**{**vars(frame), "columns": {**frame.columns, "economy": good}})
        with pytest.raises((ConfigError, TrainingRefused), match="'economy' is a category"):
            train(config, frame)

    def test_an_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match="draws"):
            train(config_of(training={"options": {"drawz": 200}}), weeks())


def _digest(folder: Path) -> str:
    files = sorted(folder.iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
