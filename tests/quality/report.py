"""Renders docs/quality.md and its pictures from what the quality tests measured.

``python -m tests.quality.report``, the last step of ``make quality``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.quality.figure import SEED_SHARE, Figure, Rival, with_interval
from tests.quality.pictures import draw_model, draw_overview
from tests.quality.record import PAGE, PICTURES, RECORDS, Record, read_records

# A difference of fewer standard errors than this is no difference that the data can show.
LEVEL_ERRORS = 2.0
INTRODUCTION = """# Quality: how near the best possible

Written by `make quality`; every figure is the run's, none is typed. The references are other
people's methods in their own libraries, fitted in the same run, on the same rows or seeds."""
READING = f"""## How to read it

- **Ours** is what the served artifact answers on rows it never saw. In brackets: the lowest and the
  highest seed where there are seeds, else a 95 % interval over the rows of the test (DeLong for
  ROC-AUC, bootstrap for the others).
- **Ours less reference** is paired by row or by seed, ± its standard error. *Better* and *worse*
  mean by more than {LEVEL_ERRORS:g} standard errors; *level* is what the data can't tell apart.
- **Oracle** is what the truth itself reaches that the simulator recorded; a model can't be better
  but by luck.
- **Reached**: the mean passes the gate, and no seed is worse than the gate by more than
  {100 * SEED_SHARE:.0f} % of the gap, the distance from the gate to the best there can be (the
  oracle, else no error at all, or a share of 1). Of a gate with two sides the gap is half their
  distance.
- In the pictures 0 is that best and 1 is the gate: what lies left of the line is reached, and a
  single seed may stand at 1.25."""


def main() -> None:
    """Render the page and its pictures from the records that are kept."""
    render(read_records(RECORDS), page=PAGE, pictures=PICTURES)


