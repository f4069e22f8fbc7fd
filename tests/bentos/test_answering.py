"""From a row as sent to an answer, without any HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bentos.answering import Outcome, answer_row, answer_rows, ranking, read_rows
from bentos.release import Release, open_release, read_pointer
from core.errors import AnswerRefused, RowInvalid
from core.refusals import RowUnanswered
from tests.tiny import Shelf, TinyPredictor

POISON = 13  # the tiny model divides by zero on it
INFINITE = 14  # the tiny model answers infinity on it
UNKNOWN = 15  # the tiny model has no history of it


@pytest.fixture
def release(tmp_path: Any) -> Release:
    shelf = Shelf(tmp_path)
    folder = shelf.write("7")
    shelf.point("7")
    pointer = read_pointer(shelf.model_folder)
    assert pointer is not None
    return open_release(folder, pointer=pointer, kind=TinyPredictor)


class TestOneRow:
    def test_an_answer_carries_id_release_keys_result_and_flags(self, release: Release) -> None:
        row = release.contract.example() | {
            "client_id": "c-9",
            "as_of": "2026-02-01T00:00:00+01:00",
        }
        answer = answer_row(release, row)
        assert UUID(answer["prediction_id"]).version == 7
        assert (answer["model"], answer["version"]) == ("churn", "7")
        assert (answer["entity"], answer["as_of"]) == ("c-9", "2026-02-01T00:00:00+01:00")
        assert set(answer["result"]) == {"probability", "band"}
        assert answer["flags"] == []
        assert "drivers" not in answer

    def test_the_keys_may_be_left_out(self, release: Release) -> None:
        row = release.contract.config.example_row()
        answer = answer_row(release, row)
        assert answer["entity"] is None
        assert answer["as_of"] is None

    def test_the_same_row_has_the_same_result_under_another_id(self, release: Release) -> None:
        row = release.contract.example()
        first, second = answer_row(release, row), answer_row(release, row)
        assert first["result"] == second["result"]
        assert first["prediction_id"] < second["prediction_id"]

    def test_explain_adds_drivers_whose_sum_is_the_total(self, release: Release) -> None:
        drivers = answer_row(release, release.contract.example(), explain=True)["drivers"]
        parts = sum(part["contribution"] for part in drivers["contributions"])
        assert drivers["base"] + parts == pytest.approx(drivers["total"], abs=1e-9)

    def test_an_input_outside_of_the_training_range_is_answered_and_flagged(
        self, release: Release
    ) -> None:
        row = release.contract.example() | {"hours": 900.0, "region": "mars"}
        flags = answer_row(release, row)["flags"]
        assert [(f["feature"], f["flag"]) for f in flags] == [
            ("hours", "above_training_range"),
            ("region", "level_not_seen"),
        ]

    def test_a_row_that_breaks_the_contract_is_refused(self, release: Release) -> None:
        with pytest.raises(RowInvalid, match="tenure_months: is missing"):
            answer_row(release, {"is_active": True, "plan": "pro", "region": "north"})

    @pytest.mark.parametrize("tenure", [POISON, INFINITE])
    def test_a_row_the_model_fails_on_is_told_without_internals(
        self, release: Release, tenure: int
    ) -> None:
        with pytest.raises(RowUnanswered) as caught:
            answer_row(release, release.contract.example() | {"tenure_months": tenure})
        assert "churn version 7 failed on this row" in caught.value.detail
        assert "poison" not in caught.value.detail

    def test_a_number_that_is_none_is_laid_to_the_inputs_that_lie_far_outside(
        self, release: Release
    ) -> None:
        row = release.contract.example() | {"tenure_months": INFINITE, "hours": 1e300}
        with pytest.raises(AnswerRefused, match=r"hours \(trained on 0 to 200\)"):
            answer_row(release, row)
        [outcome] = answer_rows(release, [row], explain=True)
        assert isinstance(outcome.error, AnswerRefused)

    def test_null_is_never_given_where_a_number_is_promised(self, release: Release) -> None:
        predictor: Any = release.predictor
        predictor.base = float("nan")
        with pytest.raises(RowUnanswered):
            answer_row(release, release.contract.example())

    def test_what_the_history_cannot_answer_is_refused_with_the_reason(
        self, release: Release
    ) -> None:
        row = release.contract.example() | {"tenure_months": UNKNOWN}
        with pytest.raises(AnswerRefused, match="no history near"):
            answer_row(release, row)


class TestManyRows:
    def test_a_refused_row_touches_no_other(self, release: Release) -> None:
        row = release.contract.example()
        outcomes = answer_rows(release, [row, row | {"tenure_months": UNKNOWN}, row])
        assert [outcome.error is None for outcome in outcomes] == [True, False, True]
        problem = outcomes[1].to_json()["problem"]
        assert (problem["status"], problem["code"]) == (409, "AnswerRefused")

    def test_each_row_is_answered_or_refused_in_its_place(self, release: Release) -> None:
        good = release.contract.example()
        bad = good | {"hours": "ten"}
        outcomes = answer_rows(release, [good, bad, 5, good])
        assert [kind_of(outcome) for outcome in outcomes] == ["answer", "RowInvalid"] * 1 + [
            "RowInvalid",
            "answer",
        ]

    def test_a_poison_row_fails_none_of_its_neighbours(self, release: Release) -> None:
        good = release.contract.example()
        rows = [good, good | {"tenure_months": POISON}, good | {"tenure_months": INFINITE}, good]
        outcomes = answer_rows(release, rows, explain=True)
        kinds = [kind_of(outcome) for outcome in outcomes]
        assert kinds == ["answer", "RowUnanswered", "RowUnanswered", "answer"]

    def test_a_batch_gives_what_single_rows_give(self, release: Release) -> None:
        rows = [release.contract.example() | {"hours": float(h)} for h in range(40)]
        together = [o.answer["result"] for o in answer_rows(release, rows) if o.answer]
        assert together == [answer_row(release, row)["result"] for row in rows]

    def test_the_rows_are_not_changed(self, release: Release) -> None:
        row = release.contract.example()
        before = dict(row)
        answer_rows(release, [row], explain=True)
        assert row == before


class TestRanking:
    def test_the_highest_comes_first_and_refused_rows_are_left_out(self, release: Release) -> None:
        rows: list[object] = [release.contract.example() | {"hours": h} for h in (1.0, 90.0, 40.0)]
        outcomes = answer_rows(release, [rows[0], "no row", rows[1], rows[2]])
        assert ranking(release, outcomes) == [2, 3, 0]

    def test_a_model_that_ranks_by_nothing_has_no_ranking(
        self, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(TinyPredictor, "RANK_BY", None)
        assert ranking(release, answer_rows(release, [release.contract.example()])) is None


class TestBodyOfABatch:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ([], "body: is not an object"),
            ({}, "rows: is missing"),
            ({"rows": {}}, "rows: is not a list"),
            ({"rows": []}, "rows: is empty; send at least one row"),
            ({"rows": [1], "explain": True}, "explain: is not a field of a batch"),
        ],
    )
    def test_another_shape_is_refused(self, body: object, said: str) -> None:
        with pytest.raises(RowInvalid, match=said):
            read_rows(body)


def kind_of(outcome: Outcome) -> str:
    return "answer" if outcome.error is None else outcome.error.code
