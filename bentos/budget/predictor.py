"""Answers ``budget``: how should the marketing budget be split?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from bentos.budget.allocation import Limits, Split, exact, split_total
from bentos.budget.curves import MeanCurves, Responses
from bentos.budget.result import BudgetResult
from bentos.budget.task import BudgetTask, ChannelLimits
from bentos.budget.wording import notes_of
from bentos.predictor import Drivers, Predictor
from core.artifact import Artifact
from core.encoding import FloatArray
from core.errors import FieldProblem, RowInvalid, meant
from core.task import Task

CURVES, CHANNELS = "curves.npz", "channels.json"
_LOW, _HIGH = 0.05, 0.95
_CURVE_POINTS = 41
_SPEND_HALVINGS = 30
# Sums of amounts that a person typed may miss the total by the rounding of their decimals.
_ROUNDING = 1e-9
_TINY = 1e-300


class BudgetPredictor(Predictor):
    """The split of a budget that is expected to bring most, with what each channel brings.

    Right for channels whose spend moved in the past for reasons of their own, the more so where it
    was moved by chance on purpose. It fails, and says so by ``is_identified`` and wide intervals,
    for a channel that was never changed or that always moved with another: the history cannot tell
    what it does, and its curve is then mostly that of the other channels. Fit is not attribution:
    what drives both spend and outcome must stand among the controls. A split far from what was ever
    spent is an extrapolation, and a note says so.

    Each channel brings ``worth S(spend)`` a week with ``S`` a Hill or logistic saturation; the
    parameters are posterior draws of a model with trend, season, controls and carry-over. The mean
    curve over the draws is what is split by: it weighs what is not known. The split is found by
    halving on the price of money, or by dynamic programming where curves are S-shaped, and is
    proven to lie within ``optimality_gap_ratio`` of the best. Intervals hold 90 % of the draws.

    Parameters
    ----------
    artifact
        An opened artifact of this model.

    Returns
    -------
    channels
        One a channel: amount, expected return with interval, marginal return.

    Raises
    ------
    RowInvalid
        A channel is unknown, or the limits leave no split of the total.

    References
    ----------
    Broadbent (1979), One way TV advertisements work. Jin et al. (2017), Bayesian methods for media
    mix modeling with carryover and shape effects. Hill (1910). Everett (1963), Generalized Lagrange
    multiplier method. Bellman (1957), Dynamic programming. Neal (2011), MCMC using Hamiltonian
    dynamics.

    Examples
    --------
    >>> sorted(BudgetPredictor.ROLES)
    ['channels', 'controls?']
    """

    MODEL: ClassVar[str] = "budget"
    HEADLINE = "expected_return_amount"
    WEEKS = "period_weeks"
    RESULT: ClassVar[type[BaseModel]] = BudgetResult
    TASKS: ClassVar[tuple[type[Task], ...]] = (BudgetTask,)
    # Milliseconds of arithmetic, more with a least return: other models' answers go first.
    IS_QUICK: ClassVar[bool] = False
    ROLES: ClassVar[Mapping[str, str]] = {
        "channels": "the columns of weekly spend, one a channel",
        "controls?": "what moves the outcome beside marketing, such as the economy or holidays",
    }

    def load(self, artifact: Artifact) -> None:
        """Read the draws and what is known of the channels."""
        arrays = artifact.read_arrays(CURVES)
        listed = artifact.read_json(CHANNELS)
        self.channels: tuple[str, ...] = tuple(known["channel"] for known in listed["channels"])
        self.reasons: tuple[str | None, ...] = tuple(
            known["reason"] for known in listed["channels"]
        )
        self.recent = np.array([known["recent_amount"] for known in listed["channels"]])
        self.most_seen = np.array([known["most_seen_amount"] for known in listed["channels"]])
        self.responses = Responses(listed["form"], arrays["worth"], arrays["half"], arrays["shape"])
        self.curves = MeanCurves(self.responses)

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse channels that this release does not know, and limits that no split keeps."""
        problems = [*self._unknown_channels(row)]
        problems = problems or [*self._impossible_limits(row)]
        problems = problems or [*self._unreachable_return(row)]
        if problems:
            raise RowInvalid(problems)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Answer validated rows, one budget each."""
        return [self._answer(row, explain=explain) for row in rows]

    def split(self, row: Mapping[str, Any]) -> Split:
        """Give the best weekly split for a validated row."""
        weeks, limits = row["period_weeks"], self._limits(row)
        total = row["total_amount"] / weeks
        wanted = row.get("least_return_ratio")
        if wanted is None:
            return split_total(self.curves, limits, total)
        return self._largest(limits, total, wanted)

    def _limits(self, row: Mapping[str, Any]) -> Limits:
        """Give weekly limits; a channel without any may get all."""
        amounts = [_bounds(limits, row["total_amount"]) for limits in self._asked(row)]
        least, most = (np.array(side) / row["period_weeks"] for side in zip(*amounts, strict=True))
        return Limits(least, most)

    def _asked(self, row: Mapping[str, Any]) -> list[ChannelLimits]:
        given = row.get("channels") or {}
        return [given.get(name) or ChannelLimits() for name in self.channels]

    def _largest(self, limits: Limits, total: float, wanted: float) -> Split:
        """Find the largest spend up to a total that still brings the wanted return on average."""
        best = split_total(self.curves, limits, total)
        if best.value >= wanted * total:
            return best
        low, high = float(limits.least.sum()), total
        best = split_total(self.curves, limits, low)
        for _ in range(_SPEND_HALVINGS):
            spend = (low + high) / 2
            tried = split_total(self.curves, limits, spend)
            if tried.value >= wanted * spend:
                low, best = spend, tried
            else:
                high = spend
        return best

    def _answer(self, row: Mapping[str, Any], *, explain: bool) -> dict[str, Any]:
        """Answer one row."""
        found = self.split(row)
        weeks = row["period_weeks"]
        today = self._current(row)
        brought = self.responses.brought(found.amounts) * weeks
        # Of the same total: how it is split is what is compared.
        usual = today * (float(found.amounts.sum()) / max(float(today.sum()), _TINY))
        gained = brought.sum(axis=1) - (self.responses.brought(usual) * weeks).sum(axis=1)
        amounts = self._period_amounts(row, found)
        channels = self._channels(row, amounts, found, brought=brought, today=today)
        total = brought.sum(axis=1)
        result = {
            "channels": channels,
            "total_amount": math.fsum(amounts),
            "expected_return_amount": math.fsum(c["expected_return_amount"] for c in channels),
            "low_amount": float(np.quantile(total, _LOW)),
            "high_amount": float(np.quantile(total, _HIGH)),
            "uplift_amount": float(gained.mean()),
            "uplift_low_amount": float(np.quantile(gained, _LOW)),
            "uplift_high_amount": float(np.quantile(gained, _HIGH)),
            "optimality_gap_ratio": found.gap,
            "curves": self._curves(amounts, weeks) if row.get("with_curves") else None,
            "notes": notes_of(row, channels, most_seen=(self.most_seen * weeks).tolist()),
        }
        answer: dict[str, Any] = {"result": result, "flags": []}
        if explain:
            answer["drivers"] = _drivers(channels).explanation(0)
        return answer

    def _period_amounts(self, row: Mapping[str, Any], found: Split) -> list[float]:
        """Give amounts over the period that keep sum and limits to the last bit."""
        amounts = found.amounts * row["period_weeks"]
        bounds = [_bounds(limits, row["total_amount"]) for limits in self._asked(row)]
        least, most = (np.array(side) for side in zip(*bounds, strict=True))
        near = _ROUNDING * row["total_amount"]
        amounts = np.where(amounts <= least + near, least, amounts)
        amounts = np.where(amounts >= most - near, most, amounts)
        total = row["total_amount"]
        if row.get("least_return_ratio") is not None:
            total = min(total, math.fsum(amounts))
        kept: list[float] = exact(amounts, Limits(least, most), total).tolist()
        return kept

    def _current(self, row: Mapping[str, Any]) -> FloatArray:
        """Give today's weekly spend."""
        given = row.get("current_split")
        if given is None:
            return self.recent
        today: FloatArray = np.array([given.get(name, 0.0) for name in self.channels])
        weekly: FloatArray = today / row["period_weeks"]
        return weekly

    def _channels(
        self,
        row: Mapping[str, Any],
        amounts: Sequence[float],
        found: Split,
        *,
        brought: FloatArray,
        today: FloatArray,
    ) -> list[dict[str, Any]]:
        weeks = row["period_weeks"]
        means = brought.mean(axis=0).tolist()
        lows, highs = np.quantile(brought, [_LOW, _HIGH], axis=0).tolist()
        slopes = self.responses.mean_slope(found.amounts[None, :])[0].tolist()
        current = (today * weeks).tolist()
        asked = self._asked(row)
        return [
            {
                "channel": name,
                "amount": amounts[place],
                "expected_return_amount": means[place],
                "low_amount": lows[place],
                "high_amount": highs[place],
                "marginal_return_ratio": slopes[place],
                "current_amount": current[place],
                "is_identified": self.reasons[place] is None,
                "reason": self.reasons[place],
                "binding": _binding(asked[place], amounts[place]),
            }
            for place, name in enumerate(self.channels)
        ]

    def _curves(self, amounts: Sequence[float], weeks: int) -> list[dict[str, Any]]:
        """Give the response curve of each channel, to a little beyond what was seen or asked."""
        top = 1.2 * np.maximum(self.most_seen, np.array(amounts) / weeks)
        spend = np.linspace(0.0, 1.0, _CURVE_POINTS)[:, None] * top
        brought = self.responses.worth * self.responses.share(spend[:, None, :]) * weeks
        means = brought.mean(axis=1)
        lows, highs = np.quantile(brought, [_LOW, _HIGH], axis=1)
        found = []
        for place, name in enumerate(self.channels):
            columns = (spend * weeks, means, lows, highs)
            rows = zip(*(column[:, place].tolist() for column in columns), strict=True)
            points = [
                {
                    "amount": amount, "expected_return_amount": mean,
                    "low_amount": low, "high_amount": high,
                }
                for amount, mean, low, high in rows
            ]  # fmt: skip
            seen = float(self.most_seen[place]) * weeks
            found.append({"channel": name, "most_seen_amount": seen, "points": points})
        return found

    def _unknown_channels(self, row: Mapping[str, Any]) -> Iterator[FieldProblem]:
        listed = f"known here: {', '.join(self.channels)}"
        for field in ("channels", "current_split"):
            for name in row.get(field) or {}:
                if name not in self.channels:
                    hint = meant(name, list(self.channels)) or listed
                    yield FieldProblem(f"{field}.{name}", "is not a channel of this model", hint)

    def _impossible_limits(self, row: Mapping[str, Any]) -> Iterator[FieldProblem]:
        """Name a total that the limits do not admit; the sums are those that were given."""
        total, asked = row["total_amount"], self._asked(row)
        near = _ROUNDING * total
        least = math.fsum(_bounds(limits, total)[0] for limits in asked)
        tops = [_top(limits) for limits in asked]
        if least > total + near:
            yield FieldProblem(
                "total_amount", f"is {total:g}, less than the least amounts need together",
                f"least and fixed amounts sum to {least:.12g}: raise the total or lower them",
            )  # fmt: skip
        elif row.get("least_return_ratio") is None and math.fsum(tops) < total - near:
            yield FieldProblem(
                "total_amount", f"is {total:g}, more than the channels may take together",
                f"most and fixed amounts sum to {math.fsum(tops):.12g}: lower the total or raise "
                "them",
            )  # fmt: skip

    def _unreachable_return(self, row: Mapping[str, Any]) -> Iterator[FieldProblem]:
        """Name a return that not even the first money brings."""
        wanted = row.get("least_return_ratio")
        if wanted is None:
            return
        found = self.split(row)
        spend = float(found.amounts.sum())
        if spend * row["period_weeks"] <= _ROUNDING * row["total_amount"]:
            reached = 0.0
        else:
            reached = found.value / spend
        if reached < wanted * (1 - _ROUNDING):
            yield FieldProblem(
                "least_return_ratio", f"is {wanted:g}, which no split within the limits brings",
                f"{reached:.4g} is what the least amounts bring; ask for less",
            )  # fmt: skip


def _bounds(limits: ChannelLimits, total: float) -> tuple[float, float]:
    """Give least and most over the period; a channel without a most may get the total."""
    if limits.fixed_amount is not None:
        return limits.fixed_amount, limits.fixed_amount
    least = limits.least_amount or 0.0
    return least, max(min(_top(limits), total), least)


def _top(limits: ChannelLimits) -> float:
    if limits.fixed_amount is not None:
        return limits.fixed_amount
    return math.inf if limits.most_amount is None else limits.most_amount


def _binding(limits: ChannelLimits, amount: float) -> str | None:
    if limits.fixed_amount is not None:
        return "fixed"
    if limits.least_amount and amount <= limits.least_amount:
        return "least"
    if limits.most_amount is not None and amount >= limits.most_amount:
        return "most"
    return None


def _drivers(channels: Sequence[Mapping[str, Any]]) -> Drivers:
    """Give what each channel adds to the expected return."""
    parts = np.array([[float(c["expected_return_amount"]) for c in channels]])
    names = tuple(str(c["channel"]) for c in channels)
    return Drivers(names, np.zeros(1), parts, parts.sum(axis=1), scale="amount")


PREDICTOR = BudgetPredictor
