"""Devices: the registry of the network's members. Root keys can be written and never read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from appserver.api.fields import Eui, Input, Key128, Name, Output, Page, PageQuery, Slug, Tags, Time, time_of
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.profiles import DeviceClass, MacVersion, all_profiles
from appserver.api.router import Api, Call
from internalapi import messages as m
from internalapi.client import ApiError

api = Api("Devices")

Region = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_-]{2,20}$")]


class DeviceBody(Input):
    """What may be said of a device: a profile, or ``mac_version``, ``region`` and ``class`` in its place."""

    join_eui: Eui | None = None
    name: Name | None = None
    profile: Slug | None = None
    mac_version: MacVersion | None = None
    region: Region | None = None
    device_class: DeviceClass | None = Field(None, alias="class")
    activation: Literal["OTAA", "ABP"] | None = None
    app_key: Key128 | None = None
    nwk_key: Key128 | None = None
    tags: Tags | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _one_way_to_say_the_kind(self) -> DeviceBody:
        if self.profile and (self.mac_version or self.region or self.device_class):
            raise ValueError("give either profile, or mac_version with region and class")
        return self


class NewDevice(DeviceBody):
    """A device to register."""

    dev_eui: Eui


class ChangedDevice(DeviceBody):
    """Changes; what is left out keeps its value. ``dev_eui`` may be repeated."""

    dev_eui: Eui | None = None


class Device(Output):
    """A device and what was last heard of it."""

    dev_eui: str
    join_eui: str
    name: str
    profile: str
    codec: str
    mac_version: str
    region: str
    device_class: str = Field(alias="class")
    activation: str
    tags: dict[str, str]
    disabled: bool
    created_at: Time
    dev_addr: str | None
    joined_at: Time | None
    last_seen_at: Time | None
    fcnt_up: int | None
    fcnt_down: int | None
    rssi_dbm: float | None
    snr_db: float | None
    dr: int | None
    gateways: int
    battery: int | None
    margin_db: int | None
    expected_interval_s: int


class DevicePath(Input):
    dev_eui: Eui


def device_view(record: m.DeviceRecord) -> Device:
    """The API's form of a device; it has no keys because the network process never gives them out."""
    return Device.model_construct(
        **{name: getattr(record, name) for name in _SAME_NAME},
        created_at=time_of(record.created_at_us),
        joined_at=time_of(record.joined_at_us),
        last_seen_at=time_of(record.last_seen_us),
        fcnt_up=record.f_cnt_up,
        fcnt_down=record.f_cnt_down,
    )


_SAME_NAME = [name for name in Device.model_fields if name in m.DeviceRecord.__struct_fields__]


async def find_device(call: Call, dev_eui: str) -> m.DeviceRecord:
    """The device, or the 404 that names it."""
    try:
        found: m.DeviceRecord = await call.services.network.device(key=dev_eui)
    except ApiError as error:
        if error.problem.code == "not_found":
            raise not_found("device", dev_eui) from error
        raise
    return found


async def profile_for(call: Call, body: DeviceBody) -> str | None:
    """The profile that ``body`` names, or the plain one for its version, region and class, made when it is missing."""
    if body.profile:
        if body.profile not in await all_profiles(call):
            raise invalid("profile", f"there is no device profile {body.profile}")
        return body.profile
    if not (body.mac_version or body.region or body.device_class):
        return None
    plain = m.ProfileWrite(
        name="",
        mac_version=body.mac_version or "1.0.3",
        region=body.region or "RU864",
        device_class=body.device_class or "A",
    )
    plain.name = f"lorawan-{plain.mac_version}-{plain.region}-{plain.device_class}".lower()
    plain.title = f"LoRaWAN {plain.mac_version} {plain.region} class {plain.device_class}"
    if plain.name not in await all_profiles(call):
        await call.services.network.call("profile_put", plain)
    return plain.name


def _device_write(dev_eui: str, body: DeviceBody, profile: str | None) -> m.DeviceWrite:
    given: dict[str, Any] = {"profile": profile}
    for name in ("join_eui", "name", "activation", "app_key", "nwk_key", "tags", "disabled"):
        given[name] = getattr(body, name)
    return m.DeviceWrite(dev_eui=dev_eui, **{name: value for name, value in given.items() if value is not None})


