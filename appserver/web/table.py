"""Addresses of the pages."""

from __future__ import annotations

import mimetypes

from aiohttp import web

from appserver.web import (
    pages_account,
    pages_admin,
    pages_codecs,
    pages_corrections,
    pages_docs,
    pages_frames,
    pages_gar,
    pages_houses,
    pages_import,
    pages_incidents,
    pages_integrations,
    pages_losses,
    pages_meters,
    pages_multicast,
    pages_network,
    pages_periods,
    pages_profiles,
    pages_redecoding,
    pages_registry,
    pages_rules,
    pages_sources,
    pages_stations,
    pages_subscriptions,
)
from appserver.web.render import STATIC_DIR, static_url


async def _static(request: web.Request) -> web.StreamResponse:
    """A vendored or own file; its address changes with its content, so it may be kept for ever."""
    name = request.match_info["file"]
    if "\0" in name:
        raise web.HTTPNotFound
    path = (STATIC_DIR / name).resolve()
    if not path.is_relative_to(STATIC_DIR.resolve()) or not path.is_file():
        raise web.HTTPNotFound
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    fresh = request.query_string and static_url(name).endswith(request.query_string)
    cache = "public, max-age=31536000, immutable" if fresh else "no-cache"
    return web.FileResponse(path, headers={"Cache-Control": cache, "Content-Type": content_type})


