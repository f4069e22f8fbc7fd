"""A segment: what was written is read back, whatever happened to the file meanwhile."""

from __future__ import annotations

import fcntl
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.predictions.segment import (
    FRAME_BYTES,
    MAGIC,
    Damage,
    Kind,
    Record,
    Segment,
    adopt,
    read_segment,
)

SIZE = 1 << 16
Parts = tuple[bytes, bytes, bytes]


def write(folder: Path, records: list[Parts], *, size: int = SIZE) -> Path:
    """Write and finish a segment; give its path."""
    segment = Segment(folder / "0123abcd-00000000.open", size)
    for number, parts in enumerate(records):
        assert segment.append(Kind.ROWS, 1_000 + number, number, *parts)
    segment.finish()
    return folder / "0123abcd-00000000.seg"


def records_of(path: Path) -> list[Record]:
    return [found for found in read_segment(path) if isinstance(found, Record)]


def parts_of(path: Path) -> list[Parts]:
    return [(r.meta, r.body, r.answer) for r in records_of(path)]


SOME: list[Parts] = [
    (b'["churn","1"]', b'{"hours": %d}' % i, b'{"result": %d}' % i * (i % 7)) for i in range(40)
]


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=200), st.binary(max_size=99))))
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[Parts]
) -> None:
    path = write(tmp_path_factory.mktemp("s"), records)
    if not records:
        assert not path.exists()
        return
    found = list(read_segment(path))
    assert parts_of(path) == records
    assert [(r.at_ns, r.latency_us) for r in records_of(path)] == [
        (1_000 + i, i) for i in range(len(records))
    ]
    assert len(found) == len(records)
    frames = len(records) * FRAME_BYTES + sum(len(part) for parts in records for part in parts)
    assert path.stat().st_size == len(MAGIC) + frames


def test_what_has_no_room_is_not_written(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a-0.open", 200)
    assert segment.append(Kind.ROWS, 1, 1, b"m", b"x" * 100, b"")
    assert not segment.append(Kind.ROWS, 2, 2, b"m", b"x" * 100, b"")
    assert segment.append(Kind.ROWS, 3, 3, b"m", b"x", b"")
    segment.finish()
    assert [r.at_ns for r in records_of(tmp_path / "a-0.seg")] == [1, 3]


def test_the_room_is_reserved_on_the_disk(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a-0.open", 1 << 20)
    assert segment.path.stat().st_blocks * 512 >= 1 << 20
    segment.finish()


def test_a_segment_nobody_finished_is_read_up_to_its_last_record(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a-0.open", SIZE)
    for parts in SOME:
        segment.append(Kind.ROWS, 1, 1, *parts)
    assert parts_of(segment.path) == SOME
    assert not any(isinstance(found, Damage) for found in read_segment(segment.path))
    segment.finish()


def test_only_the_segment_of_a_writer_that_is_gone_is_finished_by_others(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a-0.open", SIZE)
    segment.append(Kind.ROWS, 1, 1, b"", b"", b"")
    assert adopt(segment.path) is None
    child = os.fork()
    if not child:
        Segment(tmp_path / "b-0.open", SIZE).append(Kind.ROWS, 1, 1, b"", b"", b"")
        os._exit(0)
    os.waitpid(child, 0)
    assert adopt(tmp_path / "b-0.open") == tmp_path / "b-0.seg"
    assert len(records_of(tmp_path / "b-0.seg")) == 1
    segment.finish()
    assert adopt(tmp_path / "a-0.open") is None
    assert len(records_of(tmp_path / "a-0.seg")) == 1


def test_who_was_taken_for_gone_before_its_lock_does_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a-0.open"
    lock = fcntl.flock

    def too_late(handle: int, how: int) -> None:
        monkeypatch.undo()
        assert adopt(path) == tmp_path / "a-0.seg"
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    with pytest.raises(BlockingIOError):
        Segment(path, SIZE)
    assert not path.exists()
    assert list(read_segment(tmp_path / "a-0.seg")) == []


def test_a_file_that_took_the_place_of_the_one_looked_at_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a-0.open"
    path.touch()
    lock = fcntl.flock
    written: list[Segment] = []

    def in_between(handle: int, how: int) -> None:
        if not written:
            # While a worker holds the file that it opened, its writer begins anew.
            monkeypatch.undo()
            path.unlink()
            written.append(Segment(path, SIZE))
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", in_between)
    assert adopt(path) is None
    [segment] = written
    assert segment.append(Kind.ROWS, 1, 1, b"", b"kept", b"")
    segment.finish()
    assert [record.body for record in records_of(tmp_path / "a-0.seg")] == [b"kept"]


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_file_that_was_cut_short_loses_only_what_was_cut(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, SOME)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
    found = parts_of(path)
    assert found == SOME[: len(found)]
    lost = sum(FRAME_BYTES + sum(map(len, parts)) for parts in SOME[len(found) :])
    last = FRAME_BYTES + sum(map(len, SOME[len(found) - 1]))
    assert cut <= lost < cut + last + FRAME_BYTES + 200


@pytest.mark.parametrize("written", range(1, FRAME_BYTES + 40))
def test_a_record_whose_writer_was_killed_is_no_damage(tmp_path: Path, written: int) -> None:
    other = Segment(tmp_path / "a-0.open", SIZE)
    start = other.used
    other.append(Kind.ROWS, 1, 0, b'["churn","1"]', b'{"hours": 3}', b'{"result": 0.25}')
    record = other.path.read_bytes()[start : other.used]
    other.path.unlink()
    killed = Segment(tmp_path / "a-0.open", SIZE)
    for parts in SOME:
        killed.append(Kind.ROWS, 1, 1, *parts)
    with killed.path.open("r+b") as file:
        file.seek(killed.used)
        file.write(record[:written])
    found = list(read_segment(killed.path))
    assert parts_of(killed.path) == SOME
    assert len(found) == len(SOME)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_costs_one_record_and_is_told(tmp_path: Path, seed: int) -> None:
    path = write(tmp_path, SOME)
    content = bytearray(path.read_bytes())
    bit = random.Random(seed).randrange(len(content) * 8)  # noqa: S311 - a seed tells which
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    found = list(read_segment(path))
    read = parts_of(path)
    told = [one for one in found if isinstance(one, Damage)]
    if bit // 8 < len(MAGIC):
        assert read == SOME
        return
    assert len(read) == len(SOME) - 1
    assert [parts for parts in SOME if parts in read] == read
    assert len(told) == 1
    assert told[0].at <= bit // 8 < told[0].at + told[0].size


def test_what_a_caller_sends_is_never_taken_for_a_record(tmp_path: Path) -> None:
    forged = write(tmp_path, [(b'["churn","1"]', b"forged", b"forged")]).read_bytes()
    (tmp_path / "0123abcd-00000000.seg").unlink()
    segment = Segment(tmp_path / "ffff0000-00000000.open", SIZE)
    segment.append(Kind.BATCH, 1, 1, b"meta", forged, b"answer")
    segment.append(Kind.ROWS, 2, 2, b"after", b"", b"")
    segment.finish()
    path = tmp_path / "ffff0000-00000000.seg"
    content = bytearray(path.read_bytes())
    content[len(MAGIC) + FRAME_BYTES] ^= 1
    path.write_bytes(content)
    assert parts_of(path) == [(b"after", b"", b"")]
