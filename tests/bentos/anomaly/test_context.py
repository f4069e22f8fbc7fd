"""What the rest of a record lets expect of its values, looked up for one row or many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bentos.anomaly.context import Context, Tail
from training.recipes.anomaly_context import fit_context


def table_of(count: int, *, numbers: int, levels: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """Give encoded records with nulls; the second number spreads by factors."""
    random = np.random.default_rng(seed)
    matrix = random.normal(0, 1, (count, numbers + len(levels)))
    matrix[:, 1] = np.exp(2 * matrix[:, 1])
    for place, many in enumerate(levels):
        matrix[:, numbers + place] = random.integers(0, many, count)
    matrix[random.random(matrix.shape) < 0.05] = np.nan
    return matrix


def fitted(matrix: np.ndarray, *, numbers: int, levels: tuple[int, ...]) -> Context:
    places = list(range(numbers, numbers + len(levels)))
    return fit_context(matrix, categories=places, counts=levels)


def by_hand(context: Context, row: np.ndarray) -> list[float]:
    """Look one record's residuals up, table by table."""
    values = [
        math.log(max(row[c], 1e-12)) if is_log and not math.isnan(row[c]) else row[c]
        for c, is_log in zip(context.numbers, context.is_log, strict=True)
    ]
    scaled = [(v - c) / s for v, c, s in zip(values, context.centre, context.spread, strict=True)]
    codes = [
        table.shape[1] - 1 if math.isnan(row[c]) else int(row[c])
        for c, table in zip(context.categories, context.levels, strict=True)
    ]
    whole, alone = [], []
    for j, value in enumerate(scaled):
        known = [0.0 if math.isnan(v) else v for v in scaled]
        all_of_it, levels_only = context.offsets[0][j], context.offsets[1][j]
        all_of_it += sum(w * v for w, v in zip(context.weights[j], known, strict=True))
        for code, table in zip(codes, context.levels, strict=True):
            all_of_it += table[0][code, j]
            levels_only += table[1][code, j]
        for (one, other), table in context.pairs.items():
            levels_only += table[codes[one], codes[other], j]
        whole.append(value - all_of_it)
        alone.append(value - levels_only)
    return whole + alone if codes else whole


@pytest.mark.parametrize(("numbers", "levels"), [(4, (3, 5, 2)), (3, (4,)), (5, ()), (2, (70, 3))])
def test_the_joined_tables_answer_as_each_table_does(numbers: int, levels: tuple[int, ...]) -> None:
    matrix = table_of(400, numbers=numbers, levels=levels)
    context = fitted(matrix, numbers=numbers, levels=levels)
    expected = np.array([by_hand(context, row) for row in matrix[:60]])
    np.testing.assert_allclose(context.residuals(matrix[:60]), expected, atol=1e-9)
    found = context.evidence(matrix[:60])[:, expected.shape[1] :]
    codes = np.where(np.isnan(matrix), [0] * numbers + list(levels), matrix).astype(int)
    columns = context.categories
    rare = [
        [table[row[columns[one]], row[columns[other]]] for (one, other), table in
         context.rarity.items()]
        for row in codes[:60]
    ]  # fmt: skip
    np.testing.assert_array_equal(found, np.array(rare).reshape(found.shape))


@pytest.mark.parametrize(("numbers", "levels"), [(4, (3, 5, 2)), (5, ()), (2, (70, 3))])
def test_many_records_give_the_bits_of_single_ones(numbers: int, levels: tuple[int, ...]) -> None:
    matrix = table_of(5000, numbers=numbers, levels=levels)
    context = fitted(matrix, numbers=numbers, levels=levels)
    many = context.evidence(matrix)
    for i in (0, 1, 2047, 2048, 3333, 4999):
        assert context.evidence(matrix[i : i + 1]).tobytes() == many[i : i + 1].tobytes()


def test_its_arrays_give_the_same_context() -> None:
    matrix = table_of(300, numbers=3, levels=(3, 4))
    context = fitted(matrix, numbers=3, levels=(3, 4))
    again = Context.from_arrays(context.to_arrays())
    assert again.strength(matrix).tobytes() == context.strength(matrix).tobytes()


def test_an_unknown_value_is_no_evidence_and_an_endless_one_the_most() -> None:
    tail = Tail(np.zeros(1), np.linspace(0, 2, 11)[:, None], np.ones(1))
    unknown, middle, far, endless = tail.evidence(np.array([[np.nan], [1.1], [-4.0], [np.inf]]))
    assert unknown == 0.0
    assert 0.6 < middle < 0.9
    assert far == pytest.approx(math.log(20.0) + math.log(2.0))
    assert endless == 20.0
