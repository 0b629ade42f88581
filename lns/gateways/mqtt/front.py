"""The MQTT protocol of ChirpStack's gateways as a server sees it, without a broker: messages in, frames and commands out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from lns.clock import Now
from lns.gateways.frames import RxFrame, TxFrame
from lns.gateways.gateway import Gateway, GatewayRegistry
from lns.gateways.mqtt import codec
from lorawan.errors import FrameError

MAX_PHY = 255
PENDING_LIMIT = 10_000
"""Downlinks whose acknowledgement may be awaited; the oldest is forgotten beyond it."""


class Host(Protocol):
    """What the front needs of the server around it."""

    @property
    def registry(self) -> GatewayRegistry: ...

    @property
    def counters(self) -> MutableMapping[str, int]: ...

    def uplink(self, rx: RxFrame, now: Now) -> None:
        """A gateway heard a frame."""

    def tx_done(self, transmission: Any, error: str, warning: str, now: Now, chosen: int = 0) -> None:
        """A gateway accepted (empty ``error``) or refused a transmission."""


class Asked(NamedTuple):
    """A downlink whose acknowledgement is awaited."""

    gateway: Gateway
    transmission: Any
    sent_us: int


class MqttFront:
    """State of the protocol over all gateways below one topic prefix. ``publish(topic, payload)`` sends at once."""

    protocol: ClassVar[str] = "mqtt"
    alternatives: ClassVar[int] = 2
    """RX1 and RX2 go together; the gateway sends the first that its queue takes."""
    answers_after_sending: ClassVar[bool] = False
    sends_beacons: ClassVar[bool] = False

    def __init__(self, host: Host, prefix: str, publish: Callable[[str, bytes], bool], source: str) -> None:
        """``publish`` returns False while there is no broker; ``source`` names the broker for people."""
        self._host = host
        self._prefix = prefix
        self._publish = publish
        self._source = source
        self._speaks_json: set[int] = set()
        self._pending: OrderedDict[int, Asked] = OrderedDict()
        self._last_id = 0

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """What to subscribe to at the broker."""
        return (f"{self._prefix}gateway/+/event/+", f"{self._prefix}gateway/+/state/conn")

    def receive(self, topic: str, payload: bytes, now: Now, retained: bool = False) -> None:
        """Take one message. Never raises for what a gateway sent: garbage is counted and dropped."""
        host = self._host
        host.counters["mqtt_messages"] += 1
        try:
            eui, kind = codec.topic(topic, self._prefix)
            gateway = host.registry.get(eui)
            if gateway is None:
                if not retained:
                    host.registry.stranger(eui, (self._source, "mqtt"), now)
                    host.counters["unknown_gateway"] += 1
                return
            if kind == "state/conn":
                self._connection(gateway, payload, now, retained)
                return
            if retained:
                return  # an event of who knows when
            (self._speaks_json.add if codec.is_json(payload) else self._speaks_json.discard)(eui)
            gateway.seen(now)
            gateway.front = self
            EVENTS[kind](self, gateway, payload, now)
        except FrameError:
            host.counters["bad_datagrams"] += 1

    def _connection(self, gateway: Gateway, payload: bytes, now: Now, retained: bool) -> None:
        """The forwarder's birth and last will. A retained one says how things are, not that they are so now."""
        if codec.is_online(payload):
            gateway.front = self
            if not retained:
                gateway.seen(now)
        elif gateway.front is self:
            gateway.front = None

    def _up(self, gateway: Gateway, payload: bytes, now: Now) -> None:
        host = self._host
        up = codec.uplink(payload)
        host.counters["frames"] += 1
        gateway.uplinks += 1
        if up.crc_failed:
            host.counters["bad_crc"] += 1
            return
        if not 0 < len(up.phy) <= MAX_PHY or not up.frequency_hz:
            host.counters["bad_frames"] += 1
            return
        rx = RxFrame(
            gateway,
            up.phy,
            up.frequency_hz,
            up.datr,
            up.rssi_dbm,
            up.snr_db,
            # Concentratord and the Semtech backend put the concentrator's counter there, big-endian.
            int.from_bytes(up.context, "big") if len(up.context) == 4 else None,
            now.mono_us,
            now.wall_us,
            up.channel,
            up.rf_chain,
            up.antenna,
            up.board,
            up.gateway_time_us,
            up.codr,
            up.context,
            up.gps_us,
        )
        host.uplink(rx, now)
        if up.location is not None:
            gateway.told_position(*up.location)

    def _stats(self, gateway: Gateway, payload: bytes, now: Now) -> None:
        gateway.stat, location = codec.stats(payload)
        if location is not None:
            gateway.told_position(*location)

    def transmit(self, gateway: Gateway, frames: Sequence[TxFrame], transmission: Any, now: Now) -> bool:
        """Publish a downlink with its alternatives. False when there is no broker."""
        self._last_id = self._last_id % 0xFFFFFFFF + 1
        message = codec.downlink(gateway.eui_text, self._last_id, frames, gateway.eui in self._speaks_json)
        if not self._publish(f"{self._prefix}gateway/{gateway.eui_text}/command/down", message):
            return False
        self._pending[self._last_id] = Asked(gateway, transmission, now.mono_us)
        if len(self._pending) > PENDING_LIMIT:
            self._pending.popitem(last=False)
        return True

    def _ack(self, gateway: Gateway, payload: bytes, now: Now) -> None:
        said = codec.ack(payload)
        asked = self._pending.get(said.downlink_id)
        if asked is None or asked.gateway is not gateway:
            self._host.counters["stray_tx_ack"] += 1
            return
        del self._pending[said.downlink_id]
        gateway.measure_rtt(now.mono_us - asked.sent_us)
        chosen = said.chosen
        gateway.tx_outcomes["NONE" if chosen is not None else said.error] += 1
        self._host.tx_done(asked.transmission, "" if chosen is not None else said.error, "", now, chosen or 0)

    def disconnected(self) -> None:
        """The broker is gone: no gateway can be reached through it until it tells of itself again."""
        for gateway in self._host.registry:
            if gateway.front is self:
                gateway.front = None


EVENTS: dict[str, Callable[[MqttFront, Gateway, bytes, Now], None]] = {
    "event/up": MqttFront._up,
    "event/stats": MqttFront._stats,
    "event/ack": MqttFront._ack,
}
