"""The true chance to be served on is the share of clients that is."""

import numpy as np
import pytest

from training.sample.clients import Firm, make_clients
from training.sample.staying import staying_shares

QUARTERS = 12


def test_as_many_stay_as_the_shares_say() -> None:
    random = np.random.default_rng(1)
    firm = Firm(quarters=QUARTERS, first_month=636, drift_from=QUARTERS)
    clients = make_clients(random, firm, first=0, count=3000)
    quarter = 6
    row = np.flatnonzero(clients.active(quarter))
    shares = staying_shares(random, firm, clients, row=row, quarter=np.full(len(row), quarter))
    assert (np.diff(shares, axis=1) <= 1e-12).all()
    for later in (1, 2, 3):
        stayed, said = clients.end[row] > quarter + later, shares[:, later - 1]
        error = np.sqrt(np.sum(said * (1 - said))) / len(row)
        assert stayed.mean() == pytest.approx(said.mean(), abs=3.5 * error)
        # And not on average alone: those who are likelier to stay do stay more often.
        likely = said > np.median(said)
        assert stayed[likely].mean() == pytest.approx(said[likely].mean(), abs=5 * error)
