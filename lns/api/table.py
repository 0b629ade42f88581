"""The methods of the internal API by their names. ``internalapi.messages.METHODS`` has their requests and results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lns.api import devices, frames, gateways, multicast, profiles, queue, sessions, stations, status
from lns.network import Network

HANDLERS: dict[str, Callable[[Network, Any], Awaitable[Any]]] = {
    "events": frames.events,
    "status": status.status,
    "gateways": gateways.gateways,
    "gateway": gateways.gateway,
    "gateway_put": gateways.gateway_put,
    "gateway_delete": gateways.gateway_delete,
    "gateways_unknown": gateways.gateways_unknown,
    "station_setup_put": stations.setup_put,
    "station_credentials_put": stations.credentials_put,
    "station_credentials_delete": stations.credentials_delete,
    "firmware": stations.firmware,
    "firmware_put": stations.firmware_put,
    "firmware_delete": stations.firmware_delete,
    "gateway_statistics": gateways.gateway_statistics,
    "profiles": profiles.profiles,
    "profile_put": profiles.profile_put,
    "profile_delete": profiles.profile_delete,
    "devices": devices.devices,
    "device": devices.device,
    "devices_put": devices.devices_put,
    "device_delete": devices.device_delete,
    "session": sessions.session,
    "session_put": sessions.session_put,
    "session_delete": sessions.session_delete,
    "groups": multicast.groups,
    "group": multicast.group,
    "group_put": multicast.group_put,
    "group_delete": multicast.group_delete,
    "group_members": multicast.group_members,
    "group_members_put": multicast.group_members_put,
    "group_queue": multicast.group_queue,
    "group_queue_put": multicast.group_queue_put,
    "group_queue_delete": multicast.group_queue_delete,
    "queue": queue.queue,
    "queue_put": queue.queue_put,
    "queue_delete": queue.queue_delete,
    "rejoin": sessions.rejoin,
    "nonces_forget": devices.nonces_forget,
    "frames": frames.frames,
}
