"""Trains ``budget``: what each channel brings, drawn from the posterior of its curve."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bentos.budget.curves import Form
from bentos.budget.predictor import CHANNELS, CURVES
from bentos.predictor import Predictor
from core.artifact import Draft
from core.config import ModelConfig
from training.options import RecipeOptions, read_options
from training.progress import tell_note
from training.recipes.budget_figures import figures
from training.recipes.budget_history import History, history_of
from training.recipes.budget_measures import evaluate, losses
from training.recipes.budget_model import Fit, Settings, choose_form, fit_curves
from training.recipes.budget_posterior import Priors
from training.recipes.budget_trust import reasons_of
from training.split import Split

__all__ = ["answer", "evaluate", "figures", "fit", "losses", "refit"]

Outputs = dict[str, npt.NDArray[Any]]
FORECAST, HISTORY = "test_weeks.npz", "history.npz"
_RECENT_WEEKS = 13
_SOUND_RHAT = 1.2


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    form
        Saturation of all channels: hill, tanh, or auto for what predicts better.
    draws, warmup, starts
        Posterior draws of the release, steps of the sampler that are thrown away, and points from
        which the most likely curves are sought.
    origins
        Of the rolling cross-validation that chooses the form.
    harmonics
        Of the yearly season.
    worth_spread
        Spread of the channels' returns on usual spend around their mean, as a logarithm: smaller
        takes channels for more alike.
    share, share_spread
        What usual spend on all channels brings, over the mean outcome, before the history is seen:
        the median, and the spread of its logarithm.
    """

    form: Literal["auto", "hill", "tanh"] = "auto"
    draws: int = Field(default=400, ge=100, le=2000)
    warmup: int = Field(default=150, ge=50, le=2000)
    starts: int = Field(default=4, ge=1, le=50)
    origins: int = Field(default=2, ge=1, le=6)
    harmonics: int = Field(default=2, ge=0, le=6)
    worth_spread: float = Field(default=Priors.worth_spread, gt=0, le=3)
    share: float = Field(default=0.27, gt=0, le=10)
    share_spread: float = Field(default=Priors.share_spread, gt=0, le=3)


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Fit curves on the weeks before the test, and keep the forecast of the test's weeks.

    Parameters
    ----------
    split
        Weeks of one market; of the test only spend and controls are used, for the forecast.
    config
        The model's config, with the options above.
    draft
        The artifact that is being written.

    Raises
    ------
    TrainingRefused
        The table cannot tell channels apart at all: one channel, several markets, missing weeks.
    """
    history = history_of([split.train, split.calibration], config)
    options = read_options(config, Options)
    settings = _settings(config, options)
    form, errors = _form(history, settings, options, config)
    found = fit_curves(history, form, settings)
    _tell(found, history)
    _write(found, history, draft, facts={"form": form, "form_errors": errors})
    longer = history_of([split.train, split.calibration, split.test], config)
    random = np.random.default_rng(settings.seed)
    mean, low, high = found.predicted(longer, random)
    test = slice(len(history), None)
    draft.write_arrays(
        FORECAST, value=mean[test], low=low[test], high=high[test],
        range=np.array([np.ptp(history.outcome)]), rhat=np.array([found.rhat]),
    )  # fmt: skip


def refit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Fit again on all weeks, with the form that was chosen.

    Parameters
    ----------
    split
        All of its weeks are used.
    config
        The model's config.
    draft
        Holds what ``fit`` wrote; it is replaced.
    """
    facts = json.loads(draft.path(CHANNELS).read_text(encoding="utf-8"))
    history = history_of([split.train, split.calibration, split.test], config)
    settings = _settings(config, read_options(config, Options))
    found = fit_curves(history, facts["form"], settings)
    kept = {name: facts[name] for name in ("form", "form_errors")}
    _write(found, history, draft, facts=kept)


def answer(predictor: Predictor, split: Split) -> Outputs:
    """Give the predicted outcome of the test's weeks, from their actual spend and controls.

    Returns
    -------
    dict
        ``value``, ``low``, ``high`` (90 %), ``range`` (of the training outcome), ``identified``
        (share of channels) and ``rhat``, each of shape ``(n,)``.
    """
    kept = predictor.artifact.read_arrays(FORECAST)
    listed = predictor.artifact.read_json(CHANNELS)["channels"]
    count = len(split.test)
    # The forecast is in the order of the weeks, the test in that of the table.
    times = split.test.as_of
    place = np.arange(count) if times is None else times.argsort(kind="stable").argsort()
    outputs = {name: kept[name][place] for name in ("value", "low", "high")}
    known = float(np.mean([channel["reason"] is None for channel in listed]))
    shared = {"range": kept["range"][0], "identified": known, "rhat": kept["rhat"][0]}
    return outputs | {name: np.full(count, value) for name, value in shared.items()}


def _settings(config: ModelConfig, options: Options) -> Settings:
    priors = Priors(
        worth_spread=options.worth_spread, share=float(np.log(options.share)),
        share_spread=options.share_spread,
    )  # fmt: skip
    return Settings(
        priors, options.harmonics, options.draws, options.warmup, options.starts,
        config.training.seed,
    )  # fmt: skip


def _form(
    history: History, settings: Settings, options: Options, config: ModelConfig
) -> tuple[Form, dict[str, float]]:
    """Choose the form, where enough weeks are left before the first origin."""
    weeks = config.split.test_steps or 26
    if options.form != "auto":
        return options.form, {}
    if len(history) - options.origins * weeks < 78:  # noqa: PLR2004 - a year and a half
        return "hill", {}
    return choose_form(history, settings, origins=options.origins, weeks=weeks)


def _write(found: Fit, history: History, draft: Draft, *, facts: dict[str, Any]) -> None:
    """Write the files of a release."""
    responses = found.responses
    draft.write_arrays(
        CURVES, worth=responses.worth, half=responses.half, shape=responses.shape,
        carry=found.carry,
    )  # fmt: skip
    weekly = found.brought()
    total = weekly.sum(axis=0)
    spent = history.spend.sum(axis=0)
    recent = history.spend[-_RECENT_WEEKS:].mean(axis=0)
    reasons = reasons_of(history, total)
    channels = [
        {
            "channel": name,
            "reason": reasons[place],
            "recent_amount": float(recent[place]),
            "most_seen_amount": float(history.spend[:, place].max()),
            "carry_ratio": float(found.carry[:, place].mean()),
            "past_return_ratio": float(total[:, place].mean() / spent[place]),
        }
        for place, name in enumerate(history.channels)
    ]
    draft.write_json(
        CHANNELS,
        facts | {"channels": channels, "acceptance": found.acceptance, "rhat": found.rhat},
    )
    draft.write_arrays(
        HISTORY, weeks=history.times.astype("datetime64[s]").astype(np.int64),
        outcome=history.outcome, spend=history.spend, brought=weekly.mean(axis=1), total=total,
    )  # fmt: skip


def _tell(found: Fit, history: History) -> None:
    reasons = reasons_of(history, found.brought().sum(axis=0))
    for name, reason in zip(history.channels, reasons, strict=True):
        if reason is not None:
            tell_note(f"channel {name!r} is not identified: {reason}")
    if found.rhat > _SOUND_RHAT:
        tell_note(f"the sampler mixed slowly (R-hat {found.rhat:.2f}); raise options.warmup")
