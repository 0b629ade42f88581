"""Multicast groups of class C: one frame, one counter, the gateways that are needed, one after another where they meet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lorasim.crypto import SessionKeys

from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, Killed, Lab
from tests.support.node import Node

MC_ADDR = 0x0100_0F00
NWK, APP = bytes.fromhex("01020304050607080102030405060708"), bytes.fromhex("02020304050607080102030405060708")
STEPS = ("commit", "committed", "acked", "sent")


def reader() -> Node:
    """Any member, as far as the group's frames go."""
    return Node(MC_ADDR, SessionKeys.of_1_0(NWK, APP))


def member(lab: Lab, number: int, *heard_by: tuple[FakeGateway, float]) -> Node:
    """A class C device in use, heard by these gateways with these SNRs."""
    node = lab.abp(number, profile=lab.profile("1.0.3", device_class="C"))
    phy = node.up()
    for gateway, snr_db in heard_by:
        gateway.hear(phy, lsnr=snr_db)
    lab.advance(10 * SECOND_US)
    return node


def group(lab: Lab, *members: Node, **fields: Any) -> str:
    values = {
        "name": "Подъезд 1",
        "mc_addr": f"{MC_ADDR:08x}",
        "mc_nwk_s_key": NWK.hex(),
        "mc_app_s_key": APP.hex(),
        "dr": 3,
        "frequency_hz": 869_100_000,
    }
    id = str(lab.call("group_put", **(values | fields)).id)
    lab.call("group_members_put", group=id, add=[node.dev_eui for node in members])
    return id


def put(lab: Lab, id: str, data: bytes = b"\x01", **fields: Any) -> str:
    return str(lab.call("group_queue_put", group=id, f_port=5, data=data, **fields).id)


def item(lab: Lab, group_id: str, id: str) -> Any:
    return next(one for one in lab.call("group_queue", key=group_id).items if one.id == id)


def spoken(lab: Lab, us: int = 60 * SECOND_US) -> list[Sent]:
    before = len(lab.air)
    lab.advance(us)
    return lab.air[before:]


def test_published_frame(tmp_path: Path) -> None:
    """lns_scenarios.json, mc-c (ChirpStack, multicast_test.rs): 868.3 MHz, SF9, FCtrl 0, counter 10."""
    lab = Lab(tmp_path, region="EU868")
    gateway = lab.gateway()
    node = member(lab, 1, (gateway, 5.0))
    id = group(lab, node, mc_addr="01020304", frequency_hz=868_300_000, f_cnt_down=10)
    put(lab, id, bytes.fromhex("010203"))
    (sent,) = spoken(lab)
    assert sent.phy.hex() == "6004030201000a0005a1faff2a6e8dc8"
    assert (sent.txpk["imme"], sent.txpk["freq"], sent.txpk["datr"]) == (True, 868.3, "SF9BW125")
    assert lab.call("group", key=id).f_cnt_down == 11
    lab.close()


def test_fewest_gateways_reach_all_and_take_turns(lab: Lab) -> None:
    """One gateway hears four members, another one a fifth and some of the four, a third nobody else: two are enough."""
    a, b, c = (lab.gateway(number) for number in (1, 2, 3))
    members = [member(lab, number, (a, 5.0), (c, 1.0)) for number in (1, 2, 3)]
    members += [member(lab, 4, (a, 3.0), (b, 3.0)), member(lab, 5, (b, 5.0))]
    id = group(lab, *members)
    record = lab.call("group", key=id)
    assert (record.gateways_now, record.unreached, record.members) == ([a.eui, b.eui], 0, 5)
    put_id = put(lab, id, b"\x07")
    first, second = spoken(lab)
    assert (first.gateway, second.gateway) == (a.eui, b.eui)
    assert first.phy == second.phy and reader().read(first.phy).data == b"\x07"
    # 14 bytes at SF9 without payload CRC are 164.9 ms, begun up to a second after the forwarder had it.
    assert second.at_us - first.at_us >= 1_000_000 + 164_864
    assert (item(lab, id, put_id).state, item(lab, id, put_id).f_cnt_down) == ("sent", 0)


