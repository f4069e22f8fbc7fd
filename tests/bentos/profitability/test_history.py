import numpy as np
import pytest

from bentos.profitability.history import (
    ALIKE,
    DOUBTFUL,
    UNSEEN,
    Habit,
    Ledger,
    Standing,
    Sums,
    Volumes,
    facts_by_level,
    fills_of,
    forms_of,
    from_arrays,
    levels_of,
    stand,
    to_arrays,
    volumes_of,
)
from tests.shop import config_of, lines

HABIT = Habit(root=0.7, item_weight=0.0, group_weight=4.0, per_unit=False, has_item=True)


def sums(**parts: list[float]) -> Sums:
    count = len(parts["count"])
    given = {name: np.array(parts.get(name, [0.0] * count)) for name in Sums.names()}
    return Sums(**given)


def read(habit: Habit, totals: list[Sums], sizes: Volumes) -> Standing:
    return stand(habit, facts_by_level(habit, totals), sizes)


def volumes(*scales: float) -> Volumes:
    return Volumes(np.array(scales), np.array(scales), np.ones(len(scales)))


class TestForms:
    def test_a_discount_gives_the_list_price_as_scale(self) -> None:
        assert forms_of(config_of()) == ("list", "amount")

    def test_without_a_revenue_there_is_no_scale_from_roles(self) -> None:
        assert forms_of(config_of(roles={})) == ("amount",)

    def test_a_planned_cost_is_tried_first(self) -> None:
        roles = {"revenue": "sales", "cost": "weight"}
        assert forms_of(config_of(roles=roles)) == ("cost", "revenue", "amount")

    def test_levels_run_from_coarse_to_fine(self) -> None:
        assert levels_of(config_of()) == ("family", "item")


class TestVolumes:
    def test_the_list_price_undoes_the_discount(self) -> None:
        columns = {**lines(3).columns, "sales": np.array([90.0, 50.0, 0.0])}
        columns["discount"] = np.array([0.1, np.nan, 1.0])
        fills = {"sales": 1.0, "units": 1.0, "discount": 0.0, "least_scale": 0.5}
        found = volumes_of(config_of(), columns, form="list", fills=fills)
        assert found.scale == pytest.approx([100.0, 50.0, 0.5])

    def test_a_null_size_is_filled_with_the_median_of_training(self) -> None:
        columns = {**lines(3).columns, "sales": np.array([10.0, 30.0, np.nan])}
        fills = fills_of(config_of(), columns, form="list")
        assert fills["sales"] == 20.0
        found = volumes_of(config_of(), columns, form="revenue", fills=fills)
        assert found.revenue.tolist() == [10.0, 30.0, 20.0]


class TestStand:
    def test_an_unseen_item_falls_back_to_its_group(self) -> None:
        group = sums(count=[4.0], cost=[80.0], scale=[100.0], quantity=[10.0])
        item = sums(count=[0.0])
        found = read(HABIT, [group, item], volumes(50.0))
        assert found.ratio[0] == pytest.approx(0.7 + 0.5 * 0.1)
        assert found.state[0] == UNSEEN

    def test_a_known_item_speaks_for_itself(self) -> None:
        item = sums(
            count=[2.0], cost=[60.0], scale=[100.0], quantity=[2.0], ratio=[1.2], square=[0.72]
        )
        found = read(HABIT, [item], volumes(50.0))
        assert found.ratio[0] == pytest.approx(0.6)
        assert found.state[0] == ALIKE

    def test_a_price_unlike_the_history_is_doubtful(self) -> None:
        item = sums(
            count=[2.0], cost=[60.0], scale=[100.0], quantity=[2.0], ratio=[1.2], square=[0.72]
        )
        assert read(HABIT, [item], volumes(70.0)).state[0] == DOUBTFUL

    def test_a_cost_per_unit_holds_when_the_price_changes(self) -> None:
        item = sums(
            count=[2.0], cost=[60.0], scale=[100.0], quantity=[2.0], ratio=[1.2], square=[0.72]
        )
        habit = Habit(root=0.7, item_weight=0.0, group_weight=4.0, per_unit=True, has_item=True)
        sizes = volumes(80.0)
        found = read(habit, [item], sizes)
        assert found.ratio[0] * sizes.scale[0] == pytest.approx(30.0)

    def test_the_steps_lead_from_the_root_to_the_ratio(self) -> None:
        group = sums(count=[4.0, 9.0], cost=[80.0, 3.0], scale=[100.0, 9.0], quantity=[10.0, 1.0])
        item = sums(count=[1.0, 0.0], cost=[30.0, 0.0], scale=[50.0, 0.0], quantity=[1.0, 0.0])
        found = read(HABIT, [group, item], volumes(50.0, 20.0))
        assert HABIT.root + found.steps.sum(axis=1) == pytest.approx(found.ratio)


def test_tables_survive_writing_and_reading() -> None:
    table = sums(count=[1.0, 2.0], cost=[3.0, 4.0])
    again = from_arrays(to_arrays({"item": table}), ["item"])["item"]
    assert again.cost.tolist() == [3.0, 4.0]


def test_a_level_never_seen_has_no_history() -> None:
    table = sums(count=[1.0, 2.0], cost=[3.0, 4.0])
    assert table.at(np.array([1.0, np.nan])).cost.tolist() == [4.0, 0.0]


def test_a_ledger_gives_what_the_totals_give() -> None:
    table = sums(
        count=[2.0, 0.0], cost=[60.0, 0.0], scale=[90.0, 0.0], quantity=[2.0, 0.0],
        ratio=[1.2, 0.0], square=[0.73, 0.0],
    )  # fmt: skip
    codes = np.array([0.0, 1.0, np.nan])
    found = Ledger(facts_by_level(HABIT, [table])[0]).at(codes)
    np.testing.assert_array_equal(found, facts_by_level(HABIT, [table.at(codes)])[0])
