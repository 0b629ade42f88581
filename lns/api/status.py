"""State of the network process as a whole."""

from __future__ import annotations

from importlib import metadata

from internalapi import messages as m
from lns.api.frame_log import usage
from lns.clock import system_now
from lns.network import Network


async def status(network: Network, request: m.Empty) -> m.NetworkStatus:
    state, now = network.state, system_now()
    return m.NetworkStatus(
        version=metadata.version("meterwan"),
        started_at_us=network.started_us,
        region=state.plan.name,
        devices=len(state.devices),
        sessions=len(state.sessions),
        gateways=len(state.gateways),
        gateways_online=sum(gateway.is_online(now) for gateway in state.gateways),
        last_event_id=state.last_event_id,
        storage=network.storage,
        counters=dict(state.counters),
        frame_log=await usage(network),
    )
