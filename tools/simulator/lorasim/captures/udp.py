"""UDP datagrams out of a pcap or pcapng file: over IPv4 and IPv6, put together from fragments, cut short or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasim.captures import CaptureError

if TYPE_CHECKING:
    from scapy.packet import Packet

INSTALL = "reading captures needs scapy, which is not installed: pip install 'meterwan[pcap]' (its licence is GPL-2.0)"
UDP = 17
FRAGMENTS_US = 60_000_000
"""Pieces of a datagram come within this time (RFC 8200 §4.5: 60 s)."""
MOST_OPEN = 1024


@dataclass(slots=True, frozen=True)
class Captured:
    """A UDP datagram of a capture."""

    t: int
    """Microseconds since 1970, of its last piece."""
    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes
    whole: bool = True
    """False: the capture has only its beginning."""


@dataclass(slots=True)
class _Pieces:
    """The fragments of one datagram."""

    t: int
    parts: dict[int, bytes] = field(default_factory=dict)
    length: int | None = None
    whole: bool = True

    def joined(self) -> bytes | None:
        """All bytes, when none is missing."""
        if self.length is None:
            return None
        data = bytearray()
        for offset in sorted(self.parts):
            if offset > len(data):
                return None
            data[offset:] = self.parts[offset]
        return bytes(data) if len(data) >= self.length or not self.whole else None


def read(path: str | Path) -> Iterator[Captured]:
    """The UDP datagrams of a capture, in its order. A file that ends in the middle of a packet ends there.

    Raises :class:`CaptureError` when it is no capture or scapy is not installed, OSError when it cannot be opened.
    """
    try:
        from scapy.error import Scapy_Exception
        from scapy.layers import inet, inet6, l2  # noqa: F401 (they teach scapy the protocols)
        from scapy.utils import PcapReader
    except ImportError as error:
        raise CaptureError(INSTALL) from error
    Path(path).open("rb").close()  # an error that says what is wrong with the file, not with a capture
    try:
        reader: Any = PcapReader(str(path))
    except (Scapy_Exception, EOFError, ValueError) as error:
        raise CaptureError(f"{path}: neither pcap nor pcapng ({error})") from error
    return _datagrams(reader, Scapy_Exception)


def _datagrams(reader: Any, broken: type[Exception]) -> Iterator[Captured]:
    fragments: dict[tuple[str, str, int, int], _Pieces] = {}
    with reader:
        while True:
            try:
                packet = reader.read_packet()
            except (EOFError, broken):
                return
            except Exception as error:  # scapy's parsers raise whatever they like on broken headers
                raise CaptureError(f"the capture cannot be read on: {type(error).__name__} {error}") from error
            t = round(float(packet.time) * 1e6)
            found = _ip(packet)
            if found is not None:
                yield from _of(*found, t, fragments)


def _ip(packet: Packet) -> tuple[str, str, bytes, bool, tuple[int, int, bool] | None] | None:
    """Addresses, what IP carries, whether it is whole, and (identification, offset, more to come) of a fragment."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment

    if (ip := packet.getlayer(IP)) is not None and ip.proto == UDP:
        raw = bytes(ip.original) if ip.original else bytes(ip)
        header = (raw[0] & 0x0F) * 4
        body = raw[header : ip.len] if ip.len else raw[header:]
        fragment = (int(ip.id), int(ip.frag) * 8, bool(ip.flags.MF))
        whole = not ip.len or len(body) == ip.len - header
        return ip.src, ip.dst, body, whole, fragment if fragment[1] or fragment[2] else None
    if (ip := packet.getlayer(IPv6)) is not None:
        raw = bytes(ip.original) if ip.original else bytes(ip)
        rest, whole = raw[40 : 40 + ip.plen], len(raw) >= 40 + ip.plen
        piece = packet.getlayer(IPv6ExtHdrFragment)
        if piece is not None and piece.nh == UDP and ip.nh == 44:
            return ip.src, ip.dst, rest[8:], whole, (int(piece.id), int(piece.offset) * 8, bool(piece.m))
        if ip.nh == UDP:
            return ip.src, ip.dst, rest, whole, None
    return None


def _of(
    source: str,
    target: str,
    body: bytes,
    whole: bool,
    fragment: tuple[int, int, bool] | None,
    t: int,
    fragments: dict[tuple[str, str, int, int], _Pieces],
) -> Iterator[Captured]:
    if fragment is not None:
        identification, offset, more = fragment
        key = (source, target, identification, 4 if ":" not in source else 6)
        pieces = fragments.get(key)
        if pieces is None or t - pieces.t > FRAGMENTS_US:
            while len(fragments) >= MOST_OPEN:
                del fragments[next(iter(fragments))]
            pieces = fragments[key] = _Pieces(t)
        pieces.parts[offset] = body
        pieces.whole = pieces.whole and whole
        if not more:
            pieces.length = offset + len(body)
        joined = pieces.joined()
        if joined is None:
            return
        del fragments[key]
        body, whole = joined, pieces.whole
    if len(body) < 8:
        return
    ports = int.from_bytes(body[0:2], "big"), int.from_bytes(body[2:4], "big")
    length = int.from_bytes(body[4:6], "big")
    yield Captured(t, (source, ports[0]), (target, ports[1]), body[8:length], whole and len(body) >= length >= 8)
