"""A gateway with LoRa Basics Station: the LNS protocol over a WebSocket, without the WebSocket.

It has the same face towards the air as :class:`lorasim.gateway.Gateway`. Towards the server it asks for connections
(:class:`Dial`) and gives messages (:class:`Text`); tell it what becomes of them with :meth:`Station.connected`,
:meth:`Station.receive` and :meth:`Station.disconnected`. Behaviour: lorabasics/basicstation 2.0.6.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from lorasim.class_b import PERIOD_US, START_US, beacon_payload, gps_of, utc_of
from lorasim.gateway import NO_TOKEN
from lorasim.radio import Downlink, Note, Reception, airtime_us, same_channel
from lorasim.station_frames import eui_text, fields_of
from lorasim.station_radio import Job, StationRadio
from lorawan.errors import FrameError

XTIME_UNIT_SHIFT, XTIME_SESSION_SHIFT = 56, 48
TIME_MASK = (1 << XTIME_SESSION_SHIFT) - 1
TIMESYNC_EVERY_US = 300_000_000
TIMESYNC_FIRST_US = 200_000
"""Until the GPS time is known it asks this often."""
BACK_OFF_MOST = 12
"""The pause before a new connection grows to so many times the first one."""


@dataclass(slots=True)
class StationConfig:
    """One Basics Station of a scenario."""

    eui: int
    name: str = ""
    url: str = ""
    """``ws://host:port`` or ``wss://host:port`` of the server's discovery."""
    features: str = "rmtsh gps"
    reconnect_s: float = 10.0
    """Pause after the first failed connection; it doubles up to twelve times this."""
    half_duplex: bool = True
    duty_cycle: bool = True
    """The station's own duty cycle where its region has one; ``nodc`` of a server turns it off in development builds only."""
    dev_build: bool = False
    """A development build: it obeys ``nodc``."""
    gps: bool = False
    """It has a pulse per second: with the server's timesync it knows GPS time, and it may send beacons."""
    reports: bool = True
    """False: it never sends ``dntxed``."""
    clock_offset_us: int = 1_000_000
    """The concentrator's counter at the start."""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(slots=True, frozen=True)
class Dial:
    """Connect to this address; an empty one hangs up."""

    uri: str


@dataclass(slots=True, frozen=True)
class Text:
    """A message for the server on the open connection."""

    data: bytes


class Link(Enum):
    """How far the connection is."""

    OFF = auto()
    WAITING = auto()
    """For the next try."""
    DISCOVERING = auto()
    """``/router-info`` is being asked."""
    CONNECTING = auto()
    CONFIGURING = auto()
    """``version`` was told, ``router_config`` is awaited."""
    RUNNING = auto()


