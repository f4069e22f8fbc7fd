"""Where the bentos of the topology distributed run when `septet up` starts them itself."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from bentos.catalog import CATALOG
from cli.programs import INNER_HOST
from core.errors import ConfigError
from core.platform_config import load_platform_config

FIRST_PORT, LAST_PORT = 8811, 9811

if TYPE_CHECKING:
    from core.settings import Settings


def placed(settings: Settings) -> tuple[Settings, dict[str, int]]:
    """Give a free port to each model's bento, when this machine is to run them.

    Parameters
    ----------
    settings
        Read from the environment.

    Returns
    -------
    tuple
        The settings with the addresses of the bentos, and model to port of those to start: none
        when the models are in the platform's own process, or their bentos run elsewhere.

    Raises
    ------
    ConfigError
        ``platform.yaml`` or ``SEPTET_BENTOS`` is wrong.
    """
    topology = load_platform_config(settings.platform_config_path).serving.topology
    if topology == "colocated":
        return settings, {}
    if settings.bentos:
        settings.bento_addresses(CATALOG)
        return settings, {}
    ports = dict(zip(CATALOG, free_ports(len(CATALOG)), strict=True))
    addresses = ",".join(f"{model}=http://{INNER_HOST}:{port}" for model, port in ports.items())
    return settings.model_copy(update={"bentos": addresses}), ports


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on, from ``FIRST_PORT`` upwards.

    They lie below the range from which systems give ports to outgoing connections: one of those
    could not be listened on when its bento comes to it, seconds later.

    Parameters
    ----------
    count
        How many.

    Raises
    ------
    ConfigError
        There are not so many.
    """
    found: list[int] = []
    for port in range(FIRST_PORT, LAST_PORT):
        if len(found) == count:
            break
        with suppress(OSError), socket.socket() as probe:
            probe.bind((INNER_HOST, port))
            found.append(port)
    if len(found) < count:
        raise ConfigError(
            f"No {count} ports from {FIRST_PORT} to {LAST_PORT} are free for the bentos; stop what "
            "listens there, or start the bentos yourself and name them in SEPTET_BENTOS"
        )
    return found
