"""What the platform knows of champions in other processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import NoChampion
from core.refusals import ModelUnreachable
from core.settings import Settings
from services.releases import remote
from services.releases.remote import RemoteHolder
from tests.services.bentos import TinyBento
from tests.services.conftest import CONFIGS
from tests.tiny import Shelf, tiny_type


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.point("1")
    return shelf


@pytest.fixture
def bento(shelf: Shelf) -> Iterator[TinyBento]:
    settings = Settings(home=shelf.root.parent, configs=CONFIGS)
    started = TinyBento("churn", settings, kind_of=tiny_type)
    yield started
    started.close()


def holder_of(address: str) -> RemoteHolder:
    holder = RemoteHolder({"churn": address}, predictor_type=tiny_type)
    holder.refresh()
    return holder


def test_it_knows_what_the_bento_holds(bento: TinyBento) -> None:
    here, there = bento.lone.holder.champion("churn"), holder_of(bento.address).champion("churn")
    assert there.identity == here.identity
    assert there.manifest == here.manifest
    assert there.loaded_at == here.loaded_at
    assert there.kind is here.kind
    assert there.contract.config == here.contract.config
    assert there.contract.row_type.model_json_schema() == here.contract.row_type.model_json_schema()
    assert holder_of(bento.address).versions == bento.lone.holder.versions


def test_a_switch_is_seen_at_the_next_look(shelf: Shelf, bento: TinyBento) -> None:
    holder = holder_of(bento.address)
    shelf.write("2")
    shelf.point("2")
    bento.lone.holder.refresh()
    assert holder.champion("churn").version == "1"
    holder.refresh()
    assert holder.champion("churn").version == "2"


def test_a_release_that_the_bento_refused_is_told(shelf: Shelf, bento: TinyBento) -> None:
    (shelf.write("2") / "encoder.json").write_text("{}")
    shelf.point("2")
    bento.lone.holder.refresh()
    holder = holder_of(bento.address)
    assert holder.champion("churn").version == "1"
    assert holder.refusal("churn") == bento.lone.holder.refusal("churn")


def test_a_bento_without_a_champion_is_no_bento_that_is_gone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "bare", configs=CONFIGS)
    bento = TinyBento("churn", settings, kind_of=tiny_type)
    try:
        holder = holder_of(bento.address)
        with pytest.raises(NoChampion, match="septet train churn"):
            holder.champion("churn")
        assert not holder.is_serving("churn")
    finally:
        bento.close()


def test_a_bento_that_goes_is_refused_and_still_known_until_it_is_back(bento: TinyBento) -> None:
    holder = holder_of(bento.address)
    bento.stop()
    holder.refresh()
    with pytest.raises(ModelUnreachable, match=bento.address):
        holder.champion("churn")
    assert not holder.is_serving("churn")
    known = holder.find("churn")
    assert known is not None
    assert known.version == "1"
    bento.serve()
    holder.refresh()
    assert holder.champion("churn").version == "1"
    assert holder.is_serving("churn")


def test_a_bento_that_is_late_now_and_then_is_asked_on_and_then_given_up(
    bento: TinyBento, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0.1)
    holder = holder_of(bento.address)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        holder._addresses["churn"] = f"http://127.0.0.1:{silent.getsockname()[1]}"  # noqa: SLF001
        for _ in range(remote.MOST_LATE - 1):
            holder.refresh()
            assert holder.champion("churn").version == "1"
        holder.refresh()
        with pytest.raises(ModelUnreachable, match="says nothing for"):
            holder.champion("churn")


@pytest.mark.parametrize("model", ["revenue_leak"])
def test_a_bento_of_another_model_is_not_taken_for_ours(bento: TinyBento, model: str) -> None:
    from bentos.catalog import predictor_type

    holder = RemoteHolder({model: bento.address}, predictor_type=predictor_type)
    holder.refresh()
    with pytest.raises(ModelUnreachable, match="it serves a model of 'churn'"):
        holder.champion(model)
