"""Where a request comes from: the caller's address, the host it asked, the page that sent it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from bentos.connection import PEER
from core.denials import HostUnknown, OriginUnknown

if TYPE_CHECKING:
    from starlette.types import Scope

    from bentos.problem import HeaderList
    from bentos.reply import Headers

_ALLOWED_HEADERS = b"authorization, content-type, idempotency-key, x-api-key, x-request-id"
_SHOWN_HEADERS = (
    b"idempotent-replayed, link, ratelimit, ratelimit-policy, retry-after, septet-notes, "
    b"x-request-id"
)
_PREFLIGHT_SECONDS = b"600"


class Origin:
    """Tells where requests come from, and refuses what comes by a wrong name.

    Parameters
    ----------
    trusted_proxies
        Networks whose ``X-Forwarded-For`` is believed.
    hosts
        Host names that are answered; empty answers to any.
    cors_origins
        Origins whose pages may call.
    """

    def __init__(
        self,
        *,
        trusted_proxies: Sequence[str] = (),
        hosts: Sequence[str] = (),
        cors_origins: Sequence[str] = (),
    ) -> None:
        self._proxies = tuple(ip_network(network) for network in trusted_proxies)
        self._hosts = frozenset(host.lower().encode() for host in hosts)
        self._pages = frozenset(origin.encode() for origin in cors_origins)

    def address(self, scope: Scope, headers: Headers) -> str:
        """Give the address of the caller.

        The header ``X-Forwarded-For`` is read from its end, and only as far as it was written by
        proxies of ours: what a caller wrote into it stands before, and is not believed.

        Parameters
        ----------
        scope
            Of the request.
        headers
            Of the request.
        """
        peer: str = scope.get(PEER) or (scope.get("client") or ("", 0))[0]
        if not self._proxies or not self._is_proxy(peer):
            return peer
        found = peer
        for part in reversed(headers.get(b"x-forwarded-for", b"").split(b",")):
            hop = parse_address(part.decode("latin-1").strip())
            if hop is None:
                break
            found = str(hop)
            if not self._is_proxy(found):
                break
        return found

    def check_host(self, headers: Headers) -> None:
        """Refuse a request that was sent to another name than ours.

        Raises
        ------
        HostUnknown
            Names are configured, and it is none of them.
        """
        if not self._hosts:
            return
        given = headers.get(b"host", b"").lower()
        name = given.rpartition(b":")[0] if not given.endswith(b"]") and b":" in given else given
        if given not in self._hosts and name not in self._hosts:
            raise HostUnknown(given.decode("latin-1"))

    def preflight(self, headers: Headers) -> HeaderList | None:
        """Answer a browser that asks before it sends; nothing when it is no such question.

        Raises
        ------
        OriginUnknown
            The page is none of those that may call.
        """
        page = headers.get(b"origin")
        if page is None or b"access-control-request-method" not in headers:
            return None
        if page not in self._pages:
            raise OriginUnknown(page.decode("latin-1"))
        return [
            *self.shared(headers),
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]

    def shared(self, headers: Headers) -> HeaderList:
        """Give the headers by which a browser shows the answer to the page that asked."""
        page = headers.get(b"origin")
        if page is None or page not in self._pages:
            return []
        return [
            (b"access-control-allow-origin", page),
            (b"access-control-expose-headers", _SHOWN_HEADERS),
            (b"vary", b"Origin"),
        ]

    def _is_proxy(self, address: str) -> bool:
        found = parse_address(address)
        return found is not None and any(found in network for network in self._proxies)


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; IPv4 written as IPv6 is IPv4, and what is no address is nothing."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def network_of(address: str) -> IPv4Network | IPv6Network | None:
    """Give the network that counts as one caller: an IPv4 address, or an IPv6 /64."""
    found = parse_address(address)
    if found is None:
        return None
    return ip_network(f"{found}/{32 if found.version == 4 else 64}", strict=False)  # noqa: PLR2004
