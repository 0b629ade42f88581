"""Which addresses the server may call on behalf of a setting that somebody typed.

Only the public internet, plus what the administrator allows. The check is on the addresses that are connected to,
after the name is resolved, so a name that changes its mind does not pass.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "5f00::/16",
        "fec0::/10",
    )
)


class AddressRefused(OSError):
    """The address may not be called."""


class AllowList:
    """Networks and host names that may be called although they are not public."""

    def __init__(self, entries: Sequence[str] = ()) -> None:
        """``entries``: networks (``10.1.0.0/16``), addresses or host names. Raises ValueError for anything else."""
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if not entry or "/" in entry or entry != entry.strip():
                    raise ValueError(f"{entry!r} is neither a network nor a host name") from None
                self._hosts.add(entry.casefold())

    def permits(self, host: str, address: str) -> bool:
        """Whether ``address``, which ``host`` stands for, may be called."""
        if host.casefold() in self._hosts:
            return True
        parsed = inner(ipaddress.ip_address(address.partition("%")[0]))
        return is_public(parsed) or any(parsed in network for network in self._networks)


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries (mapped, NAT64, 6to4), else itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
    return address


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet."""
    address = inner(address)
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in _NEVER if network.version == address.version)


def check_url(url: str, allow: AllowList) -> str:
    """What is wrong with a URL as far as can be told without resolving its name; empty when nothing is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return "must start with http:// or https://"
    if not host or port == 0:
        return "has no host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or password; use a header"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ""
    return "" if allow.permits(host, host) else f"{host} is not a public address; the administrator can allow it"


class CheckedResolver(AbstractResolver):
    """Resolves names for the HTTP client and drops every address that may not be called."""

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of ``host``. Raises AddressRefused when none of them may be called."""
        loop = asyncio.get_running_loop()
        found: Any = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC)
        results = [
            ResolveResult(
                hostname=host, host=sockaddr[0], port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, sockaddr in found
            if kind in (socket.AF_INET, socket.AF_INET6) and self._allow.permits(host, sockaddr[0])
        ]
        if not results:
            raise AddressRefused(f"{host} has no address that may be called; the administrator can allow it")
        return results

    async def close(self) -> None:
        """Nothing to close."""
