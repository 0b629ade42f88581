"""Basics Stations: what they are told, and the tokens by which they prove who they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import Eui, Input, Output, Time, time_of
from appserver.api.router import Api, Call
from internalapi import messages as m

api = Api("Gateways")


class StationSetup(Input):
    """What a gateway is told if it is a Basics Station; what is left out is as the server's settings say."""

    region: Annotated[str, StringConstraints(max_length=16, pattern="^[A-Za-z0-9-]*$")] = ""
    """The region's name, which decides by whose rules the station sends; empty: one under which it adds none."""
    max_eirp_dbm: Annotated[float | None, Field(ge=-10, le=36, allow_inf_nan=False)] = None
    """Power of all its downlinks."""
    concentrator: Literal["", "sx1301", "sx1302"] = ""


class Station(Output):
    """A gateway that is connected as a Basics Station."""

    version: str
    package: str
    model: str
    features: list[str]
    connected_at: Time
    tls: str
    credential: str
    """``token``, ``certificate`` or ``open``."""
    last_timesync_at: Time | None
    region: str
    """The name that it was told."""


class NewCredentials(Input):
    """Where the station reaches this server; empty: ``[gateways.basicstation] uri``."""

    uri: Annotated[str, StringConstraints(max_length=200)] = ""


class Credentials(Output):
    """For the files of a station: shown this one time."""

    lns_uri: str
    cups_uri: str
    trust: str
    lns_token: str
    cups_token: str


class Revoked(Output):
    tokens: int


class StationPath(Input):
    gateway_eui: Eui


def station_view(record: m.StationState | None) -> Station | None:
    """The API's form of a station's state."""
    if record is None:
        return None
    return Station.model_construct(
        version=record.version,
        package=record.package,
        model=record.model,
        features=record.features,
        connected_at=time_of(record.connected_at_us),
        tls=record.tls,
        credential=record.credential,
        last_timesync_at=time_of(record.last_timesync_us),
        region=record.region,
    )


def setup_view(record: m.StationSetup) -> StationSetup:
    """What is set for a station."""
    return StationSetup.model_construct(
        region=record.region, max_eirp_dbm=record.max_eirp_dbm, concentrator=record.concentrator
    )


async def make_credentials(call: Call, eui: str, uri: str) -> m.StationCredentials:
    """New tokens; the old ones end when these are used."""
    made: m.StationCredentials = await call.services.network.station_credentials_put(gateway_eui=eui, uri=uri)
    await call.audit("gateway.credentials", f"gateway/{eui}")
    return made


async def revoke_credentials(call: Call, eui: str) -> int:
    """End all tokens of a gateway; returns how many."""
    ended: m.Revoked = await call.services.network.station_credentials_delete(key=eui)
    await call.audit("gateway.credentials.revoke", f"gateway/{eui}", {"tokens": ended.tokens})
    return ended.tokens


async def write_setup(call: Call, eui: str, body: StationSetup) -> None:
    """Set what a station is told; a connected one comes again at once and is told it."""
    await call.services.network.station_setup_put(
        gateway_eui=eui, region=body.region, max_eirp_dbm=body.max_eirp_dbm, concentrator=body.concentrator
    )
    await call.audit("gateway.station", f"gateway/{eui}", body.model_dump())


@api.add("PUT", "/gateways/{gateway_eui}/station", answers=StationSetup, summary="Set what a Basics Station is told")
async def put_setup(call: Call, path: StationPath, body: StationSetup) -> StationSetup:
    await write_setup(call, path.gateway_eui, body)
    return body


@api.add(
    "POST",
    "/gateways/{gateway_eui}/credentials",
    answers=Credentials,
    status=201,
    summary="Make tokens for a Basics Station (shown once)",
)
async def post_credentials(call: Call, path: StationPath, body: NewCredentials) -> Credentials:
    made = await make_credentials(call, path.gateway_eui, body.uri)
    return Credentials.model_construct(
        lns_uri=made.lns_uri,
        cups_uri=made.cups_uri,
        trust=made.trust,
        lns_token=made.lns_token,
        cups_token=made.cups_token,
    )


@api.add("DELETE", "/gateways/{gateway_eui}/credentials", answers=Revoked, summary="End all tokens of a Basics Station")
async def delete_credentials(call: Call, path: StationPath) -> Revoked:
    return Revoked(tokens=await revoke_credentials(call, path.gateway_eui))
