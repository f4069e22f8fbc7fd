"""What is believed of a curve before any row is seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.recipes.pricing_bayes import Prior
from training.recipes.pricing_table import Response

IntArray = npt.NDArray[np.int64]
# The steepness that is believed before any row is seen. Volume: the mean own-price elasticity of
# 1,851 estimates is -2.62 (Bijmolt, van Heerde & Pieters 2005). Wins: on the log-odds; wide.
USUAL_SLOPE: dict[Response, float] = {"volume": 2.62, "win": 4.0}
SLOPE_PRECISION: dict[Response, float] = {"volume": 2.0, "win": 1.0}
FIRST_PRECISION = 30.0
# No part of the context is ever believed to be worth less than 3 % of the price, nor to bend the
# slope by less than 8 %: measured on simulated quotes, where intervals held .81 to .88 of the true
# chances without this floor, and about the stated .90 with it.
LEAST_WORTH = 0.03
LEAST_BEND: dict[Response, float] = {"volume": 0.05, "win": 0.08}
MOST_WORTH = 30.0
# Elasticities of one seller's kinds of goods lie near each other: what a kind adds to the slope's
# logarithm is believed to be of this size at most, until many rows say more.
MOST_BEND: dict[Response, float] = {"volume": 0.12, "win": 1.0}


def win_prior(blocks: IntArray, steep: IntArray, *, usual: float, controls: int) -> Prior:
    """Give the prior of a curve of wins: worth, controls, and the slope's logarithm.

    Parameters
    ----------
    blocks
        Shape ``(k,)``: block of each column; 0 for the constant.
    steep
        The columns that the slope may depend on.
    usual
        Mean ``z``, which the usual worth is near.
    controls
        How many controls stand between worth and slope.
    """
    first = flat_prior(blocks, usual, precision=1.0).beside(controls)
    return first.before(slope_prior(blocks[steep], "win"))


def flat_prior(blocks: IntArray, level: float, *, precision: float = 1e-4) -> Prior:
    """Give the prior of a height: the constant near a level, blocks shrunk to 0."""
    count = len(blocks)
    mean, precisions = np.zeros(count), np.full(count, FIRST_PRECISION)
    mean[0], precisions[0] = level, precision
    own = np.where(blocks == 0, -1, blocks)
    return Prior(mean, precisions, own, np.full(count, LEAST_WORTH), np.full(count, MOST_WORTH))


def slope_prior(blocks: IntArray, response: Response) -> Prior:
    """Give the prior of a slope: its logarithm near what is usual, blocks shrunk to 0."""
    count = len(blocks)
    mean, precision = np.zeros(count), np.full(count, FIRST_PRECISION)
    mean[0], precision[0] = np.log(USUAL_SLOPE[response]), SLOPE_PRECISION[response]
    own = np.where(blocks == 0, -1, blocks)
    return Prior(
        mean,
        precision,
        own,
        np.full(count, LEAST_BEND[response]),
        np.full(count, MOST_BEND[response]),
    )
