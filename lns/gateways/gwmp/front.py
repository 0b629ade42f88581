"""The Semtech UDP protocol as a server sees it, without a socket: datagrams in, frames and answers out.

PUSH_ACK promises that a frame is kept, so this front never sends it by itself: it hands the answer to the engine together
with the frames. PULL_ACK is only a sign of life and goes out at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from lns.clock import Now
from lns.gateways.forwarder import kind_by_stat
from lns.gateways.frames import RxFrame, TxFrame
from lns.gateways.gateway import Address, Gateway, GatewayRegistry, Pending
from lns.gateways.gwmp import codec
from lns.gateways.sources import Bucket, Sources, parse_networks
from lns.settings import UdpSettings
from lorawan.errors import FrameError

STALE_TX_US = 10_000_000
PATH_US = 900_000_000
"""Nothing is sent to an address that was silent for so long: it may be somebody else's by now."""
ACKR_LIMIT = 1000


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

    def __init__(
        self,
        host: Host,
        send: Callable[[bytes, Address], None],
        token: Callable[[], bytes],
        settings: UdpSettings | None = None,
    ) -> None:
        self._host = host
        self._send = send
        self._token = token
        settings = settings or UdpSettings()
        self._hold_us = settings.gateway_source_hold_s * 1_000_000
        self._per_s, self._burst = settings.datagrams_per_s, settings.datagrams_burst
        self._sources = Sources(self._per_s, self._burst, parse_networks(settings.allowed_sources))

    def receive(self, datagram: bytes, address: Address, now: Now) -> None:
        """Take one datagram. Never raises for what a gateway sent: garbage is counted and dropped."""
        counters = self._host.counters
        counters["datagrams"] += 1
        try:
            head = codec.header(datagram)
            gateway = self._host.registry.get(head.eui)
            if gateway is not None and gateway.source.host == address[0] and self._may_serve(gateway):
                gateway.source.alive_us = now.mono_us
                if not self._is_within_budget(gateway, now):
                    counters["over_budget"] += 1
                    return
            elif not self._sources.admits(address[0], now.mono_us):
                counters["over_budget" if self._sources.allows(address[0]) else "forbidden_source"] += 1
                return
            elif gateway is None:
                if head.identifier in (codec.PUSH_DATA, codec.PULL_DATA):
                    self._host.registry.stranger(head.eui, address, now)
                    counters["unknown_gateway"] += 1
                return
            elif not self._speaks_for(gateway, address, now):
                self._disputed(gateway, head, datagram, address, now)
                return
            self._take(gateway, head, datagram, address, now)
        except FrameError:
            counters["bad_datagrams"] += 1

    def _is_within_budget(self, gateway: Gateway, now: Now) -> bool:
        if not self._per_s:
            return True
        if gateway.budget is None:
            gateway.budget = Bucket(self._burst, now.mono_us)
        return gateway.budget.take(self._per_s, self._burst, now.mono_us)

    def _speaks_for(self, gateway: Gateway, address: Address, now: Now) -> bool:
        """May this address, which is not the one known, speak for the gateway from now on?"""
        if not self._may_serve(gateway):
            gateway.source.dispute(
                address[0], now
            )  # it is connected by another protocol, or has shown credentials there
            return False
        if not gateway.source.takes(address[0], self._hold_us, now):
            return False
        if gateway.pull_address is not None and gateway.pull_address[0] != address[0]:
            gateway.pull_address = None  # the path of the old address: only a PULL_DATA opens a new one
        return True

    def _disputed(self, gateway: Gateway, head: codec.Header, datagram: bytes, address: Address, now: Now) -> None:
        """Somebody else speaks in the gateway's name. A frame is a frame whoever brings it, for the MIC proves it: it is
        taken as from a gateway of which nothing is known, and changes nothing of the real one."""
        gateway.disputed += 1
        if not gateway.source.allows(address[0]):
            self._host.counters["forbidden_source"] += 1
            return
        self._host.counters["disputed_source"] += 1
        if head.identifier == codec.PUSH_DATA:
            nobody = Gateway(gateway.eui, ())
            for rxpk in codec.push_data(datagram).rxpk or ():
                rxpk.tmst = rxpk.tmms = rxpk.rssi = rxpk.lsnr = rxpk.rsig = rxpk.time = None
                self._rxpk(nobody, rxpk, now)
            self._host.after_commit(codec.ack(datagram, codec.PUSH_ACK), address)

    def _take(self, gateway: Gateway, head: codec.Header, datagram: bytes, address: Address, now: Now) -> None:
        if head.identifier == codec.PUSH_DATA:
            gateway.seen(now)
            self._push_data(gateway, datagram, address, now)
        elif head.identifier == codec.PULL_DATA:
            gateway.seen(now)
            gateway.pull_address, gateway.protocol_version = address, head.version
            gateway.front = self
            self._send(codec.ack(datagram, codec.PULL_ACK), address)
        elif head.identifier == codec.TX_ACK:
            gateway.seen(now)
            self._tx_ack(gateway, head.token, datagram, address, now)
        else:
            raise FrameError(f"identifier {head.identifier} is not one that a gateway sends", offset=3)

    def _may_serve(self, gateway: Gateway) -> bool:
        return gateway.front in (self, None) and not gateway.proven

    def _push_data(self, gateway: Gateway, datagram: bytes, address: Address, now: Now) -> None:
        push = codec.push_data(datagram)
        if push.stat is not None:
            _take_stat(gateway, push.stat)
        if push.rxpk is not None:
            for rxpk in push.rxpk:
                self._rxpk(gateway, rxpk, now)
        self._host.after_commit(codec.ack(datagram, codec.PUSH_ACK), address)

    def _rxpk(self, gateway: Gateway, rxpk: codec.Rxpk, now: Now) -> None:
        counters = self._host.counters
        counters["frames"] += 1
        gateway.uplinks += 1
        if rxpk.stat is not None and rxpk.stat not in (0, 1):
            # Zero is "no CRC": some forwarders write it for good frames, and the MIC decides anyway.
            counters["bad_crc"] += 1
            gateway.bad_crc += 1
            return
        if not 0 < len(rxpk.data) <= codec.MAX_PHY or not 0 < rxpk.freq < 6000 or not _is_tmst(rxpk.tmst):
            counters["bad_frames"] += 1
            return
        if not rxpk.rsig:
            self._heard(gateway, rxpk, rxpk.rssi, rxpk.lsnr, rxpk.ant, rxpk.chan, now)
            return
        for one in rxpk.rsig[: codec.MAX_ANTENNAS]:
            self._heard(
                gateway,
                rxpk,
                rxpk.rssi if one.rssic is None else one.rssic,
                rxpk.lsnr if one.lsnr is None else one.lsnr,
                rxpk.ant if one.ant is None else one.ant,
                rxpk.chan if one.chan is None else one.chan,
                now,
            )

    def _heard(
        self,
        gateway: Gateway,
        rxpk: codec.Rxpk,
        rssi_dbm: float | None,
        snr_db: float | None,
        antenna: int | None,
        channel: int | None,
        now: Now,
    ) -> None:
        """A frame as one antenna heard it."""
        self._host.uplink(
            RxFrame(
                gateway,
                rxpk.data,
                round(rxpk.freq * 1e6),
                rxpk.datr,
                rssi_dbm,
                snr_db,
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
                rxpk.ftime,
                None if rxpk.meta is None else _metadata(rxpk.meta),
            ),
            now,
        )

    def transmit(self, gateway: Gateway, frames: Sequence[TxFrame], transmission: Any, now: Now) -> bool:
        """Hand a frame to a gateway's transmit queue. False when there is no way to reach it yet, or no longer."""
        address = gateway.pull_address
        if address is None or now.mono_us - gateway.source.alive_us > PATH_US:
            return False
        token = self._token()
        while token in gateway.pending:
            token = self._token()
        power_dbm = gateway.power_dbm(frames[0].eirp_dbm)
        if gateway.gives_tx_ack:
            gateway.pending[token] = Pending(transmission, now.mono_us, address[0], power_dbm)
        self._send(codec.pull_resp(token, frames[0], power_dbm, gateway.protocol_version), address)
        return True

    def _tx_ack(self, gateway: Gateway, token: bytes, datagram: bytes, address: Address, now: Now) -> None:
        pending = gateway.pending.get(token)
        if pending is None or pending.host != address[0]:
            self._host.counters["stray_tx_ack"] += 1
            return
        del gateway.pending[token]
        gateway.measure_rtt(now.mono_us - pending.sent_us)
        try:
            error, warning, value = codec.tx_ack(datagram)
        except FrameError:
            error, warning, value = "UNREADABLE", "", None
        if error == "TX_POWER":
            gateway.refused_power_dbm = pending.power_dbm
        if warning and value is not None:
            warning = f"{warning} {value:g}"
        gateway.tx_outcomes[error or "NONE"] += 1
        self._host.tx_done(pending.transmission, error, warning, now)

    def forget_stale(self, gateway: Gateway, now: Now) -> None:
        """Drop transmissions whose TX_ACK can no longer come."""
        for token, pending in list(gateway.pending.items()):
            if now.mono_us - pending.sent_us > STALE_TX_US:
                del gateway.pending[token]


