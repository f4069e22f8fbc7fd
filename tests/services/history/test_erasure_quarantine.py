"""Whether a damaged segment may hold what is to be erased."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.history.erasure import may_hold
from services.predictions.segment import MAGIC, Kind, Segment
from tests.services.history.conftest import NOON_NS, Pen

ASKED_US = NOON_NS // 1000
BEFORE, AFTER = NOON_NS - 10**9, NOON_NS + 10**9
BODY = b"x" * 100


def written(folder: Path, times: Sequence[int], *, flipped: int | None = None) -> Path:
    """Write a record of each time into a segment, and flip a bit of one of them."""
    path = folder / "a-0.open"
    pen = Pen(path, NOON_NS)
    for at_ns in times:
        pen.keep(Kind.BACKFILL, b"", BODY, b"", latency_us=0, at_ns=at_ns)
    pen.finish()
    path = path.with_suffix(".seg")
    if flipped is not None:
        content = bytearray(path.read_bytes())
        size = (len(content) - len(MAGIC)) // len(times)
        content[len(MAGIC) + size * (flipped + 1) - 10] ^= 4
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("times", "flipped", "may"),
    [
        ((BEFORE, AFTER), None, True),
        ((AFTER, AFTER), None, False),
        ((AFTER, AFTER, AFTER), 1, False),
        # A batch for a time that is past, or a clock that was set back.
        ((AFTER, BEFORE), None, True),
        # What was before the first that can be read was not later than that.
        ((BEFORE, AFTER), 0, True),
        ((BEFORE,), 0, True),
    ],
)
def test_it_may_when_any_of_it_may_be_of_that_time(
    tmp_path: Path, times: Sequence[int], flipped: int | None, *, may: bool
) -> None:
    assert may_hold(written(tmp_path, times, flipped=flipped), ASKED_US) == may


def test_it_may_when_a_later_version_wrote_it(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a-0.open", 1 << 16)
    assert segment.append(99, AFTER, 0, b"{}", BODY, b"")
    segment.finish()
    assert may_hold(tmp_path / "a-0.seg", ASKED_US)
