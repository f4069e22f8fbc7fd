"""The spool: what was kept outlives its process, within bounds, and says when it cannot."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.overload import SpoolFull
from core.platform_config import Spooling
from core.settings import ROOT
from services.predictions.keeper import Keeper
from services.predictions.segment import Kind, Record, Segment, read_segment
from services.predictions.spool import Spool
from tests.full_disk import comes_true

SMALL = 1 << 16
RELEASE = ("churn", "1")


def describe() -> bytes:
    return b'{"model": "churn", "version": "1"}'


def keep(spool: Spool, body: bytes, *, release: tuple[str, str] = RELEASE) -> Any:
    return spool.keep(
        Kind.ROWS, b"meta", body, b"answer", latency_us=7, release=release, describe=describe
    )


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[Spool]:
    spool = Spool(folder, Spooling(**{"segment_bytes": SMALL, **options}))
    spool.start()
    try:
        yield spool
    finally:
        spool.stop()


def finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.seg"))


def keep_until_full(spool: Spool) -> int:
    """Keep records until there is no room; say how many."""
    for kept in range(100_000):
        try:
            keep(spool, b"%05d" % kept * 200)
        except SpoolFull:
            return kept
    raise AssertionError("there was room for all")


def states(spool: Spool) -> str:
    return "full" if spool.is_full else "has room"


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


def records_in(folder: Path, *kinds: Kind) -> list[Record]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".seg", ".open"})
    found = [one for path in paths for one in read_segment(path)]
    assert all(isinstance(one, Record) for one in found)
    return [one for one in found if isinstance(one, Record) and one.kind in (kinds or [Kind.ROWS])]


def test_all_that_was_kept_is_in_the_segments_in_order(tmp_path: Path) -> None:
    bodies = [b"%06d" % i * 100 for i in range(2000)]

    async def body() -> None:
        with opened(tmp_path) as spool:
            for one in bodies:
                assert keep(spool, one) is None

    run(body)
    assert [record.body for record in records_in(tmp_path)] == bodies
    assert len(list(tmp_path.glob("*.seg"))) > 10
    assert not list(tmp_path.glob("*.open"))


def test_each_segment_describes_the_releases_of_its_records(tmp_path: Path) -> None:
    async def body() -> None:
        with opened(tmp_path) as spool:
            for i in range(600):
                keep(spool, b"x" * 500, release=("churn", str(i % 3)))

    run(body)
    for path in tmp_path.glob("*.seg"):
        kinds = [one.kind for one in read_segment(path) if isinstance(one, Record)]
        assert kinds[0] is Kind.RELEASE
        assert kinds.count(Kind.RELEASE) == 3


def test_a_record_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    bodies = [b"small", b"x" * (3 * SMALL), b"after"]

    async def body() -> None:
        with opened(tmp_path) as spool:
            for one in bodies:
                keep(spool, one)

    run(body)
    assert [record.body for record in records_in(tmp_path)] == bodies


def test_what_is_old_enough_is_handed_on_without_another_request(tmp_path: Path) -> None:
    async def body() -> None:
        with opened(tmp_path, rotate_seconds=0.1) as spool:
            keep(spool, b"one")
            async with asyncio.timeout(10):
                while not finished(tmp_path):  # noqa: ASYNC110 - the disk tells nobody
                    await asyncio.sleep(0.02)
            keep(spool, b"two")

    run(body)
    assert [record.body for record in records_in(tmp_path)] == [b"one", b"two"]


CHILD = """
import asyncio, os, sys
from pathlib import Path
from tests.services.predictions.test_spool import keep, opened

async def main():
    with opened(Path(sys.argv[1]), durability=sys.argv[2]) as spool:
        number = 0
        while True:
            kept = keep(spool, b"%08d" % number * 20)
            if kept is not None:
                await kept
            os.write(1, b"%08d\\n" % number)
            number += 1
            if number % 50 == 0:
                await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("lines", [1, 700, 5000])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, durability: str, lines: int) -> None:
    if durability == "disk":
        lines = min(lines, 700)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "spool"), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        # What stood in the pipe was acknowledged too.
        acknowledged += [line for line in child.stdout if line.endswith(b"\n")]
    kept = [record.body[:8] for record in records_in(tmp_path / "spool")]
    assert len(kept) == len(set(kept))
    assert [line.strip() for line in acknowledged] == kept[: len(acknowledged)]
    assert len(kept) <= len(acknowledged) + 1


