"""Gateways: registered ones, strangers, and what the server has seen of them."""

from __future__ import annotations

import msgspec

from internalapi import messages as m
from lns.api import parse
from lns.api.errors import invalid, not_found
from lns.clock import Now, system_now
from lns.gateways.gateway import Gateway
from lns.network import Network
from lns.store.embedded.load import apply_gateway

MAX_NAME = 200
LIMITS = {"latitude": 90, "longitude": 180, "altitude_m": 10_000, "antenna_gain_dbi": 50}
"""Largest amount of each, either way."""
CLASS_B = ("off", "gateway", "server")


async def gateways(network: Network, request: m.ListRequest) -> m.GatewayPage:
    limit, now = parse.limit(request.limit), system_now()
    q = request.q.lower()
    found = sorted(
        (
            gateway
            for gateway in network.state.gateways
            if gateway.eui_text > request.cursor and (q in gateway.name.lower() or q in gateway.eui_text)
        ),
        key=lambda gateway: gateway.eui,
    )
    page = found[:limit]
    return m.GatewayPage([_record(gateway, now) for gateway in page], page[-1].eui_text if len(found) > limit else None)


async def gateway(network: Network, request: m.Key) -> m.GatewayRecord:
    return _record(_known(network, request.key), system_now())


async def gateway_put(network: Network, request: m.GatewayWrite) -> m.PutResult:
    eui = parse.eui(request.gateway_eui, "gateway_eui")
    if len(request.name) > MAX_NAME:
        raise invalid(f"name: at most {MAX_NAME} characters", "name")
    for field, limit in LIMITS.items():
        value = getattr(request, field)
        if value is not None and not -limit <= value <= limit:
            raise invalid(f"{field}: between -{limit} and {limit}", field)
    if request.class_b not in CLASS_B:
        raise invalid(f"class_b: one of {', '.join(CLASS_B)}", "class_b")
    state, now = network.state, system_now()
    known = state.gateways.get(eui) is not None
    gateway = state.gateways.add(eui)
    if not known:
        gateway.created_at_us = now.wall_us
    body = msgspec.to_builtins(request)
    del body["gateway_eui"]
    before = {name: getattr(gateway, name) for name in body}
    apply_gateway(gateway, body)
    network.engine.beacons.rearm()
    state.batch.operations.append(
        ("gateway_put", (eui.to_bytes(8, "big"), msgspec.json.encode(body).decode(), gateway.created_at_us))
    )
    await network.durable()
    same = known and before == body
    return m.PutResult(created=int(not known), changed=int(known and not same), unchanged=int(same))


async def gateway_delete(network: Network, request: m.Key) -> m.Ok:
    gateway = _known(network, request.key)
    network.state.gateways.remove(gateway.eui)
    network.state.batch.operations.append(("gateway_delete", (gateway.eui.to_bytes(8, "big"),)))
    await network.durable()
    return m.Ok()


async def gateways_unknown(network: Network, request: m.Empty) -> m.UnknownGateways:
    return m.UnknownGateways(
        [
            m.UnknownGateway(f"{one.eui:016x}", one.address, one.first_seen_us, one.last_seen_us, one.datagrams)
            for one in network.state.gateways.strangers()
        ]
    )


def _known(network: Network, text: str) -> Gateway:
    gateway = network.state.gateways.get(parse.eui(text, "gateway_eui"))
    if gateway is None:
        raise not_found("gateway", text)
    return gateway


def _record(gateway: Gateway, now: Now) -> m.GatewayRecord:
    address, position = gateway.pull_address, gateway.position
    return m.GatewayRecord(
        gateway_eui=gateway.eui_text,
        name=gateway.name,
        latitude=position.latitude if position is not None else None,
        longitude=position.longitude if position is not None else None,
        altitude_m=position.altitude_m if position is not None else None,
        antenna_gain_dbi=gateway.antenna_gain_dbi,
        tags=gateway.tags,
        created_at_us=gateway.created_at_us,
        online=gateway.is_online(now),
        last_seen_us=gateway.last_seen_us,
        address=f"{address[0]}:{address[1]}" if address is not None else "",
        rtt_ms=None if gateway.rtt_us is None else gateway.rtt_us / 1000,
        uplinks=gateway.uplinks,
        downlinks=gateway.downlinks,
        tx_outcomes=dict(gateway.tx_outcomes),
        sub_bands=[
            m.SubBandUse(band.min_hz, band.max_hz, band.duty_cycle, used / 1000, budget / 1000)
            for band, used, budget in gateway.ledger.usage(now.mono_us)
        ],
        stat=gateway.stat,
    )
