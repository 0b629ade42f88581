"""A multicast group of class B over datagrams in virtual time: every gateway in the same slot, one frame for each member."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lorasim import class_b as oracle
from lorasim.class_b import PingSlots, gps_of
from lorasim.crypto import SessionKeys
from lorasim.session import Session

from lorawan.identifiers import DevAddr, NetID
from tests.e2e.test_class_b import class_b_lab, gateway, locked
from tests.support.air_lab import AirLab

MC_ADDR = 0x00AB_CDEF
KEYS = SessionKeys.of_1_0(bytes([7] * 16), bytes([8] * 16))
PERIODICITY = 5


def grouped(lab: AirLab, **fields: Any) -> str:
    """All devices of the lab in one group, at the server and in the devices."""
    values = {
        "name": "tariff",
        "mc_addr": f"{MC_ADDR:08x}",
        "device_class": "B",
        "dr": 3,
        "ping_periodicity": PERIODICITY,
        "mc_nwk_s_key": KEYS.nwk_s_enc_key.hex(),
        "mc_app_s_key": KEYS.app_s_key.hex(),
    }
    id = str(lab.call("group_put", **(values | fields)).id)
    lab.call("group_members_put", group=id, add=[f"{dev_eui:016x}" for dev_eui in lab.world.devices])
    for device in lab.world.devices.values():
        assert device.class_b is not None
        session = Session(DevAddr(MC_ADDR), NetID(0), KEYS, strict_gap=False)
        device.class_b.groups.append(PingSlots(MC_ADDR, PERIODICITY, fields.get("frequency_hz", 0), 3, session))
    return id


def put(lab: AirLab, id: str, data: bytes) -> str:
    return str(lab.call("group_queue_put", group=id, f_port=5, data=data).id)


def item(lab: AirLab, group: str, id: str) -> Any:
    return next(one for one in lab.call("group_queue", key=group).items if one.id == id)


def heard(lab: AirLab, data: bytes) -> list[str]:
    """Who heard a payload of the group, each time."""
    lines = [line for line in lab.lines("downlink") if line["dev_addr"] == f"{MC_ADDR:08x}"]
    return [line["dev_eui"] for line in lines if bytes.fromhex(line["data"]) == data]


@pytest.fixture
def lab(tmp_path: Path) -> AirLab:
    lab = class_b_lab(
        tmp_path, *(gateway(n, forwarder=f) for n, f in ((1, "1302"), (2, "1301"), (3, "1302"))), count=10
    )
    locked(lab, seconds=1500)
    return lab


def test_ten_devices_under_three_gateways_hear_one_frame(lab: AirLab) -> None:
    everybody = {f"{dev_eui:016x}" for dev_eui in lab.world.devices}
    euis = [f"{eui:016x}" for eui in lab.world.gateways]
    group = grouped(lab, gateways=euis)
    ids = {data: put(lab, group, data) for data in (b"night", b"day")}
    lab.run(100)
    for data, id in ids.items():
        assert sorted(heard(lab, data)) == sorted(everybody)
        assert item(lab, group, id).state == "sent" and "by 3 gateways" in item(lab, group, id).reason
    frames = [line for line in lab.lines("on_air") if line["phy"].startswith("60efcdab00")]
    assert len(frames) == 6 and len({line["phy"] for line in frames}) == 2
    slots: dict[str, set[int]] = {}
    for line in frames:
        slots.setdefault(line["phy"], set()).add(gps_of(line["t"]))
        assert (line["frequency_hz"], line["datr"]) == (868_900_000, "SF9BW125")
    for moments in slots.values():
        (moment,) = moments  # the same microsecond from all three
        assert moment in oracle.slots(moment - moment % 128_000_000, MC_ADDR, PERIODICITY)
    assert lab.lines("downlink_refused") == []


def test_the_fewest_gateways_with_gps_time_are_enough(lab: AirLab) -> None:
    group = grouped(lab)
    id = put(lab, group, b"x")
    lab.run(50)
    assert len(heard(lab, b"x")) == 10
    assert item(lab, group, id).state == "sent"
    assert len([line for line in lab.lines("on_air") if line["phy"].startswith("60efcdab00")]) < 3


def test_a_gateway_that_has_lost_its_fix_is_left_out(lab: AirLab) -> None:
    euis = list(lab.world.gateways)
    group = grouped(lab, gateways=[f"{eui:016x}" for eui in euis])
    lab.world.gateways[euis[0]].gps_locked = False
    id = put(lab, group, b"x")
    lab.run(50)
    assert len(heard(lab, b"x")) == 10
    reason = item(lab, group, id).reason
    assert "by 2 gateways" in reason and "GPS_UNLOCKED" in reason


def test_without_gps_time_the_group_waits_and_says_so(lab: AirLab) -> None:
    group = grouped(lab)
    for one in lab.state.gateways:
        one.gps.lost()
    id = put(lab, group, b"x")
    lab.run(5)
    assert item(lab, group, id).state == "queued" and "GPS time" in item(lab, group, id).reason
    lab.run(600)  # uplinks tell the time again
    assert item(lab, group, id).state == "sent" and len(heard(lab, b"x")) == 10


def test_unicast_and_multicast_share_the_air(lab: AirLab) -> None:
    group = grouped(lab, gateways=[f"{eui:016x}" for eui in lab.world.gateways])
    for n in range(8):
        put(lab, group, bytes((n,)))
        for dev_eui in lab.world.devices:
            lab.queue(f"{dev_eui:016x}", bytes((n, n)))
    lab.run(900)
    hearers = [heard(lab, bytes((n,))) for n in range(8)]
    assert all(len(set(each)) == len(each) for each in hearers)
    assert sum(map(len, hearers)) >= 75  # of 80: a member that has just sent listens in its receive windows only
    own = 0
    for dev_eui in lab.world.devices:
        own += len({line["data"] for line in lab.heard(dev_eui) if line["f_port"] == 10})
        counters = [line["f_cnt"] for line in lab.heard(dev_eui) if line["dev_addr"] != f"{MC_ADDR:08x}"]
        assert counters == sorted(set(counters))
    assert own >= 78  # of 80, unconfirmed: an uplink may begin while a frame for the next slot is on its way
    acks = [line["outcome"].get("error", "NONE") for line in lab.lines("tx_ack")]
    assert set(acks) == {"NONE"}


@pytest.mark.parametrize("mode", ["gateway", "server"])
def test_a_quarter_of_an_hour_of_mixed_classes_is_refused_nothing(tmp_path: Path, mode: str) -> None:
    """Answers, acknowledgements, ping slots, groups and beacons at three forwarders with their real queue rules."""
    forwarders = ((1, "1302"), (2, "1301"), (3, "1302"))
    gateways = (gateway(n, forwarder=f, beacons=mode == "gateway") for n, f in forwarders)
    lab = class_b_lab(tmp_path, *gateways, count=10, interval_s=60)
    for eui in lab.world.gateways:
        lab.call("gateway_put", gateway_eui=f"{eui:016x}", class_b=mode)
    locked(lab, seconds=600)
    group, rng = grouped(lab, gateways=[f"{eui:016x}" for eui in lab.world.gateways]), random.Random(mode)
    until_us, number = lab.mono_us + 900_000_000, 0
    while lab.mono_us < until_us:
        lab.run(rng.uniform(0.5, 15))
        number += 1
        dev_eui = rng.choice(list(lab.world.devices))
        lab.queue(f"{dev_eui:016x}", number.to_bytes(4, "big") + bytes(rng.randrange(40)), confirmed=rng.random() < 0.3)
        if rng.random() < 0.15:
            put(lab, group, number.to_bytes(4, "big"))
    outcomes = Counter(line["outcome"].get("error", "NONE") for line in lab.lines("tx_ack"))
    assert set(outcomes) == {"NONE"} and outcomes["NONE"] > 120
    states = dict(lab.rows("SELECT state, count(*) FROM queue_item GROUP BY state"))
    assert states.get("sent", 0) + states.get("acked", 0) >= 0.95 * number
