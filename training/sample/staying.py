"""How likely a client is still served some quarters on."""

from __future__ import annotations

import numpy as np

from training.sample.clients import (
    MONTHS_A_QUARTER,
    Clients,
    Firm,
    Floats,
    Ints,
    draw_traits,
    leave_probabilities,
    mixed,
    next_state,
    workload_of,
)

QUARTERS_A_YEAR = 4
_PATHS = 64
_ROWS = 2000


def staying_shares(
    random: np.random.Generator, firm: Firm, clients: Clients, *, row: Ints, quarter: Ints
) -> Floats:
    """Give the probability that a client is served in each of the three quarters to come.

    The hazard of the first quarter is known; those to come are the mean over continuations of the
    client's life (Monte Carlo), from its state in that quarter on.

    Parameters
    ----------
    random
        Draws the continuations.
    firm, clients
        The firm, and the block of clients.
    row, quarter
        Place in the block, and a quarter in which the client is served, of ``m`` plans.

    Returns
    -------
    numpy.ndarray
        Shape ``(m, 3)``, falling from left to right.
    """
    shares = np.empty((len(row), QUARTERS_A_YEAR - 1))
    for start in range(0, len(row), _ROWS):
        part = slice(start, start + _ROWS)
        shares[part] = _continued(random, firm, clients, row[part], quarter[part])
    return shares


def _continued(
    random: np.random.Generator, firm: Firm, clients: Clients, row: Ints, quarter: Ints
) -> Floats:
    shape = (len(row), _PATHS)
    quality = np.broadcast_to(clients.quality[row, quarter][:, None], shape)
    utilisation = clients.traits["utilisation_ratio"][row, quarter]
    workload = np.broadcast_to(workload_of(utilisation)[:, None], shape)
    # Who has just come cannot leave in its first quarter.
    hazard = np.where(clients.begin[row] < quarter, clients.leave_probability[row, quarter], 0.0)
    staying = np.broadcast_to(1 - hazard[:, None], shape)
    shares = np.empty((len(row), QUARTERS_A_YEAR - 1))
    shares[:, 0] = 1 - hazard
    for step in range(1, QUARTERS_A_YEAR - 1):
        at = quarter[:, None] + step
        hazards = leave_probabilities(
            draw_traits(random, quality, workload),
            sector=clients.sector[row][:, None],
            contract=clients.contract[row][:, None],
            tenure=np.maximum(at - clients.begin[row][:, None], 0) * MONTHS_A_QUARTER,
            is_drifted=at >= firm.drift_from,
        )
        staying = staying * (1 - mixed(*hazards))
        shares[:, step] = staying.mean(axis=1)
        quality, workload = next_state(random, quality, workload)
    return shares
