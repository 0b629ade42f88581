"""Gateways: the registry, their state, and the quarantine of unknown ones."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from appserver.api.fields import Eui, Input, Name, Output, Page, PageQuery, Tags, Time, time_of
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.router import Api, Call
from appserver.api.stations import Station, StationSetup, setup_view, station_view
from internalapi import messages as m
from internalapi.client import ApiError

api = Api("Gateways")


class Location(Input):
    """WGS 84."""

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False)
    altitude_m: Annotated[float | None, Field(ge=-1000, le=20000, allow_inf_nan=False)] = None


class GatewayBody(Input):
    """What a person says of a gateway."""

    name: Name = ""
    location: Location | None = None
    antenna_gain_dbi: float = Field(0.0, ge=-20, le=40, allow_inf_nan=False)
    tags: Tags = Field(default_factory=dict)
    class_b: Literal["off", "gateway", "server"] = "off"
    """Who makes its beacons: nobody, its own forwarder, or the server (Semtech UDP with GPS)."""
    max_duty_cycle: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    """The operator's own limit for all that it sends, as a share of an hour; null is none."""
    forwarder: Literal["auto", "legacy", "hal"] = "auto"
    """Generation of its Semtech UDP forwarder: learned from its behaviour, SX1301, or SX1302."""
    tx_ack: Literal["auto", "always", "never"] = "auto"
    """``never``: its forwarder never answers a downlink, and silence means that it was sent."""
    allowed_sources: Annotated[list[str], Field(max_length=32)] = Field(default_factory=list)
    """Networks (CIDR) from which it may speak; empty: any."""
    private_to: Annotated[str, Field(max_length=200)] = ""
    """It serves only devices whose tag ``organisation`` says this; empty: all."""

    @field_validator("allowed_sources")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                ip_network(text.strip(), strict=False)
            except ValueError as error:
                raise ValueError("must be addresses or networks like 10.0.0.0/8") from error
        return networks


class NewGateway(GatewayBody):
    """A gateway to register."""

    gateway_eui: Eui


class ChangedGateway(GatewayBody):
    """All that may change; ``gateway_eui`` may be repeated."""

    gateway_eui: Eui | None = None


class SubBand(Output):
    """Airtime used on one duty-cycle sub-band over the last hour."""

    min_hz: int
    max_hz: int
    duty_cycle: float
    used_ms: float
    budget_ms: float


class Gps(Output):
    """GPS time of a gateway: ``none``, ``locked``, ``stale``, ``lost`` or ``wrong``; its age, and how far from ours."""

    state: str
    age_s: float | None
    off_ms: float | None


class Claim(Output):
    """Another source that speaks in a gateway's name; its downlinks go on to the first one."""

    address: str
    first_seen_at: Time
    last_seen_at: Time
    datagrams: int


class Gateway(Output):
    """A gateway and its state."""

    gateway_eui: str
    name: str
    location: Location | None
    antenna_gain_dbi: float
    tags: dict[str, str]
    created_at: Time
    online: bool
    last_seen_at: Time | None
    address: str
    rtt_ms: float | None
    uplinks: int
    downlinks: int
    tx_outcomes: dict[str, int]
    sub_bands: list[SubBand]
    stat: dict[str, Any]
    class_b: str
    gps: Gps
    beacons: dict[str, int]
    protocol: str
    """How it is connected now: ``udp``, ``basicstation``, ``mqtt``; empty while no downlink can reach it."""
    station: Station | None
    """None while it is not connected as a Basics Station."""
    station_setup: StationSetup
    station_tokens: int
    """How many tokens it may show as a Basics Station."""
    location_source: str
    """Which location counts: the ``operator``'s, else its own ``gps``; empty when there is none."""
    max_duty_cycle: float | None
    airtime_ms: float
    """Airtime of the last hour on all frequencies; so long it heard nothing, too."""
    forwarder: str
    forwarder_seen: str
    """The generation that its behaviour shows: ``legacy``, ``hal``, empty while nothing does."""
    tx_ack: str
    silent_in_row: int
    """Downlinks without TX_ACK since the last one with."""
    lead_ms: float | None
    """A message must leave the server so long before its transmission."""
    allowed_sources: list[str]
    private_to: str
    bad_crc: int
    disputed: int
    """Datagrams in its name from another source, since the server's start."""
    claim: Claim | None
    clock_restarts: int
    """How often its counter began anew since the server's start."""


_AS_IT_IS = (
    "location_source", "max_duty_cycle", "airtime_ms", "forwarder", "forwarder_seen", "tx_ack", "silent_in_row", "lead_ms",
    "allowed_sources", "private_to", "bad_crc", "disputed", "clock_restarts",
)  # fmt: skip


class Unknown(Output):
    """A gateway that knocks and is not registered."""

    gateway_eui: str
    protocol: str
    address: str
    first_seen_at: Time
    last_seen_at: Time
    datagrams: int


class GatewayPath(Input):
    gateway_eui: Eui


