"""Tables of application.db.

Times are integers, microseconds since 1970-01-01 UTC (``*_us``); days are the calendar's days in the building's zone.
Volumes are :class:`~decimal.Decimal` in Python and whole millionths of the unit in the file (``*_micro``), so that sums
and differences are exact. A schema change is a new file in ``appserver/migrations/versions``.
"""

from appserver.models.archives import ArchiveQuery, CalculatorRecord
from appserver.models.history import Correction, DaySeal, PeriodClose, PeriodValue, Unsealed
from appserver.models.incidents import GatewayLog, Incident, IncidentComment, Notice, Subscription
from appserver.models.network import NetworkEdge, NetworkNode
from appserver.models.people import ApiToken, Audit, User, UserSession
from appserver.models.readings import (
    Boundary,
    DeviceFlag,
    DeviceState,
    EventCursor,
    LastReading,
    Reading,
    Uplink,
)
from appserver.models.registry import Building, Installation, Meter, ModuleChannel, Organisation, Point, Premises
from appserver.models.sinks import Delivery, OutboxEvent, Sink

__all__ = [
    "ApiToken",
    "ArchiveQuery",
    "Audit",
    "Boundary",
    "Building",
    "CalculatorRecord",
    "Correction",
    "DaySeal",
    "Delivery",
    "DeviceFlag",
    "DeviceState",
    "EventCursor",
    "GatewayLog",
    "Incident",
    "IncidentComment",
    "Installation",
    "LastReading",
    "Meter",
    "ModuleChannel",
    "NetworkEdge",
    "NetworkNode",
    "Notice",
    "Organisation",
    "OutboxEvent",
    "PeriodClose",
    "PeriodValue",
    "Point",
    "Premises",
    "Reading",
    "Sink",
    "Subscription",
    "Unsealed",
    "Uplink",
    "User",
    "UserSession",
]
