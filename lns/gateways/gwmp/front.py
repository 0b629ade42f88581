"""The Semtech UDP protocol as a server sees it, without a socket: datagrams in, frames and answers out.

PUSH_ACK promises that a frame is kept, so this front never sends it by itself: it hands the answer to the engine together
with the frames. PULL_ACK is only a sign of life and goes out at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from lns.clock import Now
from lns.gateways.frames import RxFrame, TxFrame
from lns.gateways.gateway import Address, Gateway, GatewayRegistry
from lns.gateways.gwmp import codec
from lorawan.errors import FrameError

STALE_TX_US = 10_000_000


class Host(Protocol):
    """What the front needs of the server around it."""

    registry: GatewayRegistry
    counters: dict[str, int]

    def uplink(self, rx: RxFrame, now: Now) -> None:
        """A gateway heard a frame."""

    def after_commit(self, datagram: bytes, address: Address) -> None:
        """Send this answer when everything taken so far is durable."""

    def tx_done(self, transmission: Any, error: str, warning: str, now: Now) -> None:
        """A gateway accepted (empty ``error``) or refused a transmission."""


class GwmpFront:
    """State of the protocol over all gateways. ``send(datagram, address)`` puts a datagram on the wire at once."""

    protocol: ClassVar[str] = "udp"
    alternatives: ClassVar[int] = 1
    """RX1 and RX2 handed over together would both be sent (seen with both generations of forwarders)."""
    answers_after_sending: ClassVar[bool] = False
    sends_beacons: ClassVar[bool] = True

    def __init__(self, host: Host, send: Callable[[bytes, Address], None], token: Callable[[], bytes]) -> None:
        self._host = host
        self._send = send
        self._token = token

    def receive(self, datagram: bytes, address: Address, now: Now) -> None:
        """Take one datagram. Never raises for what a gateway sent: garbage is counted and dropped."""
        host = self._host
        host.counters["datagrams"] += 1
        try:
            _, token, identifier, eui = codec.header(datagram)
            gateway = host.registry.get(eui)
            if gateway is None:
                if identifier in (codec.PUSH_DATA, codec.PULL_DATA):
                    host.registry.stranger(eui, address, now)
                    host.counters["unknown_gateway"] += 1
                return
            if identifier == codec.PUSH_DATA:
                gateway.seen(now)
                self._push_data(gateway, datagram, address, now)
            elif identifier == codec.PULL_DATA:
                gateway.seen(now)
                gateway.pull_address = address
                gateway.front = self
                self._send(codec.ack(datagram, codec.PULL_ACK), address)
            elif identifier == codec.TX_ACK:
                gateway.seen(now)
                self._tx_ack(gateway, token, datagram, now)
            else:
                raise FrameError(f"identifier {identifier} is not one that a gateway sends", offset=3)
        except FrameError:
            host.counters["bad_datagrams"] += 1

    def _push_data(self, gateway: Gateway, datagram: bytes, address: Address, now: Now) -> None:
        push = codec.push_data(datagram)
        host = self._host
        if push.rxpk is not None:
            for rxpk in push.rxpk:
                self._rxpk(gateway, rxpk, now)
        if push.stat is not None:
            gateway.stat = {key[:16]: value for key, value in list(push.stat.items())[:32] if _is_plain(value)}
            _take_location(gateway)
        host.after_commit(codec.ack(datagram, codec.PUSH_ACK), address)

    def _rxpk(self, gateway: Gateway, rxpk: codec.Rxpk, now: Now) -> None:
        counters = self._host.counters
        counters["frames"] += 1
        gateway.uplinks += 1
        if rxpk.stat is not None and rxpk.stat not in (0, 1):
            # Zero is "no CRC": some forwarders write it for good frames, and the MIC decides anyway.
            counters["bad_crc"] += 1
            return
        phy = rxpk.data
        if not 0 < len(phy) <= codec.MAX_PHY or not 0 < rxpk.freq < 6000 or not _is_tmst(rxpk.tmst):
            counters["bad_frames"] += 1
            return
        rssi, snr, antenna, channel = rxpk.rssi, rxpk.lsnr, rxpk.ant, rxpk.chan
        if rxpk.rsig:
            best = max(rxpk.rsig, key=_signal)
            rssi = best.rssic if best.rssic is not None else rssi
            snr = best.lsnr if best.lsnr is not None else snr
            antenna = best.ant if best.ant is not None else antenna
            channel = best.chan if best.chan is not None else channel
        self._host.uplink(
            RxFrame(
                gateway,
                phy,
                round(rxpk.freq * 1e6),
                rxpk.datr,
                rssi,
                snr,
                rxpk.tmst,
                now.mono_us,
                now.wall_us,
                channel,
                rxpk.rfch,
                antenna,
                rxpk.brd,
                None if rxpk.time is None else codec.gateway_time_us(rxpk.time),
                rxpk.codr or "",
                None,
                _gps_us(rxpk.tmms),
            ),
            now,
        )

    def transmit(self, gateway: Gateway, frames: Sequence[TxFrame], transmission: Any, now: Now) -> bool:
        """Hand a frame to a gateway's transmit queue. False when there is no way to reach it yet."""
        if gateway.pull_address is None:
            return False
        token = self._token()
        while token in gateway.pending:
            token = self._token()
        gateway.pending[token] = (transmission, now.mono_us)
        self._send(codec.pull_resp(token, frames[0]), gateway.pull_address)
        return True

    def _tx_ack(self, gateway: Gateway, token: bytes, datagram: bytes, now: Now) -> None:
        pending = gateway.pending.pop(token, None)
        if pending is None:
            self._host.counters["stray_tx_ack"] += 1
            return
        transmission, sent_us = pending
        gateway.measure_rtt(now.mono_us - sent_us)
        try:
            error, warning, _ = codec.tx_ack(datagram)
        except FrameError:
            error, warning = "UNREADABLE", ""
        gateway.tx_outcomes[error or "NONE"] += 1
        self._host.tx_done(transmission, error, warning, now)

    def forget_stale(self, gateway: Gateway, now: Now) -> None:
        """Drop transmissions whose TX_ACK can no longer come."""
        for token, (_, sent_us) in list(gateway.pending.items()):
            if now.mono_us - sent_us > STALE_TX_US:
                del gateway.pending[token]


def _gps_us(tmms: int | None) -> int | None:
    """``tmms`` in microseconds; some forwarders write 0 when they have no GPS."""
    return tmms * 1000 if tmms is not None and 0 < tmms < 1 << 52 else None


def _is_tmst(tmst: int | None) -> bool:
    return tmst is None or 0 <= tmst < 1 << 32


def _signal(rsig: codec.Rsig) -> tuple[float, float]:
    return (
        rsig.lsnr if rsig.lsnr is not None else -99.0,
        rsig.rssic if rsig.rssic is not None else -999.0,
    )


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 200)


def _take_location(gateway: Gateway) -> None:
    """A GPS position in ``stat`` fills an empty one; what the operator wrote stays."""
    latitude, longitude, altitude = (gateway.stat.get(key) for key in ("lati", "long", "alti"))
    if (
        gateway.latitude is None
        and isinstance(latitude, (int, float))
        and isinstance(longitude, (int, float))
        and -90 <= latitude <= 90
        and -180 <= longitude <= 180
        and (latitude, longitude) != (0, 0)
    ):
        gateway.latitude, gateway.longitude = float(latitude), float(longitude)
        gateway.altitude_m = float(altitude) if isinstance(altitude, (int, float)) else None
