"""Learns where the curve of a context stands and how steeply it falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from bentos.pricing.curve import place_of
from bentos.pricing.design import IntArray
from bentos.pricing.model import STEEPEST, Anchor, Learned
from core.encoding import FloatArray
from training.recipes.pricing_bayes import Forward, Posterior, fit_posterior
from training.recipes.pricing_design import Context
from training.recipes.pricing_nuisance import out_of_fold
from training.recipes.pricing_priors import flat_prior, slope_prior, win_prior
from training.recipes.pricing_table import Table

LEAST_CLUSTERS = 20
LARGEST_INFLATION = 50.0


@dataclass(frozen=True)
class Place:
    """How a price is placed on the curve's axis.

    Parameters
    ----------
    anchor
        What it is measured against.
    power
        Box and Cox's, 0 for the logarithm.
    """

    anchor: Anchor
    power: float

    def of(self, table: Table) -> FloatArray:
        """Give ``z`` of the rows' own prices."""
        return place_of(table.price / self.anchor.of(table.matrix), self.power)


@dataclass(frozen=True)
class Fit:
    """A fitted curve, before the trees.

    Parameters
    ----------
    learned
        What serves.
    offset
        Shape ``(n,)``: ``eta`` of the training rows, with what only training knows of them.
    fall
        Shape ``(n,)``: the part of it that is not the height; used for volume.
    slope_deviation
        Posterior deviation of the logarithm of the usual row's slope.
    place_deviation
        Deviation of ``z`` that context and fixed effects leave over.
    inflation
        How much more uncertain the slope is than rows that are all independent would have it.
    evidence
        Logarithm of the marginal likelihood.
    """

    learned: Learned
    offset: FloatArray
    fall: FloatArray
    slope_deviation: float
    place_deviation: float
    inflation: float
    evidence: float


@dataclass(frozen=True)
class Rows:
    """What the fits share.

    Parameters
    ----------
    table, context, columns
        The rows, their design, and its columns of shape ``(n, k)``.
    steep
        Shape ``(s,)``: the columns that the slope may depend on.
    inputs
        Positions of the features that are context: neither price nor, for volume, cost.
    folds
        Shape ``(n,)``.
    seed
        Of the trees.
    """

    table: Table
    context: Context
    columns: FloatArray
    steep: IntArray
    inputs: IntArray
    folds: IntArray
    seed: int

    @property
    def categorical(self) -> tuple[int, ...]:
        """Positions of the categories among the inputs."""
        known = set(self.table.encoder.categorical)
        return tuple(i for i, feature in enumerate(self.inputs) if int(feature) in known)


def fit_wins(rows: Rows, place: Place, *, controls: FloatArray, keeps: bool) -> Fit:
    """Fit chances to win: log-odds ``slope * (worth - z)``, both of the context.

    Parameters
    ----------
    rows
        The training rows.
    place
        How prices are placed.
    controls
        Shape ``(n, c)``: what holds the price's own story constant, in units of ``z``; see
        ``controls_of``.
    keeps
        Whether the controls say what a caller cannot know, so that the height is learned beside
        them; else they repeat the context, and the height is learned again without them.
    """
    z, won = place.of(rows.table), rows.table.outcome
    wide = np.hstack([rows.columns, controls])
    prior = win_prior(
        rows.context.blocks, rows.steep, usual=float(z.mean()), controls=controls.shape[1]
    )
    forward = _win_forward(wide, rows.columns[:, rows.steep], z)
    found = fit_posterior(forward, won, prior, binary=True)
    inflation = _inflation(forward, found, won, rows.table, wide.shape[1], binary=True)
    if inflation > 1:
        weight = np.full(len(won), 1 / inflation)
        found = fit_posterior(forward, won, prior, binary=True, weight=weight, start=found.mode)
    k, c = rows.columns.shape[1], controls.shape[1]
    height, slope = found.mode[:k], found.mode[k + c :]
    log_slope = _held(rows.columns[:, rows.steep] @ slope)
    if c and not keeps:
        own = _height_again(rows, z, np.exp(log_slope), height)
        height, eta = own, np.exp(log_slope) * (rows.columns @ own - z)
    else:
        eta = forward(found.mode)[0]
    served = np.r_[0:k, k + c : len(found.mode)]
    learned = _learned(rows, height, slope, found.covariance[np.ix_(served, served)], z)
    deviation = float(np.sqrt(found.covariance[k + c, k + c]))
    freedom = float(np.std(z))
    return Fit(learned, eta, np.zeros(len(z)), deviation, freedom, inflation, found.evidence)


