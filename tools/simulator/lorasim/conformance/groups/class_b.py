"""Class B: ping slots and beacons. The gateways have GPS; slots are reckoned here anew (:mod:`lorasim.class_b`)."""

from __future__ import annotations

import asyncio

from lorasim.class_b import PERIOD_US, START_US, beacon_time_s, gps_of, slots, utc_of
from lorasim.conformance.exchange import Window
from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import Failed, NotProvoked, expect
from lorasim.radio import Downlink
from lorawan import commands

SLOT_TOLERANCE_US = 600
"""Packet forwarders take GPS times in milliseconds."""
GUARD_US = 3_000_000
WITHIN_S = 14.0
"""A slot each second, but none in the guard and in the beacon's own time."""


async def _locked(lab: Lab, periodicity: int = 0) -> Probe:
    """A device that has told its slots and that it has the beacon."""
    probe = await lab.device(mac_version="1.0.4", device_class="B")
    await probe.send(says=[commands.PingSlotInfoReq(periodicity), commands.DeviceTimeReq()]).settled()
    await probe.send(class_b=True).settled()
    _listen(lab, probe)
    return probe


def _listen(lab: Lab, probe: Probe) -> None:
    session, plan, dr = probe.session, lab.plan, lab.plan.class_b.ping_slot_dr
    assert session is not None and dr is not None
    datr = str(plan.datr(dr, downlink=True))

    def at(start_us: int) -> Window:
        hz = plan.ping_slot_frequency_hz(session.dev_addr, gps_of(start_us) // 1_000_000)
        return Window("ping slot", start_us, hz, datr)

    probe.listens_to = at


def _judge(lab: Lab, probe: Probe, downlink: Downlink, periodicity: int) -> int:
    """How far from a ping slot a downlink began, in µs. Raises Failed."""
    assert probe.session is not None
    gps_us = gps_of(downlink.start_us)
    begin_us = gps_us - gps_us % PERIOD_US
    around = [
        slot for start in (begin_us - PERIOD_US, begin_us) for slot in slots(start, probe.session.dev_addr, periodicity)
    ]
    off_us = min((gps_us - slot for slot in around), key=abs)
    expect(abs(off_us) <= SLOT_TOLERANCE_US, f"{off_us / 1000:+.1f} ms away from the nearest ping slot")
    end_us = gps_of(downlink.end_us)
    expect(end_us <= begin_us + PERIOD_US - GUARD_US, "the frame reaches into the guard before the next beacon")
    expect(gps_us >= begin_us + 2_120_000, "the frame begins in the beacon's reserved time")
    return off_us


async def _unasked(lab: Lab, probe: Probe, number: int, within_s: float = WITHIN_S) -> None:
    end_s = asyncio.get_running_loop().time() + within_s
    while len(probe.unasked) < number and asyncio.get_running_loop().time() < end_s:
        await lab.wait(0.1, probe)


@case("a queued item comes in a ping slot, without an uplink", "TS001-1.0.4 §11.1, §11.2", short=True, seconds=20)
async def ping_slot(lab: Lab) -> str:
    probe = await _locked(lab)
    await lab.queue(probe, b"in a slot")
    await _unasked(lab, probe, 1)
    expect(probe.unasked, f"nothing came within {WITHIN_S:g} s, though there is a slot each second")
    down = probe.unasked[0]
    expect(down.data == b"in a slot", f"{down.data!r} came")
    return f"{_judge(lab, probe, down.radio, 0)} µs off"


@case("slots of periodicity 2 are the right ones", "TS001-1.0.4 §11.2, pingOffset", seconds=30)
async def periodicity(lab: Lab) -> str:
    probe = await _locked(lab, 2)
    off = []
    for n in range(2):
        await lab.queue(probe, bytes([n]))
        await _unasked(lab, probe, n + 1, WITHIN_S + 4)
        expect(len(probe.unasked) > n, f"item {n + 1} did not come")
        off.append(_judge(lab, probe, probe.unasked[n].radio, 2))
    return f"{off} µs off"


@case("without the ClassB bit the device is class A", "TS001-1.0.4 §9, §4.3.1.5", seconds=20)
async def lost_beacon(lab: Lab) -> None:
    probe = await _locked(lab)
    await probe.send(class_b=False).settled()
    await lab.queue(probe, b"class A now")
    await lab.wait(6, probe)
    expect(not probe.unasked_radios, "a frame came in a ping slot though the last uplink said that the beacon is lost")
    down = await probe.send(class_b=False).down("the queued item")
    expect(down.data == b"class A now", "the item was lost")


@case("before the ClassB bit nothing comes in ping slots", "TS001-1.0.4 §9", seconds=15)
async def not_yet(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.4", device_class="B")
    await probe.send(says=[commands.PingSlotInfoReq(0)]).settled()
    _listen(lab, probe)
    await lab.queue(probe, b"wait")
    await lab.wait(4, probe)
    expect(not probe.unasked_radios, "a frame came in a ping slot of a device without a beacon")


@case(
    "beacons: on GPS time, frequency, data rate, content with both CRCs", "TS001-1.0.4 §13; RP002, class B", seconds=140
)
async def beacons(lab: Lab) -> str:
    heard: list[Downlink] = []
    lab.lane.on_downlink.append(lambda downlink: heard.append(downlink) if downlink.implicit else None)
    listener = lab.lane.on_downlink[-1]
    line = await lab.gateway(beacons=True)
    probe = await lab.device()
    await probe.send(gateways=[lab.place(line)]).settled()
    end_s = asyncio.get_running_loop().time() + 150
    try:
        while not heard and asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0.5)
    finally:
        lab.lane.on_downlink.remove(listener)
    if not heard:
        raise NotProvoked("the server sent no beacon through its gateway within 150 s")
    beacon, plan = heard[0], lab.plan
    gps_us = gps_of(beacon.start_us)
    second_us = round(gps_us / PERIOD_US) * PERIOD_US
    off_us = beacon.start_us - utc_of(second_us) - START_US
    expect(abs(off_us) <= SLOT_TOLERANCE_US, f"{off_us / 1000:+.1f} ms away from its time")
    dr = plan.class_b.beacon_dr
    assert dr is not None
    wanted = (plan.beacon_frequency_hz(second_us // 1_000_000), str(plan.datr(dr, downlink=True)))
    expect((beacon.frequency_hz, beacon.datr) == wanted, f"sent on {beacon.frequency_hz} Hz at {beacon.datr}")
    expect(not beacon.inverted, "a beacon's IQ is not inverted")
    told = beacon_time_s(beacon.phy, int(beacon.datr[2:].split("BW")[0]))
    if told is None:
        raise Failed(f"length or CRCs of the beacon are wrong: {beacon.phy.hex()}")
    expect(told == second_us // 1_000_000 & 0xFFFFFFFF, f"the beacon tells {told}, it is {second_us // 1_000_000}")
    return f"{off_us} µs off"