@dataclass(slots=True)
class Station:
    """See the module."""

    config: StationConfig
    rng: random.Random
    gps_locked: bool = True
    link: Link = Link.OFF
    radio: StationRadio | None = None
    session: int = 0
    """Of the concentrator: drawn at every start, bits 48 to 55 of xtime."""
    _boot_us: int = 0
    _gps_offset_us: int | None = None
    _mux: tuple[float, int] | None = None
    """MuxTime and when it came."""
    _dial_at_us: int | None = None
    _failures: int = 0
    _sync_at_us: int | None = None
    _sync_sent_us: dict[int, int] = field(default_factory=dict)
    _beacon_gps_us: int = 0
    _on_air: deque[Downlink] = field(default_factory=lambda: deque(maxlen=64))
    _ending: list[Job] = field(default_factory=list)
    """On the air now; reported when they are over."""
    _effects: deque[Dial | Text | Downlink | Note] = field(default_factory=deque)

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """The program starts: another concentrator session, the clock anew, and a connection is looked for."""
        self.session = self.rng.randrange(1, 128)
        self._boot_us = now - self.config.clock_offset_us
        self._discover()

    def stop(self) -> None:
        """Power off: what was planned is gone."""
        if self.link is not Link.OFF:
            self._effects.append(Dial(""))
        self.link, self.radio = Link.OFF, None
        self._dial_at_us = self._sync_at_us = self._gps_offset_us = self._mux = None
        self._ending.clear()
        self._beacon_gps_us = 0

    def restart(self, now: int) -> None:
        self.stop()
        self._effects.append(Note("gateway_restart"))
        self.start(now)

    def us(self, at_us: int) -> int:
        """The concentrator's counter at a time."""
        return at_us - self._boot_us

    def _utc(self, station_us: int) -> int:
        return station_us + self._boot_us

    def xtime(self, at_us: int) -> int:
        return self.session << XTIME_SESSION_SHIFT | (self.us(at_us) & TIME_MASK)

    # ------------------------------------------------------------------------------------------------- connection

    def _discover(self) -> None:
        self.link, self._dial_at_us = Link.DISCOVERING, None
        self._effects.append(Dial(f"{self.config.url}/router-info"))

    def connected(self, now: int) -> None:
        """The connection that was dialled stands."""
        if self.link is Link.DISCOVERING:
            self._say({"router": eui_text(self.config.eui)})
        elif self.link is Link.CONNECTING:
            self.link = Link.CONFIGURING
            self._say(
                {
                    "msgtype": "version",
                    "station": "2.0.6(linux/std)",
                    "firmware": None,
                    "package": None,
                    "model": "linux",
                    "protocol": 2,
                    "features": self.config.features,
                }
            )

    def disconnected(self, why: str, now: int) -> None:
        """The connection ended or did not come about: try again after a pause that grows."""
        if self.link in (Link.OFF, Link.WAITING):
            return
        pause_us = round(self.config.reconnect_s * 1e6) * min(1 << self._failures, BACK_OFF_MOST)
        self._failures += 1
        self.link, self._dial_at_us, self._sync_at_us = Link.WAITING, now + pause_us, None
        self._effects.append(Note("station_disconnected", {"why": why, "retry_in_s": pause_us / 1e6}))

    def receive(self, data: bytes, now: int) -> None:
        """A message of the server has arrived."""
        try:
            message = json.loads(data)
            if not isinstance(message, dict):
                raise ValueError("no object")
        except ValueError as error:
            self._effects.append(Note("bad_message", {"data": data.decode("utf-8", "replace"), "why": str(error)}))
            return
        if self.link is Link.DISCOVERING:
            self._discovered(message, now)
            return
        if "MuxTime" in message:
            self._mux = float(message["MuxTime"]), now
        handler = _MESSAGES.get(str(message.get("msgtype")))
        if handler is None or (self.radio is None and message.get("msgtype") != "router_config"):
            self._effects.append(Note("message_ignored", {"msgtype": message.get("msgtype")}))
            return
        handler(self, message, now)

    def _discovered(self, message: dict[str, Any], now: int) -> None:
        uri = message.get("uri")
        self._effects.append(Dial(""))
        if message.get("error") or not uri:
            self.disconnected(f"discovery: {message.get('error') or 'no uri'}", now)
            return
        self.link = Link.CONNECTING
        self._effects.append(Dial(str(uri)))

    def _router_config(self, message: dict[str, Any], now: int) -> None:
        try:
            duty_cycle = self.config.duty_cycle and not (self.config.dev_build and message.get("nodc"))
            radio = StationRadio(message, duty_cycle)
        except FrameError as error:
            self._effects.append(Note("bad_message", {"why": str(error)}))
            self._effects.append(Dial(""))
            self.disconnected(str(error), now)
            return
        if self.radio is not None:  # a new configuration stops the radio for a moment, what was sent was sent
            radio.sent = self.radio.sent
        self.radio, self.link, self._failures = radio, Link.RUNNING, 0
        self._effects.append(
            Note("router_config", {"region": message["region"], "channels_hz": list(radio.channels_hz)})
        )
        self._sync_at_us = now + TIMESYNC_FIRST_US if self.has_gps_time else None

    def _dnmsg(self, message: dict[str, Any], now: int) -> None:
        assert self.radio is not None
        why = self.radio.take(message, self.us(now), self.session, self._gps_offset_us)
        fields = {"token": message.get("diid"), "phy": message.get("pdu"), "message": message}
        self._effects.append(Note("dnmsg", {**fields, "dropped": why} if why else fields))
        self._note_dropped()

    def _dnsched(self, message: dict[str, Any], now: int) -> None:
        assert self.radio is not None
        schedule = message.get("schedule")
        for entry in schedule if isinstance(schedule, list) else []:
            why = self.radio.schedule(entry, self.us(now), self.session, self._gps_offset_us)
            fields = {"token": entry.get("diid"), "phy": entry.get("pdu"), "message": entry}
            self._effects.append(Note("dnmsg", {**fields, "dropped": why} if why else fields))
        self._note_dropped()

    def _note_dropped(self) -> None:
        assert self.radio is not None
        dropped, self.radio.dropped = self.radio.dropped, []
        for diid, why in dropped:
            self._effects.append(Note("dnmsg_displaced", {"token": diid, "why": why}))

    def _timesync(self, message: dict[str, Any], now: int) -> None:
        """The answer tells GPS time; with the pulse per second only its whole second is wanted."""
        asked = self._sync_sent_us.pop(int(message.get("txtime", -1)), None)
        if asked is None or "gpstime" not in message or not self.has_gps_time:
            return
        told_us = int(message["gpstime"]) + (now - asked) // 2
        pulse_us = gps_of(now) % 1_000_000
        whole = round((told_us - pulse_us) / 1_000_000)
        self._gps_offset_us = whole * 1_000_000 + pulse_us - self.us(now)
        self._sync_at_us = now + TIMESYNC_EVERY_US
        self._beacon_gps_us = self._beacon_gps_us or gps_of(now) - gps_of(now) % PERIOD_US + PERIOD_US
        self._effects.append(Note("gps_time", {"error_us": self._gps_offset_us + self.us(now) - gps_of(now)}))

    def _remote(self, message: dict[str, Any], now: int) -> None:
        """``runcmd`` and ``rmtsh``: nobody may run programs on a simulated gateway."""
        self._effects.append(Note("message_ignored", {"msgtype": message["msgtype"]}))

    # ------------------------------------------------------------------------------------------------- air

    def hears(self, frequency_hz: int) -> bool:
        """Whether a demodulator is set to this channel; without a configuration none is."""
        radio = self.radio
        return radio is not None and any(same_channel(frequency_hz, one) for one in radio.channels_hz)

    def busy(self, start_us: int, end_us: int) -> bool:
        """Whether it transmitted meanwhile and so was deaf."""
        return self.config.half_duplex and any(d.start_us < end_us and d.end_us > start_us for d in self._on_air)

    def hear(self, reception: Reception, now: int) -> None:
        """A frame has been received. What comes while there is no connection is lost: a station keeps nothing."""
        dr = self.radio.dr_of(reception.datr) if self.radio is not None else None
        fields = fields_of(reception.phy)
        if self.link is not Link.RUNNING or dr is None or fields is None:
            self._effects.append(Note("not_forwarded", {"phy": reception.phy.hex(), "link": self.link.name}))
            return
        station_us = self.us(reception.end_us)
        gps_us = 0 if self._gps_offset_us is None else station_us + self._gps_offset_us
        upinfo = {
            "rctx": 0,
            "xtime": self.xtime(reception.end_us),
            "gpstime": gps_us,
            "fts": -1,
            "rssi": round(reception.rssi_dbm),
            "snr": round(reception.snr_db * 4) / 4,
            "rxtime": now / 1e6,
        }
        self._effects.append(Note("push_data", {"token": upinfo["xtime"], "phys": [reception.phy.hex()]}))
        self._say(
            {**fields, "RefTime": self._ref_time(now), "DR": dr, "Freq": reception.frequency_hz, "upinfo": upinfo}
        )

    def _ref_time(self, now: int) -> float:
        return 0.0 if self._mux is None else self._mux[0] + (now - self._mux[1]) / 1e6

    def _say(self, message: dict[str, Any]) -> None:
        self._effects.append(Text(json.dumps(message, separators=(",", ":")).encode()))

    # ------------------------------------------------------------------------------------------------- GPS

    @property
    def has_gps_time(self) -> bool:
        """Whether its receiver gives it a pulse."""
        return self.config.gps and self.gps_locked

    def _next_beacon_us(self) -> int | None:
        if self.radio is None or not self.radio.config.get("bcning") or self._gps_offset_us is None:
            return None
        return utc_of(self._beacon_gps_us) + START_US if self._beacon_gps_us else None

    def _beacon(self, now: int) -> None:
        """Send the beacon that is due and think of the next one, as ``bcning`` of router_config says."""
        assert self.radio is not None
        bcning = self.radio.config["bcning"]
        gps_us, frequencies = self._beacon_gps_us, bcning["freqs"]
        datr = self.radio.rates[bcning["DR"]]
        if datr is not None and gps_of(now) - gps_us < PERIOD_US // 2:
            phy = beacon_payload(gps_us // 1_000_000, int(datr[2:].split("BW")[0]))
            hz = frequencies[gps_us // PERIOD_US % len(frequencies)]
            length_us = airtime_us(len(phy), datr, crc=False, implicit=True, preamble=10)
            self._radiate(NO_TOKEN, phy, hz, datr, utc_of(gps_us) + START_US, length_us, beacon=True)
        self._beacon_gps_us = gps_us + PERIOD_US

    # ------------------------------------------------------------------------------------------------- timers

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is due."""
        job_us = self.radio.timer() if self.radio is not None else None
        times = [
            self._dial_at_us,
            self._sync_at_us,
            self._next_beacon_us(),
            None if job_us is None else self._utc(job_us),
            *(self._utc(job.end_us) for job in self._ending),
        ]
        return min((t for t in times if t is not None), default=None)

    def handle_timer(self, now: int) -> None:
        if self._dial_at_us is not None and now >= self._dial_at_us:
            self._discover()
        for job in [one for one in self._ending if now >= self._utc(one.end_us)]:
            self._ending.remove(job)
            self._sent(job, now)
        if self.radio is not None:
            for job in self.radio.take_due(self.us(now)):
                self._radiate(job.diid, job.phy, job.frequency_hz, job.datr, self._utc(job.start_us), job.airtime_us)
                self._ending.append(job)
            self._note_dropped()
        due = self._next_beacon_us()
        if due is not None and now >= due:
            self._beacon(now)
        if self._sync_at_us is not None and now >= self._sync_at_us:
            self._sync_at_us = now + TIMESYNC_EVERY_US
            asked_us = self.us(now)
            self._sync_sent_us = {asked_us: now}
            self._say({"msgtype": "timesync", "txtime": asked_us})

    def _radiate(
        self, token: int, phy: bytes, hz: int, datr: str, start_us: int, length_us: int, beacon: bool = False
    ) -> None:
        assert self.radio is not None
        eui, power_dbm = self.config.eui, self.radio.power_dbm
        downlink = Downlink(eui, token, phy, hz, datr, not beacon, power_dbm, start_us, length_us, implicit=beacon)
        self._on_air.append(downlink)
        self._effects.append(downlink)

    def _sent(self, job: Job, now: int) -> None:
        if not self.config.reports or self.link is not Link.RUNNING:
            return
        start_us = self._utc(job.start_us)
        gps_us = 0 if self._gps_offset_us is None else job.start_us + self._gps_offset_us
        self._effects.append(Note("tx_ack", {"token": job.diid, "outcome": {"error": "NONE"}}))
        self._say(
            {
                "msgtype": "dntxed",
                "diid": job.diid,
                "seqno": job.diid,
                "DR": job.dr,
                "Freq": job.frequency_hz,
                "DevEui": job.dev_eui,
                "rctx": job.rctx,
                "xtime": self.xtime(start_us),
                "txtime": start_us / 1e6,
                "gpstime": gps_us,
            }
        )

    def next_effect(self) -> Dial | Text | Downlink | Note | None:
        return self._effects.popleft() if self._effects else None


_MESSAGES: dict[str, Callable[[Station, dict[str, Any], int], None]] = {
    "router_config": Station._router_config,
    "dnmsg": Station._dnmsg,
    "dnsched": Station._dnsched,
    "timesync": Station._timesync,
    "runcmd": Station._remote,
    "rmtsh": Station._remote,
}
