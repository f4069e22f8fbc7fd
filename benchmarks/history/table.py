"""What was measured, as a table, and held against what must be reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.front.table import Verdict, verdict_table
from benchmarks.history.backlog import ROWS
from benchmarks.history.ingest import Moves
from benchmarks.history.questions import MOST_RATIO
from benchmarks.history.rounds import Seen

LEAST_A_SECOND, MOST_MIB, MOST_BYTES = 50_000, 500, 120


def render(seen: Sequence[Seen], moves: Sequence[Moves]) -> str:
    """Give everything that was measured as Markdown.

    Parameters
    ----------
    seen
        Of the questions, on the smaller log and on the larger.
    moves
        Of the backlogs.
    """
    parts = [verdict_table([*_answers(seen), *_growth(seen), *_moved(moves)])]
    if seen:
        parts.append(_questions(seen))
    if moves:
        parts.append(_moves(moves))
    return "\n\n".join(parts)


def _answers(seen: Sequence[Seen]) -> Iterator[Verdict]:
    most = max((one.count for one in seen), default=0)
    for one in seen:
        if one.count == most:
            case, ours = one.case, median(one.ours)
            yield Verdict(
                f"{case.title}, of {most:,}", f"{ours:.0f} ms", f"under {case.most_ms:.0f} ms",
                ours < case.most_ms,
            )  # fmt: skip
            yield Verdict(
                f"{case.title}, beside hand-written SQL", f"{one.ratio:.2f} x",
                f"at most {MOST_RATIO:g} x", one.ratio <= MOST_RATIO,
            )  # fmt: skip
    if seen:
        others = sum(one.others for one in seen)
        yield Verdict("answers that differ from hand-written SQL", f"{others}", "none", not others)


def _growth(seen: Sequence[Seen]) -> Iterator[Verdict]:
    for few in seen:
        for many in seen:
            if few.case is many.case and few.count < many.count and few.case.most_growth:
                times, most = median(many.ours) / median(few.ours), few.case.most_growth
                what = f"{few.case.title}, from {few.count:,} to {many.count:,}"
                yield Verdict(what, f"{times:.2f} x", f"under {most:g} x", times < most)


def _moved(moves: Sequence[Moves]) -> Iterator[Verdict]:
    for one in moves:
        what = f"rows moved a second on one core: {one.form}, {one.rows:,} that wait"
        least = f"at least {LEAST_A_SECOND:,}"
        a_second = one.a_second("wall_s")
        yield Verdict(what, f"{a_second:,.0f}", least, a_second >= LEAST_A_SECOND)
    for one in moves:
        what = f"memory of the move: {one.form}, {one.rows:,} that wait"
        is_small = one.peak_mib < MOST_MIB
        yield Verdict(what, f"{one.peak_mib:.0f} MiB", f"under {MOST_MIB} MiB", is_small)
    most = max((one.rows for one in moves), default=0)
    for one in moves:
        if (one.form, one.rows) == (ROWS, most):
            size = f"{one.bytes_a_row:.0f} bytes, {one.compacted:.0f} once put together"
            is_small = max(one.bytes_a_row, one.compacted) < MOST_BYTES
            what = f"size of a prediction, of {one.rows:,}"
            yield Verdict(what, size, f"under {MOST_BYTES} bytes", is_small)


def _questions(seen: Sequence[Seen]) -> str:
    lines = [
        "**Questions: the historian over HTTP beside DuckDB with hand-written SQL**",
        "",
        "| question | predictions | ours | most | hand-written | ratio | the very first time |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in seen:
        first = f"{one.first[0]:,.0f} to {one.first[1]:,.0f} ms"
        ours = f"{median(one.ours):.1f} ms | {max(one.ours):.1f} ms"
        theirs = f"{median(one.theirs):.1f} ms | {one.ratio:.2f} x"
        lines.append(f"| {one.case.title} | {one.count:,} | {ours} | {theirs} | {first} |")
    return "\n".join(lines)


def _moves(moves: Sequence[Moves]) -> str:
    lines = [
        "**From the spool into the log, on one core**",
        "",
        "| what waits | rows | a second | a processor second | memory | bytes a row | compacted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.form} | {one.rows:,} | {one.a_second('wall_s'):,.0f} "
        f"| {one.a_second('processor_s'):,.0f} | {one.peak_mib:.0f} MiB | {one.bytes_a_row:.1f} "
        f"| {one.compacted:.1f} |"
        for one in moves
    ]
    return "\n".join(lines)
