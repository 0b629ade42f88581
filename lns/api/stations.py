"""Basics Stations: their state, their credentials, and the updates that CUPS hands out."""

from __future__ import annotations

import msgspec

from internalapi import messages as m
from lns.api import parse
from lns.api.errors import Refused, invalid, not_found
from lns.clock import system_now
from lns.gateways.basicstation.credentials import SECRET_BYTES, Purpose, Token, token_hash, token_text
from lns.gateways.basicstation.cups import trust_pem
from lns.gateways.basicstation.firmware import Firmware
from lns.gateways.basicstation.link import Link
from lns.gateways.basicstation.router_config import HALF_WIDTH_HZ
from lns.gateways.gateway import Gateway
from lns.network import Network
from lns.settings import BasicStationSettings, parse_listen

MOST_FIRMWARE = 100
HEX = frozenset("0123456789abcdef")


async def setup_put(network: Network, request: m.StationSetupWrite) -> m.PutResult:
    """What one station is told. A connected one is closed, comes again at once and is told the new."""
    gateway = _known(network, request.gateway_eui)
    if len(request.region) > 16 or not request.region.isascii():
        raise invalid("region: a name such as AU915, at most 16 characters", "region")
    if request.max_eirp_dbm is not None and not -10 <= request.max_eirp_dbm <= 36:
        raise invalid("max_eirp_dbm: between -10 and 36", "max_eirp_dbm")
    if request.concentrator not in ("", *HALF_WIDTH_HZ):
        raise invalid(f"concentrator: one of {', '.join(HALF_WIDTH_HZ)}", "concentrator")
    setup = {name: getattr(request, name) for name in m.StationSetup.__struct_fields__}
    if setup == gateway.station:
        return m.PutResult(unchanged=1)
    gateway.station = setup
    body = {name: getattr(gateway, name) for name in m.GatewayWrite.__struct_fields__ if name != "gateway_eui"}
    row = (int(gateway.eui).to_bytes(8, "big"), msgspec.json.encode(body | {"station": setup}).decode())
    network.state.batch.operations.append(("gateway_put", (*row, gateway.created_at_us)))
    if gateway.link is not None:
        gateway.link.wire.close("its settings were changed")
    await network.durable()
    return m.PutResult(changed=1)


def _known(network: Network, text: str) -> Gateway:
    gateway = network.state.gateways.get(parse.eui(text, "gateway_eui"))
    if gateway is None:
        raise not_found("gateway", text)
    return gateway


def station_of(gateway: Gateway) -> m.StationState | None:
    """What a connected station has told, None while it is not connected as one."""
    link: Link | None = gateway.link
    if link is None:
        return None
    return m.StationState(
        version=link.station,
        package=link.package,
        model=link.model,
        features=list(link.features),
        connected_at_us=link.connected_us,
        address=link.peer.address,
        tls=link.peer.tls,
        credential=link.peer.credential.partition(" ")[0],
        last_timesync_us=link.timesync_us,
        region="" if link.setup is None else str(link.setup.message["region"]),
    )


def tokens_of(network: Network, eui: int) -> int:
    return len(network.state.station_tokens.of(eui, "lns")) if len(network.state.station_tokens) else 0


async def credentials_put(network: Network, request: m.StationCredentialsRequest) -> m.StationCredentials:
    """Make new tokens. The old ones go on until the new ones are first used, so that CUPS can bring these."""
    eui = _known(network, request.gateway_eui).eui
    settings = network.settings.gateways.basicstation
    uri = _uri(settings, request.uri)
    try:
        trust = trust_pem(settings)
    except OSError as error:
        raise Refused("unavailable", f"[gateways.basicstation] trust: {error}") from None
    lns, cups = (_new_token(network, eui, purpose) for purpose in ("lns", "cups"))
    await network.durable()
    return m.StationCredentials(uri, uri.replace("ws", "http", 1), trust, lns, cups)


