"""Application items: their states, and the way of each."""

from __future__ import annotations

import pytest

from internalapi import messages as m
from lns.downlink.queue import TRANSITIONS, Item, ItemState
from lorawan.errors import StateError
from tests.support.lab import SECOND_US, Lab

Q, SC, SE, U = ItemState.QUEUED, ItemState.SCHEDULED, ItemState.SENT, ItemState.UNKNOWN
A, N, F, E, C = ItemState.ACKED, ItemState.NACKED, ItemState.FAILED, ItemState.EXPIRED, ItemState.CANCELLED
ALLOWED = {
    *((Q, end) for end in (SC, E, C, F)),
    *((SC, end) for end in (SE, U, Q, F)),
    *((begin, end) for begin in (SE, U) for end in (A, N)),
    *((N, end) for end in (Q, F, E)),
}


def item_in(state: ItemState, confirmed: bool = True) -> Item:
    item = Item("id", 1, 1, 10, b"\x01", confirmed, 0, None)
    item.state = state
    return item


@pytest.mark.parametrize("begin", ItemState)
@pytest.mark.parametrize("end", ItemState)
def test_every_step_of_the_table(begin: ItemState, end: ItemState) -> None:
    item = item_in(begin)
    if (begin, end) in ALLOWED:
        item.move(end, "why")
        assert (item.state, item.reason) == (end, "why")
    else:
        with pytest.raises(StateError, match=f"from {begin.value} to {end.value}"):
            item.move(end)
        assert item.state is begin


def test_what_is_open() -> None:
    assert set(TRANSITIONS) == set(ItemState)
    assert {state for state in ItemState if item_in(state).is_open} == {Q, SC, SE, U, N}
    assert {state for state in ItemState if item_in(state, confirmed=False).is_open} == {Q, SC}


def test_unconfirmed_item_goes_down_and_is_sent(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp(f_cnt_down=5)
    id = lab.queue(node.dev_eui, b"\x01\x02\x03\x04", f_port=10)
    assert lab.item(id).state == "queued"
    (sent,) = lab.uplink(node.up())
    down = node.read(sent.phy)
    assert (down.confirmed, down.ack, down.f_port, down.data, down.f_cnt, down.f_pending) == (
        False, False, 10, b"\x01\x02\x03\x04", 5, False,
    )  # fmt: skip
    item = lab.item(id)
    assert (item.state, item.f_cnt_down) == ("sent", 5)
    (event,) = lab.events("txack")
    assert (event.queue_item_id, event.f_cnt_down, event.gateway_eui, event.dev_eui) == (
        id,
        5,
        gateway.eui,
        node.dev_eui,
    )
    assert lab.uplink(node.up()) == []


def test_items_go_in_their_order_one_an_uplink(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for number in range(5):
        lab.queue(node.dev_eui, bytes((number,)))
    for _ in range(5):
        lab.uplink(node.up())
        lab.advance(5 * SECOND_US)
    read = [node.read(sent.phy) for sent in lab.air]
    assert [down.data for down in read] == [bytes((number,)) for number in range(5)]
    assert [down.f_pending for down in read] == [True, True, True, True, False]
    assert [down.f_cnt for down in read] == list(range(5))


@pytest.mark.parametrize(("acked", "state"), [(True, "acked"), (False, "failed")])
def test_confirmed_item_is_decided_by_the_next_uplink(lab: Lab, acked: bool, state: str) -> None:
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, confirmed=True, attempts=1)
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).confirmed
    assert lab.item(id).state == "sent"
    lab.advance(5 * SECOND_US)
    assert lab.uplink(node.up(ack=acked)) == []
    assert lab.item(id).state == state
    (event,) = lab.events("ack")
    assert (event.queue_item_id, event.acknowledged, event.f_cnt_down) == (id, acked, 0)


def test_confirmed_item_survives_the_kill_and_is_acknowledged_after_it(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, confirmed=True)
    lab.uplink(node.up())
    lab.kill()
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(ack=True))
    assert lab.item(id).state == "acked"


def test_unknown_confirmed_item_is_decided_too(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    id = lab.queue(node.dev_eui, confirmed=True)
    gateway.outcomes.append(None)
    lab.uplink(node.up())
    lab.advance(5 * SECOND_US)
    assert lab.item(id).state == "unknown"
    lab.uplink(node.up(ack=True))
    assert lab.item(id).state == "acked"


def test_one_confirmed_downlink_at_a_time(lab: Lab) -> None:
    """TS001-1.0.4 §4.3.1.2; the ACK that comes frees the next one at once."""
    gateway, node = lab.gateway(), lab.abp()
    ids = [lab.queue(node.dev_eui, bytes((number,)), confirmed=True) for number in range(2)]
    gateway.outcomes.append(None)
    lab.uplink(node.up())
    lab.uplink(node.up())  # the gateway has not answered yet: nobody knows
    assert [lab.item(id).state for id in ids] == ["scheduled", "queued"]
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(ack=True))
    assert [lab.item(id).state for id in ids] == ["acked", "sent"]
    assert node.read(sent.phy).data == b"\x01"


