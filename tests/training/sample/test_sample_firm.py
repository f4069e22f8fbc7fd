import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.sample import simulate

# Three quarters of the 36 months have passed.
DRIFT_BEGINS = datetime(2025, 4, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
MODELS = ("churn", "profitability", "revenue_leak")
TRUTHS = tuple(f"truth_{name}" for name in MODELS)


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


def test_the_simulator_needs_no_more_than_numpy_scipy_and_pyarrow() -> None:
    code = (
        "import sys, training.sample;"
        "print([m for m in ('pandas', 'sklearn', 'lightgbm') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(6))
def test_a_block_may_hold_a_single_client_without_any_plan(tmp_path: Path, seed: int) -> None:
    paths = simulate(tmp_path, clients=1, months=24, seed=seed)
    assert pq.read_table(paths["clients"]).num_rows == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_clients_fit_in_two_gibibytes(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from training.sample import simulate;"
        "simulate(Path(sys.argv[1]), clients=100_000, months=36, seed=1);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert int(done.stdout) / 2**20 < 2


def test_no_table_of_the_product_shows_the_truth(firm: dict[str, pa.Table]) -> None:
    telling = {"probability", "posterior", "is_leak", "leak_type", "mean_amount", "quality"}
    for name, table in firm.items():
        if not name.startswith("truth_"):
            assert not telling & set(table.column_names), name


def test_keys_lead_to_clients_and_time_never_to_the_future(firm: dict[str, pa.Table]) -> None:
    known = firm["clients"]["client_id"].combine_chunks()
    last = datetime(2026, 1, 1, tzinfo=UTC)
    for name in (*MODELS, "quotes", "interactions", "invoices", "timesheets", "engagements"):
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


def test_a_churn_row_shows_only_what_was_known_on_its_day(firm: dict[str, pa.Table]) -> None:
    touches = firm["interactions"].select(["client_id", "as_of", "tickets_count", "overrun_ratio"])
    next_day = pc.add(touches["as_of"], pa.scalar(timedelta(days=1)))
    known = touches.set_column(1, "as_of", next_day)
    rows = firm["churn"].select(["client_id", "as_of", "tickets_count", "overrun_ratio"])
    both = rows.join(known, ["client_id", "as_of"], right_suffix="_known")
    assert both.num_rows == rows.num_rows
    assert both["overrun_ratio"].equals(both["overrun_ratio_known"])
    assert both["tickets_count"].cast("double").equals(both["tickets_count_known"])


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


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> list[pa.Table]:
    """Give churn rows with their truth: without drift, and with it."""
    tables = []
    for drift in (False, True):
        folder = tmp_path_factory.mktemp(f"drift-{drift}")
        paths = simulate(folder, clients=1500, months=36, seed=5, drift=drift)
        churn, truth = pq.read_table(paths["churn"]), pq.read_table(paths["truth_churn"])
        tables.append(churn.append_column("probability", truth["probability"]))
    return tables


class TestDrift:
    """The last quarter of the time is another world; what came before it stays as it was."""

    def test_nothing_changes_before_it(self, worlds: list[pa.Table]) -> None:
        early = pc.field("as_of") < pa.scalar(DRIFT_BEGINS)
        usual, drifted = (world.filter(early).drop(["churned"]) for world in worlds)
        assert usual.num_rows > 2000
        assert usual.equals(drifted)

    def test_the_share_that_leaves_grows_by_two_fifths(self, worlds: list[pa.Table]) -> None:
        begins = pc.field("as_of") == pa.scalar(DRIFT_BEGINS)
        veteran = pc.field("tenure_months") > 0
        usual, drifted = (
            pc.mean(world.filter(begins & veteran)["probability"]).as_py() for world in worlds
        )
        assert drifted / usual == pytest.approx(1.4, abs=0.08)

    def test_new_clients_are_of_another_sort(self, worlds: list[pa.Table]) -> None:
        # A client's first row comes when it has been served for a quarter.
        new = (pc.field("as_of") > pa.scalar(DRIFT_BEGINS)) & (pc.field("tenure_months") == 3)
        new &= pc.field("as_of") < pa.scalar(datetime(2025, 9, 1, tzinfo=UTC))
        usual, drifted = (world.filter(new) for world in worlds)
        assert drifted.num_rows == usual.num_rows > 30
        assert pc.unique(drifted["contract_type"]).to_pylist() == ["monthly"]
        assert pc.count_distinct(usual["sector"]).as_py() > 4
        assert pc.count_distinct(drifted["sector"]).as_py() == 1
