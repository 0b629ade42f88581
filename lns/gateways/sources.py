"""Who may speak for a gateway, and how much: the protocol itself has no authentication at all.

A gateway's EUI is bound to the address (not the port: forwarders use two, and NAT changes them) that spoke for it first,
as long as that address is alive. What another address says in its name meanwhile moves no downlink, no clock and no
statistics; only its frames are taken, as receptions without time and signal, for the MIC proves them whoever brings them.
So a backhaul that changed its address loses no reading while the old binding runs out, and a thief gets nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lns.clock import Now

SOURCES_LIMIT = 4096
"""Addresses whose budgets are kept; the longest silent one is forgotten, and begins anew with a full one."""

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(texts: Iterable[str]) -> Networks:
    """CIDR texts (single addresses too) as networks. Raises ValueError that names the wrong one."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip(), strict=False))
        except ValueError as error:
            raise ValueError(f"{text!r} is not an address or network like 10.0.0.0/8 or fd00::/8") from error
    return tuple(networks)


def is_within(host: str, networks: Networks) -> bool:
    """True when there are no networks, or the address is in one of them.

    A socket that listens on ``[::]`` shows IPv4 as ``::ffff:10.0.0.1``: that is meant by a network of IPv4.
    """
    if not networks:
        return True
    address = ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address.version == network.version and address in network for network in networks)


class Claim:
    """Another source that speaks in a gateway's name."""

    __slots__ = ("address", "datagrams", "first_us", "last_us", "mono_us")

    def __init__(self, now: Now) -> None:
        self.address = ""
        self.first_us = now.wall_us
        self.last_us = now.wall_us
        self.mono_us = now.mono_us
        self.datagrams = 0


class Binding:
    """The address that speaks for one gateway."""

    __slots__ = ("alive_us", "allowed", "claim", "host")

    def __init__(self) -> None:
        self.host = ""
        """Empty: not bound."""
        self.alive_us = 0
        """When a datagram last came from it, monotonic."""
        self.allowed: Networks = ()
        self.claim: Claim | None = None
        """Who else spoke for the gateway lately."""

    def limit(self, texts: Iterable[str]) -> None:
        """The operator's networks for this gateway. Raises ValueError."""
        self.allowed = parse_networks(texts)
        if self.host and not is_within(self.host, self.allowed):
            self.host = ""

    def takes(self, host: str, hold_us: int, now: Now) -> bool:
        """A datagram came from ``host``: True when that address speaks for the gateway from now on.

        An address that is silent for ``hold_us`` gives way to the next one.
        """
        if host == self.host:
            self.alive_us = now.mono_us
            return True
        if not self.allows(host) or (self.host and now.mono_us - self.alive_us < hold_us):
            self.dispute(host, now)
            return False
        self.host, self.alive_us = host, now.mono_us
        return True

    def allows(self, host: str) -> bool:
        """True when the operator's list for this gateway has the address."""
        return is_within(host, self.allowed)

    def dispute(self, host: str, now: Now) -> None:
        """Somebody else speaks in the gateway's name."""
        if self.claim is None:
            self.claim = Claim(now)
        self.claim.address, self.claim.last_us, self.claim.mono_us = host, now.wall_us, now.mono_us
        self.claim.datagrams += 1


class Bucket:
    """A budget of datagrams: so many a second, and a burst."""

    __slots__ = ("_left", "_since_us")

    def __init__(self, burst: int, mono_us: int) -> None:
        self._left = float(burst)
        self._since_us = mono_us

    def take(self, per_s: int, burst: int, mono_us: int) -> bool:
        """True when one more is within the budget."""
        left = self._left + (mono_us - self._since_us) * per_s / 1e6
        self._since_us = mono_us
        if left > burst:
            left = float(burst)
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True


class Sources:
    """Budgets of addresses that nobody vouches for: they have sent garbage, unknown EUIs, or somebody else's."""

    def __init__(self, per_s: int, burst: int, allowed: Networks) -> None:
        self._per_s, self._burst = per_s, burst
        self._allowed = allowed
        self._buckets: OrderedDict[str, Bucket | None] = OrderedDict()
        """None: not in an allowed network."""

    def admits(self, host: str, mono_us: int) -> bool:
        """True when a datagram of ``host`` may be looked at."""
        buckets = self._buckets
        try:
            bucket = buckets[host]
        except KeyError:
            bucket = Bucket(self._burst, mono_us) if is_within(host, self._allowed) else None
            buckets[host] = bucket
            if len(buckets) > SOURCES_LIMIT:
                buckets.popitem(last=False)
        else:
            buckets.move_to_end(host)
        return bucket is not None and (not self._per_s or bucket.take(self._per_s, self._burst, mono_us))

    def allows(self, host: str) -> bool:
        """True when the operator's list of networks for all gateways has this address."""
        return is_within(host, self._allowed)
