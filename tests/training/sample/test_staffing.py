import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

Firm = dict[str, pa.Table]


@pytest.fixture(scope="module")
def sheets(firm: Firm) -> pa.Table:
    """Give timesheets with their people and lines."""
    staff = firm["staff"].select(["staff_id", "grade"])
    lines = firm["invoice_lines"].select(["invoice_line_id", "client_id", "grade", "as_of"])
    lines = lines.rename_columns(["invoice_line_id", "line_client", "line_grade", "line_as_of"])
    return firm["timesheets"].join(staff, "staff_id").join(lines, "invoice_line_id")


def test_the_hours_of_a_line_stand_on_its_timesheets(firm: Firm) -> None:
    lines = firm["invoice_lines"].select(["invoice_line_id", "worked_hours"])
    spent = firm["timesheets"].group_by("invoice_line_id").aggregate([("hours", "sum")])
    both = lines.join(spent, "invoice_line_id", join_type="full outer")
    assert both.num_rows == lines.num_rows
    assert both["hours_sum"].to_numpy() == pytest.approx(both["worked_hours"].to_numpy(), abs=1e-6)


def test_a_timesheet_names_known_people_lines_and_clients(firm: Firm, sheets: pa.Table) -> None:
    assert sheets.num_rows == firm["timesheets"].num_rows
    assert sheets["grade"].null_count == sheets["line_client"].null_count == 0
    assert sheets["client_id"].equals(sheets["line_client"])


def test_the_work_is_done_by_the_grade_that_is_billed_and_before_the_bill(sheets: pa.Table) -> None:
    assert sheets["grade"].equals(sheets["line_grade"])
    assert pc.all(pc.less(sheets["as_of"], sheets["line_as_of"])).as_py()


def test_two_people_who_share_a_line_are_two(sheets: pa.Table) -> None:
    people = sheets.group_by("invoice_line_id").aggregate(
        [("staff_id", "count"), ("staff_id", "count_distinct")]
    )
    assert people["staff_id_count"].equals(people["staff_id_count_distinct"])
    shared = pc.mean(pc.greater(people["staff_id_count"], 1)).as_py()
    assert shared == pytest.approx(0.3, abs=0.03)


def test_staff_are_busy_but_not_beyond_their_hours(firm: Firm) -> None:
    staff = firm["staff"]
    assert pc.count_distinct(staff["staff_id"]).as_py() == staff.num_rows
    utilisation = staff["utilisation_ratio"].to_numpy()
    assert 0.5 < utilisation.mean() < 0.85
    assert utilisation.max() < 1.1


def test_a_higher_grade_costs_more(firm: Firm) -> None:
    costs = firm["staff"].group_by("grade").aggregate([("cost_rate_amount_per_hour", "mean")])
    mean = dict(zip(costs["grade"].to_pylist(), costs["cost_rate_amount_per_hour_mean"].to_pylist(),
                    strict=True))  # fmt: skip
    grades = ["junior", "consultant", "senior", "partner"]
    assert (np.diff([mean[grade] for grade in grades]) > 0).all()
