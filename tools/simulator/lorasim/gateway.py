"""A gateway: concentrator, packet forwarder and its two UDP sockets, without the sockets.

Feed it receptions and datagrams with the time, ask :meth:`Gateway.timer`, take :meth:`Gateway.next_effect`: datagrams
for the server (:class:`Datagram`), frames on the air (:class:`Downlink`) and notes for the recording.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lorasim import gwmp
from lorasim.class_b import PERIOD_US, START_US, beacon_payload, gps_of, utc_of
from lorasim.jit import COUNTER, FORWARDERS, JitQueue, Kind
from lorasim.radio import Datagram, Downlink, Note, Reception, airtime_us, parse_datr, same_channel
from lorawan.errors import FrameError

FETCH_INTERVAL_US = 10_000
"""The forwarder empties the concentrator's buffer this often; frames of one round share a datagram."""

BEACONS_QUEUED = 3
"""JIT_NUM_BEACON_IN_QUEUE."""
NO_TOKEN = -1
"""Of a beacon that nobody asked for."""

USUAL_HZ = 863_000_000, 870_000_000
"""Between which a forwarder comes ready to transmit."""
MAX_PACKETS = 8
"""At most so many in one (NB_PKT_MAX)."""


@dataclass(slots=True)
class GatewayConfig:
    """One gateway of a scenario."""

    eui: int
    name: str = ""
    channels_hz: Sequence[int] = ()
    """Uplink channels that its demodulators are set to."""
    forwarder: str = "1302"
    power_table_dbm: Sequence[int] = ()
    """What its concentrator is calibrated for; empty: what forwarders of its kind come with."""
    tx_min_hz: int = USUAL_HZ[0]
    tx_max_hz: int = USUAL_HZ[1]
    keepalive_s: float = 10.0
    stat_s: float = 30.0
    tmst_offset_us: int | None = None
    """Counter value at the start; None draws one. Close to 2**32 it wraps soon."""
    half_duplex: bool = True
    tx_ack: bool = True
    """False: a forwarder that never sends TX_ACK."""
    tx_ack_errors: dict[str, float] = field(default_factory=dict)
    """Share of PULL_RESPs that are refused with an error whatever they ask."""
    latitude: float | None = None
    longitude: float | None = None
    gps: bool = False
    """It has a GPS receiver: frames carry ``tmms``, and packets may be sent at one."""
    beacon_hz: int = 0
    """The forwarder makes beacons by itself, on this frequency; 0: it makes none."""
    beacon_datr: str = "SF9BW125"


@dataclass(slots=True)
class Stat:
    """Counters of the ``stat`` object since the last report."""

    rxnb: int = 0
    rxok: int = 0
    rxfw: int = 0
    pushed: int = 0
    acked: int = 0
    dwnb: int = 0
    txnb: int = 0


