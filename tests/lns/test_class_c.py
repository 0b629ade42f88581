"""Class C: spoken to at once, after the first uplink, by one gateway, in the order of the counters."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.node import Node

DEVICE_MODE_C = b"\x20\x02"
QUIET_US = 5 * SECOND_US
"""RECEIVE_DELAY1 of 1 s, RX2 a second later, RETRANSMIT_TIMEOUT of at most 3 s."""


def class_c(lab: Lab, number: int = 1, mac_version: str = "1.0.3", **fields: object) -> Node:
    return lab.abp(number, mac_version, profile=lab.profile(mac_version, device_class="C"), **fields)


def settled(lab: Lab, node: Node, *gateways: FakeGateway, **radio: object) -> None:
    """The session's first uplink, long ago."""
    lab.uplink(node.up(), *gateways, **radio)
    lab.advance(60 * SECOND_US)


def spoken(lab: Lab, us: int = 0) -> list[Sent]:
    """What goes out while ``us`` go by without an uplink."""
    before = len(lab.air)
    lab.advance(us)
    return lab.air[before:]


def test_item_goes_at_once_with_the_parameters_of_rx2(lab: Lab) -> None:
    lab.gateway()
    node = class_c(lab, f_cnt_down=5)
    settled(lab, node)
    id = lab.queue(node.dev_eui, b"\x01\x02\x03")
    (sent,) = spoken(lab)
    assert {name: sent.txpk[name] for name in ("imme", "freq", "datr", "powe")} == {
        "imme": True,
        "freq": 869.1,
        "datr": "SF12BW125",
        "powe": 16,
    }
    assert "tmst" not in sent.txpk
    down = node.read(sent.phy)
    assert (down.f_cnt, down.data, down.confirmed, down.f_pending) == (5, b"\x01\x02\x03", False, False)
    assert lab.item(id).state == "sent"
    assert spoken(lab, 600 * SECOND_US) == []


