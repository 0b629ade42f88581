"""Device profiles: radio and codec of a kind of device."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver.api.codecs import list_codecs
from appserver.api.problems import Problem
from appserver.api.profiles import (
    ChangedProfile,
    NewProfile,
    Profile,
    ProfileBody,
    ProfilePath,
    all_profiles,
    find_profile,
    post_profile,
    profile_view,
    put_profile,
)
from appserver.api.profiles import delete_profile as api_delete_profile
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import N_
from appserver.web.render import page
from internalapi.client import ApiError, NetworkUnavailable

MAC_VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")
ADR = ("default", "recommended", "static", "off")
FORM = """
    title mac_version region class codec adr adr_margin_db adr_min_dr adr_max_dr adr_max_nb_trans adr_static_dr
    adr_static_tx_power adr_static_nb_trans expected_interval_s rx1_delay_s rx1_dr_offset rx2_dr rx2_frequency_hz
    dev_status_interval_s confirmed_attempts ping_slot_periodicity class_b_timeout_s max_eirp_dbm
""".split()  # noqa: SIM905
"""Fields of the form; what else a profile has stays as it is."""
CHECKS = ("relaxed_f_cnt_reset",)


async def profiles(request: web.Request) -> web.Response:
    """The list."""
    call = call_of(request)
    found = [profile_view(item) for item in (await all_profiles(call)).values()]
    found.sort(key=lambda profile: (profile.built_in, profile.name))
    return page(request, "profiles.html", items=found)


async def new_profile(request: web.Request) -> web.Response:
    """The form of a new profile; ``?like=NAME`` begins as a copy."""
    call = call_of(request)
    known = await all_profiles(call)
    like = request.query.get("like", "")
    fields = _fields(profile_view(known[like])) if like in known else _fields(None)
    return await _form(request, None, {"name": ""} | fields)


async def save_new_profile(request: web.Request) -> web.Response:
    """Keep a new profile."""
    sent = await read_form(request)
    fields = _given(sent) | {"name": sent.get("name", "")}
    try:
        made = await post_profile(call_of(request), check(NewProfile, _values(sent) | {"name": fields["name"]}))
    except (Problem, ApiError, NetworkUnavailable) as error:
        return await _form(request, None, fields, _problem(error))
    raise web.HTTPSeeOther(f"/profiles/{made.name}?saved=1")


def _problem(error: Exception) -> Problem:
    from appserver.api.problems import from_network, network_away

    if isinstance(error, Problem):
        return error
    return from_network(error) if isinstance(error, ApiError) else network_away(NetworkUnavailable())


def _path(request: web.Request) -> ProfilePath:
    try:
        return check(ProfilePath, {"name": request.match_info["name"]})
    except Problem as error:
        raise Problem(404, N_("There is no such profile.")) from error


async def profile(request: web.Request) -> web.Response:
    """One profile."""
    shown = profile_view(await find_profile(call_of(request), _path(request).name))
    return await _form(request, shown, _fields(shown))


async def save_profile(request: web.Request) -> web.Response:
    """Change what the form has; the rest of the profile stays."""
    call, path, sent = call_of(request), _path(request), await read_form(request)
    shown = profile_view(await find_profile(call, path.name))
    try:
        kept = {
            (field.alias or name): getattr(shown, name)
            for name, field in ProfileBody.model_fields.items()
            if (field.alias or name) not in FORM and name not in CHECKS
        }
        plain = {name: _plain(value) for name, value in kept.items()}
        await put_profile(call, path, check(ChangedProfile, plain | _values(sent)))
    except (Problem, ApiError, NetworkUnavailable) as error:
        return await _form(request, shown, _given(sent), _problem(error))
    raise web.HTTPSeeOther(f"/profiles/{path.name}?saved=1")


async def delete_profile(request: web.Request) -> web.Response:
    """Remove a profile that no device uses."""
    await read_form(request)
    path = _path(request)
    try:
        await api_delete_profile(call_of(request), path)
    except (Problem, ApiError, NetworkUnavailable) as error:
        problem = _problem(error)
        if problem.status == 404:
            raise problem from error
        shown = profile_view(await find_profile(call_of(request), path.name))
        return await _form(request, shown, _fields(shown), problem)
    raise web.HTTPSeeOther("/profiles")


async def _form(
    request: web.Request, shown: Profile | None, fields: dict[str, Any], problem: Problem | None = None
) -> web.Response:
    codecs = (await list_codecs(call_of(request))).items
    return page(
        request,
        "device_profile.html",
        status=problem.status if problem else 200,
        profile=shown,
        fields=fields,
        problem=problem,
        codecs=[
            ("", "–"),
            *((c.name, f"{c.name} — {c.title}" if c.title else c.name) for c in codecs if c.kind != "broken"),
        ],
        versions=[(version, version) for version in MAC_VERSIONS],
        adr=ADR,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


def _fields(shown: Profile | None) -> dict[str, Any]:
    """The form's texts of a profile, or of the defaults."""
    values = {}
    for name in (*FORM, *CHECKS):
        field = "device_class" if name == "class" else name
        value = getattr(shown, field) if shown is not None else ProfileBody.model_fields[field].default
        values[name] = "" if value is None else value
    return values


def _given(sent: dict[str, str]) -> dict[str, Any]:
    return {name: sent.get(name, "") for name in FORM} | {name: sent.get(name) == "1" for name in CHECKS}


def _values(sent: dict[str, str]) -> dict[str, Any]:
    """The form as the body of the API: an empty field that may be empty says nothing."""
    given = {name: sent.get(name, "").replace(",", ".") if name != "title" else sent.get(name, "") for name in FORM}
    return {name: value for name, value in given.items() if value != ""} | {
        name: sent.get(name) == "1" for name in CHECKS
    }
