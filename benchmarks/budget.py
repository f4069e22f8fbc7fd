"""Time of an allocation over ten channels, and its distance to the best: ``-m benchmarks.budget``.

Ten channels with 400 draws each are split again and again in process, as the predictor does. What
the split brings is held against SLSQP of SciPy from many starts, over the very same draws.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, minimize

from benchmarks.report import write_section
from bentos.budget.allocation import Limits, split_total
from bentos.budget.curves import Form, MeanCurves, Responses
from core.encoding import FloatArray

CHANNELS, DRAWS, CASES, CALLS, STARTS = 10, 400, 6, 40, 8
MOST_MS, MOST_SHORT = 20.0, 0.005
KINDS: tuple[tuple[str, Form, float], ...] = (
    ("concave Hill", "hill", 1.0), ("S-shaped Hill", "hill", 2.2), ("logistic", "tanh", 1.0),
)  # fmt: skip


def main() -> None:
    """Measure and write the figures down.

    Raises
    ------
    SystemExit
        A figure misses what must be reached.
    """
    lines = [
        "| curves of ten channels | median | 99th percentile | worst below SLSQP | worst gap |",
        "| --- | --- | --- | --- | --- |",
    ]
    slowest, shortest = 0.0, 0.0
    for name, form, steepest in KINDS:
        times, short, gap = _measured(form, steepest)
        slowest, shortest = max(slowest, float(np.median(times))), max(shortest, short)
        lines.append(
            f"| {name} | {np.median(times):.2f} ms | {np.quantile(times, 0.99):.2f} ms | "
            f"{short:.1e} | {gap:.1e} |"
        )
    write_section("budget allocation", "\n".join(lines))
    if slowest > MOST_MS or shortest > MOST_SHORT:
        raise SystemExit("an allocation misses its figure: see docs/performance.md")


def _measured(form: Form, steepest: float) -> tuple[FloatArray, float, float]:
    """Give the times in milliseconds, the largest shortfall and the largest proven gap."""
    times: list[float] = []
    short, gap = 0.0, 0.0
    for seed in range(CASES):
        draw = np.random.default_rng(seed)
        responses = _responses(draw, form, steepest)
        curves = MeanCurves(responses)
        total = float(np.median(responses.half, axis=0).sum() * draw.uniform(0.3, 2))
        limits = Limits(np.zeros(CHANNELS), np.full(CHANNELS, total))
        for _ in range(CALLS):
            began = time.perf_counter()
            split = split_total(curves, limits, total)
            times.append(1e3 * (time.perf_counter() - began))
        ours = float(responses.mean_brought(split.amounts[None, :])[0].sum())
        short = max(short, 1 - ours / _best(responses, total, draw))
        gap = max(gap, split.gap)
    return np.array(times), short, gap


def _responses(draw: np.random.Generator, form: Form, steepest: float) -> Responses:
    many = (DRAWS, CHANNELS)
    return Responses(
        form,
        np.exp(draw.normal(3, 0.5, CHANNELS) + draw.normal(0, 0.3, many)),
        np.exp(draw.normal(2, 0.6, CHANNELS) + draw.normal(0, 0.2, many)),
        draw.uniform(0.7, steepest, CHANNELS) * np.exp(draw.normal(0, 0.1, many)),
    )


def _best(responses: Responses, total: float, draw: np.random.Generator) -> float:
    best = 0.0
    starts = [draw.dirichlet(np.ones(CHANNELS)) * total for _ in range(STARTS)]
    for start in [np.full(CHANNELS, total / CHANNELS), *starts]:
        found = minimize(
            lambda x: -responses.mean_brought(x[None, :])[0].sum(), start, method="SLSQP",
            jac=lambda x: -responses.mean_slope(x[None, :])[0], bounds=Bounds(0, total),
            constraints=LinearConstraint(np.ones(CHANNELS), total, total),
        )  # fmt: skip
        if abs(found.x.sum() - total) < 1e-6 * total:
            best = max(best, -float(found.fun))
    return best


if __name__ == "__main__":
    main()
