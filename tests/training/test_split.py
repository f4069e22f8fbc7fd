"""Nothing of the test leaks into what is learned."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import ModelConfig
from core.errors import TrainingRefused
from tests.tables import config_of
from training.frame import Frame
from training.split import Split, split_frame

DAY = np.timedelta64(1, "D")


def frame(days: Any, *, entity: Any = None, part: Any = None, target: Any = None) -> Frame:
    """Give rows on these days after New Year of 2024."""
    count = len(days)
    return Frame(
        columns={"hours": np.arange(count, dtype=np.float64)},
        target=np.asarray(np.arange(count) % 2 if target is None else target, np.float64),
        amount=None,
        entity=np.array([f"c{i}" for i in (range(count) if entity is None else entity)], object),
        as_of=np.datetime64("2024-01-01", "us") + np.asarray(days) * DAY,
        part=None if part is None else np.array(part, object),
        row_numbers=np.arange(1, count + 1),
    )


def by_time(**changes: Any) -> ModelConfig:
    return config_of(target={"horizon_days": changes.pop("horizon", None)},
                     split={"rule": "time", "test_share": 0.25, **changes})  # fmt: skip


def by(rule: str, **changes: Any) -> ModelConfig:
    config = config_of()
    split = config.split.model_copy(update={"rule": rule, "test_share": None, **changes})
    return config.model_copy(update={"split": split})


def seen(parts: Split) -> set[int]:
    return set(parts.train.row_numbers) | set(parts.calibration.row_numbers)


class TestTime:
    @settings(max_examples=30, deadline=None)
    @given(
        days=st.lists(st.integers(0, 300), min_size=200, max_size=300),
        horizon=st.sampled_from([0, 30, 90]),
    )
    def test_every_outcome_before_the_test_is_known_when_it_begins(
        self, days: list[int], horizon: int
    ) -> None:
        rows = frame(days, target=np.arange(len(days)) % 2)
        try:
            parts = split_frame(rows, by_time(horizon=horizon))
        except TrainingRefused:
            return
        train, calibration, test = (
            p.as_of for p in (parts.train, parts.calibration, parts.test) if p.as_of is not None
        )
        assert calibration.max() + horizon * DAY <= test.min()
        assert train.max() < calibration.min()
        every = np.concatenate(
            [p.row_numbers for p in (parts.train, parts.calibration, parts.test)]
        )
        assert len(set(every)) == len(every)
        assert len(every) + parts.embargoed == len(rows)

    def test_takes_the_latest_share_and_leaves_out_what_reaches_into_it(self) -> None:
        parts = split_frame(frame(np.arange(400)), by_time(horizon=30))
        assert len(parts.test) == 100
        assert parts.embargoed == 29
        assert len(parts.calibration) == pytest.approx(0.2 * 271, abs=1)

    def test_takes_the_latest_days(self) -> None:
        config = by_time(test_share=None, test_days=50)
        parts = split_frame(frame(np.arange(400)), config)
        assert parts.test.row_numbers.tolist() == list(range(351, 401))

    def test_the_order_of_the_rows_in_the_table_does_not_matter(self) -> None:
        rows = frame(np.arange(400))
        mixed = rows.take(np.random.default_rng(1).permutation(400))
        one, other = (split_frame(f, by_time(horizon=30)) for f in (rows, mixed))
        assert seen(one) == seen(other)

    def test_a_history_shorter_than_the_horizon_is_refused(self) -> None:
        with pytest.raises(TrainingRefused, match=r"no row's outcome is known before the test"):
            split_frame(frame(np.arange(400) // 8), by_time(horizon=90))

    def test_fewer_rows_than_a_part_needs_are_refused(self) -> None:
        with pytest.raises(TrainingRefused, match=r"leaves 24 rows for train, at least 30"):
            split_frame(frame(np.arange(40)), by_time())

    def test_one_class_before_the_test_is_refused(self) -> None:
        rows = frame(np.arange(400), target=np.arange(400) >= 350)
        with pytest.raises(TrainingRefused, match=r"every row before the test has the target 0"):
            split_frame(rows, by_time())


class TestEntity:
    def test_an_entity_stands_in_one_part_alone(self) -> None:
        rows = frame(np.arange(2000), entity=np.arange(2000) // 5)
        parts = split_frame(rows, by("entity"))
        names = [set(p.entity) for p in (parts.train, parts.calibration, parts.test)]
        assert sum(map(len, names)) == 400 == len(set.union(*names))
        assert len(names[2]) == pytest.approx(80, abs=25)

    def test_an_entity_keeps_its_side_when_others_come(self) -> None:
        few, many = (frame(np.arange(n)) for n in (500, 1000))
        before = set(split_frame(few, by("entity")).test.entity)
        after = set(split_frame(many, by("entity")).test.entity)
        assert before == after & set(few.entity)


class TestColumn:
    def test_takes_the_rows_that_bear_the_value(self) -> None:
        rows = frame(np.arange(400), part=["Test", "train"] * 200, target=np.arange(400) // 2 % 2)
        parts = split_frame(rows, by("column", column="part", test_value="test"))
        assert (parts.test.row_numbers % 2 == 1).all()

    def test_refuses_an_entity_on_both_sides_and_names_one(self) -> None:
        rows = frame(np.arange(400), entity=[i // 2 for i in range(400)], part=["a", "b"] * 200)
        with pytest.raises(
            TrainingRefused, match=r"200 entities stand in train and in test, .*'c0'"
        ):
            split_frame(rows, by("column", column="part", test_value="a"))

    def test_names_the_values_there_are(self) -> None:
        rows = frame(np.arange(400), part=["a", "b"] * 200)
        with pytest.raises(TrainingRefused, match=r"no row has 'c' in 'part'; there are a, b"):
            split_frame(rows, by("column", column="part", test_value="c"))


class TestSteps:
    def test_the_latest_steps_of_each_long_series_are_the_test(self) -> None:
        days = [*range(40), *range(25), 3]
        names = [0] * 40 + [1] * 25 + [2]
        rows = frame(days, entity=names)
        parts = split_frame(rows.take(np.arange(66)[::-1]), by("steps", test_steps=12))
        assert sorted(parts.test.row_numbers) == [*range(29, 41), *range(54, 66)]
        assert len(parts.calibration) == 0
        assert len(parts.train) == 66 - 24  # the short one stays in train

    def test_without_a_series_of_twice_the_steps_it_says_so(self) -> None:
        rows = frame(range(100), entity=[i // 10 for i in range(100)])
        with pytest.raises(TrainingRefused, match="no client has 12 rows, twice"):
            split_frame(rows, by("steps", test_steps=6))
