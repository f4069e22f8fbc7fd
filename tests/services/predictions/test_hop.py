"""The hop to a bento: what is sent, what comes back, and every way in which it can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bentos.answering import Outcome
from core.errors import AnswerRefused, NoChampion, RowInvalid, SeptetError
from core.overload import Overloaded
from core.refusals import ModelUnreachable, RowUnanswered
from core.settings import Settings
from services.predictions.hop import Hop, Lines
from tests.services.bentos import TinyBento
from tests.services.conftest import CONFIGS
from tests.services.test_app import EXAMPLE
from tests.tiny import Shelf, tiny_type

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Any]


@pytest.fixture
def bento(tmp_path: Path) -> Iterator[TinyBento]:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.point("1")
    started = TinyBento("churn", Settings(home=tmp_path, configs=CONFIGS), kind_of=tiny_type)
    yield started
    started.close()


def row(**changes: Any) -> bytes:
    return json.dumps(EXAMPLE | changes).encode()


def ask(
    bento: TinyBento,
    rows: list[bytes],
    *,
    explain: bool = False,
    body_bytes: int = 1 << 23,
    is_queued: bool = False,
) -> list[Outcome]:
    async def once() -> list[Outcome]:
        lines = Lines()
        hop = Hop("churn", bento.address, lines, body_bytes=body_bytes, is_queued=is_queued)
        try:
            release = bento.lone.holder.champion("churn")
            return await hop.rows(release, rows, explain=explain)
        finally:
            await lines.close()

    return asyncio.run(once())


class TestRows:
    @pytest.mark.parametrize("count", [1, 20])
    @pytest.mark.parametrize("explain", [False, True])
    def test_the_answers_are_the_same_past_bentomls_queue_and_through_it(
        self, bento: TinyBento, count: int, *, explain: bool
    ) -> None:
        rows = [row(client_id=f"c-{i}", tenure_months=i, hours=300) for i in range(count)]
        past = ask(bento, rows, explain=explain)
        through = ask(bento, rows, explain=explain, is_queued=True)
        assert [without_id(o) for o in past] == [without_id(o) for o in through]

    def test_rows_that_are_asked_together_come_back_in_their_order(self, bento: TinyBento) -> None:
        outcomes = ask(bento, [row(client_id=f"c-{i}") for i in range(20)])
        assert [o.answer and o.answer["entity"] for o in outcomes] == [f"c-{i}" for i in range(20)]
        assert bento.hops == [20]

    def test_reasons_come_when_they_are_asked_for(self, bento: TinyBento) -> None:
        [plain] = ask(bento, [row()])
        [reasoned] = ask(bento, [row()], explain=True)
        assert plain.answer is not None
        assert reasoned.answer is not None
        assert "drivers" not in plain.answer
        assert reasoned.answer["drivers"]["contributions"]

    def test_a_hop_has_no_more_rows_than_the_model_takes_at_once(self, bento: TinyBento) -> None:
        outcomes = ask(bento, [row()] * 120)
        assert all(outcome.answer is not None for outcome in outcomes)
        assert bento.hops == [50, 50, 20]

    def test_a_hop_has_no_more_bytes_than_a_body_may_have(self, bento: TinyBento) -> None:
        outcomes = ask(bento, [row()] * 7, body_bytes=3 * len(row()) + 3)
        assert all(outcome.answer is not None for outcome in outcomes)
        assert bento.hops == [3, 3, 1]

    def test_what_is_wrong_with_a_row_is_its_own(self, bento: TinyBento) -> None:
        rows = [row(), row(plan="gold"), row(tenure_months=13), row(tenure_months=15), b"[]"]
        good, invalid, failed, refused, no_row = ask(bento, rows)
        assert good.answer is not None
        assert isinstance(invalid.error, RowInvalid)
        assert isinstance(failed.error, RowUnanswered)
        assert isinstance(refused.error, AnswerRefused)
        assert isinstance(no_row.error, RowInvalid)

    def test_a_problem_is_the_one_that_this_process_would_tell(self, bento: TinyBento) -> None:
        release = bento.lone.holder.champion("churn")
        [outcome] = ask(bento, [row(plan="gold", hours=-1)])
        with pytest.raises(RowInvalid) as here:
            release.contract.parse_row(EXAMPLE | {"plan": "gold", "hours": -1})
        assert outcome.error is not None
        assert outcome.error.to_problem() == here.value.to_problem()

    def test_a_row_as_deep_as_may_be_harms_no_neighbour(self, bento: TinyBento) -> None:
        deep = b'{"x": ' + b"[" * 15 + b"]" * 15 + b"}"
        outcomes = ask(bento, [row(), deep, row()])
        assert [outcome.answer is not None for outcome in outcomes] == [True, False, True]
        assert bento.hops == [3]

    def test_rows_that_are_refused_together_are_asked_alone(self, bento: TinyBento) -> None:
        outcomes = ask(bento, [row(), b'{"x": NaN}', row()])
        assert [outcome.answer is not None for outcome in outcomes] == [True, False, True]
        assert bento.hops == [1, 1]

    def test_without_a_champion_each_row_is_told_so(self, bento: TinyBento) -> None:
        release = bento.lone.holder.champion("churn")
        bento.lone.holder._releases = {}  # noqa: SLF001 - as if it had never had one

        async def once() -> list[Outcome]:
            lines = Lines()
            hop = Hop("churn", bento.address, lines, body_bytes=1 << 20)
            try:
                return await hop.rows(release, [row(), row()], explain=False)
            finally:
                await lines.close()

        outcomes = asyncio.run(once())
        assert [type(outcome.error) for outcome in outcomes] == [NoChampion, NoChampion]


class TestFailures:
    def test_a_connection_that_went_stale_is_replaced(self, bento: TinyBento) -> None:
        async def twice() -> list[Outcome]:
            lines = Lines()
            hop = Hop("churn", bento.address, lines, body_bytes=1 << 20)
            release = bento.lone.holder.champion("churn")
            try:
                await hop.rows(release, [row()], explain=False)
                await asyncio.to_thread(bento.stop)
                bento.serve()
                return await hop.rows(release, [row()], explain=False)
            finally:
                await lines.close()

        [outcome] = asyncio.run(twice())
        assert outcome.answer is not None

    def test_a_bento_that_is_gone_is_named_with_its_address(self, bento: TinyBento) -> None:
        bento.stop()
        outcomes = ask(bento, [row(), row()])
        for outcome in outcomes:
            assert isinstance(outcome.error, ModelUnreachable)
            assert outcome.error.headers == {"Retry-After": "2"}
            assert bento.address in str(outcome.error)
            assert "refused" in str(outcome.error)

    @pytest.mark.parametrize(
        ("answer", "kind", "said"),
        [
            (b"", ModelUnreachable, "the connection was dropped"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[{", ModelUnreachable, "broke off"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", ModelUnreachable, "no JSON"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", ModelUnreachable, "one for each"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[{}]", ModelUnreachable, "neither"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[1]", ModelUnreachable, "no object"),
            (b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno", Overloaded, "much to do"),
            (b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}", SeptetError, "failed on this"),
            (b"HTTP/1.1 302 No\r\nlocation: /\r\ncontent-length: 2\r\n\r\n{}", SeptetError, ""),
        ],
    )  # fmt: skip
    def test_a_peer_that_answers_nonsense_is_no_bento(
        self, answer: bytes, kind: type[SeptetError], said: str
    ) -> None:
        async def once() -> tuple[SeptetError, int]:
            async with peer(saying(answer)) as (address, asked):
                return await error_from(address), len(asked)

        error, asked = asyncio.run(once())
        assert type(error) is kind
        assert said in str(error)
        # What was dropped before anything was answered is tried once more, nothing else is.
        assert asked == (2 if not answer else 1)

    def test_silence_ends_before_the_border_would(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from bentos.border import DEADLINE_SECONDS
        from services.predictions import hop

        assert hop.HOP_SECONDS < DEADLINE_SECONDS
        monkeypatch.setattr(hop, "HOP_SECONDS", 0.2)

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async def once() -> SeptetError:
            async with peer(silent) as (address, _):
                return await error_from(address)

        error = asyncio.run(once())
        assert isinstance(error, ModelUnreachable)
        assert "no answer within 0.2 seconds" in str(error)


def without_id(outcome: Outcome) -> dict[str, Any]:
    """Give what was answered or told, without the id that is new each time."""
    said = outcome.to_json()
    if outcome.answer is not None:
        said["answer"] = {k: v for k, v in outcome.answer.items() if k != "prediction_id"}
    return said


def saying(answer: bytes) -> Peer:
    """Give a peer that takes a request, says this, and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"]}")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return say


@asynccontextmanager
async def peer(answer: Peer) -> Any:
    """Listen, and count who comes."""
    asked: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await answer(reader, writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}", asked
        for writer in asked:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def error_from(address: str) -> SeptetError:
    """Ask one row of whoever listens there."""
    lines = Lines()
    try:
        await Hop("churn", address, lines, body_bytes=1 << 20).batch(
            b'{"rows":[{}]}', 1, explain=False
        )
    except SeptetError as error:
        return error
    finally:
        await lines.close()
    pytest.fail("it was answered")
