"""Device profiles: what all devices of one kind share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from appserver.api import profile_radio
from appserver.api.fields import Input, Name, Output, Page, Slug
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.profile_radio import Channel, RadioBody, RelaySettings, RelayUse
from appserver.api.router import Api, Call
from internalapi import messages as m

api = Api("Device profiles")

MacVersion = Literal["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0", "1.1"]
DeviceClass = Literal["A", "B", "C"]


class ProfileBody(RadioBody):
    """What a profile says."""

    title: Name = ""
    mac_version: MacVersion = "1.0.3"
    region: str = Field("RU864", pattern=r"^[A-Z0-9_-]{2,20}$")
    device_class: DeviceClass = Field("A", alias="class")
    codec: str = Field("", pattern=r"^[a-z0-9_.-]{0,63}$")
    adr: Literal["default", "recommended", "static", "off"] = "default"
    adr_margin_db: float = Field(10.0, ge=0, le=40, allow_inf_nan=False)
    adr_min_dr: int = Field(0, ge=0, le=14)
    adr_max_dr: int | None = Field(None, ge=0, le=14)
    adr_min_tx_power: int = Field(0, ge=0, le=14)
    """TXPower index: 0 is the most power."""
    adr_max_tx_power: int | None = Field(None, ge=0, le=14)
    adr_max_nb_trans: int = Field(3, ge=1, le=15)
    adr_static_dr: int = Field(0, ge=0, le=14)
    """What ``static`` asks for."""
    adr_static_tx_power: int = Field(0, ge=0, le=14)
    adr_static_nb_trans: int = Field(1, ge=1, le=15)
    relaxed_f_cnt_reset: bool = False
    """ABP devices may begin FCntUp anew, with a frame that was never heard before."""
    expected_interval_s: int = Field(86400, ge=10, le=31 * 86400)
    rx1_delay_s: int = Field(1, ge=1, le=15)
    dev_status_interval_s: int = Field(86400, ge=0, le=366 * 86400)
    confirmed_attempts: int = Field(3, ge=1, le=10)
    ping_slot_periodicity: int | None = Field(None, ge=0, le=7)
    """Class B: a ping slot every 2**n seconds, for devices that do not tell it themselves."""
    class_b_timeout_s: int | None = Field(None, ge=1, le=3600)
    """Class B: a confirmed downlink without an answer in this time is sent anew."""


class NewProfile(ProfileBody):
    """A profile to make."""

    name: Slug


class ChangedProfile(ProfileBody):
    """All that may change; ``name`` may be repeated."""

    name: Slug | None = None


class Profile(Output):
    """A device profile."""

    name: str
    title: str
    mac_version: str
    region: str
    device_class: str = Field(alias="class")
    codec: str
    adr: str
    adr_margin_db: float
    adr_min_dr: int
    adr_max_dr: int | None
    adr_min_tx_power: int
    adr_max_tx_power: int | None
    adr_max_nb_trans: int
    adr_static_dr: int
    adr_static_tx_power: int
    adr_static_nb_trans: int
    relaxed_f_cnt_reset: bool
    expected_interval_s: int
    rx1_delay_s: int
    dev_status_interval_s: int
    confirmed_attempts: int
    ping_slot_periodicity: int | None
    class_b_timeout_s: int | None
    rx1_dr_offset: int | None
    rx2_dr: int | None
    rx2_frequency_hz: int | None
    channels: list[Channel] | None
    max_duty_cycle: int | None
    uplink_dwell_time: bool | None
    downlink_dwell_time: bool | None
    max_eirp_dbm: int | None
    adr_ack_limit_exp: int | None
    adr_ack_delay_exp: int | None
    rejoin_time_n: int | None
    rejoin_count_n: int | None
    ping_slot_frequency_hz: int | None
    ping_slot_dr: int | None
    beacon_frequency_hz: int | None
    relay: bool
    relay_settings: RelaySettings | None
    relay_use: RelayUse | None
    built_in: bool


class ProfilePath(Input):
    name: Slug


FIELDS = [
    "title",
    "mac_version",
    "region",
    "device_class",
    "codec",
    "adr",
    "adr_margin_db",
    "adr_min_dr",
    "adr_max_dr",
    "adr_min_tx_power",
    "adr_max_tx_power",
    "adr_max_nb_trans",
    "adr_static_dr",
    "adr_static_tx_power",
    "adr_static_nb_trans",
    "relaxed_f_cnt_reset",
    "expected_interval_s",
    "rx1_delay_s",
    "dev_status_interval_s",
    "confirmed_attempts",
    "ping_slot_periodicity",
    "class_b_timeout_s",
]


def profile_view(record: m.ProfileRecord) -> Profile:
    """The API's form of a profile."""
    return Profile.model_construct(
        name=record.name,
        built_in=record.built_in,
        **{field: getattr(record, field) for field in FIELDS},
        **profile_radio.view(record),
    )


async def all_profiles(call: Call) -> dict[str, m.ProfileRecord]:
    """Profiles by name."""
    return {item.name: item for item in (await call.services.network.profiles()).items}


async def find_profile(call: Call, name: str) -> m.ProfileRecord:
    """The profile, or the 404 that names it."""
    profiles = await all_profiles(call)
    if name not in profiles:
        raise not_found("device profile", name)
    return profiles[name]


async def _write(call: Call, name: str, body: ProfileBody) -> Profile:
    fields: dict[str, Any] = {field: getattr(body, field) for field in FIELDS}
    await call.services.network.profile_put(name=name, **fields, **profile_radio.to_network(body))
    return profile_view(await find_profile(call, name))


@api.add("GET", "/device-profiles", answers=Page[Profile], summary="List device profiles")
async def list_profiles(call: Call) -> Page[Profile]:
    return Page(items=[profile_view(item) for item in (await all_profiles(call)).values()])


@api.add("POST", "/device-profiles", answers=Profile, status=201, summary="Make a device profile")
async def post_profile(call: Call, body: NewProfile) -> Profile:
    if body.name in await all_profiles(call):
        raise Problem(409, f"Device profile {body.name} exists already.")
    profile = await _write(call, body.name, body)
    await call.audit("profile.create", f"profile/{body.name}")
    return profile


@api.add("GET", "/device-profiles/{name}", answers=Profile, summary="Show a device profile")
async def get_profile(call: Call, path: ProfilePath) -> Profile:
    return profile_view(await find_profile(call, path.name))


@api.add("PUT", "/device-profiles/{name}", answers=Profile, summary="Change a device profile")
async def put_profile(call: Call, path: ProfilePath, body: ChangedProfile) -> Profile:
    if body.name not in (None, path.name):
        raise invalid("name", "differs from the address; a profile's name does not change")
    await find_profile(call, path.name)
    profile = await _write(call, path.name, body)
    await call.audit("profile.change", f"profile/{path.name}")
    return profile


@api.add("DELETE", "/device-profiles/{name}", answers=None, status=204, summary="Remove a device profile")
async def delete_profile(call: Call, path: ProfilePath) -> None:
    await find_profile(call, path.name)
    await call.services.network.profile_delete(key=path.name)
    await call.audit("profile.delete", f"profile/{path.name}")
