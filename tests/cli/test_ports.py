"""A port in use is named before anything is started, with what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from cli.ports import check_port, reachable, status_of
from core.errors import ConfigError, PortInUse


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_named_with_the_setting_that_moves_it(taken: int) -> None:
    with pytest.raises(PortInUse) as caught:
        check_port("127.0.0.1", taken, service="the platform", setting="SEPTET_PORT")

    assert caught.value.detail == (
        f"Port {taken}, wanted for the platform, is in use by another process. Stop that one, or "
        f"choose another port: SEPTET_PORT={taken + 10}."
    )


def test_a_free_port_passes() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    check_port("127.0.0.1", free, service="the platform", setting="SEPTET_PORT")


def test_a_host_that_is_not_ours_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"cannot be listened on at 192\.0\.2\.1"):
        check_port("192.0.2.1", 8800, service="the platform", setting="SEPTET_PORT")


def test_a_host_that_is_no_address_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="SEPTET_HOST='no such host' is no address"):
        check_port("no such host", 8800, service="the platform", setting="SEPTET_PORT")


def test_nothing_answers_where_nobody_listens() -> None:
    assert status_of("127.0.0.1", 1, "/readyz") is None


def test_a_server_on_every_address_is_reached_by_the_loopback() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"  # noqa: S104 - not bound here
    assert reachable("10.0.0.8") == "10.0.0.8"
