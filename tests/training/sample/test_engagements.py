"""Engagements and the timesheets of their people tell of the same hours."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

Firm = dict[str, pa.Table]


def test_the_hours_of_an_engagement_stand_on_its_timesheets(firm: Firm) -> None:
    spent = (
        firm["timesheets"].group_by(["engagement_id", "client_id"]).aggregate([("hours", "sum")])
    )
    both = firm["engagements"].join(spent, ["engagement_id", "client_id"], join_type="full outer")
    assert both.num_rows == firm["engagements"].num_rows
    assert both["hours_sum"].to_numpy() == pytest.approx(both["worked_hours"].to_numpy(), abs=0.06)


def test_an_engagement_is_one_service_line_of_one_client(firm: Firm) -> None:
    lines = firm["invoice_lines"].select(["invoice_line_id", "service_line", "as_of"])
    lines = lines.rename_columns(["invoice_line_id", "line_service", "line_as_of"])
    engagements = firm["engagements"].select(["engagement_id", "service_line", "as_of"])
    engagements = engagements.rename_columns(["engagement_id", "service_line", "begin"])
    both = firm["timesheets"].join(lines, "invoice_line_id").join(engagements, "engagement_id")
    assert both["service_line"].equals(both["line_service"])
    assert pc.all(pc.greater(both["line_as_of"], both["begin"])).as_py()


def test_work_takes_longer_than_planned_on_average(firm: Firm) -> None:
    table = firm["engagements"]
    worked, planned = (pc.sum(table[f"{kind}_hours"]).as_py() for kind in ("worked", "planned"))
    assert 1.02 < worked / planned < 1.2