def test_ack_of_a_late_frame_counts_for_nothing(lab: Lab) -> None:
    """INV-33: it was sent before the downlink it would acknowledge."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, confirmed=True)
    slow = node.up(ack=True)
    lab.uplink(node.up())
    lab.advance(5 * SECOND_US)
    lab.uplink(slow)
    assert lab.item(id).state == "sent"


def test_repeated_confirmed_uplink_decides_nothing(lab: Lab) -> None:
    """The device repeats the uplink that the confirmed downlink answered: it has not heard it, but may yet."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, confirmed=True)
    phy = node.up(confirmed=True)
    lab.uplink(phy)
    lab.advance(4 * SECOND_US)
    (again,) = lab.uplink(phy)
    assert node.read(again.phy).ack
    assert lab.item(id).state == "sent"


def test_refused_everywhere_it_waits_for_the_next_uplink(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    id = lab.queue(node.dev_eui, b"\x01")
    gateway.outcomes.extend(["TX_FREQ", "TX_FREQ"])
    lab.uplink(node.up())
    assert lab.item(id).state == "queued"
    assert "TX_FREQ" in lab.item(id).reason
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up())
    assert (node.read(sent.phy).data, node.read(sent.phy).f_cnt) == (b"\x01", 1)
    assert lab.item(id).state == "sent"


def test_expired_item_is_never_sent_and_frees_its_place(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    soon_us = lab.wall_us + 60 * SECOND_US
    ids = [lab.queue(node.dev_eui, expires_at_us=soon_us) for _ in range(100)]
    last = m.QueueWrite(node.dev_eui, 10, b"last")
    with pytest.raises(Exception, match="100 items"):
        lab.queue(node.dev_eui)
    lab.advance(61 * SECOND_US)
    assert lab.uplink(node.up()) == []
    assert {lab.item(id).state for id in ids} == {"expired"}
    assert {entry.context["queue_item_id"] for entry in lab.events("log")} == set(ids)
    lab.queue(node.dev_eui, last.data)
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).data == b"last"


@pytest.mark.parametrize("killed", [False, True])
def test_item_of_a_device_that_fell_silent_expires_in_time(lab: Lab, killed: bool) -> None:
    """Nobody waits for the device's next uplink to be told, and nothing stands in the way of what is queued later."""
    lab.gateway()
    node = lab.abp()
    soon = lab.queue(node.dev_eui, expires_at_us=lab.wall_us + 60 * SECOND_US)
    later = lab.queue(node.dev_eui, b"\x02", expires_at_us=lab.wall_us + 600 * SECOND_US)
    lasting = lab.queue(node.dev_eui, b"\x03")
    if killed:
        lab.kill()
    lab.advance(59 * SECOND_US)
    lab.engine.expire_items(lab.now)
    lab.pump()
    assert lab.item(soon).state == "queued"
    lab.advance(2 * SECOND_US)
    lab.engine.expire_items(lab.now)
    lab.pump()
    assert (lab.item(soon).state, lab.item(soon).reason) == ("expired", "it expired before it could be sent")
    (entry,) = lab.events("log")
    assert (entry.code, entry.context["queue_item_id"]) == ("EXPIRED", soon)
    assert [lab.item(id).state for id in (later, lasting)] == ["queued", "queued"]
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).data == b"\x02"
    lab.advance(600 * SECOND_US)
    lab.engine.expire_items(lab.now)
    lab.pump()
    assert lab.item(later).state == "sent" and len(lab.events("log")) == 1


