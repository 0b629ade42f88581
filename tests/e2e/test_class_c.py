"""Class C over datagrams in virtual time: the simulator's devices, forwarders with their just-in-time queues, one air.

The device decides itself what it hears; the recording of the air is the judge.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lorasim.class_c import GroupChannel
from lorasim.crypto import SessionKeys
from lorasim.session import Session

from lorawan.identifiers import DevAddr, NetID
from tests.support.air_lab import AirLab

DEV_EUI = 0x70B3D5FFFE000001
SCENARIO = """
name = "class c"
[radio]
snr_db = 8
spread_db = 0
fading_db = 0
weaker_db = 3
[backhaul]
delay_ms = 30
jitter_ms = 20
{gateways}
[[devices]]
count = {count}
mac_version = "{mac_version}"
interval_s = {interval_s}
join_spread_s = 5
confirmed = false
dr = 3
class_c = true
"""
GATEWAY = """
[[gateways]]
eui = "0016c001ff1e5a0{n}"
forwarder = "{forwarder}"
keepalive_s = 10
stat_s = 30
"""
MC_ADDR = 0x00AB_CDEF
MC_KEYS = SessionKeys.of_1_0(bytes([7] * 16), bytes([8] * 16))


def class_c_lab(
    folder: Path,
    forwarders: tuple[str, ...] = ("1302",),
    mac_version: str = "1.0.3",
    count: int = 1,
    interval_s: int = 600,
) -> AirLab:
    gateways = "".join(GATEWAY.format(n=n, forwarder=kind) for n, kind in enumerate(forwarders, 1))
    text = SCENARIO.format(gateways=gateways, count=count, mac_version=mac_version, interval_s=interval_s)
    lab = AirLab(folder, text)
    lab.profile(mac_version, device_class="C")
    lab.switch_on()
    lab.run(30)
    assert all(device.joined for device in lab.world.devices.values())
    if mac_version.startswith("1.1"):
        for device in lab.world.devices.values():
            device.change_class("C")
    lab.run(interval_s * 2.2)
    return lab


def heard(lab: AirLab, window: str = "RXC") -> list[dict[str, Any]]:
    return [line for line in lab.lines("downlink") if line["window"] == window]


@pytest.mark.parametrize("forwarder", ["1301", "1302"])
@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4", "1.1.0"])
def test_a_valve_command_is_heard_within_two_seconds_once(tmp_path: Path, mac_version: str, forwarder: str) -> None:
    lab = class_c_lab(tmp_path, (forwarder,), mac_version)
    lab.run(120)
    asked_us = lab.radio_us
    item = lab.queue(f"{DEV_EUI:016x}", b"close the valve", at_most_once=True)
    lab.run(4)
    (line,) = heard(lab)
    assert bytes.fromhex(line["data"]) == b"close the valve"
    begun_us = next(one["t"] for one in lab.lines("on_air") if one["phy"] == line["phy"])
    assert begun_us - asked_us < 2_000_000
    assert lab.item(item).state == "sent"
    lab.run(1800)
    assert sum(bytes.fromhex(one["data"]) == b"close the valve" for one in lab.lines("downlink")) == 1


def test_inv_02_uplinks_answers_and_commands_keep_the_order_of_counters(tmp_path: Path) -> None:
    """Every fourteen seconds a command, every half minute an uplink: the device refuses nothing."""
    lab = class_c_lab(tmp_path, ("1302", "1301"), interval_s=30)
    sent = []
    for n in range(60):
        sent.append(bytes((n, 0xC0)))
        lab.queue(f"{DEV_EUI:016x}", sent[-1])
        lab.run(14.3)
    lab.run(200)
    lines = [line for line in lab.lines("downlink") if line["f_port"] == 10]
    got = [bytes.fromhex(line["data"]) for line in lines]
    # An uplink that begins while a command comes in costs it: the device is deaf then, and at most once means that.
    assert got == [data for data in sent if data in got] and len(got) >= 54
    counters = [line["f_cnt"] for line in lab.lines("downlink")]
    assert counters == sorted(set(counters))
    assert lab.lines("downlink_refused") == []
    refusals = [line for line in lab.lines("tx_ack") if line["outcome"].get("error") not in ("NONE", None)]
    assert refusals == []


def test_a_confirmed_command_is_acknowledged_by_an_uplink_of_its_own(tmp_path: Path) -> None:
    lab = class_c_lab(tmp_path)
    item = lab.queue(f"{DEV_EUI:016x}", b"x", confirmed=True)
    lab.run(12)
    assert lab.item(item).state == "acked"
    assert len(heard(lab)) == 1


@pytest.mark.parametrize("forwarders", [("1302", "1301"), ("1301", "1302", "1302")])
def test_a_multicast_is_heard_by_all_once(tmp_path: Path, forwarders: tuple[str, ...]) -> None:
    """All gateways reach all devices: they take turns, and no two of their frames meet on the air."""
    lab = class_c_lab(tmp_path, forwarders, count=6)
    values = {
        "name": "tariff",
        "mc_addr": f"{MC_ADDR:08x}",
        "device_class": "C",
        "dr": 3,
        "frequency_hz": 868_900_000,
        "mc_nwk_s_key": MC_KEYS.nwk_s_enc_key.hex(),
        "mc_app_s_key": MC_KEYS.app_s_key.hex(),
        "gateways": [f"{eui:016x}" for eui in lab.world.gateways],
    }
    id = str(lab.call("group_put", **values).id)
    lab.call("group_members_put", group=id, add=[f"{dev_eui:016x}" for dev_eui in lab.world.devices])
    for device in lab.world.devices.values():
        assert device.class_c is not None
        session = Session(DevAddr(MC_ADDR), NetID(0), MC_KEYS, strict_gap=False)
        device.class_c.groups.append(GroupChannel(session, 868_900_000, "SF9BW125"))
    put = [bytes((n,)) for n in range(3)]
    for data in put:
        lab.call("group_queue_put", group=id, f_port=5, data=data)
    lab.run(60)
    assert {item.state for item in lab.call("group_queue", key=id).items} == {"sent"}
    mine = [line for line in lab.lines("downlink") if line["dev_addr"] == f"{MC_ADDR:08x}"]
    for dev_eui in lab.world.devices:
        own = [line for line in mine if line["dev_eui"] == f"{dev_eui:016x}"]
        assert [bytes.fromhex(line["data"]) for line in own] == put
    on_air = sorted(
        (line["t"], line["t"] + line["airtime_us"], line["phy"])
        for line in lab.lines("on_air")
        if line["phy"].startswith("60efcdab00")
    )
    assert len(on_air) == 3 * len(forwarders) and len({phy for _, _, phy in on_air}) == 3
    assert all(a[1] <= b[0] for a, b in pairwise(on_air))