def fit_volume(rows: Rows, place: Place) -> Fit:
    """Fit volumes: the slope from what context leaves over of price and volume, then the height.

    Double machine learning (Chernozhukov et al. 2018): price and volume are each predicted from
    the context out of fold, and the slope is learned from the residuals alone; so whatever moved
    both through the context drops out.
    """
    table, z = rows.table, place.of(rows.table)
    context = rows.table.matrix[:, rows.inputs]
    if table.by_chance is not None:
        context = np.column_stack([context, table.by_chance])
    predicted = partial(
        out_of_fold, context, folds=rows.folds, categorical=rows.categorical, seed=rows.seed
    )
    volume: FloatArray = table.outcome - predicted(table.outcome)
    price: FloatArray = z - predicted(z)
    extra = _volume_controls(rows, price, z)
    found, inflation = _fit_slope(rows, volume, price, extra)
    s = len(rows.steep)
    slope = found.mode[:s]
    steep = np.exp(_held(rows.columns[:, rows.steep] @ slope))
    fall = extra @ found.mode[s:] - steep * z
    everywhere = np.arange(len(table))
    height = height_of(rows, table.outcome - fall, everywhere, inflation=inflation)
    covariance = _two_blocks(height.covariance, found.covariance[:s, :s])
    learned = _learned(rows, height.mode, slope, covariance, z)
    deviation = float(np.sqrt(found.covariance[0, 0]))
    eta = rows.columns @ height.mode + fall
    return Fit(learned, eta, fall, deviation, float(np.std(price)), inflation, found.evidence)


def height_of(rows: Rows, level: FloatArray, chosen: IntArray, *, inflation: float) -> Posterior:
    """Fit the height of volume from some rows, once the fall in price is taken off.

    Parameters
    ----------
    rows
        All rows.
    level
        Shape ``(n,)``: logarithm of the volume less the fall.
    chosen
        Positions of the rows to learn from.
    inflation
        See ``Fit``.
    """
    columns = rows.columns[chosen]
    return fit_posterior(
        lambda theta: (columns @ theta, columns),
        level[chosen],
        flat_prior(rows.context.blocks, float(level[chosen].mean())),
        binary=False,
        weight=np.full(len(chosen), 1 / inflation),
    )


def controls_of(rows: Rows, place: Place) -> tuple[FloatArray, bool]:
    """Give what holds a quote's price story constant while the slope is learned.

    With prices set by chance or with instruments: what the context (and the instruments) do not
    say of the other prices, since that may know what the client would pay (control function,
    Petrin & Train 2010). With neither: what the context does say of the price (Hirano & Imbens
    2004, the generalised propensity score), which the lines of the context may have missed.

    Returns
    -------
    controls : ndarray of shape (n, c)
    keeps : bool
        Whether they say what a caller cannot know.
    """
    table, z = rows.table, place.of(rows.table)
    context = table.matrix[:, rows.inputs]
    predicted = partial(out_of_fold, categorical=rows.categorical, seed=rows.seed)
    if table.by_chance is not None:
        policy = np.flatnonzero(~table.by_chance)
        control = np.zeros((len(z), 1))
        if len(policy) > LEAST_CLUSTERS:
            inputs = np.hstack([context, table.instruments])[policy]
            known = predicted(inputs, z[policy], rows.folds[policy])
            control[policy, 0] = z[policy] - known
        return control, True
    inputs = np.hstack([context, table.instruments])
    known = predicted(inputs, z, rows.folds)
    if table.instruments.shape[1]:
        return (z - known)[:, None], True
    return (known - known.mean())[:, None], False


def _volume_controls(rows: Rows, price: FloatArray, z: FloatArray) -> FloatArray:
    """Give what a price knows of demand beyond the context, where the history can tell it."""
    table = rows.table
    if table.by_chance is not None:
        return np.where(table.by_chance, 0.0, price)[:, None]
    if not table.instruments.shape[1]:
        return np.empty((len(z), 0))
    moved = out_of_fold(
        np.hstack([table.matrix[:, rows.inputs], table.instruments]), z, rows.folds,
        categorical=rows.categorical, seed=rows.seed,
    )  # fmt: skip
    return (z - moved)[:, None]


