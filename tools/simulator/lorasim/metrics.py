"""What can be measured of a run, by name: for assertions, the report and whoever reads both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from lorasim.course import Course, DeviceCourse, Frame, Join, Radiated


class Unit(Enum):
    SHARE = "%"
    """A number between 0 and 1, shown in per cent."""
    COUNT = ""
    SECONDS = "s"
    MILLISECONDS = "ms"
    MILLIJOULE = "mJ"
    SPREADING_FACTOR = "SF"


@dataclass(slots=True, frozen=True)
class Scope:
    """A part of a run: which devices, from when, until when."""

    course: Course
    devices: dict[str, DeviceCourse]
    from_us: int
    until_us: float

    @classmethod
    def of(cls, course: Course, group: str = "", from_s: float = 0.0, until_s: float | None = None) -> Scope:
        chosen = {eui: d for eui, d in course.devices.items() if not group or group in (d.group, eui)}
        until_us = math.inf if until_s is None else course.start_us + until_s * 1e6
        return cls(course, chosen, course.start_us + round(from_s * 1e6), until_us)

    def within(self, t: int) -> bool:
        return self.from_us <= t < self.until_us

    @property
    def frames(self) -> list[Frame]:
        return [f for f in self.course.frames if f.dev_eui in self.devices and self.within(f.t)]

    @property
    def joins(self) -> list[Join]:
        return [j for j in self.course.joins if j.dev_eui in self.devices and self.within(j.t)]

    @property
    def radiated(self) -> list[Radiated]:
        """Downlinks for these devices; beacons are not. Join-accepts that nobody heard belong to no group."""
        everybody = len(self.devices) == len(self.course.devices)
        return [
            d
            for d in self.course.radiated
            if d.kind != "beacon" and self.within(d.t) and (d.dev_eui in self.devices or (everybody and not d.dev_eui))
        ]

    @property
    def seconds(self) -> float:
        return (min(self.until_us, self.course.end_us) - self.from_us) / 1e6


Measure = Callable[[Scope], float | None]


@dataclass(slots=True, frozen=True)
class Metric:
    name: str
    unit: Unit
    meaning: str
    measure: Measure
    needs_events: bool = False
    by_device: bool = True
    """It can be measured of a part of the devices."""
    by_time: bool = True
    """It can be measured of a part of the time."""


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _frames(keep: Callable[[Frame], bool]) -> Measure:
    def measure(scope: Scope) -> float | None:
        frames = scope.frames
        return _share(sum(map(keep, frames)), len(frames))

    return measure


def _join_s(scope: Scope) -> list[float]:
    return [(join.joined_us - join.t) / 1e6 for join in scope.joins if join.joined_us is not None]


def _application_ms(scope: Scope) -> list[float]:
    return [
        (frame.event_us - frame.pushed_us) / 1000
        for frame in scope.frames
        if frame.event_us is not None and frame.pushed_us is not None
    ]


def _ack_ms(scope: Scope) -> list[float]:
    return [delay / 1000 for t, delay in scope.course.ack_us if scope.within(t)]


def _answer_ms(scope: Scope) -> list[float]:
    return [delay / 1000 for t, delay, eui in scope.course.answer_us if eui in scope.devices and scope.within(t)]


def _duty_max(scope: Scope) -> float | None:
    """The largest share of its time that a device was on the air."""
    airtime_us: dict[str, int] = dict.fromkeys(scope.devices, 0)
    for t, dev_eui, _, airtime in scope.course.sent:
        if dev_eui in airtime_us and scope.within(t):
            airtime_us[dev_eui] += airtime
    return max(airtime_us.values()) / 1e6 / scope.seconds if airtime_us and scope.seconds > 0 else None


def _gateway_duty_max(scope: Scope) -> float | None:
    airtime_us: dict[str, int] = dict.fromkeys(scope.course.gateways, 0)
    for downlink in scope.course.radiated:
        if scope.within(downlink.t):
            airtime_us[downlink.gateway] = airtime_us.get(downlink.gateway, 0) + downlink.airtime_us
    return max(airtime_us.values()) / 1e6 / scope.seconds if airtime_us and scope.seconds > 0 else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _heard(scope: Scope) -> int:
    return sum(downlink.heard for downlink in scope.radiated)


def _distribution(
    name: str, unit: Unit, meaning: str, values: Callable[[Scope], list[float]], **more: bool
) -> list[Metric]:
    """Median, 95th and 99th percentile and maximum."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

    def at(share: float) -> Measure:
        return lambda scope: percentile(values(scope), share)

    return [
        Metric(f"{name}.{label}_{unit.value}", unit, f"{meaning}: {label}", at(share), **more)
        for label, share in shares.items()
    ]