async def create_device(call: Call, body: NewDevice) -> m.DeviceRecord:
    """Register a device; 409 when it is registered already."""
    profile = await profile_for(call, body)
    if profile is None:
        raise invalid("profile", "give a profile, or mac_version with region and class")
    write = _device_write(body.dev_eui, body, profile)
    await call.services.network.devices_put(items=[write], create_only=True)
    await call.audit("device.create", f"device/{body.dev_eui}", {"name": body.name or "", "profile": profile})
    return await find_device(call, body.dev_eui)


async def remove_device(call: Call, dev_eui: str) -> None:
    """Take a device out of the network; its readings stay."""
    await find_device(call, dev_eui)
    await call.services.network.device_delete(key=dev_eui)
    await call.audit("device.delete", f"device/{dev_eui}")


@api.add("GET", "/devices", answers=Page[Device], summary="List devices")
async def list_devices(call: Call, query: PageQuery) -> Page[Device]:
    page = await call.services.network.devices(cursor=query.cursor, limit=query.limit, q=query.q)
    return Page(items=[device_view(item) for item in page.items], next_cursor=page.next_cursor)


@api.add("POST", "/devices", answers=Device, status=201, summary="Register a device")
async def post_device(call: Call, body: NewDevice) -> Device:
    return device_view(await create_device(call, body))


@api.add("GET", "/devices/{dev_eui}", answers=Device, summary="Show a device")
async def get_device(call: Call, path: DevicePath) -> Device:
    return device_view(await find_device(call, path.dev_eui))


@api.add("PUT", "/devices/{dev_eui}", answers=Device, summary="Change a device")
async def put_device(call: Call, path: DevicePath, body: ChangedDevice) -> Device:
    if body.dev_eui not in (None, path.dev_eui):
        raise invalid("dev_eui", "differs from the address; a device's EUI does not change")
    await find_device(call, path.dev_eui)
    write = _device_write(path.dev_eui, body, await profile_for(call, body))
    await call.services.network.devices_put(items=[write])
    changed = sorted(set(body.model_fields_set) - {"dev_eui"})
    await call.audit("device.change", f"device/{path.dev_eui}", {"fields": changed})
    return device_view(await find_device(call, path.dev_eui))


@api.add("DELETE", "/devices/{dev_eui}", answers=None, status=204, summary="Remove a device")
async def delete_device(call: Call, path: DevicePath) -> None:
    await remove_device(call, path.dev_eui)


class NoncesQuery(Input):
    """Which devices: those of a profile, or a list of DevEUIs with commas."""

    profile: Slug | None = None
    dev_eui: (
        Annotated[str, StringConstraints(max_length=20000, pattern=r"^[0-9a-fA-F]{16}(,[0-9a-fA-F]{16})*$")] | None
    ) = None


class Forgotten(Output):
    """How many devices were touched."""

    devices: int


@api.add("DELETE", "/devices/nonces", answers=Forgotten, summary="Forget used DevNonces of many devices")
async def delete_many_nonces(call: Call, query: NoncesQuery) -> Forgotten:
    if (query.profile is None) == (query.dev_eui is None):
        raise Problem(422, "Give either profile or dev_eui.")
    euis = query.dev_eui.lower().split(",") if query.dev_eui else []
    done = await call.services.network.nonces_forget(dev_euis=euis, profile=query.profile or "")
    await call.audit("nonces.forget", f"profile/{query.profile}" if query.profile else "devices", {"dev_euis": euis})
    return Forgotten(devices=done.devices)


@api.add("DELETE", "/devices/{dev_eui}/nonces", answers=Forgotten, summary="Forget a device's used DevNonces")
async def delete_nonces(call: Call, path: DevicePath) -> Forgotten:
    await find_device(call, path.dev_eui)
    done = await call.services.network.nonces_forget(dev_euis=[path.dev_eui])
    await call.audit("nonces.forget", f"device/{path.dev_eui}")
    return Forgotten(devices=done.devices)
