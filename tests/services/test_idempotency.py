"""A request that is sent again is answered again, not carried out again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import clock
from core.conflicts import IdempotencyReused, RequestInterrupted, StillRunning
from core.settings import Settings
from services.access.first_key import create_admin_key
from services.idempotency import CUT_OFF, KEPT, Begun, Idempotency, Kept, fingerprint
from services.migration import migrate
from services.records import IDEMPOTENCY, Records
from tests.services.conftest import RUNNER, Client, Platform, assert_problem, start

ROW = {"tenure_months": 12, "hours": 3.5, "is_active": True, "plan": "basic", "region": "north"}
ANSWER = Kept(200, b"application/json", b'{"a":1}')


@pytest.fixture(params=["sqlite", "postgres"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """Give migrated records, in SQLite and in PostgreSQL."""
    address = f"sqlite:///{tmp_path / 'records.db'}"
    if request.param == "postgres":
        address = request.getfixturevalue("postgres")
    found = Records(address)
    migrate(found)
    with found.writing() as connection:
        connection.execute(sa.delete(IDEMPOTENCY))
    yield found
    found.close()


def ask(client: Client, key: str, path: str = "/api/churn", **row: Any) -> httpx.Response:
    return client.post(path, json=ROW | row, headers={"Idempotency-Key": key})


class TestOverHttp:
    def test_the_same_request_has_the_same_answer(self, client: Client) -> None:
        first, again = ask(client, "k1"), ask(client, "k1")
        assert first.status_code == again.status_code == 200
        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        assert again.headers["content-type"] == first.headers["content-type"]

    def test_another_body_under_the_key_is_refused(self, client: Client) -> None:
        ask(client, "k2")
        answer = ask(client, "k2", tenure_months=13)
        assert_problem(answer, 422, "IdempotencyReused", "the very same bytes")

    def test_another_path_under_the_key_is_refused(self, client: Client) -> None:
        ask(client, "k3")
        answer = ask(client, "k3", path="/api/churn?explain=true")
        assert_problem(answer, 422, "IdempotencyReused", "another path")

    def test_another_caller_has_keys_of_its_own(self, platform: Platform, client: Client) -> None:
        other = create_admin_key(platform.home, name="other")
        platform.runtime.keys.refresh()
        first = ask(client, "k4")
        second = ask(Client(platform.app, headers={"X-API-Key": other}), "k4", tenure_months=20)
        assert second.status_code == 200
        assert second.json()["prediction_id"] != first.json()["prediction_id"]

    def test_what_was_refused_may_be_corrected_under_the_same_key(self, client: Client) -> None:
        assert ask(client, "k5", tenure_months=-1).status_code == 422
        assert ask(client, "k5").status_code == 200

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü"])
    def test_a_key_of_another_form_is_refused(self, client: Client, key: str) -> None:
        answer = client.post(
            "/api/churn", json=ROW, headers=[(b"idempotency-key", key.encode("latin-1"))]
        )
        assert_problem(answer, 400, "IdempotencyKeyInvalid", "visible ASCII")

    def test_fifty_at_once_are_carried_out_once(self, platform: Platform) -> None:
        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=platform.app)
            headers = {"X-API-Key": platform.key, "Idempotency-Key": "k6"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://septet", headers=headers
            ) as asking:
                return await asyncio.gather(
                    *[asking.post("/api/churn", json=ROW) for _ in range(50)]
                )

        answers = RUNNER.run(run())
        given = {answer.json()["prediction_id"] for answer in answers if answer.is_success}
        assert len(given) == 1
        assert {answer.status_code for answer in answers} <= {200, 409}
        others = [answer for answer in answers if answer.status_code == 409]
        assert all(answer.json()["code"] == "StillRunning" for answer in others)

    def test_it_survives_a_restart(self, platform: Platform, client: Client) -> None:
        first = ask(client, "k7")
        again = start(platform.home)
        other = Client(again.app, headers={"X-API-Key": platform.key})
        assert ask(other, "k7").content == first.content
        again.close()

    def test_a_made_key_is_made_once_and_its_text_is_kept_nowhere(
        self, platform: Platform, client: Client
    ) -> None:
        body = {"name": "reports", "role": "viewer"}
        headers = {"Idempotency-Key": "k8"}
        first = client.post("/api/keys", json=body, headers=headers)
        again = client.post("/api/keys", json=body, headers=headers)
        assert first.status_code == again.status_code == 201
        text = first.json()["key"]
        assert text.startswith("sep_live_")
        assert text not in again.text
        hidden = {"key": "sep_live_***"}
        assert again.json() == first.json() | hidden
        names = [key["name"] for key in client.get("/api/keys").json()["keys"]]
        assert names.count("reports") == 1
        for file in platform.home.glob("records.db*"):
            assert text.split("_")[-1].encode() not in file.read_bytes()

    def test_with_the_records_gone_only_such_requests_are_refused(
        self, platform: Platform, client: Client
    ) -> None:
        for file in platform.home.glob("records.db*"):
            file.rename(file.with_suffix(".gone" + file.suffix))
        assert ask(client, "k9").status_code == 503
        assert client.post("/api/churn", json=ROW).status_code == 200


class TestErasure:
    def test_an_answer_about_an_erased_entity_is_not_given_again(
        self, platform: Platform, client: Client
    ) -> None:
        first, other = ask(client, "e1", client_id='c"é'), ask(client, "e2", client_id="c2")
        rows = [ROW | {"client_id": 'c"é'}]
        batch = {"json": {"rows": rows}, "headers": {"Idempotency-Key": "e3"}}
        many = client.post("/api/churn/batch", **batch)
        assert client.request("DELETE", '/api/history/entities/c"é').status_code == 202
        assert ask(client, "e2", client_id="c2").content == other.content
        again = ask(client, "e1", client_id='c"é')
        assert "idempotent-replayed" not in again.headers
        assert again.json()["prediction_id"] != first.json()["prediction_id"]
        assert many.status_code == 200
        assert "idempotent-replayed" not in client.post("/api/churn/batch", **batch).headers
        assert platform.runtime.idempotency.forget_entity("c") == 0

    def test_tables_are_forgotten_whomever_they_are_about(self, records: Records) -> None:
        keeper = Idempotency(records)
        begun = keeper.begin("c", "k", "f", is_pure=True)
        assert isinstance(begun, Begun)
        keeper.finish(begun, Kept(200, b"application/vnd.apache.parquet", b"PAR1"))
        # One that is being carried out has nothing to be forgotten yet.
        keeper.begin("c", "k2", "f", is_pure=True)
        assert keeper.forget_entity("c1") == 1
        assert isinstance(keeper.begin("c", "k", "f", is_pure=True), Begun)


class TestKeeping:
    def test_a_request_that_runs_is_not_begun_again(self, records: Records) -> None:
        keeper = Idempotency(records)
        keeper.begin("c", "k", "f", is_pure=True)
        with pytest.raises(StillRunning):
            keeper.begin("c", "k", "f", is_pure=True)

    @pytest.mark.parametrize("route", ["pure", "with an effect"])
    def test_after_a_crash_only_what_has_no_effect_is_carried_out_again(
        self, records: Records, route: str
    ) -> None:
        keeper, is_pure = Idempotency(records), route == "pure"
        begun = keeper.begin("c", "k", "f", is_pure=is_pure)
        assert isinstance(begun, Begun)
        age(records, CUT_OFF + timedelta(seconds=1))
        if is_pure:
            again = keeper.begin("c", "k", "f", is_pure=True)
            assert isinstance(again, Begun)
            # The one that was cut off lost its right to answer.
            keeper.finish(begun, ANSWER)
            with pytest.raises(StillRunning):
                keeper.begin("c", "k", "f", is_pure=True)
        else:
            with pytest.raises(RequestInterrupted):
                keeper.begin("c", "k", "f", is_pure=False)

    def test_an_answer_is_kept_for_a_day(self, records: Records) -> None:
        keeper = Idempotency(records)
        begun = keeper.begin("c", "k", "f", is_pure=False)
        assert isinstance(begun, Begun)
        keeper.finish(begun, ANSWER)
        assert keeper.begin("c", "k", "f", is_pure=False) == ANSWER
        with pytest.raises(IdempotencyReused):
            keeper.begin("c", "k", "other", is_pure=False)
        age(records, KEPT + timedelta(minutes=1))
        assert isinstance(keeper.begin("c", "k", "other", is_pure=False), Begun)

    def test_threads_begin_a_request_once(self, records: Records) -> None:
        keeper = Idempotency(records)

        def begin(_: int) -> bool:
            try:
                return isinstance(keeper.begin("c", "k", "f", is_pure=True), Begun)
            except StillRunning:
                return False

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(begin, range(40))) == 1


def age(records: Records, by: timedelta) -> None:
    """Make every request at least that old; one that is older already stays so."""
    began = clock.now() - by
    younger = sa.update(IDEMPOTENCY).where(IDEMPOTENCY.c.started_at > began)
    with records.writing() as connection:
        connection.execute(younger.values(started_at=began))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "finish", "forget", "crash", "day"]),
        st.sampled_from(["k1", "k2"]),
        st.sampled_from(["f1", "f2"]),
    ),
    max_size=25,
)


@given(STEPS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_does_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    settings_of = Settings(home=tmp_path_factory.mktemp("idempotency"))
    records = Records(settings_of.records_url)
    migrate(records)
    keeper = Idempotency(records)
    model: dict[str, tuple[str, str]] = {}  # key -> fingerprint, state
    running: dict[str, Begun] = {}
    for step, key, wanted in steps:
        if step == "begin":
            held = model.get(key)
            if held is not None and held[0] != wanted:
                with pytest.raises(IdempotencyReused):
                    keeper.begin("c", key, wanted, is_pure=True)
            elif held is not None and held[1] == "running":
                with pytest.raises(StillRunning):
                    keeper.begin("c", key, wanted, is_pure=True)
            elif held is not None and held[1] == "done":
                assert keeper.begin("c", key, wanted, is_pure=True) == ANSWER
            else:
                begun = keeper.begin("c", key, wanted, is_pure=True)
                assert isinstance(begun, Begun)
                running[key], model[key] = begun, (wanted, "running")
        elif step == "finish" and key in running:
            keeper.finish(running.pop(key), ANSWER)
            model[key] = (model[key][0], "done")
        elif step == "forget" and key in running:
            keeper.forget(running.pop(key))
            del model[key]
        elif step == "crash":
            age(records, CUT_OFF + timedelta(seconds=1))
            model = {k: (f, "cut" if s == "running" else s) for k, (f, s) in model.items()}
            running.clear()
        elif step == "day":
            age(records, KEPT + timedelta(seconds=1))
            model.clear()
            running.clear()
    records.close()


def test_parts_of_a_request_are_not_confused() -> None:
    assert fingerprint("POST", b"/a", b"b", b"c") != fingerprint("POST", b"/ab", b"", b"c")
