"""Every error class can show an instance of itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.errors import SeptetError
from services.openapi.samples import sample


def kinds(kind: type[SeptetError]) -> Iterator[type[SeptetError]]:
    yield kind
    for lower in kind.__subclasses__():
        if lower.__module__.startswith("core."):
            yield from kinds(lower)


@pytest.mark.parametrize("kind", list(kinds(SeptetError)))
def test_an_error_shows_an_instance_that_says_something(kind: type[SeptetError]) -> None:
    shown = sample(kind)
    assert type(shown) is kind
    assert shown.detail
    assert all(isinstance(value, str) for value in shown.headers.values())


def test_an_error_whose_arguments_are_not_known_is_shown_all_the_same() -> None:
    class Strange(SeptetError):
        def __init__(self, colour: str, sizes: list[int], *, count: int) -> None:
            super().__init__(f"{colour} {sizes} {count}")

    assert sample(Strange).detail == "colour [] 1"
