"""Plain values that detectors look at, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from appserver.rules.kinds import IncidentLimits

NIGHT_HOURS = (2, 3, 4)
"""Local hours of the night flow: from 02:00 to 05:00 a house sleeps."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an incident belongs to."""

    building_id: int | None = None
    premises_id: int | None = None
    point_id: int | None = None
    meter_id: int | None = None
    dev_eui: str = ""
    gateway_eui: str = ""

    @property
    def subject(self) -> str:
        """The word under which the most exact thing of it is known."""
        for word, value in (
            ("gateway", self.gateway_eui),
            ("meter", self.meter_id),
            ("device", self.dev_eui),
            ("point", self.point_id),
            ("premises", self.premises_id),
            ("building", self.building_id),
        ):
            if value not in ("", None):
                return f"{word}:{value}"
        return ""


@dataclass(frozen=True, slots=True)
class DeviceFact:
    """A radio module that serves a meter."""

    place: Place
    since_us: int
    """When it was bound: it cannot be silent for longer."""
    last_uplink_at_us: int | None = None
    battery_pct: int | None = None
    clock_offset_us: int | None = None


@dataclass(frozen=True, slots=True)
class FlagFact:
    """A condition that a device told."""

    place: Place
    flag: str
    raised_at_us: int
    cleared_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayFact:
    """What the network said of a gateway."""

    gateway_eui: str
    at_us: int
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ConflictFact:
    """A reading that contradicts another of the same moment."""

    place: Place
    register: str
    at_us: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class VerificationFact:
    """An installed meter whose verification has ended."""

    place: Place
    until: str
    """ISO date."""
    ended_at_us: int
    """The midnight after it in the building's zone."""
    counts: bool
    """Whether the readings count all the same by the rule of the day."""


@dataclass(frozen=True, slots=True)
class EventFact:
    """An event of a point's daily values, such as ``reverse_flow``."""

    place: Place
    event: str
    day_start_us: int
    day_end_us: int


@dataclass(frozen=True, slots=True)
class Hour:
    """What passed in an hour of local time."""

    start_us: int
    local_hour: int
    night: str
    """The local date."""
    volume: Decimal


@dataclass(frozen=True, slots=True)
class FlowFact:
    """The last days of a point by the hour, as far as they are known."""

    place: Place
    role: str
    qmax: Decimal
    hours: Sequence[Hour]


@dataclass(frozen=True, slots=True)
class StillFact:
    """A point that has counted nothing although it did before."""

    place: Place
    since_us: int
    days: int
    before: Decimal
    """What it counted in as many days before."""


@dataclass(frozen=True, slots=True)
class HouseFact:
    """A building's resource by the day; all sequences run parallel to ``day_starts_us``."""

    place: Place
    resource: str
    day_starts_us: Sequence[int]
    house: Sequence[Decimal | None]
    flats: dict[int, Sequence[Decimal | None]] = field(default_factory=dict)
    """Volumes by point."""
    places: dict[int, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GraphFact:
    """A run of days on which the temperature graph was not kept."""

    place: Place
    side: str
    """``supply`` (the network's) or ``return`` (the consumer's)."""
    started_at_us: int
    ended_at_us: int | None
    days: int
    worst_c: Decimal
    """Largest deviation."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a round looks at."""

    now_us: int
    limits: IncidentLimits
    devices: Sequence[DeviceFact] = ()
    flags: Sequence[FlagFact] = ()
    gateways: Sequence[GatewayFact] = ()
    conflicts: Sequence[ConflictFact] = ()
    verifications: Sequence[VerificationFact] = ()
    events: Sequence[EventFact] = ()
    flows: Sequence[FlowFact] = ()
    still: Sequence[StillFact] = ()
    houses: Sequence[HouseFact] = ()
    graphs: Sequence[GraphFact] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """An incident as a detector sees it."""

    kind: str
    place: Place
    started_at_us: int
    evidence: dict[str, Any]
    """Plain JSON values; decimals as text."""
    ended_at_us: int | None = None
    """None: it holds now."""
    subject: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Kind and subject: of one key at most one incident is open."""
        return self.kind, self.subject or self.place.subject
