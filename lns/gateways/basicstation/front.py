"""The LNS protocol as a server sees it, without a socket: messages in, frames and messages out.

What is promised: the protocol has no acknowledgement of an uplink, and a station keeps none that it has sent. A frame is
therefore safe from the moment its batch is durable, some milliseconds after its message was read; a message that waits in
the socket of a killed server is lost, as it would be with a router in between. While the store takes nothing, messages are
not read, so that they wait at the station instead.

A downlink is reported by ``dntxed`` once it is on the air, and by nothing when the station could not place it.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, ClassVar, Protocol

from lns.clock import Now
from lns.gateways.basicstation import codec
from lns.gateways.basicstation.link import Context, Link, Peer, Pending, Wire, windows_of
from lns.gateways.basicstation.router_config import Options, RadioSetup, UnfitPlan, radio_setup
from lns.gateways.clock import ConcentratorClock
from lns.gateways.frames import AfterUplink, AtGpsTime, Immediately, RxFrame, TxFrame
from lns.gateways.gateway import Gateway, GatewayRegistry
from lns.gateways.gps import best_clock
from lorawan.errors import FrameError
from lorawan.gps import gps_to_utc_us, utc_to_gps_us
from regional import Plan

STALE_US = 60_000_000
"""A downlink that was to be sent so long ago is reported no more."""
MUX_FRESH_US = 120_000_000
"""The station counts on from the last MuxTime by a crystal; after this long the difference is no round trip."""
MOST_RTT_US = 10_000_000
SECOND_US = 1_000_000
MOST_RX_DELAY_S = 15
WRAP = (1 << 32) - 1

_UPLINKS = (codec.UpDataFrame, codec.JoinRequest, codec.Proprietary, codec.Rejoin)

JOIN_ACCEPT, ACK, DATA = 250, 200, 128
"""Priorities for the station, which drops the lower one of two frames that overlap."""


class Host(Protocol):
    """What the front needs of the server around it."""

    @property
    def registry(self) -> GatewayRegistry: ...

    @property
    def counters(self) -> MutableMapping[str, int]: ...

    def uplink(self, rx: RxFrame, now: Now) -> None:
        """A gateway heard a frame."""

    def tx_done(self, transmission: Any, error: str, warning: str, now: Now, chosen: int = 0) -> None:
        """A gateway sent a transmission (empty ``error``), with its frame number ``chosen``."""


class BasicStationFront:
    """State of the protocol over all stations."""

    protocol: ClassVar[str] = "basicstation"
    alternatives: ClassVar[int] = 2
    answers_after_sending: ClassVar[bool] = True
    sends_beacons: ClassVar[bool] = False
    """A station with a GPS receiver makes beacons by itself: ``router_config`` tells it to."""

    def __init__(self, host: Host, plan: Plan, channels_hz: Sequence[int], options: Options, first_diid: int) -> None:
        """``first_diid``: no station may still know a downlink with this number or one above; the time does."""
        self._host = host
        self._plan = plan
        self._channels_hz = channels_hz
        self._options = options
        self._diid = first_diid
        self._epoch = 0
        self.links: dict[int, Link] = {}
        """By EUI."""

    # ------------------------------------------------------------------------------------------------ connections

    def may_connect(self, gateway: Gateway, peer: Peer, now: Now, silent_us: int) -> bool:
        """Whether a new connection may take the place of the one that is there, if any.

        With the same credentials always: a station that comes again has lost the old connection, whatever the server
        believes. Others wait until the old one has been silent for ``silent_us``; it is asked for a sign of life at once.
        """
        link = self.links.get(gateway.eui)
        if link is None or link.peer.credential == peer.credential or now.mono_us - link.answered_us > silent_us:
            return True
        self.ping(link, now)
        return False

    def connected(self, gateway: Gateway, peer: Peer, wire: Wire, now: Now) -> Link:
        """A station's connection stands. An older one of the same station is closed."""
        old = self.links.get(gateway.eui)
        if old is not None:
            self.disconnected(old, now)
            old.wire.close("another connection of this station took its place")
        self._epoch += 1
        gateway.proven = gateway.proven or not peer.credential.startswith("open")
        link = self.links[gateway.eui] = gateway.link = Link(gateway, peer, wire, self._epoch, now)
        gateway.seen(now)
        self._host.counters["station_connections"] += 1
        return link

    def disconnected(self, link: Link, now: Now) -> None:
        """A connection ended. What it has not reported stays unknown."""
        if self.links.get(link.gateway.eui) is link:
            del self.links[link.gateway.eui]
            link.gateway.link = None
            if link.gateway.front is self:
                link.gateway.front = None
        link.pending.clear()

    def ping(self, link: Link, now: Now) -> None:
        """Ask for a sign of life, unless one is awaited; the answer also measures the round trip."""
        if link.pinged_us is None:
            link.pinged_us = now.mono_us
            link.wire.ping(now.mono_us.to_bytes(8, "big"))

    def pong(self, link: Link, payload: bytes, now: Now) -> None:
        """The answer to a ping."""
        self._heard(link, now)
        if link.pinged_us is not None and payload == link.pinged_us.to_bytes(8, "big"):
            self._measure(link, now.mono_us - link.pinged_us)
            link.pinged_us = None

    def tick(self, now: Now, ping_us: int, silent_us: int) -> None:
        """Called every few seconds: ask who has been silent, close who did not answer, forget what is never reported."""
        for link in list(self.links.values()):
            if now.mono_us - link.answered_us > silent_us:
                self._host.counters["station_silent"] += 1
                self.disconnected(link, now)
                link.wire.close(f"nothing was heard for {silent_us // SECOND_US} s")
                continue
            if now.mono_us - max(link.answered_us, link.pinged_us or 0) >= ping_us:
                link.pinged_us = None
                self.ping(link, now)
            if link.setup is not None and now.mono_us - link.mux_sent_us > MUX_FRESH_US // 2:
                link.wire.send(codec.mux_time(link.mux_time_s(now)))
            for diid, pending in list(link.pending.items()):
                if now.mono_us - pending.sent_us > STALE_US:
                    del link.pending[diid]

    # --------------------------------------------------------------------------------------------------- messages

    def receive(self, link: Link, text: bytes | str, now: Now) -> None:
        """Take one message. Never raises for what a station sent: garbage is counted and dropped."""
        counters = self._host.counters
        counters["station_messages"] += 1
        self._heard(link, now)
        try:
            message = codec.parse(text)
            if isinstance(message, _UPLINKS):
                self._uplink(link, message, now)
            elif isinstance(message, codec.TxDone):
                self._tx_done(link, message, now)
            elif isinstance(message, codec.TimeSync):
                link.timesync_us = now.wall_us
                link.wire.send(codec.time_answer(message.txtime, self._gps_us(now), link.mux_time_s(now)))
            elif isinstance(message, codec.Version):
                self._version(link, message, now)
            else:
                counters["other_frames"] += 1  # another network's downlink, heard by a station in device mode
        except FrameError:
            counters["bad_messages"] += 1

    def _gps_us(self, now: Now) -> int:
        """GPS time by a gateway that has it from its own receiver, else by the server's clock.

        Stations are no witnesses: their receivers give them the pulse, the number of the second they have from us.
        """
        others = (one.gps for one in self._host.registry if one.front is not None and one.front is not self)
        clock = best_clock(others, now.mono_us)
        return utc_to_gps_us(now.wall_us) if clock is None else clock.gps_us(now.mono_us)

    def _heard(self, link: Link, now: Now) -> None:
        link.answered_us = now.mono_us
        link.gateway.seen(now)

    def _version(self, link: Link, version: codec.Version, now: Now) -> None:
        gateway = link.gateway
        link.station, link.model = version.station[:80], (version.model or "")[:80]
        link.package = (version.package or version.firmware or "")[:80]
        link.features = codec.features(version)
        try:
            setup = radio_setup(self._plan, self._channels_hz, self.options_of(gateway), link.features)
        except UnfitPlan as problem:
            self._host.counters["station_unfit"] += 1
            link.wire.close(str(problem))
            return
        link.setup = setup
        # The configuration starts the concentrator anew: nothing heard before can be answered.
        self._restarted(link)
        link.wire.send(setup.encode(link.mux_time_s(now)))
        gateway.front = self

    def options_of(self, gateway: Gateway) -> Options:
        """What is set for one station: its own settings over those for all."""
        own = gateway.station
        return Options(
            str(own.get("region") or self._options.region),
            self._options.max_eirp_dbm if own.get("max_eirp_dbm") is None else float(own["max_eirp_dbm"]),
            str(own.get("concentrator") or self._options.concentrator),
            gateway.class_b == "gateway",
        )

    def _restarted(self, link: Link) -> None:
        """The concentrator's time begins anew: downlinks for the old one are the station's to drop, and ours to forget."""
        self._epoch += 1
        restarts = link.gateway.clock.restarts + bool(link.sessions)
        link.epoch = self._epoch
        link.sessions.clear()
        link.pending.clear()
        clock = link.gateway.clock = ConcentratorClock()
        clock.restarts = restarts

    def _uplink(self, link: Link, message: codec.Uplink, now: Now) -> None:
        host, gateway, info = self._host, link.gateway, message.upinfo
        host.counters["frames"] += 1
        gateway.uplinks += 1
        setup: RadioSetup | None = link.setup
        datr = setup.uplink_datr[message.DR] if setup is not None and 0 <= message.DR < 16 else None
        if datr is None or not 0 < message.Freq < 6_000_000_000 or not 0 <= info.xtime < 1 << 63:
            host.counters["bad_frames"] += 1
            return
        try:
            phy = codec.phy(message)
        except FrameError:
            host.counters["bad_frames"] += 1
            return
        if info.xtime and link.hear(info.xtime):
            self._restarted(link)
            link.hear(info.xtime)
        if message.RefTime > 0 and now.mono_us - link.mux_sent_us < MUX_FRESH_US:
            self._measure(link, link.mux_time_us(now) - round(message.RefTime * 1e6))
        gps_us = info.gpstime if 0 < info.gpstime < 1 << 61 else None
        host.uplink(
            RxFrame(
                gateway,
                phy,
                message.Freq,
                datr,
                info.rssi,
                info.snr,
                info.xtime & WRAP if info.xtime else None,
                now.mono_us,
                now.wall_us,
                gateway_time_us=None if gps_us is None else gps_to_utc_us(gps_us),
                codr="4/5",
                context=Context(info.xtime, info.rctx, link.epoch) if info.xtime else None,
                gps_us=gps_us,
            ),
            now,
        )

    def _measure(self, link: Link, rtt_us: int) -> None:
        if 0 < rtt_us < MOST_RTT_US:
            link.gateway.measure_rtt(rtt_us)

    def _tx_done(self, link: Link, done: codec.TxDone, now: Now) -> None:
        pending = link.pending.pop(done.diid, None)
        if pending is None:
            self._host.counters["stray_tx_ack"] += 1
            return
        link.gateway.tx_outcomes["NONE"] += 1
        chosen = pending.chosen(done.DR, done.Freq, done.xtime)
        self._host.tx_done(pending.transmission, "", "", now, chosen)

    # --------------------------------------------------------------------------------------------------- downlinks

    def transmit(self, gateway: Gateway, frames: Sequence[TxFrame], transmission: Any, now: Now) -> bool:
        """Hand RX1 and RX2 of one transmission, or one frame, to a station.

        False when it is not connected, when its concentrator was restarted since the uplink, when it lacks the GPS clock that
        the frame needs, and when it has no word for the data rate.
        """
        link = self.links.get(gateway.eui)
        if link is None or link.setup is None:
            return False
        windows = windows_of(frames, link.setup.downlink_dr)
        if not windows:
            return False
        frames = frames[: len(windows)]
        self._diid += 1
        message = self._message(link, frames, windows, self._diid, transmission, now)
        if message is None:
            return False
        uplink = next((frame.timing.rx.context for frame in frames if isinstance(frame.timing, AfterUplink)), None)
        link.pending[self._diid] = Pending(
            transmission, tuple(frames), windows, 0 if uplink is None else uplink.xtime, now.mono_us
        )
        link.wire.send(message)
        return True

    def _message(
        self,
        link: Link,
        frames: Sequence[TxFrame],
        windows: Sequence[tuple[int, int]],
        diid: int,
        transmission: Any,
        now: Now,
    ) -> bytes | None:
        """The ``dnmsg``, None when the station could not send it."""
        first = frames[0].timing
        second = frames[1].timing if len(frames) > 1 else None
        ways = [codec.Window(dr, frequency_hz) for dr, frequency_hz in windows]
        phy = frames[0].phy
        dev_eui = getattr(getattr(transmission, "device", None), "dev_eui", 0)

        def start(device_class: int) -> codec.Downlink:
            return codec.downlink(dev_eui, device_class, diid, phy, priority_of(phy), link.mux_time_s(now))

        if isinstance(first, AfterUplink):
            context = first.rx.context
            if not isinstance(context, Context) or context.epoch != link.epoch:
                return None
            delay_s = first.delay_us // SECOND_US
            rx2 = ways[1] if second is not None else None
            if delay_s > MOST_RX_DELAY_S:  # only RX2 of a device with the longest delay
                return codec.after_uplink(start(0), delay_s - 1, None, ways[0], context.xtime, context.rctx)
            device_class = 2 if isinstance(second, Immediately) else 0
            return codec.after_uplink(start(device_class), delay_s, ways[0], rx2, context.xtime, context.rctx)
        if isinstance(first, AtGpsTime):
            if link.features and "gps" not in link.features:
                return None
            return codec.at_gps_time(start(1), ways[0], first.gps_us, 0)
        return codec.immediately(start(2), ways[0], 0)


def priority_of(phy: bytes) -> int:
    """How important a frame is to the station: join-accepts first, then what a device waits for, then the rest."""
    m_type = phy[0] >> 5
    if m_type == 1:
        return JOIN_ACCEPT
    return ACK if len(phy) > 5 and m_type in (3, 5) and phy[5] & 0x20 else DATA
