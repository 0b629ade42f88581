"""What a gateway's page does for a Basics Station: settings and credentials."""

from __future__ import annotations

from aiohttp import web

from appserver.api.problems import Problem
from appserver.api.stations import NewCredentials, StationSetup, make_credentials, revoke_credentials, write_setup
from appserver.web.forms import call_of, check, read_form
from appserver.web.pages_network import gateway_eui, gateway_page
from appserver.web.render import page
from internalapi.client import ApiError


async def station(request: web.Request) -> web.Response:
    """Set what the station is told."""
    eui, sent = gateway_eui(request), await read_form(request)
    power = sent.get("max_eirp_dbm", "").replace(",", ".")
    try:
        body = check(
            StationSetup,
            {
                "region": sent.get("region", ""),
                "concentrator": sent.get("concentrator", ""),
                "max_eirp_dbm": power or None,
            },
        )
        await write_setup(call_of(request), eui, body)
    except Problem as refusal:
        return await gateway_page(request, eui, refusal)
    raise web.HTTPSeeOther(f"/gateways/{eui}")


async def credentials(request: web.Request) -> web.Response:
    """Make tokens and show them this once."""
    eui, sent = gateway_eui(request), await read_form(request)
    try:
        asked = check(NewCredentials, {"uri": sent.get("uri", "")})
        made = await make_credentials(call_of(request), eui, asked.uri)
    except Problem as refusal:
        return await gateway_page(request, eui, refusal)
    except ApiError as refusal:
        if refusal.problem.code not in ("invalid", "conflict"):
            raise
        return await gateway_page(request, eui, Problem(422, refusal.problem.detail))
    return page(request, "gateway_credentials.html", eui=eui, made=made)


async def revoke(request: web.Request) -> web.Response:
    """End all tokens."""
    eui = gateway_eui(request)
    await revoke_credentials(call_of(request), eui)
    raise web.HTTPSeeOther(f"/gateways/{eui}")
