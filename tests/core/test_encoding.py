import numpy as np

from core.config import Feature
from core.encoding import Encoder, rows_to_columns

FEATURES = {
    "hours": Feature(type="number", description="hours", nullable=True),
    "late": Feature(type="boolean", description="late"),
    "plan": Feature(type="category", description="plan", categories=("b", "a")),
    "city": Feature(type="category", description="city", nullable=True),
}
ROWS: list[dict[str, object]] = [
    {"hours": 1.5, "late": True, "plan": "a", "city": "Ulm"},
    {"hours": None, "late": False, "plan": "b", "city": None},
    {"hours": 2, "late": False, "plan": "a", "city": "Aalen"},
]


def test_closed_levels_keep_their_order_and_open_ones_are_sorted() -> None:
    encoder = Encoder.fit(FEATURES, rows_to_columns(ROWS, FEATURES))
    assert encoder.levels == {"plan": ("b", "a"), "city": ("Aalen", "Ulm")}
    assert encoder.categorical == (2, 3)


def test_null_and_unseen_levels_become_missing() -> None:
    encoder = Encoder.fit(FEATURES, rows_to_columns(ROWS, FEATURES))
    new: list[dict[str, object]] = [{"hours": 1, "late": True, "plan": "a", "city": "Rom"}]
    assert np.isnan(encoder.encode(rows_to_columns(new, FEATURES))[0, 3])
    matrix = encoder.encode(rows_to_columns(ROWS, FEATURES))
    expected = [[1.5, 1, 1, 1], [np.nan, 0, 0, np.nan], [2, 0, 1, 0]]
    np.testing.assert_array_equal(matrix, expected)


def test_the_same_encoder_comes_back_from_json() -> None:
    columns = rows_to_columns(ROWS, FEATURES)
    encoder = Encoder.fit(FEATURES, columns)
    again = Encoder.from_json(encoder.to_json())
    np.testing.assert_array_equal(encoder.encode(columns), again.encode(columns))
