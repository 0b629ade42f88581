"""MAC commands that a device asks, and the server's answers."""

from __future__ import annotations

from lorasim.class_b import gps_of
from lorasim.conformance.lab import Lab
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorasim.radio import REQUIRED_SNR_DB
from lorawan import commands

TIME_TOLERANCE_US = 100_000
"""TS001-1.0.4 §5.12: ± 100 ms."""


@case("LinkCheckAns: the margin of the best gateway, and how many heard it", "TS001-1.0.4 §5.2", short=True)
async def link_check(lab: Lab) -> str:
    probe = await lab.device()
    probe.snr_db = 3.0
    dr = lab.ground.fast - 2
    sf = lab.plan.data_rate(dr).sf
    down = await probe.send(dr=dr, says=[commands.LinkCheckReq()]).down("LinkCheckAns")
    answer = down.get(commands.LinkCheckAns)
    expect(isinstance(answer, commands.LinkCheckAns), "LinkCheckReq was not answered in the windows of its frame")
    assert isinstance(answer, commands.LinkCheckAns)
    margin = 3.0 - REQUIRED_SNR_DB[sf]
    expect(abs(answer.margin - margin) <= 1, f"margin {answer.margin} dB; 3 dB at SF{sf} is {margin:g} above the floor")
    heard = len(lab.lane.lines)
    expect(answer.gw_cnt == heard, f"GwCnt {answer.gw_cnt}; {heard} gateways heard it")
    return f"margin {answer.margin} dB, {answer.gw_cnt} gateways"


@case("LinkCheckAns counts only the gateways that heard this frame", "TS001-1.0.4 §5.2")
async def link_check_one_gateway(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    down = await probe.send(says=[commands.LinkCheckReq()], gateways=[0]).down("LinkCheckAns")
    answer = down.get(commands.LinkCheckAns)
    assert isinstance(answer, commands.LinkCheckAns), "LinkCheckReq was not answered"
    expect(answer.gw_cnt == 1, f"GwCnt {answer.gw_cnt}; one gateway heard it")


@case("DeviceTimeAns: GPS time at the end of the uplink, to 100 ms", "TS001-1.0.4 §5.12", short=True)
async def device_time(lab: Lab) -> str:
    probe = await lab.device()
    exchange = probe.send(says=[commands.DeviceTimeReq()])
    down = await exchange.down("DeviceTimeAns")
    answer = down.get(commands.DeviceTimeAns)
    expect(isinstance(answer, commands.DeviceTimeAns), "DeviceTimeReq was not answered in the windows of its frame")
    assert isinstance(answer, commands.DeviceTimeAns)
    told_us = answer.seconds * 1_000_000 + answer.fraction * 1_000_000 // 256
    off_us = told_us - gps_of(exchange.end_us)
    expect(abs(off_us) <= TIME_TOLERANCE_US, f"the time is {off_us / 1e6:+.3f} s off")
    return f"{off_us / 1000:+.1f} ms"


@case("several requests in one frame are all answered", "TS001-1.0.4 §5", short=True)
async def several(lab: Lab) -> None:
    probe = await lab.device()
    down = await probe.accepted("a frame with two requests", says=[commands.LinkCheckReq(), commands.DeviceTimeReq()])
    for kind in (commands.LinkCheckAns, commands.DeviceTimeAns):
        expect(down.get(kind), f"{kind.__name__} is missing")


@case("an answer that missed its windows does not come later", "TS001-1.0.4 §5.2, §5.12", seconds=8)
async def too_late_to_answer(lab: Lab) -> None:
    """LinkCheckAns and DeviceTimeAns are about one frame."""
    probe = await lab.device()
    lab.refuse("COLLISION_PACKET", 4)
    await probe.send(says=[commands.DeviceTimeReq(), commands.LinkCheckReq()]).settled()
    lab.forgive()
    for down in await probe.send(confirmed=True).settled():
        stale = [one for one in down.commands if isinstance(one, commands.DeviceTimeAns | commands.LinkCheckAns)]
        expect(not stale, f"{type(stale[0]).__name__ if stale else ''} came with the next frame, where it is wrong")


@case("ResetInd of a 1.1 ABP device is confirmed", "LoRaWAN 1.1 §5.1", short=True)
async def reset_ind(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.1.0")
    down = await probe.send(says=[commands.ResetInd(minor=1)]).down("ResetConf")
    conf = down.get(commands.ResetConf)
    expect(isinstance(conf, commands.ResetConf), "ResetInd was not confirmed")
    assert isinstance(conf, commands.ResetConf)
    expect(conf.minor == 1, f"ResetConf has minor {conf.minor}")


@case("DeviceModeInd changes the class and is confirmed", "LoRaWAN 1.1 §18.1", seconds=12)
async def device_mode(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.1.0", device_class="C")
    for device_class in (2, 0):
        down = await probe.send(says=[commands.DeviceModeInd(device_class)]).down("DeviceModeConf")
        conf = down.get(commands.DeviceModeConf)
        expect(isinstance(conf, commands.DeviceModeConf), "DeviceModeInd was not confirmed")
        assert isinstance(conf, commands.DeviceModeConf)
        expect(conf.mode == device_class, f"DeviceModeConf names mode {conf.mode}")


@case("RekeyInd is confirmed in every frame that has it", "LoRaWAN 1.1 §5.9", seconds=16)
async def rekey_again(lab: Lab) -> None:
    """The first RekeyConf was lost."""
    probe = await lab.device(mac_version="1.1.0", activation="OTAA")
    await probe.join()
    for n in (1, 2):
        down = await probe.send(says=[commands.RekeyInd(minor=1)]).down(f"RekeyConf {n}")
        expect(down.get(commands.RekeyConf), f"RekeyInd {n} was not confirmed")
    await probe.accepted("a frame after RekeyConf")


@case("PingSlotInfoReq is answered", "TS001-1.0.4 §12.1", short=True)
async def ping_slot_info(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.4", device_class="B")
    down = await probe.send(says=[commands.PingSlotInfoReq(3)]).down("PingSlotInfoAns")
    expect(down.get(commands.PingSlotInfoAns), "PingSlotInfoReq was not answered")


@case("BeaconTimingReq (until 1.0.2) is answered with the time to the next beacon", "LoRaWAN 1.0.2 §14.3")
async def beacon_timing(lab: Lab) -> str:
    probe = await lab.device(mac_version="1.0.2", device_class="B")
    exchange = probe.send(says=[commands.BeaconTimingReq()])
    downs = await exchange.settled()
    answer = next((down.get(commands.BeaconTimingAns) for down in downs), None)
    if not isinstance(answer, commands.BeaconTimingAns):
        raise NotProvoked("the server does not answer this outdated command")
    left_us = 128_000_000 - gps_of(downs[0].radio.end_us) % 128_000_000
    low, high = answer.delay * 30_000, (answer.delay + 1) * 30_000
    # a unit of 30 ms, and as much for other commands that make the frame longer than the answer alone
    expect(low - 60_000 <= left_us <= high + 60_000, f"told {low / 1e6:g} to {high / 1e6:g} s, it is {left_us / 1e6:g}")
    return f"{left_us / 1e6:.2f} s"
