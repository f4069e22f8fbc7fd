"""Time and quality of one allocation over ten channels: ``python -m benchmarks.budget``.

Beside it, in turn and on the same curves, SLSQP from several starts.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, minimize

from benchmarks.report import write_section
from bentos.budget.allocation import Limits, split_total
from bentos.budget.curves import Form, MeanCurves, Responses
from core.encoding import FloatArray

CHANNELS, DRAWS, FIRMS, STARTS, REPEATS = 10, 400, 12, 8, 5
# Name, form, and the range of the curves' shapes: above 1 they are S-shaped.
KINDS: tuple[tuple[str, Form, float, float], ...] = (
    ("concave curves", "tanh", 1.0, 1.0),
    ("curves as a fit has them", "hill", 0.9, 2.0),
    ("S-shaped curves", "hill", 2.0, 4.0),
)


def main() -> None:
    """Measure and write the figures down."""
    lines = [
        "| ten channels | ours, median | 99th percentile | SLSQP | behind it | gap proven |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(*kind) for kind in KINDS),
    ]
    about = (
        f"Medians of {FIRMS} firms; SLSQP from {STARTS} starts with exact slopes. Behind it: "
        "by how much SLSQP was ever better. Gap: the largest distance to the proven bound."
    )
    text = "\n".join([*lines, "", about])
    write_section("budget allocation", text)


def _row(name: str, form: Form, flattest: float, steepest: float) -> str:
    ours, theirs, behind, gaps = [], [], [], []
    for seed in range(FIRMS):
        curves, total = _drawn(form, flattest, steepest, seed=seed)
        table, limits = MeanCurves(curves), Limits(np.zeros(CHANNELS), np.full(CHANNELS, total))
        for _ in range(REPEATS):
            began = time.perf_counter()
            found = split_total(table, limits, total)
            ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        other = _slsqp(curves, limits, total, seed=seed)
        theirs.append(time.perf_counter() - began)
        reached = float(curves.mean_brought(found.amounts[None, :]).sum())
        behind.append(max(other / reached - 1, 0.0))
        gaps.append(found.gap)
    cells = (
        f"{np.median(ours) * 1e3:.1f} ms", f"{np.quantile(ours, 0.99) * 1e3:.1f} ms",
        f"{np.median(theirs) * 1e3:,.0f} ms", f"{max(behind):.4%}", f"{max(gaps):.3%}",
    )  # fmt: skip
    return f"| {name} | {' | '.join(cells)} |"


def _drawn(form: Form, flattest: float, steepest: float, *, seed: int) -> tuple[Responses, float]:
    """Draw curves and a total that saturates some of them."""
    random = np.random.default_rng(seed)
    size = (DRAWS, CHANNELS)
    worth = np.exp(random.normal(3, 0.5, CHANNELS) + random.normal(0, 0.3, size))
    half = np.exp(random.normal(2, 0.6, CHANNELS) + random.normal(0, 0.2, size))
    shape = random.uniform(flattest, steepest, CHANNELS) * np.exp(random.normal(0, 0.1, size))
    curves = Responses(form, worth, half, shape)
    return curves, float(np.median(half, axis=0).sum() * random.uniform(0.4, 1.6))


def _slsqp(curves: Responses, limits: Limits, total: float, *, seed: int) -> float:
    """Give the best value that SLSQP finds, with exact slopes."""
    random, best = np.random.default_rng(seed), 0.0

    def missed(spend: FloatArray) -> tuple[float, FloatArray]:
        points = spend[None, :]
        return -float(curves.mean_brought(points).sum()), -curves.mean_slope(points)[0]

    for turn in range(STARTS):
        start = random.dirichlet(np.ones(CHANNELS)) if turn else np.full(CHANNELS, 1 / CHANNELS)
        found = minimize(
            missed, start * total, jac=True, bounds=Bounds(limits.least, limits.most),
            constraints=LinearConstraint(np.ones(CHANNELS), total, total), method="SLSQP",
            options={"ftol": 1e-10, "maxiter": 300},
        )  # fmt: skip
        if abs(float(found.x.sum()) - total) <= 1e-6 * total:
            best = max(best, -float(found.fun))
    return best


if __name__ == "__main__":
    main()