def test_gateways_that_share_no_member_send_at_the_same_time(lab: Lab) -> None:
    a, b = lab.gateway(1), lab.gateway(2)
    id = group(lab, member(lab, 1, (a, 5.0)), member(lab, 2, (b, 5.0)))
    put(lab, id)
    first, second = spoken(lab)
    assert first.at_us == second.at_us and {first.gateway, second.gateway} == {a.eui, b.eui}


def test_a_much_weaker_gateway_is_not_counted_on(lab: Lab) -> None:
    a, b = lab.gateway(1), lab.gateway(2)
    id = group(lab, member(lab, 1, (a, -15.0), (b, 5.0)), member(lab, 2, (a, 5.0)))
    assert lab.call("group", key=id).gateways_now == [a.eui, b.eui]


def test_chosen_gateways_send_whoever_they_reach(lab: Lab) -> None:
    a, b = lab.gateway(1), lab.gateway(2)
    node = member(lab, 1, (a, 5.0))
    id = group(lab, node, gateways=[b.eui])
    assert lab.call("group", key=id).unreached == 1
    put(lab, id)
    assert [sent.gateway for sent in spoken(lab)] == [b.eui]


def test_items_in_their_order_with_rising_counters(lab: Lab) -> None:
    a, b = lab.gateway(1), lab.gateway(2)
    id = group(lab, member(lab, 1, (a, 5.0), (b, 5.0)), member(lab, 2, (a, 5.0)), member(lab, 3, (b, 5.0)))
    ids = [put(lab, id, bytes((number,))) for number in range(4)]
    sent = spoken(lab)
    read = [(one.gateway, reader().read(one.phy)) for one in sent]
    for gateway in (a, b):
        assert [(down.f_cnt, down.data) for eui, down in read if eui == gateway.eui] == [
            (number, bytes((number,))) for number in range(4)
        ]
    assert all(early.at_us < late.at_us for early, late in pairwise(sent))
    assert [item(lab, id, one).state for one in ids] == ["sent"] * 4


@pytest.mark.parametrize(
    ("outcomes", "state", "words"),
    [
        (["TX_FREQ", "TX_FREQ"], "queued", "TX_FREQ"),
        (["TX_FREQ", ""], "sent", "not by all"),
        ([None, None], "unknown", "said nothing"),
        ([None, ""], "sent", "said nothing"),
    ],
)
def test_what_gateways_say_is_the_item_s_end(lab: Lab, outcomes: list[str | None], state: str, words: str) -> None:
    gateways = [lab.gateway(number) for number in (1, 2)]
    id = group(lab, member(lab, 1, (gateways[0], 5.0)), member(lab, 2, (gateways[1], 5.0)))
    for gateway, outcome in zip(gateways, outcomes, strict=True):
        gateway.outcomes.append(outcome)
    one = put(lab, id)
    spoken(lab, 20 * SECOND_US)
    assert item(lab, id, one).state == state and words in item(lab, id, one).reason


def test_refused_by_all_it_goes_under_a_new_counter(lab: Lab) -> None:
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)))
    gateway.outcomes.append("COLLISION_PACKET")
    one = put(lab, id)
    first, second = spoken(lab, 120 * SECOND_US)
    assert [reader().read(sent.phy).f_cnt for sent in (first, second)] == [0, 1]
    assert item(lab, id, one).state == "sent"


