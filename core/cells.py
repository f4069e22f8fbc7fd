"""What the text of a cell says, in a training file and in a file to be scored alike."""

from __future__ import annotations

from datetime import UTC, datetime

from core.config import Feature

# What exports write for "no value". NA and None are words as well: the region North America, a
# plan called None. In a text column they are values, elsewhere they can only mean null.
NULL_WORDS = frozenset({"", "NULL", "null", "NaN", "nan", "\\N"})
NULL_WORDS_OF_NUMBERS = NULL_WORDS | {"NA", "N/A", "n/a", "#N/A", "None", "none", "NONE"}

TRUE_WORDS = frozenset({"true", "yes", "y", "t", "1", "1.0"})
FALSE_WORDS = frozenset({"false", "no", "n", "f", "0", "0.0"})


def null_words(feature: Feature | None) -> frozenset[str]:
    """Give the texts that mean null in a feature's column; ``None`` stands for a key column.

    A level that a closed category names is never null.
    """
    if feature is None:
        return NULL_WORDS
    if feature.type == "category":
        return NULL_WORDS - frozenset(feature.categories or ())
    return NULL_WORDS_OF_NUMBERS


def parse_boolean(text: str) -> bool | None:
    """Read yes or no, in the words and digits that exports use; ``None`` when it is neither."""
    plain = text.strip().lower()
    return True if plain in TRUE_WORDS else False if plain in FALSE_WORDS else None


def time_text(text: str) -> str:
    """Write a time with its zone; one without a zone is UTC, as in training. Else give the text.

    Parameters
    ----------
    text
        Of a cell.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