def render(records: Sequence[Record], *, page: Path, pictures: Path) -> None:
    """Write the page and its pictures.

    Parameters
    ----------
    records
        What was measured; those of one model stand together.
    page
        The Markdown file.
    pictures
        Folder of the pictures.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    draw_overview(records, pictures / "overview.png")
    models = [(name, list(part)) for name, part in groupby(records, lambda r: r.model)]
    for name, part in models:
        draw_model(part, pictures / f"{name}.png")
    folder = pictures.relative_to(page.parent)
    text = "\n\n".join(_page(records, models, folder.as_posix()))
    page.write_text(text + "\n", encoding="utf-8")


def _page(
    records: Sequence[Record], models: Sequence[tuple[str, list[Record]]], folder: str
) -> Iterator[str]:
    yield INTRODUCTION
    yield _summary_sentence(records)
    yield f"![Every figure with a gate, on one axis]({folder}/overview.png)"
    yield _overview(records)
    yield READING
    yield "## Where ours is not the best of the run"
    yield _below(records)
    for name, part in models:
        yield f"## {name}"
        yield f"![{name}: ours, reference and oracle]({folder}/{name}.png)"
        for record in part:
            yield from _data_set(record)
    yield "## What it was measured with"
    yield _versions(records)


def _summary_sentence(records: Sequence[Record]) -> str:
    count = Counts.of([figure for record in records for figure in record.figures])
    return (
        f"**{count.passed} of {count.gated} gates are reached. Of {count.compared} comparisons "
        f"with a named reference ours is at or above it in {count.ahead}; by more than "
        f"{LEVEL_ERRORS:g} standard errors it is better in {count.better} and worse in "
        f"{count.worse}.**"
    )


@dataclass(frozen=True)
class Counts:
    """How many figures there are of each kind."""

    gated: int
    passed: int
    compared: int
    ahead: int
    better: int
    worse: int

    @classmethod
    def of(cls, figures: Sequence[Figure]) -> "Counts":
        """Count figures."""
        gated = [figure for figure in figures if figure.gate]
        leads = [figure.lead for figure in figures if figure.lead is not None]
        verdicts = [verdict(figure) for figure in figures]
        return cls(
            gated=len(gated),
            passed=sum(figure.passes for figure in gated),
            compared=len(leads),
            ahead=sum(lead >= 0 for lead in leads),
            better=verdicts.count("better"),
            worse=verdicts.count("worse"),
        )


def verdict(figure: Figure) -> str:
    """Say how ours stands against the reference: better, level, worse; empty without one."""
    if figure.lead is None:
        return ""
    if abs(figure.lead) <= LEVEL_ERRORS * (figure.standard_error or 0.0):
        return "level"
    return "better" if figure.lead > 0 else "worse"


def _overview(records: Sequence[Record]) -> str:
    rows = [
        "| model | data | gates reached | at or above the reference | measured (UTC) | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        count = Counts.of(record.figures)
        reached = f"{count.passed} of {count.gated}" if count.gated else ""
        if count.passed < count.gated:
            reached = f"**{reached}**"
        against = f"{count.ahead} of {count.compared}" if count.compared else ""
        rows.append(
            f"| {record.model} | {record.data} | {reached} | {against} "
            f"| {record.at:%Y-%m-%d %H:%M} | {record.seconds:.0f} |"
        )
    return "\n".join(rows)


def _below(records: Sequence[Record]) -> str:
    """List every figure that misses its gate, or that another method of the run betters."""
    heavy: list[str] = []
    light: list[str] = []
    for record in records:
        for figure in record.figures:
            ahead = [(rival, against) for rival, against in _methods(figure) if _behind(against)]
            worse = [verdict(against) == "worse" for _, against in ahead]
            if figure.passes and not ahead:
                continue
            by = ", by a seed" if figure.reached.endswith("misses") else ""
            faults = [] if figure.passes else [f"gate {figure.gate} **missed**{by}"]
            faults += [
                f"{rival.name} {rival.value:.4g}, difference "
                f"{_difference(rival.difference, rival.standard_error)} ({verdict(against)})"
                for rival, against in ahead
            ]
            where = f"- {record.model}, {record.data}, {figure.metric} {figure.ours:.4g}"
            line = f"{where}: {'; '.join(faults)}."
            (heavy if any(worse) or not figure.passes else light).append(line)
    parts = [
        "A gate is missed, or another method is better than the data's noise explains:",
        "\n".join(heavy) or "Nowhere in this run.",
        "Another method is ahead, by less than the data can tell apart:",
        "\n".join(light) or "Nowhere in this run.",
    ]
    return "\n\n".join(parts)


def _behind(figure: Figure) -> bool:
    return figure.lead is not None and figure.lead < 0


def _methods(figure: Figure) -> Iterator[tuple[Rival, Figure]]:
    """Give each method, and the figure with that method for its reference."""
    rivals = list(figure.rivals)
    if figure.reference_value is not None:
        named = Rival(
            figure.reference_name, figure.reference_value, figure.difference, figure.standard_error
        )
        rivals.insert(0, named)
    for rival in rivals:
        yield rival, figure.against(rival)


def _data_set(record: Record) -> Iterator[str]:
    yield f"### {record.model}: {record.data}"
    yield f"{record.about} Measured {record.at:%Y-%m-%d %H:%M} UTC in {record.seconds:.0f} s."
    rows = [
        "| metric | ours | reference | ours less reference | oracle | gate | reached |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    yield "\n".join([*rows, *(_row(figure) for figure in record.figures)])
    if any(figure.rivals for figure in record.figures):
        yield "Other methods in the same run (in brackets: ours less theirs):"
        yield _rivals(record.figures)


def _row(figure: Figure) -> str:
    oracle = "" if figure.oracle is None else f"{figure.oracle:.4g}"
    cells = [
        figure.metric,
        with_interval(figure),
        _reference(figure),
        _against(figure),
        oracle,
        figure.gate,
        figure.reached,
    ]
    return f"| {' | '.join(cells)} |"


def _reference(figure: Figure) -> str:
    if figure.reference_value is None:
        return figure.reference
    return f"{figure.reference_value:.4g} {figure.reference_name}".strip()


def _against(figure: Figure) -> str:
    stands = verdict(figure)
    if figure.difference is None:
        return stands
    text = _difference(figure.difference, figure.standard_error)
    return f"{text} ({stands})" if stands else text


def _difference(value: float | None, error: float | None) -> str:
    if value is None:
        return "unpaired"
    return f"{value:+.3g}" if error is None else f"{value:+.3g} ± {error:.2g}"


def _rivals(figures: Sequence[Figure]) -> str:
    shown = [figure for figure in figures if figure.rivals]
    names = list(dict.fromkeys(rival.name for figure in shown for rival in figure.rivals))
    rows = [f"| metric | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for figure in shown:
        known = {rival.name: _rival(rival) for rival in figure.rivals}
        known.setdefault(figure.reference_name, "the reference")
        rows.append(f"| {figure.metric} | {' | '.join(known.get(n, '') for n in names)} |")
    return "\n".join(rows)


def _rival(rival: Rival) -> str:
    if rival.difference is None:
        return f"{rival.value:.4g}"
    return f"{rival.value:.4g} ({_difference(rival.difference, rival.standard_error)})"


def _versions(records: Sequence[Record]) -> str:
    """Say the versions, once where all records agree on one."""
    names = sorted({name for record in records for name in record.versions})
    lines = []
    for name in names:
        found = sorted({r.versions[name] for r in records if name in r.versions})
        lines.append(f"{name} {' and '.join(found)}")
    return ", ".join(lines) + "." if lines else "Nothing was measured yet."


if __name__ == "__main__":
    main()