def _uri(settings: BasicStationSettings, given: str) -> str:
    """Where stations reach this server. Raises Refused."""
    if not settings.listen:
        raise Refused("conflict", "no station can connect: [gateways.basicstation] listen is empty")
    if given:
        try:
            return BasicStationSettings(uri=given).uri
        except ValueError as error:
            raise invalid(f"uri: {error}", "uri") from None
    if settings.uri:
        return settings.uri
    host, port = parse_listen(settings.listen)
    if host in ("0.0.0.0", "::"):
        raise invalid(
            "uri: say by which name and port stations reach this server, here or in [gateways.basicstation] uri", "uri"
        )
    return f"{'wss' if settings.certificate else 'ws'}://{f'[{host}]' if ':' in host else host}:{port}"


def _new_token(network: Network, eui: int, purpose: Purpose) -> str:
    state = network.state
    secret = state.rng.randbytes(SECRET_BYTES)
    text = token_text(secret)
    newest = max((token.created_at_us for token in state.station_tokens.of(eui, purpose)), default=0)
    created_at_us = max(system_now().wall_us, newest + 1)  # newer than the others, whatever the clock did
    token = Token(token_hash(text), eui, purpose, state.keys.seal_secret(secret), created_at_us)
    state.station_tokens.add(token)
    state.batch.operations.append(("station_token_add", token.row))
    return text


async def credentials_delete(network: Network, request: m.Key) -> m.Revoked:
    """End all tokens of a gateway, and its connection if it has shown one."""
    ended = revoke(network, _known(network, request.key).eui)
    await network.durable()
    return m.Revoked(ended)


def revoke(network: Network, eui: int) -> int:
    """The same, as part of another change."""
    gateway = network.state.gateways.get(eui)
    ended = network.state.station_tokens.revoke(eui)
    network.state.batch.operations.append(("station_tokens_delete", (int(eui).to_bytes(8, "big"),)))
    if gateway is not None:
        gateway.proven = False
    if gateway is not None and gateway.link is not None and gateway.link.peer.credential.startswith("token"):
        gateway.link.wire.close("its token was revoked")
    return ended


async def firmware(network: Network, request: m.Empty) -> m.FirmwarePage:
    found = sorted(network.state.firmware.values(), key=lambda one: one.name)
    return m.FirmwarePage([msgspec.convert(msgspec.to_builtins(one), m.FirmwareRecord) for one in found])


async def firmware_put(network: Network, request: m.FirmwareWrite) -> m.PutResult:
    state = network.state
    known = state.firmware.get(request.name)
    if not 0 < len(request.name) <= 100 or not 0 < len(request.package) <= 80:
        raise invalid("name and package: between 1 and 100, and 1 and 80 characters", "name")
    if "/" in request.file or request.file in ("", ".", ".."):
        raise invalid("file: the name of a file in the folder firmware of the data folder", "file")
    if len(request.sha512) != 128 or not set(request.sha512) <= HEX:
        raise invalid("sha512: 128 hex digits", "sha512")
    if not set(request.signature) <= HEX or len(request.signature) % 2 or len(request.signature) > 256:
        raise invalid("signature: at most 128 bytes in hex", "signature")
    if not 0 <= request.key_crc < 1 << 32:
        raise invalid("key_crc: a number of 32 bits", "key_crc")
    if known is None and len(state.firmware) >= MOST_FIRMWARE:
        raise Refused("conflict", f"there are {MOST_FIRMWARE} updates; remove old ones first")
    request.gateways = [str(parse.eui(text, "gateways")) for text in request.gateways]
    body = msgspec.to_builtins(request)
    del body["name"]
    now_us = system_now().wall_us
    state.firmware[request.name] = Firmware(
        name=request.name, created_at_us=now_us, **(body | {"gateways": tuple(body["gateways"])})
    )
    state.batch.operations.append(("firmware_put", (request.name, msgspec.json.encode(body).decode(), now_us)))
    await network.durable()
    return m.PutResult(created=int(known is None), changed=int(known is not None))


async def firmware_delete(network: Network, request: m.Key) -> m.Ok:
    if network.state.firmware.pop(request.key, None) is None:
        raise not_found("update", request.key)
    network.state.batch.operations.append(("firmware_delete", (request.key,)))
    await network.durable()
    return m.Ok()