def test_inv_01_inv_31_killed_at_every_step_of_a_multicast(lab: Lab) -> None:
    """No counter with two payloads, no payload under two counters, and every item has one end."""
    a, b = lab.gateway(1), lab.gateway(2)
    id = group(lab, member(lab, 1, (a, 5.0), (b, 5.0)), member(lab, 2, (a, 5.0)), member(lab, 3, (b, 5.0)))
    data = []
    for turn in range(32):
        data.append(bytes((turn, 0xAA)))
        put(lab, id, data[-1])
        lab.die_at = STEPS[turn % 4]
        try:
            lab.advance((turn % 5) * 400_000 + 1)
        except Killed:
            lab.die_at = None
            lab.kill()
        lab.die_at = None
    spoken(lab, 600 * SECOND_US)
    by_counter: dict[int, set[bytes]] = {}
    by_data: dict[bytes, set[int]] = {}
    for sent in lab.air:
        down = reader().read(sent.phy)
        by_counter.setdefault(down.f_cnt, set()).add(sent.phy)
        by_data.setdefault(down.data, set()).add(down.f_cnt)
    assert lab.lives > 5
    assert all(len(payloads) == 1 for payloads in by_counter.values())
    assert all(len(counters) == 1 for counters in by_data.values())
    assert {one.state for one in lab.call("group_queue", key=id).items} <= {"sent", "unknown"}
    keys = [(sent.gateway, sent.phy) for sent in lab.air]
    assert len(keys) == len(set(keys)), "each gateway sends each frame once"


def test_inv_03_a_restored_backup_skips_ahead_and_cancels(lab: Lab) -> None:
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)), f_cnt_down=7)
    gateway.lab.state.gateways.get(int(gateway.eui, 16)).front = None  # type: ignore[union-attr]
    one = put(lab, id)
    lab.kill(restored=1)
    assert lab.call("group", key=id).f_cnt_down == 7 + 1024
    assert item(lab, id, one).state == "cancelled"


def test_inv_04_at_the_end_of_32_bits_it_stops_and_says_so(lab: Lab) -> None:
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)), f_cnt_down=2**32 - 1)
    ids = [put(lab, id, bytes((number,))) for number in range(2)]
    (sent,) = spoken(lab)
    assert reader().read(sent.phy, base=0xFFFF0000).f_cnt == 2**32 - 1
    assert [item(lab, id, one).state for one in ids] == ["sent", "queued"]
    assert "new keys" in item(lab, id, ids[1]).reason
    fresh = {"mc_nwk_s_key": "11" * 16, "mc_app_s_key": "22" * 16, "f_cnt_down": 0}
    values = {"name": "n", "mc_addr": f"{MC_ADDR:08x}", "dr": 3, "frequency_hz": 869_100_000}
    with pytest.raises(Exception, match="needs new keys"):
        lab.call("group_put", id=id, **values, f_cnt_down=0)
    lab.call("group_put", id=id, **values, **fresh)
    (sent,) = spoken(lab)
    node = Node(MC_ADDR, SessionKeys.of_1_0(b"\x11" * 16, b"\x22" * 16))
    assert (node.read(sent.phy).f_cnt, node.read(sent.phy).data) == (0, b"\x01")


def test_expired_and_cancelled_items_are_not_sent(lab: Lab) -> None:
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)))
    lab.state.gateways.get(int(gateway.eui, 16)).front = None  # type: ignore[union-attr]
    late = put(lab, id, b"late", expires_at_us=lab.wall_us + 30 * SECOND_US)
    lab.advance(31 * SECOND_US)
    assert "no gateway" in item(lab, id, late).reason or item(lab, id, late).state == "expired"
    gone = put(lab, id, b"gone")
    lab.call("group_queue_delete", key=id)
    gateway.pull()
    assert spoken(lab) == []
    assert {item(lab, id, one).state for one in (late, gone)} <= {"expired", "cancelled"}


