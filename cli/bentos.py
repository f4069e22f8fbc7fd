"""Where the bentos of the topology distributed run when `septet up` starts them itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bentos.catalog import CATALOG
from cli.programs import BENTO_HOST
from core.platform_config import load_platform_config

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
    addresses = ",".join(f"{model}=http://{BENTO_HOST}:{port}" for model, port in ports.items())
    return settings.model_copy(update={"bentos": addresses}), ports


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on.

    Parameters
    ----------
    count
        How many; all of them are held until the last is found, so that none comes twice.
    """
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((BENTO_HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
