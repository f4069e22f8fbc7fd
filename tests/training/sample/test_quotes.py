"""The truth of quotes: oracle prices, and who accepts which."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from training.sample import simulate
from training.sample.quotes import HIGHEST_MARKUP, LOWEST_MARKUP, win_probability

Tables = dict[str, dict[str, Any]]


def test_no_fixed_markup_earns_what_the_oracle_earns(tables: Tables) -> None:
    quotes, truth = tables["quotes"], tables["truth_quotes"]
    best = truth["oracle_profit_amount"].sum()
    for markup in np.linspace(1.1, 2.0, 19):
        chance = win_probability(markup, truth["worth_log_markup"], truth["worth_scale"])
        assert (chance * (markup - 1) * quotes["cost_amount"]).sum() < 0.97 * best


def test_the_oracle_price_keeps_its_limits(tables: Tables) -> None:
    markup = tables["truth_quotes"]["oracle_price_amount"] / tables["quotes"]["cost_amount"]
    assert markup.min() >= LOWEST_MARKUP - 1e-9
    assert markup.max() <= HIGHEST_MARKUP + 1e-9


def test_wins_come_as_often_as_the_truth_says(tables: Tables) -> None:
    chance, won = tables["truth_quotes"]["win_probability"], tables["quotes"]["won"]
    error = np.sqrt(np.sum(chance * (1 - chance))) / len(won)
    assert abs(won.mean() - chance.mean()) < 4 * error


def test_the_policy_follows_what_clients_would_pay(tables: Tables) -> None:
    quotes, worth = tables["quotes"], tables["truth_quotes"]["worth_log_markup"]
    markup = np.log(quotes["price_amount"] / quotes["cost_amount"])
    chosen, drawn = ~quotes["priced_by_chance"], quotes["priced_by_chance"]
    assert np.corrcoef(markup[chosen], worth[chosen])[0, 1] > 0.5
    assert abs(np.corrcoef(markup[drawn], worth[drawn])[0, 1]) < 0.1


def test_sellers_earn_less_than_the_oracle_yet_more_than_any_fixed_markup(tables: Tables) -> None:
    quotes, truth = tables["quotes"], tables["truth_quotes"]
    chosen = ~quotes["priced_by_chance"]
    margin = quotes["price_amount"] - quotes["cost_amount"]
    best = truth["oracle_profit_amount"][chosen].sum()
    earned = (truth["win_probability"] * margin)[chosen].sum()
    assert 0.02 < 1 - earned / best < 0.05
    worth, scale = truth["worth_log_markup"][chosen], truth["worth_scale"][chosen]
    cost = quotes["cost_amount"][chosen]
    for markup in np.linspace(1.1, 2.0, 19):
        assert (win_probability(markup, worth, scale) * (markup - 1) * cost).sum() < earned


def test_the_oracle_price_is_better_than_its_neighbours(tables: Tables) -> None:
    quotes, truth = tables["quotes"], tables["truth_quotes"]
    worth, scale, cost = truth["worth_log_markup"], truth["worth_scale"], quotes["cost_amount"]
    best = truth["oracle_price_amount"] / cost
    for step in (-0.01, 0.01):
        markup = (best + step).clip(LOWEST_MARKUP, HIGHEST_MARKUP)
        profit = win_probability(markup, worth, scale) * (markup - 1) * cost
        assert (profit <= truth["oracle_profit_amount"] * (1 + 1e-9)).all()


def test_a_client_is_quoted_only_while_it_is_one(tables: Tables) -> None:
    quotes, clients = tables["quotes"], tables["clients"]
    place = np.searchsorted(clients["client_id"], quotes["client_id"])
    since = clients["client_since"].astype("datetime64[us]")[place]
    until = clients["client_until"].astype("datetime64[us]")[place]
    assert (quotes["as_of"] >= since).all()
    assert (np.isnat(until) | (quotes["as_of"] < until)).all()


def test_buyers_react_a_fifth_less_to_prices_after_the_drift(tmp_path: Path) -> None:
    slopes, scales = [], []
    for drift in (False, True):
        paths = simulate(tmp_path / str(drift), clients=2000, months=36, seed=5, drift=drift)
        quotes, truth = (pq.read_table(paths[name]) for name in ("quotes", "truth_quotes"))
        late = quotes["as_of"].to_numpy() >= np.datetime64("2025-04-01")
        drawn = late & quotes["priced_by_chance"].to_numpy(zero_copy_only=False)
        markup = np.log(quotes["price_amount"].to_numpy() / quotes["cost_amount"].to_numpy())
        # The gap to what the client would pay, so that the slope is the reaction alone.
        gap = (markup - truth["worth_log_markup"].to_numpy())[drawn, None]
        fitted = LogisticRegression(C=1e6).fit(gap, quotes["won"].to_numpy()[drawn])
        slopes.append(fitted.coef_[0, 0])
        scales.append(1 / truth["worth_scale"].to_numpy()[late].mean())
    assert slopes[0] < 0
    assert slopes[1] / slopes[0] == pytest.approx(0.8, abs=0.1)
    assert scales[1] / scales[0] == pytest.approx(0.8, abs=0.03)
