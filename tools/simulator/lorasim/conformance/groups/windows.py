"""Receive windows of class A: when, where, how fast, and how often."""

from __future__ import annotations

import json

from lorasim.conformance.bench import Line
from lorasim.conformance.ground import uneven_windows
from lorasim.conformance.lab import Lab
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorasim.radio import Note


@case(
    "answers come at RX1 or RX2, to the microsecond, at every data rate",
    "TS001-1.0.4 §3.3; RP002 RX1DROffset",
    seconds=16,
)
async def every_data_rate(lab: Lab) -> str:
    probe = await lab.device()
    seen = []
    for dr in range(16):
        if not probe.channels(dr) or not lab.plan.data_rate(dr).sf:
            continue
        down = await probe.accepted(f"a frame at DR{dr}", dr=dr)
        await probe.exchange.settled()  # type: ignore[union-attr]
        seen.append(f"DR{dr} {down.window}")
    return ", ".join(seen)


@case("RX1 follows the channel of the uplink", "TS001-1.0.4 §3.3.1", short=True)
async def every_channel(lab: Lab) -> str:
    probe = await lab.device()
    windows = [(await probe.accepted(f"a frame on channel {n}", channel=n)).window for n in probe.channels()]
    if "RX1" not in windows:
        raise NotProvoked("the server answered in RX2 only")
    return ", ".join(windows)


@case("RX1 refused by the gateways: the same bytes come in RX2", "TS001-1.0.4 §3.3.2", short=True)
async def rx2_after_refusal(lab: Lab) -> str:
    probe = await lab.device()
    lab.refuse("COLLISION_PACKET")
    exchange = probe.send(confirmed=True)
    await exchange.settled()
    lab.forgive()
    if not exchange.downs:
        raise NotProvoked("the server does not try another window or gateway")
    return f"{exchange.downs[0].window} of gateway {exchange.radios[0].gateway_eui:016x}"


@case("every TX_ACK error is survived, the next frame is answered", "Semtech UDP, TX_ACK", seconds=30)
async def every_refusal(lab: Lab) -> None:
    probe = await lab.device()
    for error in (
        "TOO_LATE",
        "TOO_EARLY",
        "COLLISION_PACKET",
        "COLLISION_BEACON",
        "TX_FREQ",
        "GPS_UNLOCKED",
        "UNKNOWN",
    ):
        lab.refuse(error, 2)
        await probe.send(confirmed=True).settled()
        lab.forgive()
        down = await probe.send(confirmed=True).down(f"the ACK of the frame after {error}")
        expect(down.frame.ack, f"no ACK after {error}")


@case("one frame, from one gateway, for an uplink that all heard", "TS001-1.0.4 §3.3", short=True)
async def one_downlink(lab: Lab) -> str:
    probe = await lab.device()
    gateways = []
    for n in range(2):
        exchange = probe.send(confirmed=True, channel=probe.channels()[n])
        [down] = await exchange.settled() or [None]
        expect(down is not None, "no ACK came")
        gateways.append(f"{exchange.radios[0].gateway_eui & 0xFFFF:04x}")
    return f"by gateway {', '.join(gateways)}"


@case("only a gateway that heard the device answers", "TS001-1.0.4 §3.3")
async def hearing_gateway(lab: Lab) -> None:
    probe = await lab.device()
    for place, line in enumerate(lab.lane.lines):
        down = await probe.accepted(f"a frame heard by gateway {place} alone", gateways=[place])
        expect(
            down.radio.gateway_eui == line.eui, f"gateway {down.radio.gateway_eui:016x} answered, which heard nothing"
        )


@case("nothing is sent for an uplink that asks for nothing", "TS001-1.0.4 §3.3", short=True)
async def no_needless_downlink(lab: Lab) -> str:
    probe = await lab.device()
    downs = 0
    for _ in range(3):
        downs += len(await probe.send().settled())
    expect(downs <= 2, "an unconfirmed uplink without requests is answered each time")
    return f"{downs} of 3 uplinks were answered"


@case("power, IQ, checksum, header and preamble of downlinks", "RP002-1.0.4 §4; TS001-1.0.4 §3", short=True)
async def radio_parameters(lab: Lab) -> str:
    """IQ and power are judged in every case; the rest stands in txpk only."""
    probe = await lab.device()
    asked: list[str] = []

    def listener(line: Line, note: Note) -> None:
        if note.kind == "pull_resp":
            asked.append(note.fields["txpk"])

    lab.lane.on_note.append(listener)
    try:
        await probe.accepted("a frame")
    finally:
        lab.lane.on_note.remove(listener)
    if not asked:
        raise NotProvoked("a Basics Station decides on these by itself")
    for text in asked:
        txpk = json.loads(text)["txpk"]
        expect(txpk.get("ipol") is True, "ipol is not true")
        expect(txpk.get("ncrc", False) is True, "ncrc is not true: LoRaWAN downlinks have no payload checksum")
        expect(txpk.get("codr") == "4/5", f"codr is {txpk.get('codr')}")
        expect(txpk.get("prea", 8) == 8, f"a preamble of {txpk.get('prea')} symbols")
        expect(not txpk.get("nhdr", False), "nhdr: a downlink has a header")
        expect(txpk.get("modu") == "LORA", f"modu is {txpk.get('modu')}")
    return f"{json.loads(asked[0])['txpk'].get('powe')} dBm"


@case(
    "a payload that fits no window waits, and goes when the data rate allows",
    "RP002-1.0.4, maximum payload",
    seconds=14,
    fits=uneven_windows,
)
async def payload_limit(lab: Lab) -> str:
    probe = await lab.device()
    await probe.send().settled()
    ground = lab.ground
    slow_most = max(ground.fits_rx1(ground.slow), ground.fits_rx2())
    data = bytes(range((slow_most + ground.fits_rx1(ground.fast)) // 2))
    await lab.queue(probe, data)
    slow = await probe.send(dr=ground.slow).settled()
    expect(
        all(down.data != data for down in slow), f"{len(data)} bytes came at DR{ground.slow}: at most {slow_most} fit"
    )
    for _ in range(2):
        for down in await probe.send(dr=ground.fast).settled():
            if down.data == data:
                return f"came in {down.window} at {down.radio.datr}"
    raise NotProvoked("the item was dropped, or waits still")
