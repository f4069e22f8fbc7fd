"""Addresses and networks: which a key may come from, and which share the blame for failures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from services.access.origin import network_of, parse_address

Network = IPv4Network | IPv6Network

_IPV4 = 4


def is_inside(address: str | None, networks: Sequence[Network]) -> bool:
    """Say whether an address lies in any of the networks; an unknown address lies in none.

    Parameters
    ----------
    address
        As the server gave it.
    networks
        At least one.
    """
    read = parse_address(address or "")
    return read is not None and any(read in network for network in networks)


@lru_cache(maxsize=1024)
def shared_network(address: str | None) -> str:
    """Name the network that is held responsible for an address.

    Parameters
    ----------
    address
        As the server gave it.

    Returns
    -------
    str
        The address itself for IPv4, its /64 for IPv6; ``an unknown address`` for anything else.
    """
    network = network_of(address or "")
    if network is None:
        return "an unknown address"
    return str(network.network_address if network.version == _IPV4 else network)


@lru_cache(maxsize=1024)
def read_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read networks that were written by us; the same ones are shared by all keys.

    Parameters
    ----------
    texts
        In CIDR form.
    """
    return tuple(ip_network(text) for text in texts)
