import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from training.sample.leaks import KINDS

Firm = dict[str, pa.Table]


def test_an_invoice_is_the_sum_of_its_lines(firm: Firm) -> None:
    lines, invoices = firm["invoice_lines"], firm["invoices"]
    billed = pc.multiply(lines["billed_amount"], lines["fx_rate"])
    sums = pa.table({"invoice_id": lines["invoice_id"], "billed": billed})
    by_invoice = sums.group_by("invoice_id").aggregate([("billed", "sum"), ("billed", "count")])
    both = invoices.join(by_invoice, "invoice_id", join_type="full outer")
    assert both.num_rows == invoices.num_rows == pc.count_distinct(invoices["invoice_id"]).as_py()
    assert both["billed_count"].equals(both["lines_count"])
    # Lines show the amount in the home currency, to the cent: the fx rate magnifies the rounding.
    total = both["invoice_currency_amount"].to_numpy()
    assert both["billed_sum"].to_numpy() == pytest.approx(total, abs=0.02)


def test_an_invoice_is_due_after_it_was_written(firm: Firm) -> None:
    invoices = firm["invoices"]
    assert pc.all(pc.greater(invoices["due_at"], invoices["as_of"])).as_py()


def test_nobody_is_billed_before_the_contract_or_after_it(firm: Firm) -> None:
    clients = firm["clients"].select(["client_id", "client_since", "client_until"])
    lines = firm["invoice_lines"].select(["client_id", "as_of"]).join(clients, "client_id")
    day = lines["as_of"].cast(pa.timestamp("us")).cast(pa.date32())
    assert pc.all(pc.greater(day, lines["client_since"])).as_py()
    assert pc.all(pc.less(day, lines["client_until"]), skip_nulls=True).as_py()


def test_each_client_has_one_contract_and_its_lines_follow_it(firm: Firm) -> None:
    contracts = firm["contracts"]
    assert contracts["client_id"].equals(firm["clients"]["client_id"])
    terms = ["agreed_discount_ratio", "uplift_ratio", "minimum_fee_amount", "tier_discount_ratio"]
    renamed = contracts.select(["client_id", *terms]).rename_columns(
        ["client_id", *(f"contract_{name}" for name in terms)]
    )
    lines = firm["invoice_lines"].join(renamed, "client_id")
    for name in terms:
        assert lines[name].equals(lines[f"contract_{name}"]), name


def test_the_months_since_an_uplift_are_counted_from_the_contracts_month(firm: Firm) -> None:
    contracts = firm["contracts"].select(["client_id", "uplift_month"])
    lines = firm["invoice_lines"].select(["client_id", "as_of", "months_since_uplift"])
    both = lines.join(contracts, "client_id").drop_null()
    assert both.num_rows > 1000
    since = pc.month(both["as_of"]).to_numpy() - both["uplift_month"].to_numpy()
    assert (since % 12 == both["months_since_uplift"].to_numpy()).all()


def test_a_line_can_be_told_from_its_own_terms(firm: Firm) -> None:
    table = {name: firm["revenue_leak"][name].to_numpy() for name in (
        "worked_hours", "contract_rate_amount_per_hour", "agreed_discount_ratio", "tier_from_hours",
        "tier_discount_ratio", "minimum_fee_amount", "contract_amount",
    )}  # fmt: skip
    tier = table["tier_discount_ratio"] * (table["worked_hours"] >= table["tier_from_hours"])
    plain = table["worked_hours"] * table["contract_rate_amount_per_hour"] * (1 - tier)
    due = np.maximum(plain * (1 - table["agreed_discount_ratio"]), table["minimum_fee_amount"])
    assert table["contract_amount"] == pytest.approx(due, abs=0.011)


class TestLeaks:
    def test_each_kind_happens(self, firm: Firm) -> None:
        kinds = set(firm["truth_revenue_leak"]["leak_type"].to_pylist())
        assert kinds == {*KINDS, "none"}

    def test_an_amount_is_missing_where_there_is_a_leak_and_nowhere_else(self, firm: Firm) -> None:
        truth = firm["truth_revenue_leak"]
        leaks = pc.greater(truth["leak_amount"], 0)
        assert leaks.equals(truth["is_leak"])

    def test_leaks_carry_a_code_less_often_than_their_look_alikes(self, firm: Firm) -> None:
        leak = firm["truth_revenue_leak"]["is_leak"].to_numpy(zero_copy_only=False)
        lines = firm["revenue_leak"]
        coded = lines["approval_code"].to_numpy(zero_copy_only=False)
        ratio = lines["billed_amount"].to_numpy() / lines["contract_amount"].to_numpy()
        low = ratio < 0.92
        assert coded[leak].mean() == pytest.approx(0.08, abs=0.03)
        assert coded[low & ~leak].mean() > 0.5

    @pytest.mark.parametrize(("least", "most"), [(0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1)])
    def test_the_posterior_means_what_it_says(self, firm: Firm, least: float, most: float) -> None:
        truth = firm["truth_revenue_leak"]
        posterior = truth["posterior"].to_numpy()
        leak = truth["is_leak"].to_numpy(zero_copy_only=False)
        rows = (posterior >= least) & (posterior <= most)
        said = posterior[rows].mean()
        error = np.sqrt(said * (1 - said) / rows.sum())
        assert leak[rows].mean() == pytest.approx(said, abs=4 * error)

    def test_neither_the_gap_nor_the_code_alone_tells_a_leak(self, firm: Firm) -> None:
        leak = firm["truth_revenue_leak"]["is_leak"].to_numpy(zero_copy_only=False)
        lines = firm["revenue_leak"]
        gap = 1 - lines["billed_amount"].to_numpy() / lines["contract_amount"].to_numpy()
        clear = gap > 0.05
        assert 0.3 < leak[clear].mean() < 0.7
        assert leak[~clear].mean() > 0.001
