"""The course of a run: what became of each frame, join and downlink, told by the lines of its recording one after another.

:class:`Course` is a fold: give it every line, of a file or as it is written, and then ask. It knows nothing of a server.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorasim.energy import transmit_mj, windows_mj
from lorasim.radio import parse_datr

Line = dict[str, Any]

ACCEPT_WITHIN_US = 20_000
"""A join-accept was heard when a device joined at its end, give or take."""


@dataclass(slots=True)
class Frame:
    """A data frame of one counter, with all its transmissions."""

    dev_eui: str
    dev_addr: str
    f_cnt: int
    t: int
    """Of the first transmission."""
    confirmed: bool
    fell: bool = False
    """Its device had sent a higher counter of this session before: a network must not take it."""
    payload: bool = True
    """It carries something for the application, not MAC commands alone."""
    sf: int = 0
    """Of the last transmission."""
    transmissions: int = 1
    airtime_us: int = 0
    energy_mj: float = 0.0
    copies: int = 0
    """So many times a gateway forwarded it."""
    pushed_us: int | None = None
    promised_us: int | None = None
    """When the first PUSH_ACK came for it."""
    streamed: bool = False
    """A Basics Station gave it to its connection, where nothing is acknowledged."""
    acked: bool | None = None
    """A confirmed frame's ACK; None while it is in progress."""
    event_us: int | None = None
    """When the application was told."""
    events: int = 0


@dataclass(slots=True)
class Join:
    """A way into the network: from the first request to the accept."""

    dev_eui: str
    t: int
    requests: int = 1
    joined_us: int | None = None


@dataclass(slots=True)
class Radiated:
    """A downlink on the air."""

    t: int
    gateway: str
    frequency_hz: int
    datr: str
    airtime_us: int
    kind: str
    """``join``, ``data`` or ``beacon``."""
    dev_eui: str = ""
    heard: bool = False
    window: str = ""
    why: str = ""
    """Why nobody heard it."""


@dataclass(slots=True)
class DeviceCourse:
    """One device."""

    dev_eui: str
    group: str = ""
    device_class: str = "A"
    mac_version: str = ""
    on_us: int = 0
    """Switched on."""
    airtime_us: int = 0
    energy_mj: float = 0.0
    steps: list[tuple[int, int, float]] = field(default_factory=list)
    """The course of ADR: from when on it sent at which spreading factor and power in dBm."""
    join: Join | None = None
    """The last one."""
    in_session: bool = False
    addresses: list[str] = field(default_factory=list)
    """DevAddrs, the newest last."""


