"""Gateways: registered ones, strangers, and what the server has seen of them."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from internalapi import messages as m
from lns.api import parse, stations
from lns.api.errors import invalid, not_found
from lns.clock import Now, system_now
from lns.gateways.gateway import Gateway
from lns.gateways.sources import parse_networks
from lns.gateways.statistics import HOUR_US
from lns.network import Network
from lns.store.embedded.load import apply_gateway

MAX_NAME = 200
LIMITS = {"latitude": 90, "longitude": 180, "altitude_m": 10_000, "antenna_gain_dbi": 50}
"""Largest amount of each, either way."""
CHOICES = {
    "class_b": ("off", "gateway", "server"),
    "forwarder": ("auto", "legacy", "hal"),
    "tx_ack": ("auto", "always", "never"),
}
MOST_SOURCES = 32
MOST_HOURS = 24 * 31


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
    return m.GatewayPage(
        [_record(network, gateway, now) for gateway in page], page[-1].eui_text if len(found) > limit else None
    )


async def gateway(network: Network, request: m.Key) -> m.GatewayRecord:
    return _record(network, _known(network, request.key), system_now())


async def gateway_put(network: Network, request: m.GatewayWrite) -> m.PutResult:
    eui = parse.eui(request.gateway_eui, "gateway_eui")
    if len(request.name) > MAX_NAME:
        raise invalid(f"name: at most {MAX_NAME} characters", "name")
    for field, limit in LIMITS.items():
        value = getattr(request, field)
        if value is not None and not -limit <= value <= limit:
            raise invalid(f"{field}: between -{limit} and {limit}", field)
    for field, choices in CHOICES.items():
        if getattr(request, field) not in choices:
            raise invalid(f"{field}: one of {', '.join(choices)}", field)
    if request.max_duty_cycle is not None and not 0 <= request.max_duty_cycle <= 1:
        raise invalid("max_duty_cycle: a share between 0 and 1", "max_duty_cycle")
    try:
        request.allowed_sources = [str(one) for one in parse_networks(request.allowed_sources[: MOST_SOURCES + 1])]
    except ValueError as error:
        raise invalid(f"allowed_sources: {error}", "allowed_sources") from None
    if len(request.allowed_sources) > MOST_SOURCES:
        raise invalid(f"allowed_sources: at most {MOST_SOURCES} networks", "allowed_sources")
    state, now = network.state, system_now()
    known = state.gateways.get(eui) is not None
    gateway = state.gateways.add(eui)
    if not known:
        gateway.created_at_us = now.wall_us
    body = msgspec.to_builtins(request)
    del body["gateway_eui"]
    body["station"] = gateway.station
    before = {name: getattr(gateway, name) for name in body}
    apply_gateway(gateway, body)
    if gateway.link is not None and before["class_b"] != body["class_b"]:
        gateway.link.wire.close("its settings were changed")  # it comes again at once and is told the new ones
    network.engine.beacons.rearm()
    state.batch.operations.append(
        ("gateway_put", (eui.to_bytes(8, "big"), msgspec.json.encode(body).decode(), gateway.created_at_us))
    )
    await network.durable()
    same = known and before == body
    return m.PutResult(created=int(not known), changed=int(known and not same), unchanged=int(same))


async def gateway_delete(network: Network, request: m.Key) -> m.Ok:
    gateway = _known(network, request.key)
    stations.revoke(network, gateway.eui)
    network.state.gateways.remove(gateway.eui)
    network.state.batch.operations.append(("gateway_delete", (gateway.eui.to_bytes(8, "big"),)))
    await network.durable()
    return m.Ok()


async def gateways_unknown(network: Network, request: m.Empty) -> m.UnknownGateways:
    return m.UnknownGateways(
        [
            m.UnknownGateway(
                f"{one.eui:016x}", one.address, one.first_seen_us, one.last_seen_us, one.datagrams, one.protocol
            )
            for one in network.state.gateways.strangers()
        ]
    )


async def gateway_statistics(network: Network, request: m.GatewayStatisticsRequest) -> m.GatewayStatistics:
    """Hours that overlap [from, to), the oldest first; what is counted and not written yet is written first."""
    gateway = _known(network, request.key)
    first, last = request.from_us // HOUR_US, -(-request.to_us // HOUR_US)
    if last - first > MOST_HOURS:
        raise invalid(f"at most {MOST_HOURS // 24} days at once", "to")
    network.engine.keeper.record(system_now())
    await network.durable()
    where = (gateway.eui.to_bytes(8, "big"), first, last)

    def query(db: sqlite3.Connection) -> list[m.GatewayHour]:
        hours = {row[0]: row for row in db.execute(f"SELECT {_HOUR_COLUMNS} FROM gateway_hour WHERE {_WITHIN}", where)}
        parts = db.execute(f"SELECT hour, part, value FROM gateway_part WHERE {_WITHIN}", where).fetchall()
        found = {hour: _hour(hours.get(hour, (hour, *_NO_HOUR))) for hour in {*hours, *(hour for hour, _, _ in parts)}}
        for hour, part, value in parts:
            if part.isdigit():
                found[hour].airtime_ms[part] = value / 1000
            else:
                found[hour].outcomes[part] = value
        return [found[hour] for hour in sorted(found)]

    return m.GatewayStatistics(await network.read(query))


_WITHIN = "eui = ? AND hour >= ? AND hour < ?"
_HOUR_COLUMNS = "hour, uplinks, bad_crc, online_s, rtts, rtt_sum_us, rtt_least_us, rtt_most_us, ackrs, ackr_sum"
_NO_HOUR = (0, 0, 0, 0, 0, None, None, 0, 0)


def _hour(row: tuple[Any, ...]) -> m.GatewayHour:
    hour, uplinks, bad_crc, online_s, rtts, rtt_sum_us, rtt_least_us, rtt_most_us, ackrs, ackr_sum = row
    return m.GatewayHour(
        hour_us=hour * HOUR_US,
        uplinks=uplinks,
        bad_crc=bad_crc,
        online_s=min(online_s, 3600),
        rtt_least_ms=None if rtt_least_us is None else rtt_least_us / 1000,
        rtt_mean_ms=rtt_sum_us / rtts / 1000 if rtts else None,
        rtt_most_ms=None if rtt_most_us is None else rtt_most_us / 1000,
        ackr_percent=ackr_sum / ackrs / 10 if ackrs else None,
        outcomes={},
        airtime_ms={},
    )


def _known(network: Network, text: str) -> Gateway:
    gateway = network.state.gateways.get(parse.eui(text, "gateway_eui"))
    if gateway is None:
        raise not_found("gateway", text)
    return gateway


def _address(gateway: Gateway) -> str:
    """Where it is reached now."""
    if gateway.link is not None:
        return str(gateway.link.peer.address)
    address = gateway.pull_address
    return f"{address[0]}:{address[1]}" if address is not None else ""


def _record(network: Network, gateway: Gateway, now: Now) -> m.GatewayRecord:
    position, claim = gateway.position, gateway.source.claim
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
        address=_address(gateway),
        rtt_ms=None if gateway.rtt_us is None else gateway.rtt_us / 1000,
        uplinks=gateway.uplinks,
        downlinks=gateway.downlinks,
        tx_outcomes=dict(gateway.tx_outcomes),
        sub_bands=[
            m.SubBandUse(band.min_hz, band.max_hz, band.duty_cycle, used / 1000, budget / 1000)
            for band, used, budget in gateway.ledger.usage(now.mono_us)
        ],
        stat=gateway.stat,
        max_duty_cycle=gateway.max_duty_cycle,
        airtime_ms=gateway.ledger.used_us(now.mono_us) / 1000,
        forwarder=gateway.forwarder,
        forwarder_seen=gateway.forwarder_seen,
        tx_ack=gateway.tx_ack,
        private_to=gateway.private_to,
        silent_in_row=gateway.silent_in_row,
        allowed_sources=gateway.allowed_sources,
        location_source="" if position is None else "gps" if gateway.latitude is None else "operator",
        protocol="" if gateway.front is None else gateway.front.protocol,
        lead_ms=None if gateway.rtt_us is None else gateway.lead_us / 1000,
        bad_crc=gateway.bad_crc,
        disputed=gateway.disputed,
        claim=None if claim is None else m.GatewayClaim(claim.address, claim.first_us, claim.last_us, claim.datagrams),
        clock_restarts=gateway.clock.restarts,
        class_b=gateway.class_b,
        gps=_gps(gateway, now),
        beacons=dict(gateway.beacons),
        station_setup=m.StationSetup(**gateway.station),
        station=stations.station_of(gateway),
        station_tokens=stations.tokens_of(network, gateway.eui),
    )


def _gps(gateway: Gateway, now: Now) -> m.GatewayGps:
    gps = gateway.gps
    age_us = gps.age_us(now.mono_us)
    return m.GatewayGps(
        gps.state(now.mono_us).value,
        None if age_us is None else age_us / 1e6,
        None if gps.off_us is None else gps.off_us / 1000,
    )