def _gps_us(tmms: int | None) -> int | None:
    """``tmms`` in microseconds; some forwarders write 0 when they have no GPS."""
    return tmms * 1000 if tmms is not None and 0 < tmms < 1 << 52 else None


def _is_tmst(tmst: int | None) -> bool:
    return tmst is None or 0 <= tmst < 1 << 32


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 200)


def _metadata(meta: dict[str, Any]) -> dict[str, str]:
    return {key[:64]: value[:200] for key, value in list(meta.items())[:16] if isinstance(value, str)}


def _take_stat(gateway: Gateway, stat: dict[str, Any]) -> None:
    """What a gateway tells of itself, as far as it is plain and short."""
    gateway.stat = stat = {key[:16]: value for key, value in list(stat.items())[:32] if _is_plain(value)}
    gateway.forwarder_seen = kind_by_stat(stat) or gateway.forwarder_seen
    latitude, longitude, altitude, ackr = (_number(stat.get(key)) for key in ("lati", "long", "alti", "ackr"))
    if latitude is not None and longitude is not None:
        gateway.told_position(latitude, longitude, altitude)
    if ackr is not None and 0 <= ackr <= 100 and len(gateway.ackr_percent) < ACKR_LIMIT:
        gateway.ackr_percent.append(ackr)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
