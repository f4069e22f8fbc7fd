"""How the pricing model is trained, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from pydantic import Field
from scipy.stats import norm

from bentos.predictor import ENCODER
from bentos.pricing.model import Anchor, Seen, Shape, level_codes
from bentos.pricing.predictor import (
    ARRAYS,
    CURVE,
    TREES,
    PricingPredictor,
    check_price_roles,
)
from core.artifact import Artifact, Draft
from core.config import ModelConfig
from core.encoding import FloatArray
from core.errors import TrainingRefused
from training.frame import Frame
from training.options import RecipeOptions, read_options
from training.recipes.pricing_curve import (
    Fit,
    Place,
    Rows,
    better,
    controls_of,
    fit_volume,
    fit_wins,
    steep_columns,
    usual_prices,
)
from training.recipes.pricing_design import choose_context
from training.recipes.pricing_figures import figures_of
from training.recipes.pricing_measures import answers_on, measures
from training.recipes.pricing_nuisance import folds_of
from training.recipes.pricing_table import LEAST_SPREAD, Response, Table, gather
from training.recipes.pricing_trees import Remainder, fit_remainder
from training.split import Split

Outputs = Mapping[str, npt.NDArray[Any]]
SEEN_SHARES = (0.005, 0.995)
LEAST_LEVEL_ROWS = 100
# A place must explain the rows this much better (in log-evidence) to be preferred to a plainer one.
LEAST_GAIN = 10.0
POWERS = (0.0, 0.5, 1.0)
CHOICE_ROWS = 20_000
# The slope is told well enough when its posterior deviation is below this share of it, and when
# the context leaves prices this much freedom.
MOST_SLOPE_DEVIATION = 0.25
LEAST_FREEDOM = 0.02


class PricingOptions(RecipeOptions):
    """Options of the pricing recipe."""

    response: Response = Field(
        description="win: the target says whether an offer was won; volume: how much was sold."
    )
    level: float = Field(default=0.9, gt=0, lt=1, description="Share that intervals hold.")
    most_rows: int = Field(
        default=200_000, ge=1000, description="The curve is learned from at most so many rows."
    )


@dataclass(frozen=True)
class Model:
    """A fitted model before it is written."""

    rows: Rows
    place: Place
    fit: Fit
    remainder: Remainder


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Train on train and calibration together, never the test, and write the model's files.

    All that is chosen or calibrated rests on predictions out of fold, in blocks of time where the
    rows have times: the intervals of volume are cross-conformal (Barber, Candes, Ramdas &
    Tibshirani 2021). On the orange juice of the quality suite this held .89 of the volumes of the
    next half year; one late block held .93, since one season is one draw.

    Parameters
    ----------
    split
        The parts of the table.
    config
        The model's config; its options are those of ``PricingOptions``.
    draft
        The artifact that is being written.

    Raises
    ------
    ConfigError
        An option is unknown or wrong, or the price may be null.
    TrainingRefused
        The history holds one price, or outcomes of another kind than the option says.
    """
    options = read_options(config, PricingOptions)
    check_price_roles(config.features, config.roles)
    table = gather([split.train, split.calibration], config, options.response)
    table = _thinned(table, options.most_rows, config.training.seed)
    binary = options.response == "win"
    model = learn(table, config, binary=binary)
    shape = _shape_of(model, options.level, binary=binary)
    _write(draft, model, shape, level=options.level, seen=_seen(model, config))


def _shape_of(model: Model, level: float, *, binary: bool) -> Shape:
    """Calibrate the intervals, and the mean of a volume over its median."""
    sure = float(norm.ppf(0.5 + level / 2))
    power = model.place.power
    if binary:
        return Shape(is_win=True, power=power, factor=1.0, noise=0.0, width=sure, sure=sure)
    gaps, table = model.remainder.gaps, model.rows.table
    noise = float(np.mean(gaps**2))
    plain = Shape(is_win=False, power=power, factor=1.0, noise=noise, width=1.0, sure=sure)
    curves = model.fit.learned.curves(
        table.matrix, model.place.anchor.of(table.matrix), np.zeros(len(table)), plain
    )
    deviation = curves.eta(table.price) - np.log(curves.interval(table.price)[0])
    scores = np.sort(np.abs(gaps) / deviation)
    rank = min(int(np.ceil((len(scores) + 1) * level)), len(scores)) - 1
    width = float(scores[rank])
    # Duan (1983), the smearing estimate; gaps beyond the interval count as its end.
    smear = np.exp(np.clip(gaps, -width * deviation, width * deviation)).mean()
    return replace(plain, width=width, factor=float(smear))


def learn(table: Table, config: ModelConfig, *, binary: bool) -> Model:
    """Learn curves and trees from a table.

    Parameters
    ----------
    table
        The rows.
    config
        The model's config.
    binary
        Whether outcomes are wins.
    """
    rows = _rows_of(table, config, binary=binary)
    places = _places(table, config, binary=binary)
    if binary:
        place = _best_place(rows, places) if len(places) > 1 else places[0]
        controls, keeps = controls_of(rows, place)
        found = fit_wins(rows, place, controls=controls, keeps=keeps)
    else:
        place = places[0]
        found = fit_volume(rows, place)
    remainder = fit_remainder(rows, found, binary=binary)
    return Model(rows, place, found, remainder)


def _rows_of(table: Table, config: ModelConfig, *, binary: bool) -> Rows:
    names = table.encoder.names
    # A unit cost moves prices and not, by itself, what is sold at a price: it is no context of
    # volume. What an offer costs does say what kind of offer it is.
    out = [*config.role("price"), *([] if binary else config.role("cost"))]
    context = choose_context(table.encoder, table.matrix, left_out=out)
    inputs = np.array([i for i, n in enumerate(names) if n not in out], dtype=np.int64)
    return Rows(
        table=table, context=context, columns=context.design.columns_of(table.matrix),
        steep=np.arange(len(context.blocks)) if binary else steep_columns(context), inputs=inputs,
        folds=folds_of(table.entity, seed=config.training.seed), seed=config.training.seed,
    )  # fmt: skip


