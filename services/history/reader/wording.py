"""How a question is told in the title of its answer."""

from __future__ import annotations

from services.history.questions import Filters
from services.history.reader.plot import plain

_MOST_SIGNS = 40
# So that what is drawn, which follows, has room in a title.
_MOST_WORDS = 80


def words_of_field(name: str) -> str:
    """Name a number of the result, or of each of its parts, whose sum is followed.

    Parameters
    ----------
    name
        As ``Predictor.HEADLINE``, or a field of a question.

    Examples
    --------
    >>> words_of_field("steps.value")
    'sum of steps'
    >>> words_of_field("probability")
    'probability'
    """
    parts, dot, part = name.partition(".")
    if not dot or parts in {"input", "result"}:
        return name
    return f"sum of {parts}" if part == "value" else f"sum of {part} of {parts}"


def subject_of(filters: Filters, headline: str, *, but: str | None = None) -> str:
    """Name the model, and which of its predictions are meant.

    Parameters
    ----------
    filters
        What was asked.
    headline
        What ``least`` and ``most`` bound without a field.
    but
        A filter that is named otherwise.
    """
    words = [
        f"{name} {_short(value)}"
        for name in ("version", "entity", "caller", "source")
        if name != but and (value := getattr(filters, name)) is not None
    ]
    for match in filters.where:
        name, _, value = match.partition(":")
        if name.removeprefix("input.") != (but or "").removeprefix("input."):
            words.append(f"{name.removeprefix('input.')} {_short(value)}")
    if filters.flagged is not None:
        words.append("flagged" if filters.flagged else "not flagged")
    words += _bounds(filters, words_of_field(filters.field or headline))
    return f"{filters.model} ({plain(', '.join(words), _MOST_WORDS)})" if words else filters.model


def listed(words: list[str]) -> str:
    """Write words as a sentence has them.

    Parameters
    ----------
    words
        At least one.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])


def _bounds(filters: Filters, field: str) -> list[str]:
    least, most = filters.least, filters.most
    if least is not None and most is not None:
        return [f"{field} {least:g} to {most:g}"]
    if least is not None:
        return [f"{field} at least {least:g}"]
    return [] if most is None else [f"{field} at most {most:g}"]


def _short(value: str) -> str:
    return plain(value, _MOST_SIGNS)
