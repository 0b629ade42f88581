"""Frame counters, replays, repetitions and copies."""

from __future__ import annotations

from lorasim.conformance.lab import Lab
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import expect


@case("a replayed frame is neither answered nor delivered again", "TS001-1.0.4 §4.3.1.5", short=True)
async def replay(lab: Lab) -> None:
    probe = await lab.device()
    phy = probe.seal(confirmed=True)
    await probe.put_on_air(phy).down("the ACK of a frame")
    await probe.accepted("the frame after it")
    await probe.put_on_air(phy).silence("it was an old frame, replayed after a newer one")
    await probe.accepted("a frame after the replay")
    await lab.expect_uplinks(probe, [0, 1, 2], "after a replay")


@case("a counter far behind is ignored", "TS001-1.0.4 §4.3.1.5")
async def old_counter(lab: Lab) -> None:
    probe = await lab.device()
    old = probe.seal(confirmed=True, f_cnt=3)
    await probe.accepted("FCnt 1000", f_cnt=1000)
    await probe.put_on_air(old).silence("FCnt 3 is behind 1000")
    await probe.accepted("FCnt 1001", f_cnt=1001)
    await lab.expect_uplinks(probe, [1000, 1001], "after a frame with an old counter")


@case("a gap of lost frames is no fault", "TS001-1.0.4 §4.3.1.5", short=True)
async def gap(lab: Lab) -> None:
    probe = await lab.device()
    await probe.accepted("FCnt 0")
    await probe.accepted("FCnt 500", f_cnt=500)
    await probe.accepted("FCnt 16000", f_cnt=16_000)


@case("a gap of MAX_FCNT_GAP is too wide up to 1.0.3", "LoRaWAN 1.0.3 §4.3.1.5", seconds=8)
async def wide_gap(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.3")
    await probe.accepted("FCnt 0")
    await probe.send(confirmed=True, f_cnt=30_000).silence("FCnt jumped by 30,000, above 16,384")
    await probe.accepted("FCnt 1", f_cnt=1)


@case("a wide gap is no fault from 1.0.4 on", "TS001-1.0.4 §4.3.1.5")
async def wide_gap_1_0_4(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.4")
    await probe.accepted("FCnt 0")
    await probe.accepted("FCnt 30000", f_cnt=30_000)


@case("the 16 bits on the air roll over, the 32 of the MIC go on", "TS001-1.0.4 §4.3.1.5", seconds=12)
async def roll_over(lab: Lab) -> None:
    probe = await lab.device()
    for f_cnt in (16_000, 32_000, 48_000, 64_000, 65_535, 65_536, 65_537):
        await probe.accepted(f"FCnt {f_cnt} ({f_cnt & 0xFFFF:#06x} on the air)", f_cnt=f_cnt)
    await lab.expect_uplinks(probe, [16_000, 32_000, 48_000, 64_000, 65_535, 65_536, 65_537], "around the roll-over")


@case("FCntDown rises with every downlink, from 0 or 1 on", "TS001-1.0.4 §4.3.1.5", short=True)
async def f_cnt_down(lab: Lab) -> str:
    probe = await lab.device()
    seen = [(await probe.accepted(f"frame {n}")).opened.f_cnt for n in range(3)]
    expect(seen[0] <= 1, f"the first FCntDown is {seen[0]}")
    expect(seen[2] - seen[0] <= 4, f"FCntDown skips counters: {seen}")
    return ", ".join(map(str, seen))


@case("copies of several gateways are one frame: one answer, one delivery", "TS001-1.0.4 §3.3", short=True)
async def copies(lab: Lab) -> None:
    probe = await lab.device()
    exchange = probe.send(confirmed=True)
    await exchange.settled()
    expect(len(exchange.downs) == 1, "no ACK came")
    await lab.expect_uplinks(probe, [0], "for a frame that all gateways heard")


@case("a copy that comes late is no second frame", "TS001-1.0.4 §3.3")
async def late_copy(lab: Lab) -> None:
    """One gateway's way is 0.7 s longer."""
    probe = await lab.device()
    phy = probe.seal(data=b"late copy")
    first = probe.put_on_air(phy, gateways=[0])
    await lab.wait(0.7)
    second = probe.put_on_air(phy, gateways=[1])
    second.windows += first.windows
    await second.settled()
    expect(len(first.radios) + len(second.radios) <= 1, "both copies were answered")
    await probe.accepted("the next frame")
    await lab.expect_uplinks(probe, [0, 1], "for a frame with a late copy")


@case("a confirmed frame is acknowledged again when it is repeated, delivered once", "TS001-1.0.4 §4.3.1.3", short=True)
async def confirmed_again(lab: Lab) -> str:
    """The ACK was lost. The second one needs a new FCntDown, which the device itself watches."""
    probe = await lab.device()
    phy = probe.seal(confirmed=True)
    first = await probe.put_on_air(phy).down("the first ACK")
    await probe.exchange.settled()  # type: ignore[union-attr]
    exchange = probe.put_on_air(phy)
    downs = await exchange.settled()
    expect(downs, "the repeated frame was not acknowledged: its device would repeat it for ever")
    await lab.expect_uplinks(probe, [0], "for a confirmed frame that was repeated")
    return f"FCntDown {first.opened.f_cnt}, {downs[0].opened.f_cnt}"


@case("the transmissions of NbTrans are one frame", "TS001-1.0.4 §4.3.1.1; §5.3", short=True)
async def repetitions(lab: Lab) -> None:
    probe = await lab.device()
    phy = probe.seal(data=b"three times")
    channels = probe.channels()
    for n in (0, 1, 0):
        await probe.put_on_air(phy, channel=channels[n]).settled()
    probe.send(data=b"next")
    await lab.expect_uplinks(probe, [0, 1], "for one frame transmitted three times, and the next")


@case("counters of 1.1: NFCntDown and AFCntDown are two", "LoRaWAN 1.1 §4.3.1.5", seconds=12)
async def two_down_counters(lab: Lab) -> str:
    probe = await lab.device(mac_version="1.1.0")
    first = await probe.accepted("a frame")
    await lab.queue(probe, b"data")
    down = await probe.send().down("the queued item")
    expect(
        first.opened.counter == "n" and down.opened.counter == "a", "an item of the application counts with NFCntDown"
    )
    expect(down.opened.f_cnt <= 1, f"AFCntDown begins at {down.opened.f_cnt}")
    again = await probe.accepted("another frame")
    return f"NFCntDown {first.opened.f_cnt}, {again.opened.f_cnt}; AFCntDown {down.opened.f_cnt}"