_ALL = [
    Metric("uplinks", Unit.COUNT, "data frames, each counter once", lambda s: len(s.frames)),
    Metric("transmissions", Unit.COUNT, "data frames, repetitions counted", lambda s: sum(f.transmissions for f in s.frames)),
    Metric("delivery", Unit.SHARE, "data frames that the server has acknowledged (PUSH_ACK) or a Basics Station has streamed",
           _frames(lambda f: f.promised_us is not None or f.streamed)),
    Metric("delivery.radio", Unit.SHARE, "data frames that at least one gateway heard and forwarded",
           _frames(lambda f: f.copies > 0)),
    Metric("delivery.application", Unit.SHARE, "data frames that the application was given",
           lambda s: _share(sum(f.events > 0 for f in s.frames if f.payload), sum(f.payload for f in s.frames)),
           needs_events=True),
    Metric("confirmed.acked", Unit.SHARE, "confirmed frames that heard their ACK, of those that are over",
           lambda s: _share(sum(bool(f.acked) for f in s.frames), sum(f.acked is not None for f in s.frames))),
    Metric("joins", Unit.COUNT, "devices' ways into the network that ended in a session",
           lambda s: len(_join_s(s))),
    Metric("joins.requests", Unit.COUNT, "join-requests", lambda s: sum(j.requests for j in s.joins)),
    Metric("joins.share", Unit.SHARE, "devices in a session at the end",
           lambda s: _share(sum(d.in_session for d in s.devices.values()), len(s.devices)), by_time=False),
    *_distribution("joins", Unit.SECONDS, "from the first join-request to the session", _join_s),
    Metric("downlinks", Unit.COUNT, "radiated downlinks, beacons not counted", lambda s: len(s.radiated)),
    Metric("downlinks.heard", Unit.COUNT, "downlinks that a device took", _heard),
    Metric("downlinks.missed", Unit.COUNT, "downlinks that nobody took", lambda s: len(s.radiated) - _heard(s)),
    Metric("downlinks.heard_share", Unit.SHARE, "downlinks that a device took", lambda s: _share(_heard(s), len(s.radiated))),
    Metric("downlinks.refused", Unit.COUNT, "downlinks that a device must not accept",
           lambda s: sum(eui in s.devices and s.within(t) for t, eui, _ in s.course.refused)),
    Metric("tx_ack.refused", Unit.COUNT, "downlinks that gateways refused (TX_ACK with an error)",
           lambda s: sum(n for why, n in s.course.tx_ack.items() if why != "NONE" and not why.startswith("warn")),
           by_device=False, by_time=False),
    *_distribution("latency.ack", Unit.MILLISECONDS, "from PUSH_DATA to PUSH_ACK", _ack_ms, by_device=False),
    *_distribution("latency.downlink", Unit.MILLISECONDS, "from the last copy of an uplink to the PULL_RESP",
                   _answer_ms),
    *_distribution("latency.application", Unit.MILLISECONDS, "from PUSH_DATA to the event", _application_ms,
                   needs_events=True),
    Metric("airtime.device_max", Unit.SHARE, "of its time that the busiest device was on the air", _duty_max),
    Metric("airtime.gateway_max", Unit.SHARE, "of its time that the busiest gateway sent", _gateway_duty_max,
           by_device=False),
    Metric("airtime.uplink_s", Unit.SECONDS, "time on air of all data frames",
           lambda s: sum(f.airtime_us for f in s.frames) / 1e6),
    Metric("sf.mean", Unit.SPREADING_FACTOR, "mean spreading factor of data frames",
           lambda s: _mean([f.sf for f in s.frames if f.sf])),
    Metric("energy.per_uplink_mj", Unit.MILLIJOULE, "mean energy of a data frame with its repetitions and windows",
           lambda s: _mean([f.energy_mj for f in s.frames])),
    Metric("energy.device_max_mj", Unit.MILLIJOULE, "energy of the hungriest device since it was switched on",
           lambda s: max((d.energy_mj for d in s.devices.values()), default=None), by_time=False),
    Metric("lost_acknowledged", Unit.COUNT, "data frames with a PUSH_ACK that the application was never given",
           lambda s: sum(f.payload and not f.fell and f.promised_us is not None and not f.events for f in s.frames),
           needs_events=True),
    Metric("duplicates", Unit.COUNT, "events too many, of frames that the application was given again",
           lambda s: sum(max(0, f.events - 1) for f in s.frames), needs_events=True),
    Metric("foreign_events", Unit.COUNT, "uplink events of frames that no device sent",
           lambda s: s.course.foreign_events, needs_events=True, by_device=False, by_time=False),
]  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