def test_without_room_nothing_is_answered_until_there_is_room_again(tmp_path: Path) -> None:
    async def body() -> None:
        with opened(tmp_path, segment_bytes=1 << 18, most_bytes=1 << 20) as spool:
            assert keep_until_full(spool) > 500
            assert states(spool) == "full"
            for path in finished(tmp_path):
                path.unlink()
            async with asyncio.timeout(10):
                while states(spool) == "full":  # noqa: ASYNC110 - a thread looks twice a second
                    await asyncio.sleep(0.05)
            keep(spool, b"again")

    run(body)
    assert records_in(tmp_path)[-1].body == b"again"


def test_a_folder_that_was_away_for_a_while_is_used_again(tmp_path: Path) -> None:
    folder, away = tmp_path / "spool", tmp_path / "away"
    with opened(folder) as spool:
        assert comes_true(lambda: len(list(folder.glob("*.open"))) == 2)
        folder.rename(away)
        assert comes_true(lambda: spool.is_full)
        away.rename(folder)
        assert comes_true(lambda: not spool.is_full)

        async def body() -> None:
            for number in range(2 * SMALL // 1000):
                keep(spool, b"%04d" % number * 250)
                await asyncio.sleep(0.001)

        run(body)
    assert len(finished(folder)) > 1


def test_without_room_it_goes_on_when_it_may_and_counts(tmp_path: Path) -> None:
    dropped: list[int] = []

    async def body() -> None:
        options = {"segment_bytes": 1 << 18, "most_bytes": 1 << 20, "when_full": "go_on"}
        with opened(tmp_path, **options) as spool:
            for _ in range(2000):
                keep(spool, b"x" * 1000)
            dropped.append(spool.dropped)

    run(body)
    assert dropped[0] > 500
    assert len(records_in(tmp_path)) + dropped[0] == 2000


@pytest.mark.parametrize("kind", [Kind.OUTCOMES, Kind.ERASURE])
def test_what_is_only_kept_is_refused_where_predictions_go_on(tmp_path: Path, kind: Kind) -> None:
    async def body() -> None:
        options = {"segment_bytes": 1 << 18, "most_bytes": 1 << 20, "when_full": "go_on"}
        with opened(tmp_path, **options) as spool:
            while not spool.dropped:
                keep(spool, b"x" * 1000)
            with pytest.raises(SpoolFull):
                spool.keep(kind, b"[]", b"{}" * 500, b"", latency_us=0)
            assert spool.dropped == 1

    run(body)


def test_what_others_left_behind_counts_too(tmp_path: Path) -> None:
    other = Segment(tmp_path / "other-0.open", 1 << 20)
    other.append(Kind.ROWS, 1, 1, b"", b"", b"")

    async def body() -> None:
        with opened(tmp_path, most_bytes=1 << 20) as spool, pytest.raises(SpoolFull):
            keep(spool, b"x")

    run(body)
    other.finish()


def test_a_name_is_not_used_again_when_a_segment_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        monkeypatch.undo()
        raise BlockingIOError(11, "a worker looks at it")

    monkeypatch.setattr(fcntl, "flock", held)
    keeper = Keeper(tmp_path, segment_bytes=SMALL, most_bytes=1 << 20)
    keeper.start()
    try:
        # At once: nobody is refused for it.
        segment = keeper.take()
        assert segment is not None
        assert segment.path.name.endswith("-00000001.open")
        segment.finish()
    finally:
        keeper.stop()


def test_an_answer_waits_until_its_record_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[int] = []
    sync = Segment.sync

    def counted(segment: Segment) -> None:
        sync(segment)
        brought.append(segment.used)

    monkeypatch.setattr(Segment, "sync", counted)

    async def one(spool: Spool, number: int) -> int:
        kept = keep(spool, b"%06d" % number * 50)
        written = spool._segment.used if spool._segment else 0  # noqa: SLF001 - where it ends
        await kept
        assert brought[-1] >= written
        return written

    async def body() -> None:
        with opened(tmp_path, durability="disk", segment_bytes=1 << 22) as spool:
            for _ in range(5):
                await asyncio.gather(*[one(spool, i) for i in range(100)])

    run(body)
    # Those that came together shared the wait.
    assert len(brought) < 50


def test_a_disk_that_fails_refuses_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    async def body() -> None:
        with opened(tmp_path, durability="disk") as spool:
            monkeypatch.setattr(os, "fdatasync", broken)
            with pytest.raises(SpoolFull, match="Input/output error"):
                await keep(spool, b"x")
            monkeypatch.undo()
            await keep(spool, b"y")

    run(body)
    assert [record.body for record in records_in(tmp_path)] == [b"x", b"y"]


def test_a_segment_that_could_not_be_finished_is_not_said_to_be_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    segment = Segment(tmp_path / "a-0.open", SMALL)
    segment.append(Kind.ROWS, 1, 1, b"", b"x", b"")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        segment.finish()
    monkeypatch.undo()
    with pytest.raises(OSError, match="Input/output error"):
        segment.sync()
