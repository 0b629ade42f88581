"""Messages of the internal API.

Every method is one ``POST /internal/v1/<method>`` with a MessagePack body (the request struct) and a MessagePack
answer (the result named beside the method in :data:`METHODS`). Times are integers, microseconds since 1970-01-01 UTC
(``*_us``). EUIs, keys and DevAddr are lower-case hex text, most significant byte first. Payloads are bytes.

Errors: HTTP 4xx/5xx with a :class:`Problem` body; the client raises it as ``ApiError``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from internalapi.adr import (
    AdrReason,
)
from internalapi.common import (
    Empty,
    Key,
    ListRequest,
    Ok,
    Problem,
    PutResult,
)
from internalapi.devices import (
    AdrDecision,
    AdrState,
    ChannelWrite,
    ClassBState,
    DevicePage,
    DeviceRecord,
    DevicesPut,
    DevicesRequest,
    DeviceWrite,
    Forgotten,
    NoncesForget,
    ProfilePage,
    ProfileRecord,
    ProfileWrite,
    RejoinWish,
    SessionRecord,
    SessionWrite,
)
from internalapi.events import (
    AppSKeyEnvelope,
    Event,
    EventsRequest,
    EventsResult,
    Reception,
    RelayReception,
)
from internalapi.frames import (
    FrameLogStatus,
    FramePage,
    FrameRecord,
    FramesRequest,
    NetworkStatus,
)
from internalapi.gateways import (
    FirmwarePage,
    FirmwareRecord,
    FirmwareWrite,
    GatewayClaim,
    GatewayGps,
    GatewayHour,
    GatewayPage,
    GatewayRecord,
    GatewayStatistics,
    GatewayStatisticsRequest,
    GatewayWrite,
    Revoked,
    StationCredentials,
    StationCredentialsRequest,
    StationSetup,
    StationSetupWrite,
    StationState,
    SubBandUse,
    UnknownGateway,
    UnknownGateways,
)
from internalapi.mac import (
    MacReport,
    RelaySettings,
    RelayUse,
)
from internalapi.queue import (
    GroupItem,
    GroupMemberList,
    GroupMembers,
    GroupPage,
    GroupQueuePage,
    GroupQueueWrite,
    GroupRecord,
    GroupWrite,
    QueueItem,
    QueuePage,
    QueueWrite,
)

__all__ = [
    "METHODS",
    "AdrDecision",
    "AdrReason",
    "AdrState",
    "AppSKeyEnvelope",
    "ChannelWrite",
    "ClassBState",
    "DevicePage",
    "DeviceRecord",
    "DeviceWrite",
    "DevicesPut",
    "DevicesRequest",
    "Empty",
    "Event",
    "EventsRequest",
    "EventsResult",
    "FirmwarePage",
    "FirmwareRecord",
    "FirmwareWrite",
    "Forgotten",
    "FrameLogStatus",
    "FramePage",
    "FrameRecord",
    "FramesRequest",
    "GatewayClaim",
    "GatewayGps",
    "GatewayHour",
    "GatewayPage",
    "GatewayRecord",
    "GatewayStatistics",
    "GatewayStatisticsRequest",
    "GatewayWrite",
    "GroupItem",
    "GroupMemberList",
    "GroupMembers",
    "GroupPage",
    "GroupQueuePage",
    "GroupQueueWrite",
    "GroupRecord",
    "GroupWrite",
    "Key",
    "ListRequest",
    "MacReport",
    "NetworkStatus",
    "NoncesForget",
    "Ok",
    "Problem",
    "ProfilePage",
    "ProfileRecord",
    "ProfileWrite",
    "PutResult",
    "QueueItem",
    "QueuePage",
    "QueueWrite",
    "Reception",
    "RejoinWish",
    "RelayReception",
    "RelaySettings",
    "RelayUse",
    "Revoked",
    "SessionRecord",
    "SessionWrite",
    "StationCredentials",
    "StationCredentialsRequest",
    "StationSetup",
    "StationSetupWrite",
    "StationState",
    "SubBandUse",
    "UnknownGateway",
    "UnknownGateways",
    "decoder",
    "encode",
]

METHODS: dict[str, tuple[type[Any], type[Any]]] = {
    "events": (EventsRequest, EventsResult),
    "status": (Empty, NetworkStatus),
    "gateways": (ListRequest, GatewayPage),
    "gateway": (Key, GatewayRecord),
    "gateway_put": (GatewayWrite, PutResult),
    "gateway_delete": (Key, Ok),
    "gateways_unknown": (Empty, UnknownGateways),
    "station_setup_put": (StationSetupWrite, PutResult),
    "station_credentials_put": (StationCredentialsRequest, StationCredentials),
    "station_credentials_delete": (Key, Revoked),
    "firmware": (Empty, FirmwarePage),
    "firmware_put": (FirmwareWrite, PutResult),
    "firmware_delete": (Key, Ok),
    "gateway_statistics": (GatewayStatisticsRequest, GatewayStatistics),
    "profiles": (Empty, ProfilePage),
    "profile_put": (ProfileWrite, PutResult),
    "profile_delete": (Key, Ok),
    "devices": (DevicesRequest, DevicePage),
    "device": (Key, DeviceRecord),
    "devices_put": (DevicesPut, PutResult),
    "device_delete": (Key, Ok),
    "session": (Key, SessionRecord),
    "session_put": (SessionWrite, Ok),
    "session_delete": (Key, Ok),
    "groups": (ListRequest, GroupPage),
    "group": (Key, GroupRecord),
    "group_put": (GroupWrite, GroupRecord),
    "group_delete": (Key, Ok),
    "group_members": (Key, GroupMemberList),
    "group_members_put": (GroupMembers, GroupRecord),
    "group_queue": (Key, GroupQueuePage),
    "group_queue_put": (GroupQueueWrite, GroupItem),
    "group_queue_delete": (Key, Ok),
    "queue": (Key, QueuePage),
    "queue_put": (QueueWrite, QueueItem),
    "queue_delete": (Key, Ok),
    "rejoin": (RejoinWish, Ok),
    "nonces_forget": (NoncesForget, Forgotten),
    "frames": (FramesRequest, FramePage),
}

encode = msgspec.msgpack.Encoder().encode


def decoder(of: type[Any]) -> msgspec.msgpack.Decoder[Any]:
    """A reader of one message type. Raises ``msgspec.ValidationError`` when the bytes are not such a message."""
    return msgspec.msgpack.Decoder(of)
