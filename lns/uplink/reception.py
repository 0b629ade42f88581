"""A reception as it is kept beside its frame until the frame has been handed over; those of a join-request stay."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from internalapi.messages import Reception
from lns import events
from lns.gateways.clock import WRAP_US
from lns.gateways.frames import RxFrame
from lns.gateways.gateway import Gateway, GatewayRegistry
from lns.state import pack, unpack


def to_detail(rx: RxFrame) -> bytes:
    """The first reception of a frame, for a start after a crash."""
    return pack(
        (rx.gateway.eui, rx.rssi_dbm, rx.snr_db, rx.tmst, rx.channel, rx.rf_chain, rx.antenna, rx.gateway_time_us)
    )


REQUESTS = frozenset(["join_request", "rejoin_request"])
"""Kinds of frames that become no event: who heard them stands in their own row."""
_decode = msgspec.msgpack.Decoder(tuple[Reception, ...]).decode


def to_receptions(copies: list[RxFrame]) -> bytes:
    """All receptions of a join-request, the best first, for its row."""
    return pack(events.receptions(events.best_copies(copies)))


def from_receptions(kind: str, detail: bytes) -> Sequence[Reception]:
    """Who heard a frame of one of these kinds; empty for others, and where the row tells one reception only."""
    if kind not in REQUESTS or not detail:
        return ()
    try:
        return _decode(detail)
    except msgspec.MsgspecError:
        return ()


def heard_of(kind: str, detail: bytes, time_us: int) -> Sequence[Reception]:
    """Who heard a frame that became no event, as far as its row tells: all of a join-request, one of what was refused."""
    found = from_receptions(kind, detail)
    if found or not detail or kind not in (*REQUESTS, "rejected"):
        return found
    eui, *rest = unpack(detail)
    return (Reception(f"{eui:016x}", time_us, *rest),)


def from_detail(
    detail: bytes, phy: bytes, frequency_hz: int, datr: str | int, wall_us: int, gateways: GatewayRegistry
) -> RxFrame:
    """The reception again. A gateway that was removed meanwhile is named by its EUI only."""
    eui, rssi_dbm, snr_db, tmst, channel, rf_chain, antenna, gateway_time_us = unpack(detail)
    rx = RxFrame(
        gateways.get(eui) or Gateway(eui, ()),
        phy,
        frequency_hz,
        datr,
        rssi_dbm,
        snr_db,
        None,
        0,
        wall_us,
        channel,
        rf_chain,
        antenna,
        None,
        gateway_time_us,
    )
    rx.tmst = tmst  # told, but not taken as a measurement of the gateway's clock now
    return rx


def time_of(rx: RxFrame) -> int:
    """When a gateway heard a frame, by its own counter if it tells one; microseconds modulo 2**32."""
    return rx.tmst if rx.tmst is not None else rx.mono_us % WRAP_US
