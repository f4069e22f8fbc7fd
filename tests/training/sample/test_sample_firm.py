from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.sample import simulate

TRUTHS = ("truth_churn", "truth_profitability", "truth_revenue_leak")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    paths = simulate(tmp_path_factory.mktemp("firm"), clients=1500, months=36, seed=11)
    return {name: pq.read_table(path) for name, path in paths.items()}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    one, two, other = (
        simulate(tmp_path / name, clients=120, months=24, seed=seed)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert all(one[name].read_bytes() == two[name].read_bytes() for name in one)
    assert one["churn"].read_bytes() != other["churn"].read_bytes()


def test_more_clients_leave_the_first_blocks_as_they_were(tmp_path: Path) -> None:
    small = simulate(tmp_path / "a", clients=2000, months=24, seed=3)
    large = simulate(tmp_path / "b", clients=2100, months=24, seed=3)
    few, many = pq.read_table(small["clients"]), pq.read_table(large["clients"])
    assert many.slice(0, 2000).equals(few)


def test_no_table_of_the_product_shows_the_truth(firm: dict[str, pa.Table]) -> None:
    telling = {"probability", "posterior", "is_leak", "leak_type", "mean_amount", "quality"}
    for name, table in firm.items():
        if not name.startswith("truth_"):
            assert not telling & set(table.column_names), name


def test_keys_lead_to_clients_and_time_never_to_the_future(firm: dict[str, pa.Table]) -> None:
    known = firm["clients"]["client_id"].combine_chunks()
    last = datetime(2026, 1, 1, tzinfo=UTC)
    for name in ("churn", "profitability", "revenue_leak", "quotes", "interactions"):
        table = firm[name]
        assert pc.all(pc.is_in(table["client_id"], known)).as_py(), name
        assert pc.max(table["as_of"]).as_py() < last, name
    line = firm["revenue_leak"]["invoice_line_id"]
    assert pc.count_distinct(line).as_py() == len(line)


@pytest.mark.parametrize("name", TRUTHS)
def test_each_row_of_a_model_has_its_truth(firm: dict[str, pa.Table], name: str) -> None:
    table, truth = firm[name.removeprefix("truth_")], firm[name]
    for key in set(table.column_names) & set(truth.column_names) & {"client_id", "as_of"}:
        assert table[key].equals(truth[key])
    assert table.num_rows == truth.num_rows


def test_churn_is_as_hard_as_it_is_meant_to_be(firm: dict[str, pa.Table]) -> None:
    left = firm["churn"]["churned"].to_numpy()
    truth = firm["truth_churn"]["probability"].to_numpy()
    assert 0.12 <= left.mean() <= 0.18
    assert left.mean() == pytest.approx(truth.mean(), abs=0.015)
    assert 0.76 <= roc_auc_score(left, truth) <= 0.81


def test_true_intervals_hold_nine_in_ten_profits(firm: dict[str, pa.Table]) -> None:
    profit = firm["profitability"]["profit_amount"].to_numpy()
    truth = firm["truth_profitability"]
    low, high = truth["low_amount"].to_numpy(), truth["high_amount"].to_numpy()
    assert ((profit >= low) & (profit <= high)).mean() == pytest.approx(0.9, abs=0.02)
    assert abs((profit - truth["mean_amount"].to_numpy()).mean()) < 0.02 * profit.std()


def test_the_posterior_of_a_leak_is_calibrated_and_ranks(firm: dict[str, pa.Table]) -> None:
    truth = firm["truth_revenue_leak"]
    leak = truth["is_leak"].to_numpy(zero_copy_only=False)
    posterior = truth["posterior"].to_numpy()
    assert 0.03 <= leak.mean() <= 0.05
    assert posterior.mean() == pytest.approx(leak.mean(), abs=0.005)
    likely = posterior > 0.5
    assert leak[likely].mean() == pytest.approx(posterior[likely].mean(), abs=0.06)
    assert average_precision_score(leak, posterior) > 0.6


def test_four_in_ten_lines_are_audited_and_only_those_have_a_label(
    firm: dict[str, pa.Table],
) -> None:
    table = firm["revenue_leak"]
    audited = pc.is_valid(table["leak"]).to_numpy()
    assert audited.mean() == pytest.approx(0.4, abs=0.02)
    assert firm["audits"].num_rows == audited.sum()


def test_drift_makes_clients_leave_more_from_its_date_on(tmp_path: Path) -> None:
    shares = []
    for drift in (False, True):
        paths = simulate(tmp_path / str(drift), clients=1500, months=36, seed=5, drift=drift)
        table, truth = pq.read_table(paths["churn"]), pq.read_table(paths["truth_churn"])
        late = pc.greater_equal(table["as_of"], pc.max(table["as_of"]))
        shares.append(pc.mean(truth.filter(late)["probability"]).as_py())
    assert shares[1] > 1.15 * shares[0]
