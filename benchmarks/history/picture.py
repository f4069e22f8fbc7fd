"""The questions as a picture: how long each takes, on both logs and both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from textwrap import fill

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.history.rounds import Seen

_OURS, _THEIRS, _LIMIT = "#0b6e4f", "#b9c2c9", "#a4243b"
_WIDTH = 0.38


def draw(seen: Sequence[Seen], path: Path) -> None:
    """Draw what was asked.

    Parameters
    ----------
    seen
        What was measured.
    path
        The PNG file.
    """
    cases = list({id(one.case): one.case for one in seen}.values())
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, case in zip(figure.subplots(1, len(cases)), cases, strict=True):
        own = [one for one in seen if one.case is case]
        for i, one in enumerate(own):
            sides = (("historian", one.ours, _OURS), ("hand-written SQL", one.theirs, _THEIRS))
            for j, (name, took, color) in enumerate(sides):
                place, height = i + (j - 0.5) * _WIDTH, median(took)
                bar = panel.bar(place, height, _WIDTH, color=color, label="" if i else name)
                panel.bar_label(bar, [f"{height:.0f}"], fontsize=9)
        panel.axhline(case.most_ms, color=_LIMIT, linewidth=1, linestyle="--", label="must reach")
        panel.set_xticks(range(len(own)), [f"{one.count / 1e6:g} million" for one in own])
        panel.set_title(fill(case.title, 32), fontsize=9, loc="left")
        panel.set_ylabel("ms, median")
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=8, frameon=False, loc="center left")
    figure.suptitle("Questions about the prediction log of one model", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
