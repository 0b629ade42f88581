"""Every MAC command that a server must know, once: who knows it, what a device's word does, when the server asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from lns.mac import (
    beacon_timing,
    ctrl_uplink_list,
    dev_status,
    device_mode,
    device_time,
    force_rejoin,
    link_adr,
    link_check,
    negotiate,
    notify_new_end_device,
    ping_slot_info,
    rekey,
    reset,
    update_uplink_list,
)
from lns.mac.context import Block, MacContext
from lns.mac.parameters import KNOWN_IN
from lns.mac.versions import ALL, ONLY_1_1, since, until
from lorawan.commands import (
    BeaconTimingReq,
    Command,
    CtrlUplinkListAns,
    CtrlUplinkListReq,
    DeviceModeInd,
    DeviceTimeReq,
    DevStatusAns,
    DevStatusReq,
    ForceRejoinReq,
    LinkADRAns,
    LinkADRReq,
    LinkCheckReq,
    NotifyNewEndDeviceReq,
    PingSlotInfoReq,
    RekeyInd,
    ResetInd,
    UpdateUplinkListAns,
    UpdateUplinkListReq,
)


class Row(NamedTuple):
    """A command that a device sends."""

    uplink: type[Command]
    versions: frozenset[str]
    """LoRaWAN versions in which a device may send it; in others it is counted and ignored."""
    on_uplink: Callable[[Any, MacContext], None]
    """Takes all commands of this kind in one uplink."""


ROWS: tuple[Row, ...] = (
    Row(ResetInd, ONLY_1_1, reset.on_uplink),
    Row(RekeyInd, ONLY_1_1, rekey.on_uplink),
    Row(LinkCheckReq, ALL, link_check.on_uplink),
    # Specified since 1.0.3; many older devices ask too, and an answer does no harm.
    Row(DeviceTimeReq, ALL, device_time.on_uplink),
    Row(DeviceModeInd, ONLY_1_1, device_mode.on_uplink),
    Row(PingSlotInfoReq, ALL, ping_slot_info.on_uplink),
    Row(BeaconTimingReq, until("1.0.2"), beacon_timing.on_uplink),
    Row(LinkADRAns, ALL, link_adr.on_uplink),
    Row(DevStatusAns, ALL, dev_status.on_uplink),
    Row(UpdateUplinkListAns, since("1.0.4"), update_uplink_list.on_uplink),
    Row(CtrlUplinkListAns, since("1.0.4"), ctrl_uplink_list.on_uplink),
    Row(NotifyNewEndDeviceReq, since("1.0.4"), notify_new_end_device.on_uplink),
    *(Row(setting.answer, versions, partial(negotiate.take, setting)) for setting, versions in KNOWN_IN),
)
HANDLERS: dict[type[Command], Row] = {row.uplink: row for row in ROWS}

Asker = Callable[[MacContext], Iterable[Block]]
ASKERS: tuple[Asker, ...] = (
    force_rejoin.ask,
    negotiate.ask_settings,
    link_adr.ask,
    update_uplink_list.ask,
    ctrl_uplink_list.ask,
    dev_status.ask,
)
"""In the order in which they may speak."""
IN_STEP: tuple[Asker, ...] = (link_adr.ask, dev_status.ask)
"""Those that have something to ask of a device that uses what it should."""

NOTERS: dict[type[Command], Callable[[Block, MacContext], None]] = {
    LinkADRReq: link_adr.note_sent,
    DevStatusReq: dev_status.note_sent,
    ForceRejoinReq: force_rejoin.note_sent,
    UpdateUplinkListReq: update_uplink_list.note_sent,
    CtrlUplinkListReq: ctrl_uplink_list.note_sent,
}
"""What is remembered of a block that was sent, by its first command; of all others :func:`negotiate.note_sent`."""