@dataclass(slots=True)
class Course:
    """See the module."""

    run: Line = field(default_factory=dict)
    """The line ``run``."""
    start_us: int = 0
    end_us: int = 0
    gateways: dict[str, str] = field(default_factory=dict)
    """Name by EUI."""
    devices: dict[str, DeviceCourse] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    radiated: list[Radiated] = field(default_factory=list)
    sent: list[tuple[int, str, int, int]] = field(default_factory=list)
    """Every transmission of a device: time, DevEUI, frequency in Hz, airtime in µs."""
    ack_us: list[tuple[int, int]] = field(default_factory=list)
    """(time, delay) of each PUSH_ACK."""
    answer_us: list[tuple[int, int, str]] = field(default_factory=list)
    """(time, delay, DevEUI) from the last copy of an uplink at a gateway to the PULL_RESP that answers it."""
    tx_ack: dict[str, int] = field(default_factory=dict)
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    """Downlinks that devices refused: time, DevEUI, reason."""
    faults: list[tuple[int, str]] = field(default_factory=list)
    """What gateways could not read."""
    unheard: list[tuple[int, str, str]] = field(default_factory=list)
    """Transmissions that no gateway heard: time, DevEUI, the reason at most gateways."""
    timeline: list[tuple[int, str]] = field(default_factory=list)
    """What the scenario did: time, and which event."""
    restarts: list[tuple[int, str]] = field(default_factory=list)
    """(time, DevEUI or gateway)."""
    events: int | None = None
    """How many events the application was given; None when nobody listened."""
    foreign_events: int = 0
    """Uplink events of frames that no device sent."""
    _stations: set[str] = field(default_factory=set)
    _by_phy: dict[str, Frame] = field(default_factory=dict)
    _highest: dict[tuple[str, str], int] = field(default_factory=dict)
    """FCntUp by DevEUI and DevAddr."""
    _by_counter: dict[tuple[str, str, int], Frame] = field(default_factory=dict)
    _pushes: dict[tuple[str, int], Line] = field(default_factory=dict)
    _in_air: dict[str, Radiated] = field(default_factory=dict)
    _accepts: deque[Radiated] = field(default_factory=lambda: deque(maxlen=64))
    _last_push_us: dict[str, int] = field(default_factory=dict)
    """By DevEUI: the newest copy of anything that a gateway forwarded."""
    _address: dict[str, str] = field(default_factory=dict)
    """The DevEUI that owns a DevAddr now."""

    def observe(self, t: int, kind: str, fields: Line) -> None:
        """Take one line; kinds that it does not know are passed over."""
        self.end_us = max(self.end_us, t)
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, t, fields)

    # ------------------------------------------------------------------------------------------------- set-up

    def _run(self, t: int, line: Line) -> None:
        self.run, self.start_us = line, t

    def _gateway(self, t: int, line: Line) -> None:
        self.gateways[line["gateway"]] = line.get("name", "")
        if line.get("front") == "basicstation":
            self._stations.add(line["gateway"])

    def _device(self, t: int, line: Line) -> None:
        eui = line["dev_eui"]
        device = DeviceCourse(eui, line.get("group", ""), line.get("class", "A"), line["mac_version"], t)
        self.devices[eui] = device
        if "dev_addr" in line:
            self._has(device, line["dev_addr"])

    def _has(self, device: DeviceCourse, dev_addr: str) -> None:
        """The device is in a session of this address."""
        self._highest.pop((device.dev_eui, dev_addr), None)
        device.in_session = True
        self._address[dev_addr] = device.dev_eui
        if dev_addr in device.addresses:
            device.addresses.remove(dev_addr)
        device.addresses.append(dev_addr)

    def _restart(self, t: int, line: Line) -> None:
        self.restarts.append((t, line.get("dev_eui") or line.get("gateway", "")))
        device = self.devices.get(line.get("dev_eui", ""))
        if device is not None and not line.get("kept"):
            device.in_session, device.join = False, None

    # ------------------------------------------------------------------------------------------------- up

    def _uplink(self, t: int, line: Line) -> None:
        key = (line["dev_eui"], line["dev_addr"], line["f_cnt"])
        frame = self._by_counter.get(key)
        if frame is None:
            frame = self._by_counter[key] = Frame(*key, t, line["confirmed"], payload=bool(line["f_port"]))
            frame.fell = key[2] < self._highest.get(key[:2], -1)
            self._highest[key[:2]] = max(key[2], self._highest.get(key[:2], -1))
            self.frames.append(frame)
        else:
            frame.transmissions += 1
        self._by_phy[line["phy"]] = frame

    def _transmit(self, t: int, line: Line) -> None:
        device = self.devices.get(line["dev_eui"])
        shape, power = parse_datr(line["datr"]), float(line.get("power_dbm", 14.0))
        if device is None or shape is None:
            return
        airtime, energy = (
            line["airtime_us"],
            transmit_mj(line["airtime_us"], power) + windows_mj(line["datr"], "SF12BW125"),
        )
        device.airtime_us += airtime
        device.energy_mj += energy
        self.sent.append((t, device.dev_eui, line["frequency_hz"], airtime))
        frame = self._by_phy.get(line["phy"])
        if frame is None:
            return
        frame.airtime_us += airtime
        frame.energy_mj += energy
        frame.sf = shape[0]
        if not device.steps or device.steps[-1][1:] != (shape[0], power):
            device.steps.append((t, shape[0], power))

    def _push_data(self, t: int, line: Line) -> None:
        self._pushes[line["gateway"], line["token"]] = {"t": t, "phys": line["phys"]}
        for phy in line["phys"]:
            frame = self._by_phy.get(phy)
            if frame is not None:
                frame.copies += 1
                frame.streamed = frame.streamed or line["gateway"] in self._stations
                frame.pushed_us = t if frame.pushed_us is None else frame.pushed_us
                self._last_push_us[frame.dev_eui] = t

    def _push_ack(self, t: int, line: Line) -> None:
        pushed = self._pushes.pop((line["gateway"], line["token"]), None)
        if pushed is None:
            return
        self.ack_us.append((t, t - pushed["t"]))
        for phy in pushed["phys"]:
            frame = self._by_phy.get(phy)
            if frame is not None and frame.promised_us is None:
                frame.promised_us = t

    def _uplink_done(self, t: int, line: Line) -> None:
        device = self.devices.get(line["dev_eui"])
        address = device.addresses[-1] if device is not None and device.addresses else ""
        frame = self._by_counter.get((line["dev_eui"], address, line["f_cnt"]))
        if frame is not None and line["confirmed"]:
            frame.acked = line["acked"]

    # ------------------------------------------------------------------------------------------------- joins

    def _join_request(self, t: int, line: Line) -> None:
        device = self.devices.get(line["dev_eui"])
        if device is None:
            return
        if device.join is None or device.join.joined_us is not None:
            device.join = Join(device.dev_eui, t)
            self.joins.append(device.join)
        else:
            device.join.requests += 1

    def _joined(self, t: int, line: Line) -> None:
        device = self.devices.get(line["dev_eui"])
        if device is None:
            return
        self._has(device, line["dev_addr"])
        if device.join is not None and line.get("join_req_type", 0xFF) == 0xFF:
            device.join.joined_us = t
        for downlink in reversed(self._accepts):
            if abs(downlink.t + downlink.airtime_us - t) <= ACCEPT_WITHIN_US and not downlink.heard:
                downlink.heard, downlink.dev_eui, downlink.window = True, device.dev_eui, line.get("window", "")
                return

    # ------------------------------------------------------------------------------------------------- down

    def _pull_resp(self, t: int, line: Line) -> None:
        if "fault" in line:
            self.faults.append((t, f"PULL_RESP: {line['fault']}"))
            return
        phy = line.get("phy") or ""
        owner = self._address.get(_address_of(phy))
        pushed = self._last_push_us.get(owner) if owner else None
        if owner is not None and pushed is not None and t - pushed < 16_000_000:
            self.answer_us.append((t, t - pushed, owner))

    def _tx_ack(self, t: int, line: Line) -> None:
        outcome = line["outcome"]
        why = outcome.get("error") or f"warn {outcome.get('warn')}"
        self.tx_ack[why] = self.tx_ack.get(why, 0) + 1

    def _on_air(self, t: int, line: Line) -> None:
        phy = line["phy"]
        m_type = int(phy[:2], 16) >> 5 if phy else -1
        kind = "beacon" if line.get("token") == -1 else "join" if m_type == 1 else "data"
        downlink = Radiated(
            t, line["gateway"], line["frequency_hz"], line["datr"], line["airtime_us"], kind, why="nobody listened"
        )
        if kind == "join":
            self._accepts.append(downlink)
            downlink.why = "not heard by the one that asked"
        elif kind == "data":
            downlink.dev_eui = self._address.get(_address_of(phy), "")
        self._in_air[phy] = downlink
        self.radiated.append(downlink)

    def _downlink(self, t: int, line: Line) -> None:
        downlink = self._in_air.get(line["phy"])
        if downlink is not None:
            downlink.heard, downlink.dev_eui, downlink.window = True, line["dev_eui"], line.get("window", "")

    def _downlink_missed(self, t: int, line: Line) -> None:
        downlink = self._in_air.get(line["phy"])
        if downlink is not None and not downlink.heard:
            downlink.dev_eui, downlink.why = line["dev_eui"], line.get("why") or "not heard"

    def _downlink_refused(self, t: int, line: Line) -> None:
        self.refused.append((t, line["dev_eui"], line["why"]))
        downlink = self._in_air.get(line["phy"])
        if downlink is not None and not downlink.heard:
            downlink.dev_eui, downlink.why = line["dev_eui"], f"refused: {line['why']}"

    def _event(self, t: int, line: Line) -> None:
        about = " ".join(str(line[key]) for key in ("gateway", "group") if line.get(key))
        self.timeline.append((t, f"{line.get('do', '')} {about}".strip()))

    def _bad_datagram(self, t: int, line: Line) -> None:
        self.faults.append((t, f"datagram: {line['why']}"))

    # ------------------------------------------------------------------------------------------------- application

    def told(self, line: Line) -> None:
        """The application was given an event (:mod:`lorasim.sink`)."""
        self.events = (self.events or 0) + 1
        if line.get("event") != "up":
            return
        frame = self._of_event(line)
        if frame is None:
            self.foreign_events += 1
            return
        frame.events += 1
        frame.event_us = line["t"] if frame.event_us is None else frame.event_us

    def _of_event(self, line: Line) -> Frame | None:
        eui, address, f_cnt = line["dev_eui"], line.get("dev_addr") or "", line.get("f_cnt", 0)
        if address:
            return self._by_counter.get((eui, address, f_cnt))
        device = self.devices.get(eui)
        known = [(eui, one, f_cnt) for one in reversed(device.addresses)] if device is not None else []
        return next((self._by_counter[key] for key in known if key in self._by_counter), None)

    def _unheard(self, t: int, line: Line) -> None:
        whys = line.get("why")
        whys = list(whys.values()) if isinstance(whys, dict) else [whys or "not heard"]
        self.unheard.append((t, line["dev_eui"], max(set(whys), key=whys.count) if whys else "not heard"))

    @property
    def seed(self) -> int | None:
        return self.run.get("seed")

    @property
    def duration_s(self) -> float:
        return (self.end_us - self.start_us) / 1e6

    @property
    def groups(self) -> list[str]:
        """Names of the groups of devices."""
        return sorted({device.group for device in self.devices.values() if device.group})


