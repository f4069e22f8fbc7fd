"""Batches as columns: JSON, Arrow and Parquet give the same answers, and refuse the same."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from core.settings import ROOT, Settings
from services.access.first_key import create_admin_key
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.predictions.tables import ARROW, PARQUET
from services.runtime import Runtime
from tests.services.conftest import Client, assert_problem

MODELS = ("churn", "profitability", "revenue_leak")
KINDS = (ARROW.decode(), PARQUET.decode())


@pytest.fixture(scope="module")
def home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tables") / "septet"
    shutil.copytree(tiny_home / "releases", found / "releases")
    return found


@pytest.fixture(scope="module")
def key(home: Path) -> str:
    return create_admin_key(home)


@pytest.fixture(scope="module")
def runtime(home: Path, key: str) -> Iterator[Runtime]:  # noqa: ARG001 - made before the start
    found = Runtime()
    found.start(Settings(home=home, configs=ROOT / "configs"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def client(runtime: Runtime, key: str) -> Client:
    inner = create_app(runtime, docs_files=docs_files())
    app = Gate(inner, runtime=runtime)
    return Client(app, headers={"X-API-Key": key})


def rows_of(runtime: Runtime, model: str, *, count: int = 40) -> list[dict[str, Any]]:
    example = runtime.holder.champion(model).contract.example()
    rows = []
    for i in range(count):
        row = dict(example) | {runtime.holder.champion(model).contract.config.entity: f"c:{i}"}
        numbers = [k for k, v in row.items() if isinstance(v, float)]
        if numbers:
            row[numbers[i % len(numbers)]] *= 1 + i / 100
        rows.append(row)
    return rows


def packed(rows: list[dict[str, Any]], kind: str) -> bytes:
    table = pa.Table.from_pylist(rows)
    if kind == PARQUET.decode():
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()
    stream = pa.BufferOutputStream()
    with ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return bytes(stream.getvalue().to_pybytes())


def unpacked(content: bytes, kind: str) -> pa.Table:
    if kind == PARQUET.decode():
        return pq.read_table(io.BytesIO(content))
    return ipc.open_stream(content).read_all()


def post(client: Client, model: str, content: bytes, kind: str, **headers: str) -> Any:
    path = f"/api/{model.replace('_', '-')}/batch"
    return client.post(path, content=content, headers={"Content-Type": kind, **headers})


@pytest.mark.parametrize("model", MODELS)
def test_columns_answer_as_single_rows_do(client: Client, runtime: Runtime, model: str) -> None:
    rows = rows_of(runtime, model)
    answer = client.post(f"/api/{model.replace('_', '-')}/batch", json={"rows": rows}).json()
    assert answer["answered"] == len(rows)
    for i in (0, 7, 39):
        single = client.post(f"/api/{model.replace('_', '-')}", json=rows[i]).json()
        batched = answer["rows"][i]["answer"]
        assert answer["rows"][i]["index"] == i
        assert {**batched, "prediction_id": ""} == {**single, "prediction_id": ""}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_a_table_is_answered_as_json_is(
    client: Client, runtime: Runtime, model: str, kind: str
) -> None:
    rows = rows_of(runtime, model)
    expected = client.post(f"/api/{model.replace('_', '-')}/batch", json={"rows": rows}).json()
    answer = post(client, model, packed(rows, kind), kind)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    table = unpacked(answer.content, kind)
    assert table.schema.metadata[b"version"].decode() == expected["version"]
    for got, row in zip(table.to_pylist(), expected["rows"], strict=True):
        result: Mapping[str, Any] = row["answer"]["result"]
        assert {name: got[name] for name in result} == result
        assert got["entity"] == row["answer"]["entity"]
        assert json.loads(got["flags"]) == row["answer"]["flags"]
        assert got["problem"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_row_of_a_table_is_refused_alone_and_named(
    client: Client, runtime: Runtime, kind: str
) -> None:
    rows = rows_of(runtime, "churn")
    name = next(k for k, v in rows[0].items() if isinstance(v, float))
    rows[5][name] = -1e12
    table = unpacked(post(client, "churn", packed(rows, kind), kind).content, kind)
    problems = table.column("problem").to_pylist()
    assert [i for i, problem in enumerate(problems) if problem is not None] == [5]
    assert json.loads(problems[5])["problems"][0]["field"] == name


def test_the_answer_comes_in_the_type_that_is_asked_for(client: Client, runtime: Runtime) -> None:
    content = packed(rows_of(runtime, "churn"), KINDS[0])
    answer = post(client, "churn", content, KINDS[0], Accept="application/json")
    assert answer.json()["answered"] == 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoil", ["cut", "noise", "empty", "flipped"])
def test_bytes_that_are_no_table_are_refused(
    client: Client, runtime: Runtime, kind: str, spoil: str
) -> None:
    good = packed(rows_of(runtime, "churn"), kind)
    flipped = bytearray(good)
    for place in range(8, len(good), max(1, len(good) // 50)):
        flipped[place] ^= 0x55
    content = {"cut": good[: len(good) // 2], "noise": b"\x00" * 64, "empty": b""}
    answer = post(client, "churn", content.get(spoil, bytes(flipped)), kind)
    assert answer.status_code in {400, 422, 200}, answer.text
    if spoil != "flipped":
        assert_problem(answer, 400, "TableInvalid", "cannot be read as")


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_compressed_stream_is_refused_before_it_is_unpacked(client: Client, codec: str) -> None:
    table = pa.table({"entity": ["x" * 100_000] * 200})
    stream = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression=codec)
    with ipc.new_stream(stream, table.schema, options=options) as writer:
        writer.write_table(table)
    answer = post(client, "churn", bytes(stream.getvalue().to_pybytes()), KINDS[0])
    assert_problem(answer, 400, "TableInvalid", "compressed")


def test_a_parquet_file_of_a_hundred_million_rows_is_refused_by_its_footer(
    client: Client,
) -> None:
    table = pa.table({"x": pa.repeat(pa.scalar(1), 10_000_000)})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    answer = post(client, "churn", sink.getvalue(), KINDS[1])
    assert_problem(answer, 413, "BatchTooLarge", "10,000,000 rows")


def test_a_parquet_file_of_one_text_repeated_is_not_written_out(client: Client) -> None:
    table = pa.table({"client_id": ["x" * 1_000_000] * 900})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert len(sink.getvalue()) < 8 * 2**20
    answer = post(client, "churn", sink.getvalue(), KINDS[1])
    assert_problem(answer, 400, "TableInvalid", "a text of over")


def test_gzip_in_parquet_is_refused(client: Client) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0]}), sink, compression="gzip")
    answer = post(client, "churn", sink.getvalue(), KINDS[1])
    assert_problem(answer, 400, "TableInvalid", "use SNAPPY")


def test_a_nan_is_no_null(client: Client, runtime: Runtime) -> None:
    rows = rows_of(runtime, "churn")
    table = pa.Table.from_pylist(rows)
    name = next(k for k, v in rows[0].items() if isinstance(v, float))
    values = np.array([row[name] for row in rows])
    values[3] = np.nan
    table = table.set_column(table.column_names.index(name), name, pa.array(values))
    stream = pa.BufferOutputStream()
    with ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    answer = post(client, "churn", bytes(stream.getvalue().to_pybytes()), KINDS[0])
    problems = unpacked(answer.content, KINDS[0]).column("problem").to_pylist()
    assert [i for i, problem in enumerate(problems) if problem is not None] == [3]


def test_a_name_that_comes_twice_is_found_among_a_thousand(
    client: Client, runtime: Runtime
) -> None:
    rows = rows_of(runtime, "churn")
    text = json.dumps({"rows": rows})
    name = next(iter(rows[0]))
    twice = text.replace("}]}", f', "{name}": "again:"}}]}}')
    answer = client.post(
        "/api/churn/batch", content=twice, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 400, "JsonInvalid", "uplicate")
