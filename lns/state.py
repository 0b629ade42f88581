"""The server's memory: everything the rules read and change, in one place and with no rules in it."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from internalapi.messages import Event
from lns.device import Device, Profile
from lns.devices import DevicesById, DeviceTable
from lns.downlink.expiry import Expiries
from lns.downlink.reach import Reach
from lns.gateways.airtime import AirtimeBook
from lns.gateways.basicstation.credentials import Tokens
from lns.gateways.basicstation.firmware import Firmware
from lns.gateways.frames import RxFrame
from lns.gateways.gateway import GatewayRegistry
from lns.gateways.sources import Bucket
from lns.keys import KeyRing
from lns.multicast.group import Group
from lns.session import CipherCache, RadioParameters, Session, SessionTable
from lns.settings import NetworkSettings
from lns.store.batch import Batch
from lorawan.crypto import SessionCipher
from lorawan.identifiers import NetID
from regional import Plan, plan

if TYPE_CHECKING:
    from lns.uplink.relaxed import Reset

pack = msgspec.msgpack.Encoder().encode
HEARD_LIMIT = 20_000
JOINS_LIMIT = 20_000
SPEAKING_LIMIT = 20_000
unpack = msgspec.msgpack.decode


class Heard(NamedTuple):
    """The last transmission of a confirmed frame."""

    at_us: int
    """When it ended, by the server's monotonic clock."""
    by: dict[int, int]
    """Gateway → when it heard it, by its own counter."""


class NetworkState:
    """Devices, sessions, gateways, and the batch being filled. Owned by one thread."""

    def __init__(self, settings: NetworkSettings, keys: KeyRing, rng: random.Random) -> None:
        self.settings = settings
        self.plan: Plan = plan(settings.region)
        self.net_id = NetID.parse(settings.net_id)
        self.extra_channels_hz: tuple[int, ...] = tuple(self.plan.presets[settings.channels])
        self.rng = rng
        self.keys = keys
        self.counters: Counter[str] = Counter()
        self.profiles: dict[str, Profile] = {}
        self.devices = DeviceTable()
        """By DevEUI."""
        self.devices_by_id = DevicesById()
        self.groups: dict[str, Group] = {}
        """Multicast groups by their id."""
        self.sessions = SessionTable()
        self.ciphers = CipherCache(lambda session: keys.unseal(session.sealed_keys, session.lorawan_1_1))
        self.gateways = GatewayRegistry(lambda: self.plan.sub_bands)
        self.station_tokens = Tokens()
        self.firmware: dict[str, Firmware] = {}
        """Updates for stations, by name."""
        self.airtime = AirtimeBook()
        self.batch = Batch()
        self.heard: OrderedDict[int, Heard] = OrderedDict()
        """Session id → when its newest confirmed frame was on the air. Bounded."""
        self.speaking: OrderedDict[int, int] = OrderedDict()
        """Device id → when the newest downlink to it is off the air, monotonic. The next one begins after that. Bounded."""
        self.reach = Reach()
        self.expiries = Expiries()
        self.answered_joins: OrderedDict[bytes, None] = OrderedDict()
        """Join-requests that went to the join server lately: slow copies of them are no news. Bounded."""
        self.relayed: list[RxFrame] = []
        """Frames found inside relays' frames: the engine takes them as it takes what gateways hear."""
        self.resets: dict[int, Reset] = {}
        """Session id → what is known of its beginnings, where the profile allows a counter to be reset."""
        self.last_frame_id = 0
        self.last_event_id = 0
        self.last_session_id = 0
        self.last_device_id = 0
        self.last_item_seq = 0
        self.restores = 0
        """How often the journal came from a backup: each time the server forgot what it had sent since."""
        self.silence = ""
        """Why the last composition of a downlink gave none."""
        self.refused: Bucket | None = None
        """What of refused frames still goes into the log; made with the first one."""
        self.handed_over_id = 0
        """Frames up to this one have become events."""
        self._radio: dict[RadioParameters, RadioParameters] = {}
        self.desired_radio: dict[str, RadioParameters] = {}
        """Profile → what its devices should use; forgotten when the profile changes."""

    def cipher(self, session: Session) -> SessionCipher:
        return self.ciphers.get(session)

    def radio(self, parameters: RadioParameters) -> RadioParameters:
        """The one shared copy of these parameters: thousands of sessions have the same."""
        return self._radio.setdefault(parameters, parameters)

    def take_batch(self) -> Batch:
        """The batch filled so far; a new one is begun."""
        batch, self.batch = self.batch, Batch()
        batch.marks = (self.last_frame_id, self.last_event_id, self.last_session_id, self.handed_over_id)
        return batch

    def dirty(self, session: Session) -> None:
        """The session's row must be written with this batch."""
        self.batch.sessions[session.id] = session

    def next_frame_id(self) -> int:
        self.last_frame_id += 1
        return self.last_frame_id

    def remember_heard(self, session: Session, heard: Heard) -> None:
        self.heard[session.id] = heard
        self.heard.move_to_end(session.id)
        if len(self.heard) > HEARD_LIMIT:
            self.heard.popitem(last=False)

    def speaks_until(self, device: Device, mono_us: int | None) -> None:
        """The newest downlink to ``device`` ends at ``mono_us``; None: there is none, it was refused everywhere."""
        self.speaking.pop(device.id, None)
        if mono_us is not None:
            self.speaking[device.id] = mono_us
            if len(self.speaking) > SPEAKING_LIMIT:
                self.speaking.popitem(last=False)

    def remember_join(self, phy: bytes) -> None:
        self.answered_joins[phy] = None
        if len(self.answered_joins) > JOINS_LIMIT:
            self.answered_joins.popitem(last=False)

    def emit(self, event: Event, device: Device | None) -> list[Any]:
        """Hand an event over: it is durable with this batch. ``event.id`` must be :meth:`next_event_id`.

        Returns its row, whose last column (the way of an uplink) may still be filled while the batch is not sealed.
        """
        row = [event.id, event.frame_id, device.id if device is not None else 0, pack(event), b""]
        self.batch.events.append(row)
        return row

    def next_event_id(self) -> int:
        self.last_event_id += 1
        return self.last_event_id
