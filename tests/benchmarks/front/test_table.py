"""What the benchmark says of what it measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.front.batch import ARROW, JSON, Batch
from benchmarks.front.rounds import Seen
from benchmarks.front.servers import chosen
from benchmarks.front.table import Verdict, ratio, servers_table, verdicts
from benchmarks.front.wrk import Load

LOAD = Load(
    connections=32, per_second=1_000.0, answers=5_000, bad=0, p50_ms=1.0, p99_ms=2.0, p999_ms=3.0,
    max_ms=4.0, cpu_us=100.0, others=0.0, load=1.0,
)  # fmt: skip


def seen(name: str, *rates: float, bad: int = 0) -> Seen:
    [server] = chosen(name)
    runs = [replace(LOAD, per_second=rate, bad=bad) for rate in rates]
    return Seen(server, loads={count: list(runs) for count in (1, 32, 256)})


def find(found: list[Verdict], part: str) -> Verdict:
    [verdict] = [one for one in found if part in one.what]
    return verdict


def test_a_ratio_is_taken_within_a_round() -> None:
    # In the second round the machine was half as fast for both.
    ours, bare = seen("ours", 3_000, 1_500, 3_300), seen("fastapi", 1_000, 500, 1_100)
    assert ratio(ours, bare, 32) == pytest.approx(3.0)


def test_what_is_reached_passes_and_what_is_not_misses() -> None:
    servers = [seen("fastapi", 1_000), seen("ours", 2_600), seen("mlserver", 800)]
    found = verdicts(servers, [])
    assert find(found, "32 connections, rows a second, beside bare").passed is True
    assert find(found, "32 connections, rows a second, beside MLServer").passed is False
    assert "**miss**" in find(found, "256 connections, rows a second, beside MLServer").line()


def test_what_was_not_measured_is_said_and_never_passes() -> None:
    found = verdicts([seen("fastapi", 1_000), seen("ours", 2_600)], [Batch(ARROW, refused=415)])
    assert find(found, "32 connections, rows a second, beside composite").passed is None
    refused = find(found, ARROW)
    assert refused.passed is None
    assert "answers 415" in refused.line()


def test_one_answer_that_is_not_good_is_a_miss() -> None:
    found = verdicts([seen("fastapi", 1_000), seen("ours", 2_600, bad=1)], [])
    assert find(found, "32 connections, answers").passed is False


def test_a_batch_is_held_against_its_own_figure() -> None:
    batches = [Batch(JSON, served_ms=19.0, model_ms=10.0), Batch(ARROW, 19.0, 10.0)]
    found = verdicts([], batches)
    assert find(found, JSON).passed is True
    assert find(found, ARROW).passed is False


def test_a_rival_that_cannot_be_installed_stands_in_the_table_with_the_reason() -> None:
    [server] = chosen("ray")
    rival = Seen(server, failure="cannot be installed: no wheel")
    table = servers_table([seen("fastapi", 1_000), rival], [32])
    assert "| Ray Serve, @serve.batch | cannot be installed: no wheel |" in table


def test_an_unknown_server_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SystemExit, match=r"knows no 'flask'; it knows fastapi, ours"):
        chosen("ours,flask")
