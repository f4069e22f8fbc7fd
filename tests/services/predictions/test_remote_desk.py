"""What a batch of columns earns is the same whether its model is here or in a bento."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from services.predictions.tables import ARROW
from tests.services.conftest import Client, Platform
from tests.services.test_app import EXAMPLE

JSON_ANSWER = {"Content-Type": ARROW.decode(), "Accept": "application/json"}


def columns(count: int, **changes: Any) -> bytes:
    """Write rows of the example as an Arrow stream, some columns changed."""
    table = pa.Table.from_pylist([EXAMPLE] * count)
    for name, values in changes.items():
        table = table.set_column(table.column_names.index(name), name, [values])
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def codes(said: dict[str, Any]) -> list[str | None]:
    return [row["problem"] and row["problem"]["code"] for row in said["rows"]]


def test_columns_are_answered(client: Client) -> None:
    answer = client.post("/api/churn/batch", content=columns(20), headers=JSON_ANSWER)
    assert answer.status_code == 200, answer.text
    assert codes(answer.json()) == [None] * 20
    single = client.post("/api/churn", json=EXAMPLE).json()
    assert all(row["answer"]["result"] == single["result"] for row in answer.json()["rows"])


def test_the_answer_may_be_columns_too(client: Client) -> None:
    answer = client.post(
        "/api/churn/batch", content=columns(3), headers={"Content-Type": ARROW.decode()}
    )
    with ipc.open_stream(answer.content) as reader:
        table = reader.read_all()
    assert table.num_rows == 3
    assert table.schema.metadata[b"version"] == b"1"
    assert table.column("problem").null_count == 3


def test_a_number_that_is_none_is_refused_in_its_row_alone(client: Client) -> None:
    hours = pa.array([1.0, float("nan"), float("inf"), None])
    answer = client.post("/api/churn/batch", content=columns(4, hours=hours), headers=JSON_ANSWER)
    assert codes(answer.json()) == [None, "RowInvalid", "RowInvalid", None]


def test_what_json_has_no_form_for_earns_the_contracts_sentence(client: Client) -> None:
    region = pa.array([b"north", b"south"], pa.binary())
    answer = client.post("/api/churn/batch", content=columns(2, region=region), headers=JSON_ANSWER)
    assert codes(answer.json()) == ["RowInvalid", "RowInvalid"]
    assert "region: is" in answer.json()["rows"][0]["problem"]["detail"]


@pytest.mark.parametrize("topology", ["distributed"])
def test_rows_of_one_moment_go_over_one_hop(platform: Platform, client: Client) -> None:
    bento = platform.bentos["churn"]
    answers = client.together("/api/churn", [EXAMPLE | {"client_id": f"c-{i}"} for i in range(12)])
    assert [answer.json()["entity"] for answer in answers] == [f"c-{i}" for i in range(12)]
    assert len(bento.hops) < 12
    assert sum(bento.hops) == 12


@pytest.mark.parametrize("topology", ["distributed"])
def test_a_bento_that_is_gone_takes_its_own_model_alone(platform: Platform, client: Client) -> None:
    platform.bentos["churn"].stop()
    answer = client.post("/api/churn", json=EXAMPLE)
    assert answer.status_code == 503
    assert answer.json()["code"] == "ModelUnreachable"
    batch = client.post("/api/churn/batch", content=json.dumps({"rows": [EXAMPLE]}), headers=JSON)
    assert batch.json()["code"] == "ModelUnreachable"
    assert client.get("/models/churn/health").json()["code"] == "ModelUnreachable"
    assert client.get("/models/revenue-leak/health").json()["code"] == "NoChampion"
    platform.bentos["churn"].serve()
    platform.refresh()
    assert client.post("/api/churn", json=EXAMPLE).status_code == 200


JSON = {"Content-Type": "application/json"}