def test_inv_35_class_c_not_before_the_first_uplink_of_a_session(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    id = lab.queue(node.dev_eui, b"\x01")
    assert spoken(lab, 60 * SECOND_US) == []
    assert lab.item(id).state == "queued"
    lab.uplink(node.up())
    assert lab.item(id).state == "sent"  # in its RX1
    assert not lab.air[-1].txpk["imme"]
    fresh = class_c(lab, dev_addr=0x0100_0999)
    lab.queue(fresh.dev_eui, b"\x02")
    gateway.pull()
    assert spoken(lab, 60 * SECOND_US) == []
    lab.uplink(fresh.up())
    assert fresh.read(lab.air[-1].phy).data == b"\x02"


def test_inv_35_a_1_1_device_says_itself_that_it_is_class_c(lab: Lab) -> None:
    lab.gateway()
    node = class_c(lab, mac_version="1.1.0")
    settled(lab, node)
    lab.queue(node.dev_eui, b"\x01")
    assert spoken(lab, 60 * SECOND_US) == []
    lab.uplink(node.up())
    lab.advance(60 * SECOND_US)
    lab.uplink(node.up(f_opts=DEVICE_MODE_C))
    lab.advance(60 * SECOND_US)
    lab.queue(node.dev_eui, b"\x02")
    (sent,) = spoken(lab)
    assert sent.txpk["imme"] and node.read(sent.phy).data == b"\x02"


def test_windows_of_an_uplink_come_first(lab: Lab) -> None:
    """lns_scenarios.json, up10-classc-runafter: five seconds after an uplink at the usual delay."""
    lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    lab.uplink(node.up())
    heard_us = lab.mono_us - WINDOW_US
    lab.queue(node.dev_eui, b"\x01")
    (sent,) = spoken(lab, 60 * SECOND_US)
    assert sent.txpk["imme"]
    assert sent.at_us - heard_us == QUIET_US


def test_uplink_that_is_still_gathered_counts_too(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    gateway.hear(node.up())
    lab.queue(node.dev_eui, b"\x01")
    lab.advance(WINDOW_US)
    (sent,) = lab.air
    assert not sent.txpk["imme"]  # the item went as the answer to it


def test_inv_02_counters_rise_in_the_order_of_the_air(lab: Lab) -> None:
    """An answer that is promised to the gateway goes first; what is immediate waits until it is off the air."""
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    starts: list[tuple[int, int]] = []
    for turn in range(40):
        for number in range(turn % 4):
            lab.queue(node.dev_eui, bytes((turn, number)))
        if turn % 3:
            gateway.hear(node.up(confirmed=bool(turn % 2)), datr="SF12BW125")
        lab.advance((turn % 7) * 700_000 + 1)
    lab.advance(300 * SECOND_US)
    for sent in lab.air:
        begin = sent.at_us + (1 if sent.txpk["imme"] else (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32))
        starts.append((begin, node.read(sent.phy).f_cnt))
    assert len(starts) >= 60
    assert [f_cnt for _, f_cnt in sorted(starts)] == list(range(len(starts)))


def test_one_after_another_and_never_two_on_the_air(lab: Lab) -> None:
    lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    for number in range(4):
        lab.queue(node.dev_eui, bytes((number,)))
    sent = spoken(lab, 30 * SECOND_US)
    assert [node.read(one.phy).data for one in sent] == [bytes((number,)) for number in range(4)]
    airtime_us = 1_155_072  # 14 bytes at SF12 without payload CRC
    assert all(b.at_us - a.at_us >= airtime_us + 80_000 for a, b in pairwise(sent))


def test_inv_32_confirmed_item_is_given_up_after_its_attempts(lab: Lab) -> None:
    """CLASS_C_RESP_TIMEOUT of 8 s, then a new frame each time, ever later; three by default."""
    lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    id = lab.queue(node.dev_eui, b"reboot", confirmed=True)
    sent = spoken(lab, 3600 * SECOND_US)
    assert [node.read(one.phy).f_cnt for one in sent] == [0, 1, 2]
    assert len({one.phy for one in sent}) == 3
    gaps_s = [(b.at_us - a.at_us) / 1e6 for a, b in pairwise(sent)]
    assert 10 <= gaps_s[0] < 14 and 40 <= gaps_s[1] < 44
    item = lab.item(id)
    assert (item.state, item.attempts, item.attempts_made) == ("failed", 3, 3)
    assert "3 of 3 attempts" in item.reason
    (event,) = lab.events("ack")
    assert (event.queue_item_id, event.acknowledged) == (id, False)


def test_confirmed_item_is_acknowledged(lab: Lab) -> None:
    lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    ids = [lab.queue(node.dev_eui, bytes((number,)), confirmed=True) for number in range(2)]
    (sent,) = spoken(lab, 5 * SECOND_US)
    assert node.read(sent.phy).confirmed
    lab.uplink(node.up(ack=True))
    assert [lab.item(id).state for id in ids] == ["acked", "sent"]


def test_sec_05_after_three_missed_downlinks_another_gateway(lab: Lab) -> None:
    """A rogue gateway that is heard best and swallows what it is given."""
    rogue, honest = lab.gateway(1), lab.gateway(2)
    node = class_c(lab)
    senders = []
    for _ in range(5):
        phy = node.up()
        rogue.hear(phy, lsnr=20.0, rssi=-10)
        honest.hear(phy, lsnr=-3.0)
        lab.advance(60 * SECOND_US)
        lab.queue(node.dev_eui, b"valve", confirmed=True, attempts=1)
        (sent,) = spoken(lab, 60 * SECOND_US)
        senders.append(sent.gateway)
    assert senders == [rogue.eui] * 3 + [honest.eui] * 2


@pytest.mark.parametrize("error", ["TX_FREQ", "COLLISION_PACKET", "GPS_UNLOCKED", "something new"])
def test_inv_28_refused_class_c_frame_goes_to_the_next_gateway(lab: Lab, error: str) -> None:
    near, far = lab.gateway(1), lab.gateway(2)
    node = class_c(lab)
    phy = node.up()
    near.hear(phy, lsnr=8.0)
    far.hear(phy, lsnr=-3.0)
    lab.advance(60 * SECOND_US)
    near.outcomes.append(error)
    id = lab.queue(node.dev_eui, b"\x01")
    first, second = spoken(lab)
    assert (first.gateway, second.gateway) == (near.eui, far.eui)
    assert first.phy == second.phy
    assert lab.item(id).state == "sent"


def test_silence_is_not_tried_again(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    gateway.outcomes.append(None)
    id = lab.queue(node.dev_eui, b"valve", at_most_once=True)
    assert len(spoken(lab, 600 * SECOND_US)) == 1
    assert lab.item(id).state == "unknown"


def test_without_a_path_it_waits_and_says_so(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    lab.state.gateways.get(int(gateway.eui, 16)).front = None  # type: ignore[union-attr]
    id = lab.queue(node.dev_eui, b"\x01")
    assert spoken(lab, 60 * SECOND_US) == []
    assert "no gateway" in lab.item(id).reason
    gateway.pull()
    (sent,) = spoken(lab, 11 * SECOND_US)
    assert node.read(sent.phy).f_cnt == 0


def test_refused_everywhere_it_is_tried_ever_more_seldom(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    gateway.outcomes.extend(["TX_FREQ"] * 1000)
    lab.queue(node.dev_eui, b"\x01")
    assert 5 < len(spoken(lab, 3600 * SECOND_US)) < 20


def test_gateways_are_remembered_over_the_kill(lab: Lab) -> None:
    near, far = lab.gateway(1), lab.gateway(2)
    node = class_c(lab)
    phy = node.up()
    far.hear(phy, lsnr=-3.0)
    near.hear(phy, lsnr=8.0)
    lab.advance(60 * SECOND_US)
    ids = [lab.queue(node.dev_eui, bytes((number,)), expires_at_us=None) for number in range(2)]
    lab.kill()
    sent = spoken(lab, 10 * SECOND_US)
    assert [one.gateway for one in sent] == [near.eui] * 2
    assert [node.read(one.phy).data for one in sent] == [b"\x00", b"\x01"]
    assert [lab.item(id).state for id in ids] == ["sent", "sent"]


def test_item_expires_while_it_waits(lab: Lab) -> None:
    gateway = lab.gateway()
    node = class_c(lab)
    settled(lab, node)
    lab.state.gateways.get(int(gateway.eui, 16)).front = None  # type: ignore[union-attr]
    id = lab.queue(node.dev_eui, b"\x01", expires_at_us=lab.wall_us + 30 * SECOND_US)
    lab.advance(40 * SECOND_US)
    gateway.pull()
    assert spoken(lab, 60 * SECOND_US) == []
    assert lab.item(id).state == "expired"
