"""What a reader should know of a split, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MUCH = 1.001
_FAR = 1.02


def notes_of(
    row: Mapping[str, Any], channels: Sequence[Mapping[str, Any]], *, most_seen: Sequence[float]
) -> list[str]:
    """Give the notes of an answer.

    Parameters
    ----------
    row
        The request.
    channels
        The channels of the result.
    most_seen
        Highest weekly spend of each channel's history, times the weeks.
    """
    return [
        *_unidentified(channels),
        *_beyond(channels, most_seen),
        *_unspent(row, channels),
        *_other_total(channels),
    ]


def _unidentified(channels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = [str(c["channel"]) for c in channels if not c["is_identified"]]
    if names:
        yield (
            f"The history does not tell what {_joined(names)} does by itself: its curve leans on "
            "the other channels. Vary its spend on its own, by chance, to learn it."
        )


def _beyond(channels: Sequence[Mapping[str, Any]], most_seen: Sequence[float]) -> Iterator[str]:
    pairs = zip(channels, most_seen, strict=True)
    names = [str(c["channel"]) for c, seen in pairs if c["amount"] > _MUCH * seen]
    if names:
        yield (
            f"{_joined(names)} would get more a week than it ever did: that part of its curve is "
            "an extrapolation. Set most_amount to stay within what was seen."
        )


def _unspent(row: Mapping[str, Any], channels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    spent, total = sum(c["amount"] for c in channels), row["total_amount"]
    if spent < total * (2 - _MUCH):
        yield (
            f"{total - spent:.2f} of the total are not spent: more would bring less than "
            f"{row['least_return_ratio']:g} back on average, or no channel may take it."
        )


def _other_total(channels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    spent = sum(c["amount"] for c in channels)
    today = sum(c["current_amount"] for c in channels)
    if today and not 2 - _FAR < spent / today < _FAR:
        yield (
            f"Today's split spends {today:.2f} in such a period, this one {spent:.2f}: the uplift "
            "is over today's proportions of the same total."
        )
    if not today:
        yield "Today's split spends nothing: the uplift is the whole return."


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
