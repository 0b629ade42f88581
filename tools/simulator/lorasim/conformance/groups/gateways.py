"""The gateway protocol (Semtech UDP), and what a server owes the regulator for each gateway."""

from __future__ import annotations

from collections import defaultdict

from lorasim import gwmp
from lorasim.conformance.bench import Line
from lorasim.conformance.ground import narrow_sub_band
from lorasim.conformance.lab import Lab
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorasim.gateway import Gateway
from lorasim.radio import Note


def _tokens(lab: Lab) -> dict[str, set[int]]:
    """Tokens by kind of datagram, from now on."""
    seen: dict[str, set[int]] = defaultdict(set)

    def listener(line: Line, note: Note) -> None:
        if "token" in note.fields:
            seen[note.kind].add(note.fields["token"])

    lab.lane.on_note.append(listener)
    return seen


@case("PUSH_DATA and PULL_DATA are acknowledged with their tokens", "Semtech UDP, PUSH_ACK, PULL_ACK", short=True)
async def acknowledgements(lab: Lab) -> str:
    lab.udp_lines  # noqa: B018
    seen = _tokens(lab)
    probe = await lab.device()
    await probe.send().settled()
    await lab.wait(4.0)
    pushed, pulled = seen["push_data"], seen["pull_data"]
    expect(pushed <= seen["push_ack"], f"{len(pushed - seen['push_ack'])} of {len(pushed)} PUSH_DATA without PUSH_ACK")
    expect(pulled, "no PULL_DATA was sent meanwhile")
    expect(pulled <= seen["pull_ack"], f"{len(pulled - seen['pull_ack'])} PULL_DATA without PULL_ACK")
    return f"{len(pushed)} and {len(pulled)}"


@case("garbage in place of datagrams harms nobody", "Semtech UDP")
async def garbage(lab: Lab) -> None:
    probe = await lab.device()
    head = b"\x02\x12\x34\x00"
    for line in lab.udp_lines:
        eui = line.eui.to_bytes(8, "big")
        for datagram in (b"", b"\x02", b"\x63" * 40, head + eui, head + eui + b"{", head + eui + b'{"rxpk":[{}]}'):
            line.raw(datagram)
        line.raw(head + eui + b'{"rxpk":[{"data":"!!","freq":"x","tmst":-1,"datr":7}]}')
        line.raw(b"\x02\x12\x34\x05" + eui + b'{"txpk_ack":{"error":12}}', pull=True)
    await probe.accepted("a frame after garbage")


