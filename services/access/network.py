"""Addresses and networks: which a key may come from, and which share the blame for failures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What one IPv6 customer has at least: locking less would lock nobody.
_IPV6_PREFIX = 64


def read_address(text: str | None) -> Address | None:
    """Read an address; nothing when it is none.

    An IPv4 address in IPv6's dress (``::ffff:192.0.2.1``) is the IPv4 address that it stands for,
    so that a socket that listens on both does not change what a network means.

    Parameters
    ----------
    text
        As the server gave it.
    """
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_inside(address: str | None, networks: Sequence[Network]) -> bool:
    """Say whether an address lies in any of the networks; an unknown address lies in none.

    Parameters
    ----------
    address
        As the server gave it.
    networks
        At least one.
    """
    read = read_address(address)
    return read is not None and any(
        read.version == network.version and read in network for network in networks
    )


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
    read = read_address(address)
    if read is None:
        return "an unknown address"
    if isinstance(read, IPv6Address):
        return str(ip_network((int(read), _IPV6_PREFIX), strict=False))
    return str(read)


@lru_cache(maxsize=1024)
def read_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read networks that were written by us; the same ones are shared by all keys.

    Parameters
    ----------
    texts
        In CIDR form.
    """
    return tuple(ip_network(text) for text in texts)
