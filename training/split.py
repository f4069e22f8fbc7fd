"""Parts a frame into train, calibration and test, so that nothing of the test leaks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from core.encoding import FloatArray
from core.errors import TrainingRefused
from training.frame import Frame, TimeArray
from training.labels import same_value

_LEAST_ROWS = 30
_DEFAULT_TEST_SHARE = 0.2
_MOST_NAMED = 5
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The three parts; no row stands in two.

    Parameters
    ----------
    train
        What is fitted on.
    calibration
        The latest block before the test (rule time), or a share of the entities.
    test
        The holdout, on which challenger and champion are measured.
    embargoed
        Rows left out because their outcome was not yet known when the test begins.
    """

    train: Frame
    calibration: Frame
    test: Frame
    embargoed: int = 0


def split_frame(frame: Frame, config: ModelConfig) -> Split:
    """Part a frame by the config's rule.

    ``time``: the latest rows are the test, the latest before them the calibration; rows whose
    outcome window reaches into the test are left out. ``entity``: a share of the entities, by a
    hash, so that the same entity always falls on the same side. ``column``: as a column says.
    ``steps``: the latest rows of each entity that has twice as many; nothing is held back for
    calibration, as a series is calibrated on origins within its own past.

    Raises
    ------
    TrainingRefused
        An entity stands on both sides (rules entity and column), or a part has too few rows.
    """
    rules = {"time": _by_time, "entity": _by_entity, "column": _by_column, "steps": _by_steps}
    train, calibration, test = rules[config.split.rule](frame, config)
    parts = {"train": train, "calibration": calibration, "test": test}
    if config.split.rule == "steps":
        parts = {"train": train}  # a test of one series is as long as its horizon
    for name, rows in parts.items():
        if len(rows) < _LEAST_ROWS:
            raise TrainingRefused(
                config.model,
                f"the split leaves {len(rows)} rows for {name}, at least {_LEAST_ROWS} are "
                "needed. Bring more rows, or change the shares or days under split.",
            )
    seen = np.concatenate([train, calibration])
    if config.split.rule in {"entity", "column"}:
        _refuse_leak(frame, config, train=seen, test=test)
    _refuse_constant(frame.target[seen], config)
    embargoed = len(frame) - len(train) - len(calibration) - len(test)
    return Split(frame.take(train), frame.take(calibration), frame.take(test), embargoed)


def _by_time(frame: Frame, config: ModelConfig) -> tuple[Index, Index, Index]:
    times = _times(frame, config)
    order = np.argsort(times, kind="stable")
    split = config.split
    if split.test_days is not None:
        begin = times[order[-1]] - np.timedelta64(split.test_days, "D")
        test_mask = times > begin
        begin = times[test_mask].min()
    else:
        share = split.test_share or _DEFAULT_TEST_SHARE
        begin = times[order[round(len(order) * (1 - share))]]
        test_mask = times >= begin
    horizon = np.timedelta64(config.target.horizon_days or 0, "D")
    before = np.flatnonzero(~test_mask & (times + horizon <= begin))
    before = before[np.argsort(times[before], kind="stable")]
    if not len(before):
        raise TrainingRefused(
            config.model,
            f"no row's outcome is known before the test begins ({begin:.10}). Bring a longer "
            "history, or a shorter test under split.",
        )
    # Rows of one time stay together: the border moves to the next change of time.
    wanted = times[before[min(round(len(before) * (1 - split.calibration_share)), len(before) - 1)]]
    late = times[before] >= wanted
    return before[~late], before[late], np.flatnonzero(test_mask)


def _by_steps(frame: Frame, config: ModelConfig) -> tuple[Index, Index, Index]:
    steps = config.split.test_steps or 1
    order = np.lexsort((_times(frame, config), frame.entity.astype(str)))
    starts = np.flatnonzero(np.append(True, frame.entity[order][1:] != frame.entity[order][:-1]))
    counts = np.diff(np.append(starts, len(order)))
    from_end = np.repeat(starts + counts, counts) - np.arange(len(order))
    is_test = (from_end <= steps) & (np.repeat(counts, counts) >= 2 * steps)
    if not is_test.any():
        raise TrainingRefused(
            config.model,
            f"no {config.entity} has {2 * steps} rows, twice split.test_steps. Bring a longer "
            "history, or lower it.",
        )
    return np.sort(order[~is_test]), np.array([], dtype=np.int64), np.sort(order[is_test])


def _by_entity(frame: Frame, config: ModelConfig) -> tuple[Index, Index, Index]:
    share = config.split.test_share or _DEFAULT_TEST_SHARE
    return _hashed(frame, _hash(frame, salt="test") < share, config.split.calibration_share)


def _by_column(frame: Frame, config: ModelConfig) -> tuple[Index, Index, Index]:
    if frame.part is None:
        raise TrainingRefused(config.model, "split.column is not in the frame.")
    test_mask = same_value(frame.part, config.split.test_value)
    if not test_mask.any():
        known = ", ".join(sorted(set(frame.part))[:_MOST_NAMED])
        raise TrainingRefused(
            config.model,
            f"no row has {config.split.test_value!r} in {config.split.column!r}; there are "
            f"{known}. Change split.test_value.",
        )
    if frame.as_of is None:
        return _hashed(frame, test_mask, config.split.calibration_share)
    rest = np.flatnonzero(~test_mask)
    rest = rest[np.argsort(frame.as_of[rest], kind="stable")]
    border = round(len(rest) * (1 - config.split.calibration_share))
    return rest[:border], rest[border:], np.flatnonzero(test_mask)


def _hashed(
    frame: Frame, test_mask: npt.NDArray[np.bool_], calibration_share: float
) -> tuple[Index, Index, Index]:
    chosen = _hash(frame, salt="calibration") < calibration_share
    train, calibration = ~test_mask & ~chosen, ~test_mask & chosen
    return np.flatnonzero(train), np.flatnonzero(calibration), np.flatnonzero(test_mask)


def _hash(frame: Frame, *, salt: str) -> npt.NDArray[np.float64]:
    """Give each row a number from 0 to 1 that depends on its entity alone."""
    known: dict[str, float] = {}
    for entity in frame.entity:
        if entity not in known:
            digest = hashlib.sha256(f"{salt}:{entity}".encode()).digest()
            known[entity] = int.from_bytes(digest[:8]) / 2**64
    return np.array([known[entity] for entity in frame.entity])


def _times(frame: Frame, config: ModelConfig) -> TimeArray:
    if frame.as_of is None:
        raise TrainingRefused(config.model, "a split by time needs the key as_of in the config.")
    return frame.as_of


def _refuse_leak(frame: Frame, config: ModelConfig, *, train: Index, test: Index) -> None:
    """Refuse a split that shows the model an entity it is tested on."""
    both = set(frame.entity[train]) & set(frame.entity[test])
    if both:
        raise TrainingRefused(
            config.model,
            f"{len(both):,} entities stand in train and in test, for example {min(both)!r}: the "
            f"test would be too kind. Split by the rule entity, or make {config.entity!r} name "
            "what a row is about.",
        )


def _refuse_constant(target: FloatArray, config: ModelConfig) -> None:
    """Refuse a split that puts every row of one class into the test."""
    labels = target[~np.isnan(target)]
    if not config.target.nullable and labels.min() == labels.max():
        raise TrainingRefused(
            config.model,
            f"every row before the test has the target {labels[0]:g}: there is nothing to learn. "
            "Bring a longer history, or change split.",
        )
