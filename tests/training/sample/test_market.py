"""The truth of quotes, marketing, demand, records and signals is worth its name."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from training.sample import simulate
from training.sample.marketing import Curves
from training.sample.quotes import HIGHEST_MARKUP, LOWEST_MARKUP, win_probability

Tables = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    paths = simulate(tmp_path_factory.mktemp("firm"), clients=1000, months=36, seed=11)
    wanted = (
        "quotes", "marketing", "demand", "demand_weekly", "demand_daily", "records", "signals",
    )  # fmt: skip
    found = {}
    for name in (*wanted, *(f"truth_{name}" for name in wanted), "truth_marketing_curves"):
        table = pq.read_table(paths[name])
        found[name] = {c: table[c].to_numpy(zero_copy_only=False) for c in table.column_names}
    return found


class TestQuotes:
    def test_no_fixed_markup_earns_what_the_oracle_earns(self, tables: Tables) -> None:
        quotes, truth = tables["quotes"], tables["truth_quotes"]
        best = truth["oracle_profit_amount"].sum()
        for markup in np.linspace(1.1, 2.0, 19):
            chance = win_probability(markup, truth["worth_log_markup"], truth["worth_scale"])
            assert (chance * (markup - 1) * quotes["cost_amount"]).sum() < 0.97 * best

    def test_the_oracle_price_keeps_its_limits(self, tables: Tables) -> None:
        markup = tables["truth_quotes"]["oracle_price_amount"] / tables["quotes"]["cost_amount"]
        assert markup.min() >= LOWEST_MARKUP - 1e-9
        assert markup.max() <= HIGHEST_MARKUP + 1e-9

    def test_wins_come_as_often_as_the_truth_says(self, tables: Tables) -> None:
        chance, won = tables["truth_quotes"]["win_probability"], tables["quotes"]["won"]
        error = np.sqrt(np.sum(chance * (1 - chance))) / len(won)
        assert abs(won.mean() - chance.mean()) < 4 * error

    def test_the_policy_follows_what_clients_would_pay(self, tables: Tables) -> None:
        quotes, worth = tables["quotes"], tables["truth_quotes"]["worth_log_markup"]
        markup = np.log(quotes["price_amount"] / quotes["cost_amount"])
        chosen, drawn = ~quotes["priced_by_chance"], quotes["priced_by_chance"]
        assert np.corrcoef(markup[chosen], worth[chosen])[0, 1] > 0.5
        assert abs(np.corrcoef(markup[drawn], worth[drawn])[0, 1]) < 0.1


class TestMarketing:
    def test_the_best_split_spends_as_much_and_brings_more(self, tables: Tables) -> None:
        truth = tables["truth_marketing_curves"]
        curves = Curves(*(truth[k] for k in ("usual", "adstock", "half", "shape", "worth")))
        today, best = truth["today_amount"], truth["best_amount"]
        assert best.sum() == pytest.approx(today.sum(), rel=1e-6)
        assert curves.steady(best).sum() > 1.02 * curves.steady(today).sum()
        marginal = curves.steady(best * 1.001) - curves.steady(best)
        inner = (best > today * 0.26) & (best < today * 1.74)
        slopes = (marginal / (best * 0.001))[inner]
        assert np.ptp(slopes) < 0.05 * slopes.mean()

    def test_contributions_are_part_of_the_revenue(self, tables: Tables) -> None:
        seen, truth = tables["marketing"], tables["truth_marketing"]
        brought = sum(values for name, values in truth.items() if name.endswith("_amount"))
        assert np.all(brought < seen["revenue_amount"])
        assert np.corrcoef(brought, seen["revenue_amount"])[0, 1] > 0.2


class TestDemand:
    @pytest.mark.parametrize("table", ["demand", "demand_weekly", "demand_daily"])
    def test_the_quantiles_hold_what_they_say(self, tables: Tables, table: str) -> None:
        seen, truth = tables[table], tables[f"truth_{table}"]
        hours = seen["demand_hours"]
        held = (hours >= truth["low_hours"] - 0.05) & (hours <= truth["high_hours"] + 0.05)
        assert 0.93 <= held.mean() <= 0.975

    def test_the_mean_forecasts_better_than_last_year(self, tables: Tables) -> None:
        seen, truth = tables["demand"], tables["truth_demand"]
        errors = []
        for name in np.unique(seen["series_id"]):
            rows = seen["series_id"] == name
            hours, mean = seen["demand_hours"][rows], truth["mean_hours"][rows]
            naive = np.abs(hours[12:] - hours[:-12]).mean()
            errors.append(np.abs(hours[-12:] - mean[-12:]).mean() / max(naive, 1e-9))
        assert np.mean(errors) < 0.85

    def test_some_series_are_seldom_asked_for_and_some_begin_late(self, tables: Tables) -> None:
        seen = tables["demand"]
        names, counts = np.unique(seen["series_id"], return_counts=True)
        zeros = [np.mean(seen["demand_hours"][seen["series_id"] == name] == 0) for name in names]
        assert len(names) == 60
        assert counts.min() < counts.max() == 72
        assert 2 <= sum(share > 0.3 for share in zeros) <= 15


class TestRecords:
    def test_the_posterior_ranks_far_above_any_single_column(self, tables: Tables) -> None:
        records, truth = tables["records"], tables["truth_records"]
        label = truth["is_anomaly"]
        assert 0.006 <= label.mean() <= 0.014
        best = average_precision_score(label, truth["bayes_score"])
        assert best > 0.9
        for name in ("hours", "rate_amount", "amount", "overrun_ratio"):
            apart = np.abs(
                np.log(np.abs(records[name]) + 1) - np.log(np.abs(records[name]) + 1).mean()
            )
            assert average_precision_score(label, apart) < 0.5 * best

    def test_the_posterior_is_calibrated(self, tables: Tables) -> None:
        truth = tables["truth_records"]
        assert truth["bayes_score"].sum() == pytest.approx(truth["is_anomaly"].sum(), rel=0.2)


class TestSignals:
    def test_events_lie_apart_and_within_the_series(self, tables: Tables) -> None:
        events, days = tables["truth_signals"], tables["signals"]["as_of"]
        assert len(events["kind"]) == 120
        assert (events["begin"] <= events["end"]).all()
        assert events["begin"].min() > days.min() + np.timedelta64(170, "D")
        assert events["end"].max() <= days.max()
        assert set(events["kind"]) == {
            "spike", "level_shift", "variance_burst", "flat_line", "missing_season",
        }  # fmt: skip
