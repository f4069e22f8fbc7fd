"""What of a prediction is not kept: masked columns, hashed entities, samples."""

from __future__ import annotations

import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.release import Release
from core.errors import AnswerRefused, ConfigError
from core.platform_config import History, load_platform_config
from core.settings import Settings
from services.history.decoding import OUTCOMES_OF
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.keeper import HistoryKeeper, build_history
from services.history.masking import open_masking
from services.history.mover import Mover
from tests.services.history.conftest import log_of, move, refusals_of, row, rows_of, write_segment
from tests.services.history.wishes import ask, tell
from tests.tiny import CONTENT


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give settings whose configs are those of the tiny model."""
    settings = Settings(home=tmp_path, configs=tmp_path / "configs")
    path = settings.model_config_path("churn")
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(CONTENT))
    return settings


def history(**given: Any) -> History:
    """Give a config with masks or samples."""
    return History.model_validate(given)


def masks(**given: str) -> History:
    """Give a config with masks of the tiny model."""
    return history(masks={"churn": given})


def move_masked(settings: Settings, config: History) -> list[dict[str, Any]]:
    """Move all that waits, and give the rows in the log."""
    masking, secret = open_masking(settings, config)
    log = log_of(settings.home)
    erasures = Erasures(log, conceal=None if secret is None else secret.mask)
    mover = Mover(settings.spool, log, erasures=erasures, masking=masking)
    mover.step()
    mover.close()
    Eraser(log, erasures, spool=settings.spool).step()
    return sorted(rows_of(log), key=lambda one: one["at"])


class TestMasks:
    def test_a_column_is_left_out_and_the_row_says_so(
        self, settings: Settings, release: Release
    ) -> None:
        write_segment(settings.spool, release, [row(1), row(2)], name="a-0")
        rows = move_masked(settings, masks(region="drop", hours="drop"))
        assert [one["input_region"] for one in rows] == [None, None]
        assert [one["input_hours"] for one in rows] == [None, None]
        assert {one["input_plan"] for one in rows} == {"pro"}
        assert {one["masked"] for one in rows} == {"region,hours"}

    def test_without_masks_nothing_is_and_the_row_says_so(
        self, settings: Settings, release: Release
    ) -> None:
        write_segment(settings.spool, release, [row(1)], name="a-0")
        [one] = move_masked(settings, history())
        assert (one["masked"], one["input_region"]) == (None, "north")
        assert not settings.predictions_secret.exists()

    def test_equal_texts_stay_equal_and_cannot_be_read(
        self, settings: Settings, release: Release
    ) -> None:
        rows = [row(1), row(2), row(1), row(3, region="south")]
        write_segment(settings.spool, release, rows, name="a-0", together=2)
        write_segment(settings.spool, release, [row(1)], name="a-1")
        config = masks(region="hash", client_id="hash")
        found = move_masked(settings, config)
        # Another worker, later, with the same secret.
        write_segment(settings.spool, release, [row(1)], name="a-2")
        found = move_masked(settings, config)
        for column, values in (("entity", 3), ("input_region", 2)):
            texts = [one[column] for one in found]
            assert len(set(texts)) == values
            assert all(re.fullmatch(r"[0-9a-f]{32}", text) for text in texts)
        assert {one["masked"] for one in found} == {"region,client_id"}
        counts = [sum(other["entity"] == one["entity"] for other in found) for one in found]
        assert sorted(counts) == [1, 1, 4, 4, 4, 4]

    def test_what_happened_is_of_the_same_entity_as_the_prediction(
        self, settings: Settings, release: Release
    ) -> None:
        write_segment(settings.spool, release, [row(1)], name="a-0")
        tell(settings.spool, [{"entity": "c1", "value": 1.0}, {"value": 2.0}], name="b-0")
        [one] = move_masked(settings, masks(client_id="hash"))
        outcomes = rows_of(log_of(settings.home), "churn" + OUTCOMES_OF)
        assert {told["entity"] for told in outcomes} == {one["entity"], None}

    def test_an_entity_that_is_hashed_is_erased_all_the_same(
        self, settings: Settings, release: Release
    ) -> None:
        rows = [row(1), row(2)]
        write_segment(settings.spool, release, rows, name="a-0")
        # From before it was masked.
        move(settings.home)
        write_segment(settings.spool, release, rows, name="a-1")
        before = move_masked(settings, masks(client_id="hash"))
        assert len(before) == 4
        ask(settings.spool, "c1")
        after = move_masked(settings, masks(client_id="hash"))
        assert len(after) == 2
        assert {one["entity"] for one in after} <= {one["entity"] for one in before} - {"c1"}
        write_segment(settings.spool, release, rows, name="a-2")
        assert len(move_masked(settings, masks(client_id="hash"))) == 3
        # The masks are gone from the config, the hashes are not gone from the log.
        ask(settings.spool, "c2", name="e-1")
        assert move_masked(settings, history()) == []

    def test_a_version_whose_column_is_no_text_has_it_left_out(
        self, settings: Settings, release: Release
    ) -> None:
        content = {**CONTENT, "features": dict(CONTENT["features"])}
        content["features"]["hours"] = {"type": "category", "description": "Hours, in words."}
        settings.model_config_path("churn").write_text(yaml.safe_dump(content))
        write_segment(settings.spool, release, [row(1)], name="a-0")
        [one] = move_masked(settings, masks(hours="hash"))
        assert (one["input_hours"], one["masked"]) == (None, "hours")


class TestTheSecret:
    def test_nobody_else_may_read_it(self, settings: Settings) -> None:
        _, secret = open_masking(settings, masks(client_id="hash"))
        assert stat.S_IMODE(settings.predictions_secret.stat().st_mode) == 0o600
        assert secret is not None
        assert settings.predictions_secret.read_text() not in repr(secret)
        assert secret.key.hex() not in repr(secret)
        assert [one.name for one in settings.home.glob("*secret*")] == ["predictions-secret"]

    def test_one_that_is_damaged_is_not_replaced(self, settings: Settings) -> None:
        settings.predictions_secret.write_text("abc")
        with pytest.raises(ConfigError, match="from a backup"):
            open_masking(settings, masks(client_id="hash"))


class TestSamples:
    def test_the_share_is_kept_and_always_of_the_same_predictions(
        self, settings: Settings, release: Release
    ) -> None:
        spool = settings.spool
        for number in range(20):
            rows = [row(i) for i in range(100)]
            write_segment(spool, release, rows, name=f"a-{number}", together=100)
        contents = {path: path.read_bytes() for path in spool.glob("*.seg")}
        kept = {
            one["prediction_id"] for one in move_masked(settings, history(samples={"churn": 0.25}))
        }
        assert 400 < len(kept) < 600
        again = Settings(home=settings.home / "again", configs=settings.configs)
        again.spool.mkdir(parents=True)
        for path, content in contents.items():
            (again.spool / path.name).write_bytes(content)
        config = history(samples={"churn": 0.5})
        more = {one["prediction_id"] for one in move_masked(again, config)}
        assert 850 < len(more) < 1150
        assert kept < more

    def test_of_refusals_the_same_share_is_kept_and_always_the_same_ones(
        self, settings: Settings, release: Release
    ) -> None:
        refused = [AnswerRefused("no history")] * 4000
        rows = [row(i) for i in range(4000)]
        write_segment(settings.spool, release, rows, name="a-0", refusals=refused, together=100)
        content = (settings.spool / "a-0.seg").read_bytes()
        kept = {}
        for share in (0.1, 0.2, 1.0):
            # Moved another time, by another worker.
            again = Settings(home=settings.home / f"{share}", configs=settings.configs)
            again.spool.mkdir(parents=True)
            (again.spool / "a-0.seg").write_bytes(content)
            answered = len(move_masked(again, history(samples={"churn": share})))
            found = refusals_of(log_of(again.home))
            kept[share] = Counter(one["latency_us"] for one in found)
            # Five standard deviations of a binomial distribution.
            bound = 5 * (4000 * share * (1 - share)) ** 0.5
            assert abs(answered - 4000 * share) <= bound
            assert abs(len(found) - 4000 * share) <= bound
        assert kept[0.1] <= kept[0.2] <= kept[1.0]

    def test_the_other_models_are_kept_whole(self, settings: Settings, release: Release) -> None:
        rows = [row(i) for i in range(50)]
        refused = [AnswerRefused("no history")] * 20
        write_segment(settings.spool, release, rows, name="a-0", refusals=refused)
        assert len(move_masked(settings, history(samples={"anomaly": 0.01}))) == 50
        assert len(refusals_of(log_of(settings.home))) == 20


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"masks": {"chrun": {"region": "drop"}}}, "did you mean|Did you mean 'churn'"),
            ({"samples": {"nothing": 0.5}}, r"history\.samples\.nothing.*no such model"),
            ({"masks": {"churn": {"regoin": "drop"}}}, "Did you mean 'region'"),
            ({"masks": {"churn": {"hours": "hash"}}}, "kind number; use drop"),
            ({"masks": {"churn": {"client_id": "drop"}}}, "use hash"),
            ({"masks": {"churn": {"as_of": "drop"}}}, "no such input"),
            ({"masks": {"churn": {"probability": "drop"}}}, "no such input"),
        ],
    )
    def test_a_mask_of_what_there_is_not(
        self, settings: Settings, given: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ConfigError, match=said):
            build_history(settings, history(**given))

    @pytest.mark.parametrize(
        "text",
        [
            "masks: {churn: {region: blur}}",
            "samples: {churn: 0}",
            "samples: {churn: 1.5}",
        ],
    )
    def test_a_way_or_a_share_that_there_is_not(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "platform.yaml"
        path.write_text(f"history:\n  {text}\n")
        with pytest.raises(ConfigError, match=r"history\."):
            load_platform_config(path)


def test_the_worker_masks_what_it_moves(settings: Settings, release: Release) -> None:
    write_segment(settings.spool, release, [row(1)], name="a-0")
    keeper: HistoryKeeper = build_history(settings, masks(region="drop"))
    keeper.step()
    keeper.close()
    [path] = (settings.home / "predictions" / "churn").glob("*/*.parquet")
    assert path.read_bytes().count(b"north") == 0