def test_groups_survive_the_kill(lab: Lab) -> None:
    gateway = lab.gateway()
    node = member(lab, 1, (gateway, 5.0))
    id = group(lab, node)
    before = lab.call("group", key=id)
    lab.kill()
    assert lab.call("group", key=id) == before
    assert lab.call("group_members", key=id).dev_euis == [node.dev_eui]
    put(lab, id)
    assert len(spoken(lab)) == 1
    assert NWK.hex() not in repr(before) and not hasattr(before, "mc_nwk_s_key")


def test_idempotency_key(lab: Lab) -> None:
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)))
    first = put(lab, id, b"\x01", idempotency_key="k")
    spoken(lab)
    assert put(lab, id, b"\x01", idempotency_key="k") == first
    assert spoken(lab) == []
    with pytest.raises(Exception, match="another item"):
        put(lab, id, b"\x02", idempotency_key="k")


def test_members_come_and_go(lab: Lab) -> None:
    gateway = lab.gateway()
    one, other = member(lab, 1, (gateway, 5.0)), member(lab, 2, (gateway, 5.0))
    id = group(lab, one, other)
    lab.call("group_members_put", group=id, remove=[one.dev_eui])
    assert lab.call("group_members", key=id).dev_euis == [other.dev_eui]
    lab.call("device_delete", key=other.dev_eui)
    lab.kill()
    assert lab.call("group_members", key=id).dev_euis == []
    lab.call("group_delete", key=id)
    with pytest.raises(Exception, match="does not exist"):
        lab.call("group", key=id)
    lab.kill()
    assert lab.call("groups").items == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "name"),
        ({"device_class": "A"}, "device_class"),
        ({"dr": 99}, "dr"),
        ({"frequency_hz": 433_000_000}, "outside RU864"),
        ({"ping_periodicity": 8}, "ping_periodicity"),
        ({"f_cnt_down": 1 << 32}, "f_cnt_down"),
        ({"mc_addr": "xyz"}, "dev_addr"),
        ({"mc_nwk_s_key": "00"}, "mc_nwk_s_key"),
        ({"gateways": ["00000000000000ff"]}, "not registered"),
    ],
)
def test_refused_with_the_field_s_name(lab: Lab, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        group(lab, **fields)
    assert lab.call("groups").items == []


def test_inv_01_a_lower_counter_needs_other_keys(lab: Lab) -> None:
    """The same keys written once more are no new ones, and what is refused has changed nothing."""
    gateway = lab.gateway()
    id = group(lab, member(lab, 1, (gateway, 5.0)))
    put(lab, id)
    (first,) = spoken(lab)
    values = {"id": id, "name": "n", "mc_addr": f"{MC_ADDR:08x}", "dr": 3, "frequency_hz": 869_100_000, "f_cnt_down": 0}
    for keys in ({}, {"mc_nwk_s_key": NWK.hex(), "mc_app_s_key": APP.hex()}, {"mc_app_s_key": "77" * 16}):
        with pytest.raises(Exception, match="lower counter needs new keys"):
            lab.call("group_put", **values, **keys)
    put(lab, id, b"\x02")
    (second,) = spoken(lab)
    assert [reader().read(one.phy).f_cnt for one in (first, second)] == [0, 1]
    lab.call("group_put", **values, mc_nwk_s_key="66" * 16, mc_app_s_key="77" * 16)
    put(lab, id)
    (third,) = spoken(lab)
    fresh = Node(MC_ADDR, SessionKeys.of_1_0(bytes.fromhex("66" * 16), bytes.fromhex("77" * 16)))
    assert fresh.read(third.phy).f_cnt == 0


def test_refused_members_and_items(lab: Lab) -> None:
    lab.gateway()
    class_a = lab.abp(9)
    with pytest.raises(Exception, match="class A"):
        group(lab, class_a)
    id = str(lab.call("groups").items[0].id)
    with pytest.raises(Exception, match="neither members nor"):
        put(lab, id)
    with pytest.raises(Exception, match="another group has the address"):
        group(lab)
    with pytest.raises(Exception, match="at most 115 fit"):
        put(lab, id, bytes(116))
