"""Tables of application.db.

Times are integers, microseconds since 1970-01-01 UTC (``*_us``); days are the calendar's days in the building's zone.
Volumes are :class:`~decimal.Decimal` in Python and whole millionths of the unit in the file (``*_micro``), so that sums
and differences are exact. A schema change is a new file in ``appserver/migrations/versions``.
"""

from appserver.models.archives import ArchiveQuery, CalculatorRecord
from appserver.models.cabinet import (
    Announcement,
    GisReading,
    Photo,
    ResidentCode,
    RoleGrant,
    Ticket,
    TicketMessage,
)
from appserver.models.clocks import ClockCorrection
from appserver.models.history import (
    Correction,
    DaySeal,
    PeriodClose,
    PeriodRecalculation,
    PeriodReopen,
    PeriodResult,
    PeriodValue,
    Unsealed,
)
from appserver.models.incidents import GatewayLog, Incident, IncidentComment, Notice, Subscription
from appserver.models.kept import DayTally
from appserver.models.lifecycle import Account, Entrance, MeterSeal, MeterVerification, RegistryEvent
from appserver.models.network import NetworkEdge, NetworkNode
from appserver.models.people import ApiToken, Audit, User, UserSession
from appserver.models.readings import (
    Boundary,
    DeviceFlag,
    DeviceState,
    EventCursor,
    HoursDue,
    LastReading,
    PointHours,
    Reading,
    Uplink,
)
from appserver.models.registry import Building, Installation, Meter, ModuleChannel, Organisation, Point, Premises
from appserver.models.rules import OwnRule
from appserver.models.sinks import Delivery, OutboxEvent, Sink
from appserver.models.sources import Intake, RefusedReading, Source

__all__ = [
    "Account",
    "Announcement",
    "ApiToken",
    "ArchiveQuery",
    "Audit",
    "Boundary",
    "Building",
    "CalculatorRecord",
    "ClockCorrection",
    "Correction",
    "DaySeal",
    "DayTally",
    "Delivery",
    "DeviceFlag",
    "DeviceState",
    "Entrance",
    "EventCursor",
    "GatewayLog",
    "GisReading",
    "HoursDue",
    "Incident",
    "IncidentComment",
    "Installation",
    "Intake",
    "LastReading",
    "Meter",
    "MeterSeal",
    "MeterVerification",
    "ModuleChannel",
    "NetworkEdge",
    "NetworkNode",
    "Notice",
    "Organisation",
    "OutboxEvent",
    "OwnRule",
    "PeriodClose",
    "PeriodRecalculation",
    "PeriodReopen",
    "PeriodResult",
    "PeriodValue",
    "Photo",
    "Point",
    "PointHours",
    "Premises",
    "Reading",
    "RefusedReading",
    "RegistryEvent",
    "ResidentCode",
    "RoleGrant",
    "Sink",
    "Source",
    "Subscription",
    "Ticket",
    "TicketMessage",
    "Unsealed",
    "Uplink",
    "User",
    "UserSession",
]
