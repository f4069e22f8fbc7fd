"""Whether a port can be listened on, and whether something answers there."""

from __future__ import annotations

import errno
import http.client
import socket

from core.errors import ConfigError, PortInUse

_TIMEOUT_SECONDS = 2.0


def check_port(host: str, port: int, *, service: str, setting: str) -> None:
    """Check that a port is free, before anything is started.

    Parameters
    ----------
    host
        Address to listen on.
    port
        The port.
    service
        What is to listen there.
    setting
        The environment variable that moves it.

    Raises
    ------
    PortInUse
        Another process listens there.
    ConfigError
        The address is not one of this machine, or the port needs rights we do not have.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port that only waits for its last packets counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        fault = f"SEPTET_HOST={host!r} is no address ({error.strerror}); try 127.0.0.1 or 0.0.0.0."
        raise ConfigError(fault) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port, service, setting) from error
        fault = f"{setting}={port} cannot be listened on at {host} ({error.strerror}); "
        raise ConfigError(fault + "choose another port or host.") from error


def status_of(host: str, port: int, path: str, *, key: str | None = None) -> int | None:
    """Give the HTTP status that a path answers with; nothing when nothing answers in time."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"X-API-Key": key} if key else {})
        # Closed by itself: where the server ends the connection, only the answer holds the socket.
        with connection.getresponse() as response:
            return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def reachable(host: str) -> str:
    """Give the address by which this machine itself reaches a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