@dataclass(slots=True)
class Gateway:
    """See the module. ``refuse`` holds TX_ACK errors to give to the next PULL_RESPs whatever they ask."""

    config: GatewayConfig
    rng: random.Random
    refuse: deque[str] = field(default_factory=deque)
    gps_locked: bool = True
    """Of no effect without a receiver."""
    _beacon_gps_us: int = 0
    """The last beacon that was put into the queue."""
    _boot_us: int = 0
    _offset: int = 0
    _running: bool = False
    _jit: JitQueue = field(init=False)
    _heard: list[Reception] = field(default_factory=list)
    _fetch_us: int | None = None
    _keepalive_us: int = 0
    _stat_us: int = 0
    _stat: Stat = field(default_factory=Stat)
    _on_air: deque[Downlink] = field(default_factory=lambda: deque(maxlen=64))
    _sends_until_us: int = 0
    _channel_of: dict[int, int | None] = field(default_factory=dict)
    """Frequencies met so far."""
    _effects: deque[Datagram | Downlink | Note] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._jit = JitQueue(FORWARDERS[self.config.forwarder])

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """Power on: the counter starts, PULL_DATA leaves at once."""
        offset = self.config.tmst_offset_us
        self._boot_us = now
        self._offset = self.rng.randrange(COUNTER) if offset is None else offset
        self._running = True
        self._keepalive_us = now
        self._stat_us = now + round(self.config.stat_s * 1e6)
        self._stat = Stat()
        self.handle_timer(now)

    def stop(self) -> None:
        """Power off: what was heard or planned is gone."""
        self._running = False
        self._heard.clear()
        self._jit.clear()
        self._beacon_gps_us = 0
        self._fetch_us = None

    def restart(self, now: int) -> None:
        """Power off and on: the counter jumps, the queue is lost."""
        self.stop()
        self._effects.append(Note("gateway_restart"))
        self.start(now)

    def tmst(self, at_us: int) -> int:
        """The concentrator's counter at a time."""
        return (at_us - self._boot_us + self._offset) % COUNTER

    # ------------------------------------------------------------------------------------------------- air

    def hears(self, frequency_hz: int) -> bool:
        """Whether a demodulator is set to this channel."""
        return self._running and self._channel(frequency_hz) is not None

    def busy(self, start_us: int, end_us: int) -> bool:
        """Whether the gateway transmitted meanwhile and so was deaf."""
        if not self.config.half_duplex or start_us >= self._sends_until_us:
            return False
        return any(d.start_us < end_us and d.end_us > start_us for d in self._on_air)

    def hear(self, reception: Reception, now: int) -> None:
        """A frame has been received without error; it leaves with the forwarder's next round."""
        if not self._running:
            return
        self._heard.append(reception)
        if self._fetch_us is None:
            self._fetch_us = now + FETCH_INTERVAL_US - now % FETCH_INTERVAL_US

    # ------------------------------------------------------------------------------------------------- server

    def receive(self, datagram: bytes, now: int) -> None:
        """A datagram of the server has arrived."""
        if not self._running:
            return
        try:
            message = gwmp.parse(datagram)
        except FrameError as error:
            self._effects.append(Note("bad_datagram", {"data": datagram.hex(), "why": str(error)}))
            return
        if message.kind == gwmp.PULL_RESP:
            self._pull_resp(message, now)
        else:
            acked = message.kind == gwmp.PUSH_ACK
            self._stat.acked += acked
            self._effects.append(Note("push_ack" if acked else "pull_ack", {"token": message.token}))

    def _pull_resp(self, message: gwmp.FromServer, now: int) -> None:
        self._stat.dwnb += 1
        text = message.body.decode("utf-8", "replace")
        try:
            packet = gwmp.parse_txpk(message.body)
        except FrameError as error:
            # the real programs log and stay silent
            self._effects.append(Note("pull_resp", {"token": message.token, "txpk": text, "fault": str(error)}))
            return
        if parse_datr(packet.datr) is None:
            fault = f"datr {packet.datr!r} is not supported"
            self._effects.append(Note("pull_resp", {"token": message.token, "txpk": text, "fault": fault}))
            return
        self._effects.append(
            Note("pull_resp", {"token": message.token, "txpk": text, "phy": packet.data.hex(), "tmst": packet.tmst})
        )
        outcome = self._plan(message.token, packet, now)
        if self.config.tx_ack:
            self._effects.append(Note("tx_ack", {"token": message.token, "outcome": outcome or {"error": "NONE"}}))
            self._effects.append(Datagram(True, gwmp.tx_ack(message.token, self.config.eui, outcome)))

    def _plan(self, token: int, packet: gwmp.TxPacket, now: int) -> dict[str, Any] | None:
        """Put a packet into the queue; what TX_ACK says, None being success."""
        if self.refuse:
            return {"error": self.refuse.popleft()}
        if self.config.tx_ack_errors:
            drawn = self.rng.random()
            for error, share in self.config.tx_ack_errors.items():
                if drawn < share:
                    return {"error": error}
                drawn -= share
        if not self.config.tx_min_hz <= packet.frequency_hz <= self.config.tx_max_hz:
            return {"error": "TX_FREQ"}
        forwarder = FORWARDERS[self.config.forwarder]
        power, warn = packet.power_dbm, None
        table = self.config.power_table_dbm or forwarder.power_table_dbm
        if power not in table:
            lower = [p for p in table if p <= power] or [table[0]]
            if not forwarder.clamps_power:
                return {"error": "TX_POWER"}
            power = lower[-1]
            warn = {"warn": "TX_POWER", "value": lower[-1]}
        at_gps_time = packet.tmms is not None and packet.tmst is None and not packet.immediately
        if at_gps_time and not self.has_gps_time:
            return {"error": "GPS_UNLOCKED"}
        assert isinstance(packet.datr, str)
        airtime = airtime_us(
            len(packet.data),
            packet.datr,
            crc=not packet.no_crc,
            implicit=packet.no_header,
            preamble=packet.preamble,
        )
        here = self.tmst(now)
        tmst, kind = packet.tmst, Kind.A
        if packet.immediately:
            tmst, kind = self._jit.first_gap(here, airtime), Kind.C
        elif at_gps_time and packet.tmms is not None:
            tmst, kind = self.tmst(utc_of(packet.tmms * 1000)), Kind.B
        assert tmst is not None
        downlink = Downlink(
            gateway_eui=self.config.eui,
            token=token,
            phy=packet.data,
            frequency_hz=packet.frequency_hz,
            datr=packet.datr,
            inverted=packet.inverted,
            power_dbm=power,
            start_us=now + (tmst - here) % COUNTER,
            airtime_us=airtime,
            implicit=packet.no_header,
        )
        error = self._jit.enqueue(tmst, downlink, here, kind)
        return warn if error == "NONE" else {"error": error}

    # ------------------------------------------------------------------------------------------------- GPS

    @property
    def has_gps_time(self) -> bool:
        """Whether its receiver tells the time."""
        return self.config.gps and self.gps_locked

    def _beacon(self, now: int) -> None:
        """Put the next beacons into the queue, as the forwarder's own thread does."""
        config, gps_us = self.config, gps_of(now)
        if not config.beacon_hz or not self.has_gps_time:
            return
        next_us = max(gps_us - gps_us % PERIOD_US, self._beacon_gps_us) + PERIOD_US
        while next_us <= gps_us + BEACONS_QUEUED * PERIOD_US:
            self._beacon_gps_us = next_us
            start_us = utc_of(next_us) + START_US
            phy = beacon_payload(next_us // 1_000_000, int(config.beacon_datr[2:].split("BW")[0]))
            downlink = Downlink(
                gateway_eui=config.eui,
                token=NO_TOKEN,
                phy=phy,
                frequency_hz=config.beacon_hz,
                datr=config.beacon_datr,
                inverted=False,
                power_dbm=14,
                start_us=start_us,
                airtime_us=airtime_us(len(phy), config.beacon_datr, crc=False, implicit=True, preamble=10),
                implicit=True,
            )
            error = self._jit.enqueue(self.tmst(start_us), downlink, self.tmst(now), Kind.BEACON)
            if error != "NONE":
                self._effects.append(Note("beacon_refused", {"why": error}))
            next_us += PERIOD_US

    # ------------------------------------------------------------------------------------------------- timers

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is due."""
        if not self._running:
            return None
        due = min(self._keepalive_us, self._stat_us)
        if self._fetch_us is not None and self._fetch_us < due:
            due = self._fetch_us
        send_us = self._jit.timer()
        return due if send_us is None or send_us > due else send_us

    def handle_timer(self, now: int) -> None:
        for downlink in self._jit.take_due(now):
            self._stat.txnb += 1
            self._on_air.append(downlink)
            self._sends_until_us = max(self._sends_until_us, downlink.end_us)
            self._effects.append(downlink)
        if self._fetch_us is not None and now >= self._fetch_us:
            self._fetch_us = None
            self._forward(now)
        if now >= self._keepalive_us:
            self._keepalive_us = now + round(self.config.keepalive_s * 1e6)
            self._beacon(now)
            token = self.rng.randrange(1 << 16)
            self._effects.append(Note("pull_data", {"token": token}))
            self._effects.append(Datagram(True, gwmp.pull_data(token, self.config.eui)))
        if now >= self._stat_us:
            self._stat_us = now + round(self.config.stat_s * 1e6)
            self._report(now)

    def _forward(self, now: int) -> None:
        heard, self._heard = self._heard[:MAX_PACKETS], self._heard[MAX_PACKETS:]
        if self._heard:
            self._fetch_us = now + FETCH_INTERVAL_US
        self._stat.rxnb += len(heard)
        self._stat.rxok += len(heard)
        self._stat.rxfw += len(heard)
        packets = [
            gwmp.rxpk(
                self.tmst(r.end_us),
                r.frequency_hz,
                r.datr,
                r.rssi_dbm,
                r.snr_db,
                r.phy,
                self._channel(r.frequency_hz) or 0,
                **({"tmms": gps_of(r.end_us) // 1000} if self.has_gps_time else {}),
            )
            for r in heard
        ]
        self._push({"rxpk": packets}, {"phys": [r.phy.hex() for r in heard]})

    def _channel(self, frequency_hz: int) -> int | None:
        """The demodulator channel that a frequency falls into."""
        found = self._channel_of.get(frequency_hz, -1)
        if found == -1:
            channels = self.config.channels_hz
            found = next((i for i, channel in enumerate(channels) if same_channel(channel, frequency_hz)), None)
            self._channel_of[frequency_hz] = found
        return found

    def _report(self, now: int) -> None:
        stat = self._stat
        report: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%d %H:%M:%S GMT", time.gmtime(now / 1e6)),
            "rxnb": stat.rxnb,
            "rxok": stat.rxok,
            "rxfw": stat.rxfw,
            "ackr": round(100 * stat.acked / stat.pushed, 1) if stat.pushed else 0.0,
            "dwnb": stat.dwnb,
            "txnb": stat.txnb,
        }
        if self.config.latitude is not None and self.config.longitude is not None:
            report |= {"lati": self.config.latitude, "long": self.config.longitude, "alti": 0}
        self._stat = Stat()
        self._push({"stat": report}, {"phys": []})

    def _push(self, body: dict[str, Any], noted: dict[str, Any]) -> None:
        token = self.rng.randrange(1 << 16)
        self._stat.pushed += 1
        self._effects.append(Note("push_data", {"token": token, **noted}))
        self._effects.append(Datagram(False, gwmp.push_data(token, self.config.eui, body)))

    def next_effect(self) -> Datagram | Downlink | Note | None:
        return self._effects.popleft() if self._effects else None