@case("a frame with a wrong checksum (stat -1) is ignored", "Semtech UDP, rxpk.stat")
async def bad_checksum(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    line, phy = lab.udp_lines[0], probe.seal(confirmed=True)
    assert isinstance(line.gateway, Gateway)
    now = lab.bench.now_us()
    channel, datr = probe.state.channels[probe.channels()[0]], str(lab.plan.datr(lab.ground.fast))
    packet = gwmp.rxpk(line.gateway.tmst(now), channel.frequency_hz, datr, -90, 5, phy, 0, stat=-1)
    exchange = probe.put_on_air(phy, gateways=[])
    line.raw(gwmp.push_data(1, line.eui, {"rxpk": [packet]}))
    await exchange.silence("the gateway said that its checksum was wrong")
    await lab.expect_uplinks(probe, [0], "after a frame with a wrong checksum")


@case("a datagram that comes twice is one frame", "Semtech UDP over a network that duplicates", short=True)
async def duplicated_datagram(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    line, phy = lab.udp_lines[0], probe.seal(confirmed=True)
    assert isinstance(line.gateway, Gateway)
    exchange = probe.put_on_air(phy, gateways=[])
    channel, datr = probe.state.channels[probe.channels()[0]], str(lab.plan.datr(lab.ground.fast))
    packet = gwmp.rxpk(line.gateway.tmst(exchange.end_us), channel.frequency_hz, datr, -90, 5, phy, 0)
    for _ in range(2):
        line.raw(gwmp.push_data(77, line.eui, {"rxpk": [packet]}))
    downs = await exchange.settled()
    expect(len(downs) == 1, f"{len(downs)} answers")
    await lab.expect_uplinks(probe, [0, 1], "for a datagram that came twice")


@case("tmst wraps between an uplink and its window", "Semtech UDP, tmst", short=True)
async def counter_wraps(lab: Lab) -> None:
    line = await lab.gateway(tmst_offset_us=(1 << 32) - 1_500_000)
    probe = await lab.device()
    assert isinstance(line.gateway, Gateway)
    left_us = (1 << 32) - line.gateway.tmst(lab.bench.now_us())
    if left_us > 1_400_000:
        await lab.wait((left_us - 700_000) / 1e6)
    await probe.accepted("a frame just before the counter wraps", gateways=[lab.place(line)])
    await probe.accepted("a frame after it", gateways=[lab.place(line)])


@case("a gateway that restarted is answered by its new counter", "Semtech UDP, tmst", short=True)
async def restart(lab: Lab) -> None:
    line = await lab.gateway()
    probe = await lab.device()
    await probe.accepted("a frame", gateways=[lab.place(line)])
    await probe.exchange.settled()  # type: ignore[union-attr]
    assert isinstance(line.gateway, Gateway)
    line.gateway.restart(lab.bench.now_us())
    line.wake()
    await lab.wait(0.3)
    await probe.accepted("a frame after the gateway's restart", gateways=[lab.place(line)])


@case("a gateway without TX_ACK is used all the same", "Semtech UDP, TX_ACK", seconds=14)
async def no_tx_ack(lab: Lab) -> None:
    line = await lab.gateway(tx_ack=False)
    probe = await lab.device()
    for n in range(3):
        await probe.accepted(f"frame {n + 1} through a gateway without TX_ACK", gateways=[lab.place(line)])
        await probe.exchange.settled()  # type: ignore[union-attr]


@case("frames of an unregistered gateway are not answered through it", "Semtech UDP; operation")
async def unregistered(lab: Lab) -> None:
    line = await lab.gateway(registered=False)
    probe = await lab.device()
    await probe.send(confirmed=True, gateways=[lab.place(line)]).silence("its gateway is not registered")


@case(
    "the duty cycle of each sub-band is kept at every gateway",
    "RP002; the region's law",
    seconds=35,
    fits=narrow_sub_band,
)
async def duty_cycle(lab: Lab) -> str:
    """Confirmed frames at the slowest rate on a channel of the narrowest sub-band, through one gateway."""
    probe = await lab.device(mac_version="1.0.3", activation="OTAA")
    await probe.join()
    narrow = []
    for index, channel in probe.state.channels.items():
        band = lab.plan.sub_band(channel.frequency_hz)
        if band is not None and band.duty_cycle is not None and band.duty_cycle <= 0.001:
            narrow.append(index)
    if not narrow:
        raise NotProvoked("no channel of the device lies in a sub-band of 0.1 %")
    line = await lab.gateway()
    place, answered = lab.place(line), 0
    for n in range(7):
        answered += bool(
            await probe.send(
                confirmed=True, dr=lab.ground.slow, channel=narrow[n % len(narrow)], gateways=[place]
            ).settled()
        )
    expect(answered, "no frame was answered")
    used_us: dict[str, float] = defaultdict(float)
    for one in lab.lane.lines:
        bands: dict[str, int] = defaultdict(int)
        for downlink in one.radiated:
            band = lab.plan.sub_band(downlink.frequency_hz)
            if band is not None and band.duty_cycle is not None:
                name = f"{band.min_hz / 1e6:g}–{band.max_hz / 1e6:g} MHz"
                bands[name] += downlink.airtime_us
                most_us = band.duty_cycle * 3_600_000_000
                text = (
                    f"{one.eui:016x} sent {bands[name] / 1e6:.2f} s in {name}: {most_us / 1e6:g} s an hour are allowed"
                )
                expect(bands[name] <= most_us, text)
                used_us[name] = max(used_us[name], bands[name])
    shown = ", ".join(f"{name}: {used / 1e6:.2f} s" for name, used in sorted(used_us.items()))
    return f"{answered} of 7 answered; {shown}"