def add_routes(app: web.Application) -> None:
    """Every page with its handler; who may reach it stands in ``auth.roles``."""
    add = app.router.add_route
    add("GET", "/static/{file:.+}", _static)
    for method, path, handler in (
        ("GET", "/sign-in", pages_account.sign_in_page),
        ("POST", "/sign-in", pages_account.sign_in),
        ("POST", "/sign-out", pages_account.sign_out),
        ("POST", "/language", pages_account.choose_language),
        ("GET", "/profile", pages_account.profile_page),
        ("POST", "/profile", pages_account.save_profile),
        ("POST", "/profile/password", pages_account.change_password),
        ("POST", "/profile/sign-out-everywhere", pages_account.sign_out_everywhere),
        ("GET", "/", pages_houses.start),
        ("GET", "/houses", pages_houses.houses),
        ("GET", "/houses/{id}", pages_houses.house),
        ("GET", "/houses/{id}/download", pages_houses.download),
        ("GET", "/houses/{id}/registry", pages_registry.house),
        ("POST", "/houses/{id}/registry", pages_registry.change_house),
        ("POST", "/houses/{id}/gar", pages_gar.bind),
        ("GET", "/gar", pages_gar.register),
        ("POST", "/gar", pages_gar.load),
        ("GET", "/networks", pages_losses.losses),
        ("GET", "/incidents", pages_incidents.incidents),
        ("POST", "/incidents/{id}/acknowledge", pages_incidents.acknowledge),
        ("POST", "/incidents/{id}/comment", pages_incidents.comment),
        ("GET", "/meters", pages_meters.meters),
        ("GET", "/meters/{id}", pages_meters.meter),
        ("POST", "/meters/{id}/readings", pages_meters.enter_reading),
        ("GET", "/meters/{id}/passport", pages_registry.passport),
        ("POST", "/meters/{id}/passport", pages_registry.change_passport),
        ("GET", "/meters/{id}/corrections", pages_corrections.history),
        ("POST", "/meters/{id}/corrections", pages_corrections.correct_reading),
        ("GET", "/conflicts", pages_corrections.conflicts),
        ("POST", "/conflicts", pages_corrections.decide),
        ("GET", "/periods", pages_periods.periods),
        ("POST", "/periods", pages_periods.close),
        ("GET", "/periods/{id}", pages_periods.period),
        ("POST", "/periods/{id}/reopen", pages_periods.reopen),
        ("GET", "/rules", pages_rules.rules),
        ("POST", "/rules", pages_rules.enter),
        ("POST", "/rules/{id}/withdraw", pages_rules.withdraw),
        ("GET", "/codecs", pages_codecs.codecs),
        ("GET", "/codecs/new", pages_codecs.new_codec),
        ("POST", "/codecs/new", pages_codecs.save_new_codec),
        ("POST", "/codecs/check", pages_codecs.check_codec),
        ("GET", "/codecs/{name}", pages_codecs.codec),
        ("POST", "/codecs/{name}", pages_codecs.save_codec),
        ("POST", "/codecs/{name}/test", pages_codecs.test_codec),
        ("POST", "/codecs/{name}/delete", pages_codecs.delete_codec),
        ("GET", "/catalogue", pages_codecs.catalogue),
        ("POST", "/catalogue", pages_codecs.upload_catalogue),
        ("GET", "/catalogue/{id}", pages_codecs.catalogue_job),
        ("POST", "/catalogue/{id}/apply", pages_codecs.take_catalogue),
        ("GET", "/undecoded", pages_redecoding.waiting),
        ("POST", "/undecoded", pages_redecoding.redecode),
        ("GET", "/undecoded/{id}", pages_redecoding.redecoding),
        ("POST", "/undecoded/{id}/apply", pages_redecoding.apply),
        ("GET", "/profiles", pages_profiles.profiles),
        ("GET", "/profiles/new", pages_profiles.new_profile),
        ("POST", "/profiles/new", pages_profiles.save_new_profile),
        ("GET", "/profiles/{name}", pages_profiles.profile),
        ("POST", "/profiles/{name}", pages_profiles.save_profile),
        ("POST", "/profiles/{name}/delete", pages_profiles.delete_profile),
        ("GET", "/admin/subscriptions", pages_subscriptions.subscriptions),
        ("POST", "/admin/subscriptions", pages_subscriptions.subscribe),
        ("POST", "/admin/subscriptions/{id}/delete", pages_subscriptions.unsubscribe),
        ("GET", "/multicast", pages_multicast.groups),
        ("GET", "/multicast/new", pages_multicast.new_group),
        ("POST", "/multicast/new", pages_multicast.new_group),
        ("GET", "/multicast/{id}", pages_multicast.group),
        ("POST", "/multicast/{id}/members", pages_multicast.change_group_members),
        ("POST", "/multicast/{id}/queue", pages_multicast.queue_group_downlink),
        ("POST", "/multicast/{id}/delete", pages_multicast.delete_group),
        ("GET", "/gateways", pages_network.gateways),
        ("GET", "/gateways/new", pages_network.new_gateway),
        ("POST", "/gateways/new", pages_network.new_gateway),
        ("GET", "/gateways/{gateway_eui}", pages_network.gateway),
        ("POST", "/gateways/{gateway_eui}", pages_network.gateway),
        ("POST", "/gateways/{gateway_eui}/adopt", pages_network.adopt_gateway),
        ("POST", "/gateways/{gateway_eui}/delete", pages_network.delete_gateway),
        ("POST", "/gateways/{gateway_eui}/station", pages_stations.station),
        ("POST", "/gateways/{gateway_eui}/credentials", pages_stations.credentials),
        ("POST", "/gateways/{gateway_eui}/credentials/revoke", pages_stations.revoke),
        ("GET", "/devices", pages_network.devices),
        ("GET", "/devices/new", pages_network.new_device),
        ("POST", "/devices/new", pages_network.new_device),
        ("GET", "/devices/{dev_eui}", pages_network.device),
        ("POST", "/devices/{dev_eui}/queue", pages_network.queue_downlink),
        ("POST", "/devices/{dev_eui}/delete", pages_network.delete_device),
        ("GET", "/import", pages_import.import_page),
        ("POST", "/import", pages_import.upload),
        ("GET", "/import/{id}", pages_import.import_job),
        ("POST", "/import/{id}/apply", pages_import.apply),
        ("GET", "/admin/users", pages_admin.users),
        ("POST", "/admin/users", pages_admin.add_user),
        ("GET", "/admin/users/{id}", pages_admin.user),
        ("POST", "/admin/users/{id}", pages_admin.save_user),
        ("GET", "/admin/tokens", pages_admin.tokens),
        ("POST", "/admin/tokens", pages_admin.add_token),
        ("POST", "/admin/tokens/{id}/revoke", pages_admin.revoke),
        ("GET", "/sources", pages_sources.sources),
        ("POST", "/sources/refused", pages_sources.settle_refused),
        ("GET", "/admin/sources/new", pages_sources.new_source),
        ("POST", "/admin/sources/new", pages_sources.new_source),
        ("GET", "/admin/sources/{id}", pages_sources.source),
        ("POST", "/admin/sources/{id}", pages_sources.source),
        ("POST", "/admin/sources/{id}/delete", pages_sources.remove_source),
        ("GET", "/admin/integrations", pages_integrations.integrations),
        ("GET", "/admin/integrations/new", pages_integrations.new_integration),
        ("POST", "/admin/integrations/new", pages_integrations.new_integration),
        ("GET", "/admin/integrations/{id}", pages_integrations.integration),
        ("POST", "/admin/integrations/{id}", pages_integrations.integration),
        ("POST", "/admin/integrations/{id}/delete", pages_integrations.remove_integration),
        ("POST", "/admin/integrations/{id}/retry", pages_integrations.retry_letters),
        ("POST", "/admin/integrations/{id}/replay", pages_integrations.replay),
        ("POST", "/devices/{dev_eui}/clock", pages_network.correct_device_clock),
        ("GET", "/admin/audit", pages_admin.audit),
        ("GET", "/api/docs", pages_docs.docs),
        ("GET", "/live", pages_network.live),
        ("GET", "/live/stream", pages_network.live_stream),
        ("GET", "/live/{id:[0-9]+}", pages_frames.frame),
    ):
        add(method, path, handler)
