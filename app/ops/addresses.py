"""Who is asking, as far as limits need to know."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from starlette.types import Scope

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

REMEMBERED: Final = 2_048
"""Addresses kept read: the same few ask again and again."""


def networks(words: Iterable[str]) -> tuple[_Network, ...]:
    """Addresses or networks as networks. Raises ``ValueError``."""
    return tuple(ipaddress.ip_network(word, strict=False) for word in words)


def caller(scope: Scope) -> Address | None:
    """The caller's address, after the trusted proxies; None where it has none (a Unix socket)."""
    client = scope.get("client")
    return _address(client[0]) if client else None


@lru_cache(maxsize=REMEMBERED)
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped: ipaddress.IPv4Address | None = getattr(address, "ipv4_mapped", None)
    return mapped or address


def is_within(address: Address, among: Iterable[_Network]) -> bool:
    """Whether an address lies in one of the networks."""
    return any(address in network for network in among)


def household(address: Address) -> str:
    """What one caller can change freely is left out: of IPv6 the last 64 bits."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
