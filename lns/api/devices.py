"""Devices: create, change, list, delete. Root keys go to the join server and are never read back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

import structlog
from msgspec import UNSET

from internalapi import messages as m
from lns.api import parse
from lns.api.errors import Refused, invalid, not_found
from lns.clock import system_now
from lns.device import Device
from lns.lifecycle import end_session
from lns.network import Network
from lns.ports import RootKeys
from lns.state import NetworkState
from lorawan.errors import StateError
from lorawan.identifiers import EUI64

ACTIVATIONS = ("OTAA", "ABP")
MAX_NAME = 200
MAX_WARNINGS = 100

log = structlog.get_logger("devices")


async def devices(network: Network, request: m.DevicesRequest) -> m.DevicePage:
    limit = parse.limit(request.limit)
    q = request.q.lower().strip()
    cursor = int(parse.eui(request.cursor, "cursor")) if request.cursor else -1
    found: list[Device | None]
    if request.dev_euis is not None:
        wanted = sorted({int(parse.eui(text, "dev_euis")) for text in request.dev_euis})
        found = [network.state.devices.get(eui) for eui in wanted if eui > cursor]
        found = [one for one in found if one is not None and (not q or q in one.name.lower() or q in one.dev_eui_text)]
    else:
        found = [
            network.state.devices.get(eui) for eui in await network.read(lambda db: _euis(db, cursor, q, limit + 1))
        ]
    page = [one for one in found if one is not None][:limit]
    return m.DevicePage([_record(device) for device in page], page[-1].dev_eui_text if len(found) > limit else None)


def _euis(db: sqlite3.Connection, after: int, q: str, limit: int) -> list[int]:
    """DevEUIs by rising value, of all devices or of those whose name or DevEUI has ``q`` in it."""
    rows = db.execute(
        "SELECT dev_eui FROM device WHERE dev_eui > ?1 AND (?2 = '' OR instr(fold(name), ?2)"
        " OR instr(lower(hex(dev_eui)), ?2)) ORDER BY dev_eui LIMIT ?3",
        (after.to_bytes(8, "big") if after >= 0 else b"", q, limit),
    )
    return [int.from_bytes(dev_eui, "big") for (dev_eui,) in rows]


async def device(network: Network, request: m.Key) -> m.DeviceRecord:
    return _record(known(network, request.key))


def known(network: Network, text: str) -> Device:
    device = network.state.devices.get(parse.eui(text, "dev_eui"))
    if device is None:
        raise not_found("device", text)
    return device


async def devices_put(network: Network, request: m.DevicesPut) -> m.PutResult:
    """All or none: everything is checked first, then the keys become durable, then the devices."""
    state = network.state
    result = m.PutResult()
    keys: list[RootKeys] = []
    plans: list[tuple[m.DeviceWrite, EUI64]] = []
    seen: set[int] = set()
    for write in request.items:
        dev_eui = parse.eui(write.dev_eui, "dev_eui")
        if dev_eui in seen:
            raise invalid(f"dev_eui: {dev_eui} stands twice in this request", "dev_eui")
        seen.add(dev_eui)
        before = state.devices.get(dev_eui)
        if before is not None and request.create_only:
            raise Refused("conflict", f"device {dev_eui} exists already", "dev_eui")
        root_keys = _check(state, write, dev_eui, before, network.key_store.holds_keys_of)
        if before is None:
            result.created += 1
        elif root_keys is not None or _differs(before, write):
            result.changed += 1
        else:
            result.unchanged += 1
        if root_keys is not None:
            keys.append(root_keys)
        plans.append((write, dev_eui))
    if keys:
        # Keys without a device do no harm, a device without keys could not join: keys first.
        try:
            result.warnings = _told(await network.key_store.put_keys(keys, request.dry_run))
        except StateError as error:
            raise invalid(str(error), "app_key") from None
    if request.dry_run:
        return result
    for warning in result.warnings:
        log.warning("weak root key", told=warning)
    for write, dev_eui in plans:
        _apply(state, write, dev_eui)
    await network.durable()
    return result


def _told(warnings: Sequence[str]) -> list[str]:
    """As many as somebody reads."""
    rest = len(warnings) - MAX_WARNINGS
    return [*warnings[:MAX_WARNINGS], *([f"{rest} more of these"] if rest > 0 else [])]


def _check(
    state: NetworkState,
    write: m.DeviceWrite,
    dev_eui: EUI64,
    before: Device | None,
    holds_keys_of: Callable[[int], bool],
) -> RootKeys | None:
    where = f"device {dev_eui}"
    if write.name is not UNSET and len(write.name) > MAX_NAME:
        raise invalid(f"name: {where}: at most {MAX_NAME} characters", "name")
    if write.profile is not UNSET and write.profile not in state.profiles:
        raise invalid(f"profile: {where}: there is no profile {write.profile!r}", "profile")
    if before is None and write.profile is UNSET:
        raise invalid(f"profile: {where}: a new device needs a profile", "profile")
    if write.activation is not UNSET and write.activation not in ACTIVATIONS:
        raise invalid(f"activation: {where}: OTAA or ABP", "activation")
    join_eui = before.join_eui if before is not None else 0
    if write.join_eui is not UNSET:
        join_eui = parse.eui(write.join_eui, "join_eui")
    activation = write.activation if write.activation is not UNSET else before.activation if before else "OTAA"
    profile = state.profiles[write.profile] if write.profile is not UNSET else before.profile if before else None
    assert profile is not None
    app_key = parse.key(write.app_key, "app_key") if write.app_key is not UNSET else None
    nwk_key = parse.key(write.nwk_key, "nwk_key") if write.nwk_key is not UNSET else None
    if before is None and activation == "OTAA" and holds_keys_of(join_eui):
        if app_key is None:
            raise invalid(f"app_key: {where}: an OTAA device needs its AppKey", "app_key")
        if profile.lorawan_1_1 and nwk_key is None:
            raise invalid(f"nwk_key: {where}: a LoRaWAN 1.1 device needs its NwkKey too", "nwk_key")
    # The join server hears of what concerns joins; a device that never joins has nothing there.
    moved = (
        before is not None
        and activation == "OTAA"
        and (
            (before.activation, before.join_eui, before.profile.mac_version) != ("OTAA", join_eui, profile.mac_version)
        )
    )
    if app_key is None and nwk_key is None and not moved:
        return None
    return RootKeys(dev_eui, join_eui, profile.mac_version, app_key, nwk_key)


def _differs(device: Device, write: m.DeviceWrite) -> bool:
    now = {
        "name": device.name,
        "profile": device.profile.name,
        "activation": device.activation,
        "tags": device.tags or {},
        "disabled": device.disabled,
    }
    if write.join_eui is not UNSET and parse.eui(write.join_eui, "join_eui") != device.join_eui:
        return True
    return any(getattr(write, name) is not UNSET and getattr(write, name) != value for name, value in now.items())


def _apply(state: NetworkState, write: m.DeviceWrite, dev_eui: EUI64) -> None:
    device = state.devices.get(dev_eui)
    if device is None:
        assert write.profile is not UNSET
        state.last_device_id += 1
        device = Device(state.last_device_id, dev_eui, 0, "", state.profiles[write.profile])
        device.created_at_us = system_now().wall_us
        state.devices[dev_eui] = device
        state.devices_by_id[device.id] = device
    if write.join_eui is not UNSET:
        device.join_eui = parse.eui(write.join_eui, "join_eui")
    if write.name is not UNSET:
        device.name = write.name
    if write.profile is not UNSET:
        device.profile = state.profiles[write.profile]
    if write.activation is not UNSET:
        device.activation = write.activation
    if write.tags is not UNSET:
        device.tags = write.tags or None
    if write.disabled is not UNSET:
        device.disabled = write.disabled
    state.batch.operations.append(
        (
            "device_put",
            (
                device.id,
                dev_eui.to_bytes(8, "big"),
                device.join_eui.to_bytes(8, "big"),
                device.name,
                device.profile.name,
                device.activation,
                json.dumps(device.tags or {}, ensure_ascii=False),
                device.disabled,
                device.created_at_us,
            ),
        )
    )


async def device_delete(network: Network, request: m.Key) -> m.Ok:
    device = known(network, request.key)
    state = network.state
    for session in device.sessions:
        end_session(state, session)
    del state.devices[device.dev_eui]
    del state.devices_by_id[device.id]
    state.batch.operations.append(("device_adr_delete", (device.id,)))
    state.batch.operations.append(("device_queue_delete", (device.dev_eui.to_bytes(8, "big"),)))
    state.batch.operations.append(("listener_delete", (device.id,)))
    for group in state.groups.values():
        group.members.discard(device.dev_eui)
    state.batch.operations.append(("memberships_delete", (device.dev_eui.to_bytes(8, "big"),)))
    state.batch.operations.append(("device_delete", (device.id,)))
    await network.durable()
    await network.key_store.delete_keys(device.dev_eui)
    return m.Ok()


def _euis_of_profile(db: sqlite3.Connection, profile: str) -> list[int]:
    rows = db.execute("SELECT dev_eui FROM device WHERE profile = ?", (profile,))
    return [int.from_bytes(dev_eui, "big") for (dev_eui,) in rows]


async def nonces_forget(network: Network, request: m.NoncesForget) -> m.Forgotten:
    if bool(request.dev_euis) == bool(request.profile):
        raise invalid("name either dev_euis or a profile", "dev_euis")
    if request.profile:
        if request.profile not in network.state.profiles:
            raise not_found("profile", request.profile)
        euis = await network.read(lambda db: _euis_of_profile(db, request.profile))
    else:
        euis = [known(network, text).dev_eui for text in request.dev_euis]
    forgotten = await network.key_store.forget_nonces(euis, "internal API")
    now = system_now().wall_us
    network.state.batch.operations.append(
        ("audit", (now, "internal API", f"DevNonces of {len(euis)} devices forgotten"))
    )
    await network.durable()
    return m.Forgotten(forgotten)


def _record(device: Device) -> m.DeviceRecord:
    session = device.session or device.pending
    seen = session if session is not None and session.last_seen_us is not None else None
    return m.DeviceRecord(
        dev_eui=device.dev_eui_text,
        join_eui=f"{device.join_eui:016x}",
        name=device.name,
        profile=device.profile.name,
        codec=device.profile.codec,
        mac_version=device.profile.mac_version,
        region=device.profile.region,
        device_class=device.profile.device_class,
        activation=device.activation,
        tags=device.tags or {},
        disabled=device.disabled,
        created_at_us=device.created_at_us,
        dev_addr=f"{session.dev_addr:08x}" if session is not None else None,
        joined_at_us=session.activated_at_us if session is not None and device.activation == "OTAA" else None,
        last_seen_us=seen.last_seen_us if seen is not None else None,
        f_cnt_up=seen.f_cnt_up - 1 if seen is not None else None,
        f_cnt_down=session.n_f_cnt_down if session is not None else None,
        rssi_dbm=seen.rssi_dbm if seen is not None else None,
        snr_db=seen.snr_db if seen is not None else None,
        dr=seen.dr if seen is not None else None,
        gateways=seen.gateways if seen is not None else 0,
        battery=device.battery,
        margin_db=device.margin_db,
        expected_interval_s=device.profile.expected_interval_s,
    )
