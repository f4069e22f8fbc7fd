"""What really happened: told over HTTP, kept, found in the log; and every way to tell it wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError
from uuid_utils import uuid7

from core import clock
from core.config import load_model_config
from core.refusals import FieldsInvalid
from services.access.audit import Actor
from services.access.caller import Role
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.history.outcome import MOST_AT_ONCE, Outcome, read_outcome
from tests.services.conftest import CONFIGS, Client, Platform, assert_problem, start
from tests.services.history.conftest import hex_of, log_of, move, row, rows_of
from tests.tiny import Shelf

LEFT = {"model": "churn", "entity": "c1", "as_of": "2026-01-31T00:00:00Z", "value": True}


@dataclass(frozen=True)
class Office:
    """A platform that is told outcomes, ended, and whose spool is then moved."""

    platform: Platform
    client: Client

    def tell(self, body: object) -> dict[str, Any]:
        """Tell outcomes that are taken; give what became of them."""
        answer = self.client.post("/api/outcomes", json=body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def kept(self, model: str = "churn") -> list[dict[str, Any]]:
        """End the platform, move what it kept, and give the outcomes of a model."""
        self.platform.close()
        assert move(self.platform.home).damaged == 0
        return rows_of(log_of(self.platform.home), f"{model}.outcomes")

    def with_key(self, **grant: Any) -> Client:
        """Ask with another key."""
        grant = {"name": "other", "role": "analyst", **grant}
        ledger = KeyLedger(self.platform.runtime.records)
        issued = ledger.create(Grant.model_validate(grant), by=Actor("cli:test"))
        self.platform.runtime.keys.refresh()
        return Client(self.platform.app, headers={"X-API-Key": issued.key})


@pytest.fixture
def office(tmp_path: Path, topology: str) -> Iterator[Office]:
    shelf = Shelf(tmp_path / "home" / "releases")
    shelf.write("1")
    shelf.point("1")
    platform = start(tmp_path / "home", topology)
    yield Office(platform, Client(platform.app, headers={"X-API-Key": platform.key}))
    platform.close()


def ahead(**span: float) -> str:
    return (clock.now() + timedelta(**span)).isoformat()


def id_at(time_ms: int) -> str:
    """Write a UUIDv7 of a time."""
    return str(UUID(int=(time_ms << 80) | (UUID(str(uuid7())).int & (2**80 - 1))))


class TestWhatIsKept:
    def test_an_outcome_of_a_prediction_is_in_the_log_by_its_id(self, office: Office) -> None:
        asked = office.client.post("/api/churn", json=row(1)).json()
        told = {
            "model": "churn",
            "prediction_id": asked["prediction_id"],
            "value": False,
            "happened_at": "2026-02-03T10:00:00+02:00",
        }
        assert office.tell(told) == {"kept": 1, "refused": 0, "rows": []}
        [kept] = office.kept()
        assert hex_of(kept["outcome_of"]) == asked["prediction_id"]
        assert (kept["entity"], kept["as_of"], kept["value"], kept["amount"]) == (
            None, None, 0.0, None,
        )  # fmt: skip
        assert kept["happened_at"].isoformat() == "2026-02-03T08:00:00+00:00"
        assert kept["caller"] == office.platform.key.split("_")[2]

    def test_an_outcome_of_an_entity_is_in_the_log_by_its_name_and_time(
        self, office: Office
    ) -> None:
        office.tell(LEFT)
        [kept] = office.kept()
        assert kept["outcome_of"] is None
        assert (kept["entity"], kept["value"]) == ("c1", 1.0)
        assert kept["as_of"].isoformat() == "2026-01-31T00:00:00+00:00"

    def test_an_outcome_of_an_entity_may_leave_the_time_out(self, office: Office) -> None:
        office.tell({"model": "churn", "entity": "c1", "value": True})
        assert [one["as_of"] for one in office.kept()] == [None]

    def test_rows_of_a_batch_are_taken_and_refused_each_on_its_own(self, office: Office) -> None:
        rows = [LEFT, LEFT | {"value": 3}, 7, LEFT | {"entity": "c2"}]
        said = office.tell({"outcomes": rows})
        assert (said["kept"], said["refused"]) == (2, 2)
        assert [one["index"] for one in said["rows"]] == [1, 2]
        assert {one["problem"]["code"] for one in said["rows"]} == {"FieldsInvalid"}
        assert sorted(one["entity"] for one in office.kept()) == ["c1", "c2"]

    def test_outcomes_of_several_models_go_each_to_its_own(self, office: Office) -> None:
        leak = {"model": "revenue-leak", "entity": "l1", "value": True, "amount": 12.5}
        months = {"model": "demand", "entity": "build-north", "as_of": "2026-01-01T00:00:00Z"}
        office.tell({"outcomes": [LEFT, leak, months | {"value": 81}]})
        assert len(office.kept()) == 1
        [kept] = rows_of(log_of(office.platform.home), "revenue_leak.outcomes")
        assert (kept["value"], kept["amount"]) == (1.0, 12.5)
        [kept] = rows_of(log_of(office.platform.home), "demand.outcomes")
        assert kept["value"] == 81.0

    def test_a_part_that_is_not_known_yet_may_come_later(self, office: Office) -> None:
        leak = {"model": "revenue_leak", "entity": "l1"}
        office.tell(leak | {"value": True})
        office.tell(leak | {"value": None, "amount": 12.5})
        kept = office.kept("revenue_leak")
        assert [(one["value"], one["amount"]) for one in kept] == [(1.0, None), (None, 12.5)]

    def test_of_a_corrected_outcome_both_stand_in_the_log_the_last_one_later(
        self, office: Office
    ) -> None:
        office.tell(LEFT)
        office.tell(LEFT | {"value": False})
        kept = sorted(office.kept(), key=lambda one: one["at"])
        assert [one["value"] for one in kept] == [1.0, 0.0]
        assert kept[0]["at"] < kept[1]["at"]

    def test_of_each_field_the_last_of_a_batch_counts(self, office: Office) -> None:
        leak = {"model": "revenue_leak", "entity": "l1"}
        batch = [leak | {"value": True, "amount": 5}, leak | {"amount": 7}, leak | {"value": False}]
        assert office.tell({"outcomes": batch})["kept"] == 3
        assert [(one["value"], one["amount"]) for one in office.kept("revenue_leak")] == [
            (0.0, 7.0)
        ]

    def test_the_same_a_thousand_times_harms_nothing(self, office: Office) -> None:
        for _ in range(10):
            assert office.tell({"outcomes": [LEFT] * 100})["kept"] == 100
        kept = office.kept()
        assert len(kept) == 10
        assert {(one["entity"], one["value"]) for one in kept} == {("c1", 1.0)}

    def test_the_same_request_under_one_key_is_kept_once(self, office: Office) -> None:
        for _ in range(3):
            answer = office.client.post(
                "/api/outcomes", json=LEFT, headers={"Idempotency-Key": "once"}
            )
            assert answer.status_code == 200
        assert len(office.kept()) == 1

    def test_an_id_that_is_not_known_yet_is_taken_for_it_may_come_later(
        self, office: Office
    ) -> None:
        named = str(uuid7())
        office.tell({"model": "churn", "prediction_id": named.upper(), "value": True})
        assert [hex_of(one["outcome_of"]) for one in office.kept()] == [named]

    def test_a_model_without_a_champion_is_held_against_its_config(self, office: Office) -> None:
        answer = office.client.post(
            "/api/outcomes", json={"model": "pricing", "entity": "q1", "value": 1}
        )
        assert_problem(answer, 422, "FieldsInvalid", "true or false (whether the client took")

    def test_ten_thousand_are_taken_and_one_more_is_not(self, office: Office) -> None:
        rows = [{"model": "churn", "entity": f"c{i}", "value": True} for i in range(MOST_AT_ONCE)]
        assert office.tell({"outcomes": rows})["kept"] == MOST_AT_ONCE
        answer = office.client.post("/api/outcomes", json={"outcomes": [*rows, LEFT]})
        assert_problem(answer, 413, "BatchTooLarge", "10,001 rows")
        assert "send a file with `septet outcomes load`" in answer.json()["detail"]
        assert len(office.kept()) == MOST_AT_ONCE


class TestWhoMayTell:
    def test_a_viewer_is_refused_by_its_role(self, office: Office) -> None:
        answer = office.with_key(role=Role.VIEWER.label).post("/api/outcomes", json=LEFT)
        assert_problem(answer, 403, "RoleTooLow", "this needs analyst")

    def test_a_key_of_another_model_is_refused_row_by_row(self, office: Office) -> None:
        client = office.with_key(models=["revenue_leak"])
        answer = client.post("/api/outcomes", json=LEFT)
        assert_problem(answer, 403, "ModelOutOfScope", "only revenue_leak")
        leak = {"model": "revenue_leak", "entity": "l1", "value": True}
        said = client.post("/api/outcomes", json={"outcomes": [LEFT, leak]}).json()
        assert (said["kept"], said["refused"]) == (1, 1)
        assert said["rows"][0]["problem"]["code"] == "ModelOutOfScope"
        assert office.kept() == []


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"model": "chrun"}, "Did you mean 'churn'?"),
            ({"model": None}, "model: is null"),
            ({"value": 1}, "value: is the number 1; true or false"),
            ({"value": "yes"}, "value: is the text 'yes'; true or false, or a number"),
            ({"value": None}, "value: is missing; value is needed"),
            ({"amount": 5}, "amount: is not known of churn"),
            ({"entity": None}, "prediction_id: is missing; it is needed, or entity"),
            ({"entity": ""}, "entity: is the text ''"),
            ({"entity": "x" * 513}, "at most 512 characters"),
            ({"entity": 5}, "entity: is the number 5"),
            ({"as_of": "2026-01-31T00:00:00"}, "as_of: is '2026-01-31T00:00:00', not a time with"),
            ({"as_of": "0001-01-01T00:00:00+14:00"}, "a time of the years 1 to 9999"),
            ({"happened_at": "2026-01-31T00:00:00"}, "not a time with its zone"),
            ({"happened_at": 1_700_000_000}, "happened_at: is the number 1700000000"),
            (
                {"happened_at": "2026-01-30T23:59:59Z"},
                "happened_at: lies before as_of, 2026-01-31T",
            ),
            ({"value": 1e16}, "value: is the number 1e+16; a number from -1e15 to 1e15"),
            ({"value": -(10**30)}, "a number from -1e15 to 1e15 is allowed"),
            ({"amount": 1e300}, "amount: is the number 1e+300; a number from -1e15 to 1e15"),
            ({"valeu": True}, "Did you mean 'value'?"),
        ],
    )
    def test_a_wrong_field_says_field_fault_and_what_is_allowed(
        self, office: Office, changes: dict[str, Any], said: str
    ) -> None:
        answer = office.client.post("/api/outcomes", json=LEFT | changes)
        assert_problem(answer, 422, "FieldsInvalid", said)
        [problem] = answer.json()["problems"]
        assert set(problem) == {"field", "problem", "allowed"}

    def test_one_that_happened_before_its_time_is_told_by_its_row_of_a_batch(
        self, office: Office
    ) -> None:
        early = LEFT | {"happened_at": "2026-01-30T00:00:00Z"}
        said = office.tell({"outcomes": [LEFT, early]})
        assert [one["index"] for one in said["rows"]] == [1]
        assert "a time from as_of on is allowed" in said["rows"][0]["problem"]["detail"]

    def test_one_by_id_may_have_happened_before_it_was_predicted(self, office: Office) -> None:
        told = {"model": "churn", "prediction_id": str(uuid7()), "value": True}
        assert office.tell(told | {"happened_at": "2020-01-01T00:00:00Z"})["kept"] == 1

    def test_what_is_still_to_come_did_not_happen(self, office: Office) -> None:
        soon = LEFT | {"happened_at": ahead(minutes=2)}
        late = LEFT | {"happened_at": ahead(minutes=7)}
        said = office.tell({"outcomes": [soon, late]})
        [refused] = said["rows"]
        assert refused["index"] == 1
        assert "a time that has come is allowed" in refused["problem"]["detail"]

    @pytest.mark.parametrize(
        ("named", "said"),
        [
            (str(uuid4()), "a UUID of version 7"),
            ("01909c659a007d538a4c3f5e5b7a2d10", "the prediction_id of an answer is allowed"),
            ("{01909c65-9a00-7d53-8a4c-3f5e5b7a2d10}", "the prediction_id of an answer"),
            ("' OR 1=1 --", "the prediction_id of an answer is allowed"),
            (id_at(2**48 - 1), "time is ahead"),
            (id_at(round((clock.now().timestamp() + 3600) * 1000)), "time is ahead"),
            (7, "prediction_id: is the number 7"),
        ],
        # Not by the ids: each process of a run makes others.
        ids=["random", "hex", "braces", "sql", "last", "ahead", "number"],
    )
    def test_an_id_that_was_forged_is_refused(
        self, office: Office, named: object, said: str
    ) -> None:
        told = {"model": "churn", "prediction_id": named, "value": True}
        answer = office.client.post("/api/outcomes", json=told)
        assert_problem(answer, 422, "FieldsInvalid", said)

    @pytest.mark.parametrize("field", ["entity", "as_of"])
    def test_the_id_stands_alone(self, office: Office, field: str) -> None:
        told = {"model": "churn", "prediction_id": str(uuid7()), "value": True}
        answer = office.client.post("/api/outcomes", json=told | {field: LEFT[field]})
        assert_problem(answer, 422, "FieldsInvalid", f"{field}: stands beside prediction_id")

    def test_a_model_whose_rows_have_no_time_takes_none(self, office: Office) -> None:
        told = LEFT | {"model": "revenue_leak"}
        answer = office.client.post("/api/outcomes", json=told)
        assert_problem(answer, 422, "FieldsInvalid", "as_of: is not known of revenue_leak")

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"outcomes": []}, "outcomes: is empty; send at least one outcome"),
            ({"outcomes": {}}, "outcomes: is not a list"),
            ({"outcomes": [LEFT], "model": "churn"}, "model: stands beside outcomes"),
            ([LEFT], "body: is not an object"),
            ({}, "model: is missing"),
        ],
    )
    def test_another_body_is_refused(self, office: Office, body: object, said: str) -> None:
        answer = office.client.post("/api/outcomes", json=body)
        assert_problem(answer, 422, "FieldsInvalid", said)

    def test_a_model_whose_config_cannot_be_read_takes_none(self, office: Office) -> None:
        broken = office.platform.home / "broken"
        (broken / "models").mkdir(parents=True)
        (broken / "platform.yaml").write_text((CONFIGS / "platform.yaml").read_text())
        (broken / "models" / "demand.yaml").write_text("model: [")
        platform = start(office.platform.home.parent / "other", configs=broken)
        client = Client(platform.app, headers={"X-API-Key": platform.key})
        told = {"model": "demand", "entity": "a", "as_of": "2026-01-01T00:00:00Z", "value": 1}
        answer = client.post("/api/outcomes", json=told)
        platform.close()
        assert_problem(answer, 503, "NoChampion", "its config cannot be read")
        assert str(broken) not in answer.text


class TestStepsAndWeeks:
    @pytest.mark.parametrize("model", ["demand", "budget"])
    def test_a_step_needs_its_time_whatever_it_is_found_by(self, model: str) -> None:
        config = load_model_config(CONFIGS / "models" / f"{model}.yaml")

        def read(**told: Any) -> Outcome:
            return read_outcome({"model": model, "value": 4, **told}, lambda _: config)

        week = "2026-01-05T00:00:00Z"
        assert read(entity="a", as_of=week).record()["as_of"] == "2026-01-05T00:00:00+00:00"
        record = read(prediction_id=str(uuid7()), as_of=week).record()
        assert record["as_of"] == "2026-01-05T00:00:00+00:00"
        for told in ({"entity": "a"}, {"prediction_id": str(uuid7())}):
            with pytest.raises(FieldsInvalid, match="as_of: is missing; the time of the step"):
                read(**told)
        with pytest.raises(FieldsInvalid, match="as_of: is in the future; a step that has begun"):
            read(entity="a", as_of=ahead(days=1))
        with pytest.raises(FieldsInvalid, match=r"the boolean true; a number in (hours|thousand)"):
            read(entity="a", as_of=week, value=True)


def test_no_outcome_is_infinite() -> None:
    for name in ("value", "amount"):
        with pytest.raises(ValidationError):
            Outcome.model_validate({"model": "churn", "entity": "c1", name: float("inf")})
