"""Adaptive data rate."""

from __future__ import annotations

from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorawan import commands

UPLINKS = 24
"""Servers decide after twenty frames at the latest (Semtech's recommended algorithm)."""
WITHIN_US = 130_000_000
"""Uplinks go on for so long: a server may look at the link of a device that sends every few seconds once a minute only, and
its answer may miss its windows once."""


async def _until_asked(probe: Probe, dr: int) -> list[commands.LinkADRReq]:
    """Uplinks with the ADR bit, :data:`UPLINKS` and :data:`WITHIN_US` of them, until a LinkADRReq comes.

    One that leaves data rate and power as they are is about channels, and is not meant.
    """
    uplinks, begun_us = 0, probe.bench.now_us()
    while uplinks < UPLINKS or probe.bench.now_us() - begun_us < WITHIN_US:
        uplinks += 1
        for down in await probe.send(adr=True, dr=dr).settled():
            asked = [one for one in down.commands if isinstance(one, commands.LinkADRReq)]
            if any((one.dr, one.tx_power) not in ((dr, 0), (15, 15)) for one in asked):
                return asked
    return []


@case("ADRACKReq is answered in the windows of its frame", "TS001-1.0.4 §4.3.1.1", short=True)
async def ack_req(lab: Lab) -> str:
    probe = await lab.device(adr="default")
    await probe.send(adr=True).settled()
    down = await probe.send(adr=True, adr_ack_req=True).down("the answer to ADRACKReq")
    return f"{down.window}, {len(down.commands)} commands"


@case(
    "a strong signal at the slowest rate: a faster one, on channels that the device has, accepted",
    "TS001-1.0.4 §5.3",
    seconds=75,
)
async def faster(lab: Lab) -> str:
    probe = await lab.device(adr="default")
    slow = lab.ground.slow
    probe.state.dr, probe.snr_db = slow, 12.0
    asked = await _until_asked(probe, slow)
    if not asked:
        raise NotProvoked(f"no LinkADRReq in {WITHIN_US / 1e6:g} s of frames at DR{slow} with 12 dB")
    last = asked[-1]
    expect(last.dr not in (slow, 15), f"LinkADRReq keeps DR{slow} with a signal far above the floor")
    answer = next(one for one in probe.answers if isinstance(one, commands.LinkADRAns))
    expect(answer.accepted, f"the device had to refuse {last}: {answer}")
    expect(1 <= (last.nb_trans or 1) <= 3, f"NbTrans {last.nb_trans}")
    dr = probe.state.dr
    extra = []
    for _ in range(3):
        for down in await probe.send(adr=True).settled():
            extra += [one for one in down.commands if isinstance(one, commands.LinkADRReq)]
    same = [one for one in extra if (one.dr, one.tx_power, one.nb_trans) == (last.dr, last.tx_power, last.nb_trans)]
    expect(not same, "the same LinkADRReq came again though it was accepted")
    return f"DR{dr}, TXPower {probe.state.tx_power}, NbTrans {probe.state.nb_trans}"


@case("a device without the ADR bit keeps its data rate", "TS001-1.0.4 §4.3.1.1", seconds=12)
async def without_bit(lab: Lab) -> None:
    probe = await lab.device(adr="default")
    slow = lab.ground.slow
    probe.state.dr, probe.snr_db = slow, 12.0
    for _ in range(4):
        for down in await probe.send(adr=False).settled():
            asked = [one for one in down.commands if isinstance(one, commands.LinkADRReq)]
            expect(all(one.dr in (slow, 15) for one in asked), f"asked for {asked} though ADR is off")


@case("a refused LinkADRReq is not asked for ever", "TS001-1.0.4 §5.3", seconds=90)
async def refused(lab: Lab) -> str:
    probe = await lab.device(adr="default", activation="OTAA" if lab.plan.is_fixed else "ABP")
    slow = lab.ground.slow
    if lab.plan.is_fixed:
        await probe.join()  # its CFList switches the channels, so that no request needs to
    probe.state.dr, probe.snr_db = slow, 12.0
    probe.state.manners.refused = frozenset({"LinkADRReq.data_rate_ack"})
    asked = await _until_asked(probe, slow)
    if not asked:
        raise NotProvoked(f"no LinkADRReq in {WITHIN_US / 1e6:g} s of frames")
    times = 1
    for _ in range(8):
        for down in await probe.send(adr=True, dr=slow).settled():
            times += any(isinstance(one, commands.LinkADRReq) for one in down.commands)
    expect(times < 9, "every frame was answered with a request that the device refuses")
    return f"asked {times} times in 9 frames"