def gateway_view(record: m.GatewayRecord) -> Gateway:
    """The API's form of a gateway."""
    location = None
    if record.latitude is not None and record.longitude is not None:
        location = Location.model_construct(
            latitude=record.latitude, longitude=record.longitude, altitude_m=record.altitude_m
        )
    return Gateway.model_construct(
        gateway_eui=record.gateway_eui,
        name=record.name,
        location=location,
        antenna_gain_dbi=record.antenna_gain_dbi,
        tags=record.tags,
        created_at=time_of(record.created_at_us),
        online=record.online,
        last_seen_at=time_of(record.last_seen_us),
        address=record.address,
        rtt_ms=record.rtt_ms,
        uplinks=record.uplinks,
        downlinks=record.downlinks,
        tx_outcomes=record.tx_outcomes,
        sub_bands=[
            SubBand.model_construct(
                min_hz=band.min_hz,
                max_hz=band.max_hz,
                duty_cycle=band.duty_cycle,
                used_ms=band.used_ms,
                budget_ms=band.budget_ms,
            )
            for band in record.sub_bands
        ],
        stat=record.stat,
        class_b=record.class_b,
        gps=Gps.model_construct(**{name: getattr(record.gps, name) for name in Gps.model_fields}),
        beacons=record.beacons,
        protocol=record.protocol,
        station=station_view(record.station),
        station_setup=setup_view(record.station_setup),
        station_tokens=record.station_tokens,
        claim=_claim(record.claim),
        **{name: getattr(record, name) for name in _AS_IT_IS},
    )


def _claim(claim: m.GatewayClaim | None) -> Claim | None:
    if claim is None:
        return None
    return Claim.model_construct(
        address=claim.address,
        first_seen_at=time_of(claim.first_seen_us),
        last_seen_at=time_of(claim.last_seen_us),
        datagrams=claim.datagrams,
    )


async def find_gateway(call: Call, eui: str) -> m.GatewayRecord:
    """The gateway, or the 404 that names it."""
    try:
        found: m.GatewayRecord = await call.services.network.gateway(key=eui)
    except ApiError as error:
        if error.problem.code == "not_found":
            raise not_found("gateway", eui) from error
        raise
    return found


async def write_gateway(call: Call, eui: str, body: GatewayBody) -> None:
    """Create or change a gateway in the network process."""
    place = body.location
    await call.services.network.gateway_put(
        gateway_eui=eui,
        name=body.name,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        altitude_m=place.altitude_m if place else None,
        antenna_gain_dbi=body.antenna_gain_dbi,
        tags=body.tags,
        class_b=body.class_b,
        max_duty_cycle=body.max_duty_cycle,
        forwarder=body.forwarder,
        tx_ack=body.tx_ack,
        private_to=body.private_to,
        allowed_sources=body.allowed_sources,
    )


async def create_gateway(call: Call, body: NewGateway) -> None:
    """Register a gateway; 409 when it is registered already."""
    try:
        await find_gateway(call, body.gateway_eui)
    except Problem as problem:
        if problem.status != 404:
            raise
    else:
        raise Problem(409, f"Gateway {body.gateway_eui} is registered already.")
    await write_gateway(call, body.gateway_eui, body)
    await call.audit("gateway.create", f"gateway/{body.gateway_eui}", {"name": body.name})


async def remove_gateway(call: Call, eui: str) -> None:
    """Take a gateway out of the registry."""
    await find_gateway(call, eui)
    await call.services.network.gateway_delete(key=eui)
    await call.audit("gateway.delete", f"gateway/{eui}")


@api.add("GET", "/gateways", answers=Page[Gateway], summary="List gateways")
async def list_gateways(call: Call, query: PageQuery) -> Page[Gateway]:
    page = await call.services.network.gateways(cursor=query.cursor, limit=query.limit, q=query.q)
    return Page(items=[gateway_view(item) for item in page.items], next_cursor=page.next_cursor)


@api.add("GET", "/gateways/unknown", answers=Page[Unknown], summary="List gateways that are not registered")
async def list_unknown(call: Call) -> Page[Unknown]:
    unknown = await call.services.network.gateways_unknown()
    return Page(
        items=[
            Unknown.model_construct(
                gateway_eui=item.gateway_eui,
                protocol=item.protocol,
                address=item.address,
                first_seen_at=time_of(item.first_seen_us),
                last_seen_at=time_of(item.last_seen_us),
                datagrams=item.datagrams,
            )
            for item in unknown.items
        ]
    )


@api.add("POST", "/gateways", answers=Gateway, status=201, summary="Register a gateway (also adopts an unknown one)")
async def post_gateway(call: Call, body: NewGateway) -> Gateway:
    await create_gateway(call, body)
    return gateway_view(await find_gateway(call, body.gateway_eui))


@api.add("GET", "/gateways/{gateway_eui}", answers=Gateway, summary="Show a gateway")
async def get_gateway(call: Call, path: GatewayPath) -> Gateway:
    return gateway_view(await find_gateway(call, path.gateway_eui))


@api.add("PUT", "/gateways/{gateway_eui}", answers=Gateway, summary="Change a gateway")
async def put_gateway(call: Call, path: GatewayPath, body: ChangedGateway) -> Gateway:
    if body.gateway_eui not in (None, path.gateway_eui):
        raise invalid("gateway_eui", "differs from the address; a gateway's EUI does not change")
    await find_gateway(call, path.gateway_eui)
    await write_gateway(call, path.gateway_eui, body)
    await call.audit("gateway.change", f"gateway/{path.gateway_eui}", {"name": body.name})
    return gateway_view(await find_gateway(call, path.gateway_eui))


@api.add("DELETE", "/gateways/{gateway_eui}", answers=None, status=204, summary="Remove a gateway")
async def delete_gateway(call: Call, path: GatewayPath) -> None:
    await remove_gateway(call, path.gateway_eui)
