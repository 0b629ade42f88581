"""Class C: downlinks at any time, with the parameters of RX2."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from lorasim.conformance.exchange import Window
from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorawan.commands import RXParamSetupReq

WITHIN_S = 12.0


async def _listening(lab: Lab, **wishes: object) -> Probe:
    probe = await lab.device(device_class="C", **wishes)
    await probe.send().settled()
    _listen(lab, probe)
    return probe


def _listen(lab: Lab, probe: Probe) -> None:
    state = probe.state
    hz, datr = state.rx2_frequency_hz, str(lab.plan.datr(state.rx2_dr, downlink=True))
    probe.listens_to = lambda start_us: Window("RXC", start_us, hz, datr)


async def _unasked(lab: Lab, probe: Probe, number: int) -> None:
    end_s = asyncio.get_running_loop().time() + WITHIN_S
    while len(probe.unasked) < number and asyncio.get_running_loop().time() < end_s:
        await lab.wait(0.1, probe)
    expect(len(probe.unasked) >= number, f"item {number} did not come within {WITHIN_S:g} s")


@case("an item comes at once, on RX2's channel and data rate", "TS001-1.0.4 §17.2", short=True, seconds=12)
async def at_once(lab: Lab) -> str:
    probe = await _listening(lab)
    begun = lab.bench.now_us()
    await lab.queue(probe, b"now")
    await _unasked(lab, probe, 1)
    expect(probe.unasked[0].data == b"now", f"{probe.unasked[0].data!r} came")
    return f"after {(probe.unasked[0].radio.start_us - begun) / 1e6:.1f} s"


@case("several items come in order, one after another", "TS001-1.0.4 §17", seconds=30)
async def order(lab: Lab) -> str:
    probe = await _listening(lab)
    for n in range(3):
        await lab.queue(probe, bytes([n]))
    await _unasked(lab, probe, 3)
    radios = [down.radio for down in probe.unasked]
    expect([down.data for down in probe.unasked] == [b"\0", b"\1", b"\2"], "the order is wrong")
    for before, after in pairwise(radios):
        expect(after.start_us >= before.end_us, "two frames overlap: the device hears one of them at most")
    gaps = [(b.start_us - a.end_us) / 1e6 for a, b in pairwise(radios)]
    return f"{', '.join(f'{gap:.2f}' for gap in gaps)} s between"


@case("answers to uplinks still come in RX1 or RX2", "TS001-1.0.4 §17.1", short=True)
async def windows(lab: Lab) -> str:
    probe = await lab.device(device_class="C")
    down = await probe.accepted("a frame of a class C device")
    return down.window


@case("a confirmed item is not repeated at once", "TS001-1.0.4 §17, CLASS_C_RESP_TIMEOUT", seconds=25)
async def confirmed(lab: Lab) -> str:
    """8 s are left to the device for its ACK; a repetition has another counter, which the device watches."""
    probe = await _listening(lab)
    await lab.queue(probe, b"confirm", confirmed=True)
    await _unasked(lab, probe, 1)
    expect(probe.unasked[0].frame.confirmed, "the item came unconfirmed")
    await lab.wait(7.0, probe)
    expect(len(probe.unasked) == 1, "the item was repeated within CLASS_C_RESP_TIMEOUT")
    probe.listens_to = None
    await probe.send().settled()
    await lab.wait(1.0)
    return "none within 7 s"


@case("RXParamSetupReq moves RXC, too", "TS001-1.0.4 §17.1, §5.4", seconds=30)
async def moved(lab: Lab) -> None:
    dr, hz = lab.ground.other_rx2
    probe = await lab.device(device_class="C", rx2_dr=dr, rx2_frequency_hz=hz)
    for _ in range(5):
        if any(down.get(RXParamSetupReq) for down in await probe.send(confirmed=True).settled()):
            break
    await probe.send(confirmed=True).settled()
    _listen(lab, probe)
    if probe.state.rx2_dr != dr:
        raise NotProvoked("no RXParamSetupReq in 5 uplinks")
    await lab.queue(probe, b"moved")
    await _unasked(lab, probe, 1)


@case("a class A device gets nothing without an uplink", "TS001-1.0.4 §3.3", short=True)
async def not_class_a(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    _listen(lab, probe)
    await lab.queue(probe, b"wait")
    await lab.wait(6, probe)
    expect(not probe.unasked_radios, "a frame came although the device did not ask")
    probe.listens_to = None
    down = await probe.send().down("the queued item")
    expect(down.data == b"wait", "the item was lost")