def _fit_slope(
    rows: Rows, volume: FloatArray, price: FloatArray, extra: FloatArray
) -> tuple[Posterior, float]:
    """Fit ``volume = -exp(b . columns) price + r . extra`` on residuals."""
    steep = np.ascontiguousarray(rows.columns[:, rows.steep])
    s = steep.shape[1]

    def forward(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        fall = -np.exp(_held(steep @ theta[:s])) * price
        return fall + extra @ theta[s:], np.hstack([steep * fall[:, None], extra])

    prior = slope_prior(rows.context.blocks[rows.steep], "volume").beside(extra.shape[1])
    found = fit_posterior(forward, volume, prior, binary=False)
    inflation = _inflation(forward, found, volume, rows.table, 0, binary=False)
    if inflation > 1:
        weight = np.full(len(volume), 1 / inflation)
        found = fit_posterior(forward, volume, prior, binary=False, weight=weight, start=found.mode)
    return found, inflation


def _inflation(
    forward: Forward,
    found: Posterior,
    outcome: FloatArray,
    table: Table,
    at: int,
    *,
    binary: bool,
) -> float:
    """Give the design effect of the usual slope: its variance with rows that move together.

    Rows of one entity, and rows of one day, are let move together: two-way clusters (Cameron,
    Gelbach & Miller 2011).
    """
    eta, jacobian = forward(found.mode)
    fitted = 1 / (1 + np.exp(-np.clip(eta, -STEEPEST * 80, STEEPEST * 80))) if binary else eta
    scores = jacobian * ((outcome - fitted) / found.noise)[:, None]
    pull = scores @ found.covariance[at]
    alone, effect = float((pull**2).sum()), 1.0
    for labels in (table.entity.astype(str), table.as_of):
        if labels is None:
            continue
        _, codes = np.unique(labels, return_inverse=True)
        count = int(codes.max()) + 1
        if LEAST_CLUSTERS <= count < len(codes):
            together = float((np.bincount(codes, pull) ** 2).sum())
            effect += max(together / alone - 1.0, 0.0)
    return min(effect, LARGEST_INFLATION)


def _height_again(rows: Rows, z: FloatArray, steep: FloatArray, start: FloatArray) -> FloatArray:
    """Fit the worth with the slope held."""
    jacobian = rows.columns * steep[:, None]
    found = fit_posterior(
        lambda theta: (steep * (rows.columns @ theta - z), jacobian), rows.table.outcome,
        flat_prior(rows.context.blocks, float(z.mean()), precision=1.0), binary=True, start=start,
    )  # fmt: skip
    return found.mode


def _win_forward(wide: FloatArray, steep: FloatArray, z: FloatArray) -> Forward:
    split = wide.shape[1]

    def forward(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        slope = np.exp(_held(steep @ theta[split:]))
        eta = slope * (wide @ theta[:split] - z)
        return eta, np.hstack([wide * slope[:, None], steep * eta[:, None]])

    return forward


def _learned(
    rows: Rows, height: FloatArray, slope: FloatArray, covariance: FloatArray, z: FloatArray
) -> Learned:
    # Eigenvectors, not Cholesky: the covariance may be singular to rounding.
    sizes, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = (vectors * np.sqrt(np.maximum(sizes, 0.0))).T
    return Learned(
        design=rows.context.design, height=height, slope=slope, slope_columns=rows.steep,
        root=np.ascontiguousarray(root), usual_place=float(z.mean()),
    )  # fmt: skip


def _two_blocks(first: FloatArray, second: FloatArray) -> FloatArray:
    k, s = len(first), len(second)
    joined = np.zeros((k + s, k + s))
    joined[:k, :k], joined[k:, k:] = first, second
    return joined


def _held(log_slope: FloatArray) -> FloatArray:
    return np.asarray(np.clip(log_slope, -STEEPEST, STEEPEST))


def steep_columns(context: Context) -> IntArray:
    """Give the columns that a slope may depend on: all but the bends."""
    design = context.design
    before = 1 + len(design.numbers)
    bends = np.arange(before, before + len(design.bends))
    return np.setdiff1d(np.arange(len(design.centre)), bends)


def usual_prices(codes: npt.NDArray[np.float64], log_price: FloatArray, levels: int) -> FloatArray:
    """Give the usual price of each level, the geometric mean drawn to that of all.

    Returns
    -------
    ndarray of shape (levels + 1,)
        The last is of all rows.
    """
    middle = float(log_price.mean())
    known = ~np.isnan(codes)
    places = codes[known].astype(np.int64)
    counts = np.bincount(places, minlength=levels)
    sums = np.bincount(places, log_price[known], minlength=levels)
    return np.asarray(np.exp(np.append((sums + middle) / (counts + 1.0), middle)))


def better(fits: Sequence[tuple[Place, Fit]], *, least_gain: float) -> tuple[Place, Fit]:
    """Choose the place whose curve explains the rows best; the first where little is gained."""
    best = fits[0]
    for place, fit in fits[1:]:
        if fit.evidence > best[1].evidence + least_gain:
            best = (place, fit)
    return best
