"""Queued downlinks: order, FPending, confirmation, FOpts and FPort."""

from __future__ import annotations

from lorasim.conformance.lab import Lab
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorawan import commands


@case("a queued item comes with the next uplink, on its port, in the clear", "TS001-1.0.4 §4.3.2, §4.3.3", short=True)
async def item(lab: Lab) -> str:
    probe = await lab.device()
    await probe.send().settled()
    await lab.queue(probe, b"open the valve", f_port=42)
    down = await probe.send().down("the queued item")
    expect((down.frame.f_port, down.data) == (42, b"open the valve"), f"got FPort {down.frame.f_port}, {down.data!r}")
    expect(not down.frame.confirmed, "an unconfirmed item came confirmed")
    return down.window


@case("items come in their order, FPending tells of more", "TS001-1.0.4 §4.3.1.4", short=True)
async def order(lab: Lab) -> str:
    probe = await lab.device()
    await probe.send().settled()
    items = [b"first", b"second", b"third"]
    for data in items:
        await lab.queue(probe, data)
    seen, pending = [], []
    for _ in range(5):
        for down in await probe.send().settled():
            if down.data:
                seen.append(down.data)
                pending.append(down.frame.f_pending)
        if len(seen) == 3:
            break
    expect(seen == items, f"came as {seen}")
    if not any(pending):
        raise NotProvoked("the order is right, FPending was never set")
    expect(pending == [True, True, False], f"FPending was {pending}")
    return "FPending 1, 1, 0"


@case("an acknowledged item does not come again", "TS001-1.0.4 §4.3.1.3", seconds=22)
async def confirmed_item(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    await lab.queue(probe, b"confirm", confirmed=True)
    down = await probe.send().down("the confirmed item")
    expect(down.frame.confirmed and down.data == b"confirm", "the item came unconfirmed")
    await probe.exchange.settled()  # type: ignore[union-attr]
    for _ in range(6):  # the first of them has the ACK
        for one in await probe.send().settled():
            expect(one.data != b"confirm", "the item came again after its ACK")


@case("an item without ACK is repeated, if at all, under a new counter", "TS001-1.0.4 §4.3.1.3", seconds=30)
async def unacknowledged_item(lab: Lab) -> str:
    """The device itself refuses a frame whose counter does not rise."""
    probe = await lab.device()
    await probe.send().settled()
    await lab.queue(probe, b"confirm", confirmed=True)
    first = await probe.send().down("the confirmed item")
    await probe.exchange.settled()  # type: ignore[union-attr]
    for n in range(1, 8):
        for one in await probe.send(ack=False).settled():
            if one.data == b"confirm":
                return f"FCntDown {first.opened.f_cnt}, again after {n} uplinks {one.opened.f_cnt}"
    raise NotProvoked("the item was not repeated within seven uplinks")


@case("an acknowledgement and an item share one frame", "TS001-1.0.4 §4.3.1.2", short=True)
async def ack_with_item(lab: Lab) -> str:
    probe = await lab.device()
    await probe.send().settled()
    await lab.queue(probe, b"both")
    exchange = probe.send(confirmed=True)
    downs = await exchange.settled()
    expect(downs and downs[0].frame.ack, "no ACK")
    if downs[0].data != b"both":
        raise NotProvoked("the ACK came alone, the item waits")
    return downs[0].window


@case("no ACK for what was not confirmed", "TS001-1.0.4 §4.3.1.2")
async def no_ack(lab: Lab) -> None:
    probe = await lab.device()
    await probe.send().settled()
    await lab.queue(probe, b"data")
    down = await probe.send().down("the queued item")
    expect(not down.frame.ack, "ACK is set though the uplink was not confirmed")


@case("an item of a full payload leaves room for MAC commands elsewhere", "TS001-1.0.4 §4.3.1.6", seconds=14)
async def full_payload(lab: Lab) -> str:
    """With FOpts the frame would be too long, which the device judges."""
    probe = await lab.device()
    await probe.send().settled()
    limit = lab.ground.fits_rx1(lab.ground.fast)
    await lab.queue(probe, bytes(limit))
    seen = []
    for _ in range(3):
        downs = await probe.send(says=[commands.LinkCheckReq()], confirmed=True).settled()
        seen += [len(down.data) for down in downs]
        if limit in seen:
            return f"{limit} bytes came with frame {len(seen)}"
    downs = await probe.send().settled()
    expect(
        any(len(down.data) == limit for down in downs), "the item did not come with an uplink that asked for nothing"
    )
    return "the item waited for an uplink that asked for nothing"