def test_expired_items_take_no_place_in_the_queue(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lns.api.queue.system_now", lambda: lab.now)
    node = lab.abp()
    for _ in range(100):
        lab.queue(node.dev_eui, expires_at_us=lab.wall_us + 60 * SECOND_US)
    lab.advance(61 * SECOND_US)
    assert lab.item(lab.queue(node.dev_eui, b"\x02")).state == "queued"


def test_too_long_item_waits_for_a_better_data_rate(lab: Lab) -> None:
    """51 bytes at DR0 is the most in RU864; told once, kept, sent when it fits (lns_scenarios.json, q-toolarge)."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, bytes(52))
    for _ in range(2):
        assert lab.uplink(node.up(), datr="SF12BW125") == []
        lab.advance(5 * SECOND_US)
    assert lab.item(id).state == "queued" and "at most 51" in lab.item(id).reason
    (entry,) = lab.events("log")
    assert (entry.level, entry.code) == ("ERROR", "DOWNLINK_PAYLOAD_SIZE")
    (sent,) = lab.uplink(node.up(), datr="SF9BW125")
    assert node.read(sent.phy).data == bytes(52)
    assert sent.txpk["datr"] == "SF9BW125"


def test_too_long_item_is_not_announced_as_pending(lab: Lab) -> None:
    """FPending makes the device send again at once: useless while nothing can come."""
    lab.gateway()
    node = lab.abp()
    lab.queue(node.dev_eui, bytes(52))
    (sent,) = lab.uplink(node.up(confirmed=True), datr="SF12BW125")
    down = node.read(sent.phy)
    assert (down.ack, down.f_port, down.f_pending) == (True, None, False)


def test_item_beside_mac_answers_when_it_does_not_fit_is_pending(lab: Lab) -> None:
    """lns_scenarios.json, mac-linkcheck: 51 bytes and LinkCheckAns do not go together at DR0."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, bytes(51))
    (sent,) = lab.uplink(node.up(f_opts=b"\x02"), datr="SF12BW125")
    down = node.read(sent.phy)
    assert (down.f_opts[:1], down.f_port, down.f_pending) == (b"\x02", None, True)
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(), datr="SF12BW125")
    assert node.read(sent.phy).data == bytes(51)
    assert lab.item(id).state == "sent"


def test_long_item_goes_in_the_window_that_takes_it(lab: Lab) -> None:
    """At SF7 RX1 carries 222 bytes, RX2 at SF12 only 51: a refusal of RX1 leaves no second window."""
    gateway, node = lab.gateway(), lab.abp()
    id = lab.queue(node.dev_eui, bytes(200))
    gateway.outcomes.append("COLLISION_PACKET")
    (sent,) = lab.uplink(node.up(), datr="SF7BW125")
    assert sent.txpk["datr"] == "SF7BW125"
    assert lab.item(id).state == "queued"


def test_idempotency_key(lab: Lab) -> None:
    lab.gateway()
    node, other = lab.abp(1), lab.abp(2)
    first = lab.queue(node.dev_eui, b"\x01", idempotency_key="k")
    assert lab.queue(node.dev_eui, b"\x01", idempotency_key="k") == first
    assert lab.queue(other.dev_eui, b"\x01", idempotency_key="k") != first
    with pytest.raises(Exception, match="used for another item"):
        lab.queue(node.dev_eui, b"\x02", idempotency_key="k")
    lab.uplink(node.up())
    lab.kill()
    assert lab.queue(node.dev_eui, b"\x01", idempotency_key="k") == first
    assert lab.item(first).state == "sent"
    assert lab.uplink(node.up()) == []


def test_cancelled_items(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    ids = [lab.queue(node.dev_eui, bytes((number,))) for number in range(3)]
    gateway.outcomes.append(None)
    lab.uplink(node.up())
    lab.call("queue_delete", key=node.dev_eui)
    assert [lab.item(id).state for id in ids] == ["scheduled", "cancelled", "cancelled"]
    lab.advance(5 * SECOND_US)
    assert lab.uplink(node.up()) == []


def test_queue_survives_a_new_join_of_the_session(lab: Lab) -> None:
    """INV-16: items belong to the device."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x09")
    fresh = lab.abp(1, dev_addr=0x0100_0999)
    (sent,) = lab.uplink(fresh.up())
    assert fresh.read(sent.phy).data == b"\x09"
    assert lab.item(id).state == "sent"


@pytest.mark.parametrize("version", ["1.0.3", "1.1.0"])
def test_counter_at_its_end_refuses(lab: Lab, version: str) -> None:
    """INV-04: 32 bits; the last value is used, then the device must join again."""
    lab.gateway()
    last = 2**32 - 1
    node = lab.abp(mac_version=version, f_cnt_down=last, **({"a_f_cnt_down": last} if version == "1.1.0" else {}))
    ids = [lab.queue(node.dev_eui, bytes((number,))) for number in range(2)]
    lab.uplink(node.up(tx_dr=3))
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(tx_dr=3))
    (sent,) = lab.air
    assert node.read(sent.phy, base=0xFFFF0000).f_cnt == last
    assert [lab.item(id).state for id in ids] == ["sent", "queued"]
    assert [entry.level for entry in lab.events("log")] == ["ERROR"]


def test_downlink_counter_over_the_16_bits(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(f_cnt_down=65_534)
    for base in (0, 0, 0x10000, 0x10000):
        lab.queue(node.dev_eui, b"abc")
        (sent,) = lab.uplink(node.up())
        assert node.read(sent.phy, base=base).data == b"abc"
        lab.advance(5 * SECOND_US)