def _address_of(phy: str) -> str:
    """DevAddr of a data frame in hex."""
    return phy[8:10] + phy[6:8] + phy[4:6] + phy[2:4]


def lines_of(path: str | Path) -> Iterator[Line]:
    """The lines of a recording one by one. A line cut off at the end is left out. Raises ValueError for anything else."""
    with Path(path).open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith("\n"):
                return
            try:
                line = json.loads(text)
                line["t"], line["type"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a line of a recording ({error})") from error
            yield line


def follow(lines: Iterable[Line], events: Iterable[Line] | None = None) -> Course:
    """The course that lines tell; ``events``: what the application was given (:mod:`lorasim.sink`), None: nobody knows."""
    course = Course()
    for line in lines:
        course.observe(line["t"], line["type"], line)
    if events is not None:
        course.events = 0
        for event in events:
            course.told(event)
    return course


_HANDLERS: dict[str, Callable[[Course, int, Line], None]] = {
    "run": Course._run,
    "gateway": Course._gateway,
    "device": Course._device,
    "restart": Course._restart,
    "gateway_restart": Course._restart,
    "uplink": Course._uplink,
    "transmit": Course._transmit,
    "push_data": Course._push_data,
    "push_ack": Course._push_ack,
    "unheard": Course._unheard,
    "dnmsg": Course._pull_resp,
    "bad_message": Course._bad_datagram,
    "uplink_done": Course._uplink_done,
    "join_request": Course._join_request,
    "joined": Course._joined,
    "pull_resp": Course._pull_resp,
    "tx_ack": Course._tx_ack,
    "on_air": Course._on_air,
    "downlink": Course._downlink,
    "downlink_missed": Course._downlink_missed,
    "downlink_refused": Course._downlink_refused,
    "bad_datagram": Course._bad_datagram,
    "event": Course._event,
}
