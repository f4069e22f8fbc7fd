"""Chains of peer groups: what a row that is known, or unknown, is set against."""

import numpy as np

from bentos.revenue_leak.peers import Chain, Level, pack

LEVEL = Level(
    features=("item",),
    keys=np.array([0, 2]),
    center=np.array([1.0, 3.0]),
    spread=np.array([0.1, 0.2]),
    doubt=np.array([0.01, 0.02]),
    count=np.array([9.0, 4.0]),
    usual=(0.15, 0.8),
)
CHAIN = Chain(root=(2.0, 1.0, 0.6, 13.0), levels=(LEVEL,))


def test_a_known_group_speaks_for_its_rows() -> None:
    found = CHAIN.look_up({"item": np.array([2.0, 0.0])}, rows=2)
    assert found.center.tolist() == [3.0, 1.0]
    assert found.count.tolist() == [4.0, 9.0]


def test_an_unknown_group_falls_back_on_the_level_above_and_is_in_doubt() -> None:
    found = CHAIN.look_up({"item": np.array([1.0, np.nan])}, rows=2)
    assert found.center.tolist() == [2.0, 2.0]
    assert np.allclose(found.doubt, 1.0)  # 0.6 of the root and 0.8 between groups
    assert found.spread.tolist() == [0.15, 0.15]
    assert found.count.tolist() == [0.0, 0.0]


def test_a_chain_survives_being_written_and_read() -> None:
    again = Chain.from_arrays("price", arrays=CHAIN.to_arrays("price"), features=[("item",)])
    codes = {"item": np.array([0.0, 1.0, 2.0])}
    first, second = CHAIN.look_up(codes, rows=3), again.look_up(codes, rows=3)
    assert first.center.tolist() == second.center.tolist()
    assert first.doubt.tolist() == second.doubt.tolist()


def test_keys_of_two_categories_do_not_collide() -> None:
    one, two = np.array([0.0, 1.0, 1.0, np.nan]), np.array([1.0, 0.0, np.nan, 1.0])
    keys = pack([one, two])
    assert keys[0] != keys[1]
    assert keys[2:].tolist() == [-1, -1]