def _places(table: Table, config: ModelConfig, *, binary: bool) -> list[Place]:
    """Give the ways to place a price, the plainest first."""
    names = table.encoder.names
    usual = _usual(table, config)
    anchors = []
    for role in ("cost", "competitor_price") if binary else ():
        for name in config.role(role)[:1]:
            feature = names.index(name)
            values = table.matrix[:, feature]
            if (values > 0).all() and not config.features[name].nullable:
                anchors.append(Anchor(feature, is_level=False, usual=np.empty(0)))
    anchors.append(usual)
    places = [Place(anchor, power) for power in (POWERS if binary else POWERS[:1])
              for anchor in anchors]  # fmt: skip
    free = [place for place in places if np.std(place.of(table)) > LEAST_SPREAD]
    if len(free) < len(places) and not free:
        raise TrainingRefused(
            config.model,
            "every price is the same multiple of what it is measured against: what another price "
            "would change cannot be learned. Price a tenth of the offers by chance for a while.",
        )
    return free


def _usual(table: Table, config: ModelConfig) -> Anchor:
    """Give the usual price of each level of the finest segment."""
    log_price = np.log(table.price)
    for name in config.role("segments")[:1]:
        feature = table.encoder.names.index(name)
        if name in table.encoder.levels:
            levels = len(table.encoder.levels[name])
            found = usual_prices(table.matrix[:, feature], log_price, levels)
            return Anchor(feature, is_level=True, usual=found)
    return Anchor(-1, is_level=False, usual=np.exp(log_price.mean())[None])


def _best_place(rows: Rows, places: list[Place]) -> Place:
    """Choose by evidence, on some of the rows where there are many."""
    some = rows
    if len(rows.table) > CHOICE_ROWS:
        chosen = np.sort(
            np.random.default_rng(rows.seed).permutation(len(rows.table))[:CHOICE_ROWS]
        )
        some = replace(
            rows, table=rows.table.take(chosen), columns=rows.columns[chosen],
            folds=rows.folds[chosen],
        )  # fmt: skip
    none = np.empty((len(some.table), 0))
    fits = [(place, fit_wins(some, place, controls=none, keeps=True)) for place in places]
    return better(fits, least_gain=LEAST_GAIN)[0]


def _thinned(table: Table, most: int, seed: int) -> Table:
    """Keep a random share of a very long table, in its order."""
    if len(table) <= most:
        return table
    return table.take(np.sort(np.random.default_rng(seed).permutation(len(table))[:most]))


def _seen(model: Model, config: ModelConfig) -> Seen:
    """Give the ratios of price to reference that history holds, by the finest segment."""
    table = model.rows.table
    ratio = table.price / model.place.anchor.of(table.matrix)
    feature = -1
    ranges = [np.quantile(ratio, SEEN_SHARES)]
    for name in config.role("segments")[:1]:
        if name not in table.encoder.levels:
            continue
        feature = table.encoder.names.index(name)
        levels = len(table.encoder.levels[name])
        codes = level_codes(table.matrix[:, feature], levels)
        own = [ratio[codes == level] for level in range(levels)]
        ranges = [
            np.quantile(values, SEEN_SHARES) if len(values) >= LEAST_LEVEL_ROWS else ranges[0]
            for values in own
        ] + ranges
    low, high = np.array(ranges).T
    return Seen(feature, np.ascontiguousarray(low), np.ascontiguousarray(high))


def _write(draft: Draft, model: Model, shape: Shape, *, level: float, seen: Seen) -> None:
    """Write the model's files."""
    found = model.fit
    anchor = model.place.anchor
    enough = found.slope_deviation <= MOST_SLOPE_DEVIATION
    enough = enough and found.place_deviation >= LEAST_FREEDOM
    draft.write_json(ENCODER, model.rows.table.encoder.to_json())
    draft.write_arrays(
        ARRAYS, **found.learned.to_arrays(), own_usual=anchor.usual, own_low=seen.low,
        own_high=seen.high,
    )  # fmt: skip
    draft.write_json(
        CURVE,
        {
            "shape": asdict(shape),
            "level": level,
            "anchor": {"feature": anchor.feature, "is_level": anchor.is_level},
            "seen": {"feature": seen.feature},
            "inputs": model.rows.inputs.tolist(),
            "has_trees": model.remainder.trees is not None,
            "is_price_variation_enough": bool(enough),
            "slope_deviation": found.slope_deviation,
            "price_freedom": found.place_deviation,
            "inflation": found.inflation,
        },
    )
    if model.remainder.trees is not None:
        draft.write_text(TREES, model.remainder.trees.model_to_string())


def answer(predictor: PricingPredictor, split: Split) -> Outputs:
    """Give the response at the test's own prices, and the prices recommended there."""
    return answers_on(predictor, split.test)


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure answers against outcomes; see ``pricing_measures.measures``."""
    return measures(outputs, frame)


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Give the loss of each labelled row, lower is better.

    The log-loss of a win, or the squared error of the logarithm of a volume.
    """
    known = ~np.isnan(frame.target)
    target, eta = frame.target[known], outputs["eta"][known]
    if outputs["is_win"][0]:
        return np.asarray(np.logaddexp(0.0, eta) - target * eta)
    return np.asarray((np.log(target) - eta) ** 2)


def figures(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw what a person looks at: curves, calibration, elasticities, prices."""
    yield from figures_of(outputs, frame, artifact)
