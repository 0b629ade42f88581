"""Ping slots: who is spoken to, when, through which gateway, and in which order (TS001-1.0.4 §8–§12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lorasim import class_b as oracle

from lns.api.errors import Refused
from tests.support.fake_gateway import Sent
from tests.support.gps_lab import BEACON_PERIOD_US, PERIODICITY, Air, class_b_node, hear_a_stranger, quiet
from tests.support.lab import SECOND_US, Lab


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Air]:
    return lambda gateways=1, **settings: Air(Lab(tmp_path, **settings), gateways)


# ------------------------------------------------------------------------------------------------ where and when


@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4", "1.1.0"])
def test_an_item_goes_in_the_next_ping_slot(make: Callable[..., Air], mac_version: str) -> None:
    air = make()
    node = class_b_node(air.lab, mac_version=mac_version)
    air.hear(node.up(b"hello", class_b=True))
    quiet(air)
    asked_at = air.gps_us
    item = air.lab.queue(node.dev_eui, b"open")
    air.lab.advance(20 * SECOND_US)
    (sent,) = air.at_gps_times()
    gps_us = sent.txpk["tmms"] * 1000
    assert air.is_ping_slot(sent, node.dev_addr)
    begin = asked_at - asked_at % BEACON_PERIOD_US
    slots = [s for k in (0, 1) for s in oracle.slots(begin + k * BEACON_PERIOD_US, node.dev_addr, PERIODICITY)]
    assert gps_us == min(slot for slot in slots if slot > asked_at + 600_000)
    assert (sent.txpk["freq"], sent.txpk["datr"], sent.txpk["imme"]) == (868.9, "SF9BW125", False)
    assert "tmst" not in sent.txpk
    # Decided late: the frame leaves the server shortly before its slot.
    assert 0.1 * SECOND_US < gps_us - (sent.at_us + air.offset_us) < 1.2 * SECOND_US
    down = node.read(sent.phy)
    assert (down.data, down.f_port) == (b"open", 10)
    assert air.lab.item(item).state == "sent" and air.lab.item(item).reason.startswith("ping slot at")


def test_what_the_device_tells_counts_more_than_its_profile(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab)
    air.hear(node.up(f_opts=b"\x10\x02", port=None, class_b=True))
    quiet(air)
    assert air.lab.session(node).radio.ping_periodicity == 2
    air.lab.queue(node.dev_eui, b"open")
    air.lab.advance(5 * SECOND_US)
    (sent,) = air.at_gps_times()
    assert air.is_ping_slot(sent, node.dev_addr, periodicity=2)


def test_without_a_known_periodicity_nothing_goes_unasked(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab, ping_slot_periodicity=None)
    air.hear(node.up(class_b=True))
    quiet(air)
    item = air.lab.queue(node.dev_eui)
    air.lab.advance(300 * SECOND_US)
    assert air.at_gps_times() == []
    assert "PingSlotInfoReq" in air.lab.item(item).reason


def test_ping_slots_where_the_device_was_told_to_listen(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab)
    session = air.lab.session(node)
    session.radio = air.lab.state.radio(
        session.radio._replace(ping_periodicity=3, ping_slot_frequency_hz=869_000_000, ping_slot_dr=5)
    )
    air.hear(node.up(class_b=True))
    quiet(air)
    air.lab.queue(node.dev_eui)
    air.lab.advance(10 * SECOND_US)
    (sent,) = air.at_gps_times()
    assert air.is_ping_slot(sent, node.dev_addr, 3)
    assert (sent.txpk["freq"], sent.txpk["datr"]) == (869.0, "SF7BW125")


def test_ping_slots_hop_where_the_region_hops(tmp_path: Path) -> None:
    air = Air(Lab(tmp_path, region="US915", channels="2"), 1)
    node = class_b_node(air.lab)
    frequencies = set()
    for _ in range(6):
        air.gateways[0].hear(node.up(class_b=True), freq=903.9, datr="SF10BW125", tmms=air.gps_us // 1000)
        quiet(air)
        before = len(air.lab.air)
        air.lab.queue(node.dev_eui)
        air.lab.advance(BEACON_PERIOD_US)
        (sent,) = air.at_gps_times(before)
        period = sent.txpk["tmms"] // 128_000
        assert sent.txpk["freq"] == pytest.approx(923.3 + 0.6 * ((node.dev_addr + period) % 8))
        assert sent.txpk["datr"] == "SF12BW500"
        frequencies.add(sent.txpk["freq"])
    assert len(frequencies) > 3


def test_no_frame_reaches_into_the_guard_before_a_beacon(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab, ping_slot_periodicity=0)
    session = air.lab.session(node)
    session.radio = air.lab.state.radio(session.radio._replace(ping_slot_dr=0, ping_slot_frequency_hz=868_900_000))
    air.hear(node.up(class_b=True))
    air.lab.advance(BEACON_PERIOD_US - air.gps_us % BEACON_PERIOD_US - 6 * SECOND_US)
    air.lab.queue(node.dev_eui, bytes(45))  # 2.5 s at SF12
    air.lab.advance(20 * SECOND_US)
    (sent,) = air.at_gps_times()
    assert 2.12 <= sent.txpk["tmms"] / 1000 % 128 <= 125 - 2.5


# --------------------------------------------------------------------------------------------------- the device's word


def test_inv_35_class_b_only_after_the_beacon_lock_bit(make: Callable[..., Air]) -> None:
    """Not before the first uplink, not after an uplink without the bit, and no longer once the newest lacks it."""
    air = make()
    node = class_b_node(air.lab)
    hear_a_stranger(air)
    item = air.lab.queue(node.dev_eui)
    air.lab.advance(300 * SECOND_US)
    assert air.at_gps_times() == []  # never heard
    air.lab.call("queue_delete", key=node.dev_eui)
    air.hear(node.up())
    quiet(air)
    item = air.lab.queue(node.dev_eui, b"1")
    air.lab.advance(300 * SECOND_US)
    assert air.at_gps_times() == [] and "no beacon" in air.lab.item(item).reason  # heard, no bit
    (answer,) = air.hear(node.up(class_b=True))
    assert node.read(answer.phy).data == b"1"  # in RX1 of the uplink that has it
    quiet(air)
    air.lab.queue(node.dev_eui, b"2")
    air.lab.advance(20 * SECOND_US)
    assert [node.read(sent.phy).data for sent in air.at_gps_times()] == [b"2"]
    air.hear(node.up())
    quiet(air)
    air.lab.queue(node.dev_eui, b"3")
    air.lab.advance(300 * SECOND_US)
    assert len(air.at_gps_times()) == 1  # the newest uplink had no bit


def test_inv_35_a_late_frame_is_not_the_newest_uplink(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab)
    late = node.up(b"late", class_b=True)
    air.hear(node.up(b"new"))
    air.hear(late)
    quiet(air)
    assert air.lab.ups() == [(1, b"new"), (0, b"late")]
    assert not air.lab.session(node).radio.beacon_locked


def test_inv_35_the_lock_and_the_ping_slots_outlive_a_kill(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab, ping_slot_periodicity=None)
    air.hear(node.up(f_opts=b"\x10\x04", port=None, class_b=True))
    quiet(air)
    air.lab.queue(node.dev_eui, b"after")
    air.lab.kill()
    air.lab.advance(20 * SECOND_US)
    assert air.at_gps_times() == []  # nobody has told the GPS time to this process yet
    hear_a_stranger(air)
    air.lab.advance(60 * SECOND_US)
    assert [node.read(sent.phy).data for sent in air.at_gps_times()] == [b"after"]


@pytest.mark.parametrize("step_s", [3600, -3600, 86_400, -315_360_000])
def test_inv_35_slots_follow_gps_time_and_not_the_wall_clock(make: Callable[..., Air], step_s: int) -> None:
    air = make()
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True))
    quiet(air)
    air.lab.wall_us += step_s * SECOND_US
    for n in range(3):
        air.lab.queue(node.dev_eui, bytes((n,)))
        air.lab.advance(30 * SECOND_US)
        hear_a_stranger(air, n)
    sent = air.at_gps_times()
    assert [node.read(one.phy).data for one in sent] == [b"\0", b"\1", b"\2"]
    for one in sent:
        assert air.is_ping_slot(one, node.dev_addr)
        assert 0 < one.txpk["tmms"] * 1000 - (one.at_us + air.offset_us) < 2 * SECOND_US


# ------------------------------------------------------------------------------------------------------- gateways


def test_only_gateways_with_gps_time_speak_in_ping_slots(make: Callable[..., Air]) -> None:
    air = make(gateways=2)
    best, second = air.gateways
    node = class_b_node(air.lab)
    phy = node.up(class_b=True)
    best.hear(phy, lsnr=9)
    air.hear(phy, second, snrs=(1,))
    quiet(air)
    air.lab.queue(node.dev_eui)
    air.lab.advance(20 * SECOND_US)
    assert [sent.gateway for sent in air.at_gps_times()] == [second.eui]


def test_without_any_gps_time_the_item_waits_and_says_so(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True), gps=False)
    quiet(air)
    item = air.lab.queue(node.dev_eui)
    air.lab.advance(200 * SECOND_US)
    assert air.at_gps_times() == [] and "GPS time" in air.lab.item(item).reason
    hear_a_stranger(air)
    air.lab.advance(100 * SECOND_US)
    assert air.lab.item(item).state == "sent"


@pytest.mark.parametrize(
    "error", ["GPS_UNLOCKED", "COLLISION_BEACON", "COLLISION_PACKET", "TOO_EARLY", "TOO_LATE", "?"]
)
def test_a_refusal_goes_to_the_next_gateway_in_the_same_slot(make: Callable[..., Air], error: str) -> None:
    air = make(gateways=2)
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True))
    quiet(air)
    best, second = air.gateways
    best.outcomes.append(error)
    item = air.lab.queue(node.dev_eui)
    air.lab.advance(20 * SECOND_US)
    first, again = air.at_gps_times()
    assert (first.gateway, again.gateway) == (best.eui, second.eui)
    assert first.phy == again.phy and first.txpk["tmms"] == again.txpk["tmms"]
    assert air.lab.item(item).state == "sent"
    is_locked = air.lab.state.gateways.get(int(best.eui, 16)).gps.is_locked(air.lab.mono_us)
    assert is_locked == (error != "GPS_UNLOCKED")


def test_refused_everywhere_it_takes_a_later_slot_with_a_new_counter(make: Callable[..., Air]) -> None:
    air = make(gateways=2)
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True))
    quiet(air)
    for gateway in air.gateways:
        gateway.outcomes.append("COLLISION_BEACON")
    item = air.lab.queue(node.dev_eui, b"x")
    air.lab.advance(120 * SECOND_US)
    sent = air.at_gps_times()
    assert len(sent) == 3
    assert sent[0].phy == sent[1].phy != sent[2].phy
    assert sent[2].txpk["tmms"] > sent[0].txpk["tmms"]
    assert [node.read(one.phy).f_cnt for one in sent] == [0, 0, 1]
    assert air.lab.item(item).state == "sent"


# ------------------------------------------------------------------------------------------------------ confirmed


def test_a_confirmed_item_is_repeated_in_another_slot(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab, confirmed_attempts=2)
    air.hear(node.up(class_b=True))
    quiet(air)
    item = air.lab.queue(node.dev_eui, b"x", confirmed=True)
    air.lab.advance(300 * SECOND_US)
    first, again = [node.read(sent.phy) for sent in air.at_gps_times()]
    assert first.confirmed and again.confirmed and again.f_cnt > first.f_cnt
    air.lab.advance(300 * SECOND_US)
    assert len(air.at_gps_times()) == 2  # bounded
    assert air.lab.item(item).state in ("failed", "nacked")


def test_a_confirmed_item_is_acknowledged_by_the_uplink_behind_it(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True))
    quiet(air)
    item = air.lab.queue(node.dev_eui, b"x", confirmed=True)
    while not air.at_gps_times():
        air.lab.advance(SECOND_US)
    air.lab.advance(3 * SECOND_US)
    air.hear(node.up(ack=True, class_b=True))
    assert air.lab.item(item).state == "acked"
    air.lab.advance(300 * SECOND_US)
    assert len(air.at_gps_times()) == 1


# ---------------------------------------------------------------------------------------------------------- order


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1 << 30),
    steps=st.lists(
        st.tuples(st.sampled_from(("item", "items", "up", "confirmed", "refuse", "wait")), st.integers(1, 4000)),
        min_size=5,
        max_size=25,
    ),
    periodicity=st.integers(0, 3),
    slow=st.booleans(),
)
def test_inv_02_counters_rise_in_the_order_of_the_air(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[tuple[str, int]], periodicity: int, slow: bool
) -> None:
    """Answers in RX1 and RX2 and frames in ping slots, mixed at any distance: each next one on the air counts higher.

    Gateways behind a slow way want a frame a second ahead: an answer in RX1 may be wanted before a ping slot that is decided.
    """
    air = Air(Lab(tmp_path_factory.mktemp("order")), 2)
    try:
        node = class_b_node(air.lab, ping_slot_periodicity=periodicity)
        for gateway in air.lab.state.gateways:
            for _ in range(24 if slow else 0):
                gateway.measure_rtt(690_000)
        air.hear(node.up(class_b=True))
        for what, pause_ms in steps:
            air.lab.advance(pause_ms * 1000)
            if what.startswith("item"):
                for _ in range(1 if what == "item" else 3):
                    air.lab.queue(node.dev_eui, bytes(5))
            elif what == "refuse":
                air.gateways[seed % 2].outcomes.append("COLLISION_PACKET")
            elif what != "wait":
                air.hear(node.up(b"x", confirmed=what == "confirmed", class_b=True))
        air.lab.advance(30 * SECOND_US)
        on_air = sorted(
            (begins_us(air, sent), node.read(sent.phy, conf_f_cnt=0).f_cnt) for sent in air.lab.air if sent.on_air
        )
        counters = [f_cnt for _, f_cnt in on_air]
        assert counters == sorted(set(counters)), on_air
    finally:
        air.lab.close()


def begins_us(air: Air, sent: Sent) -> int:
    """When a frame is on the air, by the lab's monotonic clock."""
    if sent.txpk.get("tmms") is not None:
        return int(sent.txpk["tmms"]) * 1000 - air.offset_us
    gateway = air.lab.gateways[sent.gateway]
    return sent.at_us + (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32)


def test_the_profile_says_how_long_an_answer_may_take(make: Callable[..., Air]) -> None:
    air = make()
    node = class_b_node(air.lab, confirmed_attempts=2, class_b_timeout_s=100)
    air.hear(node.up(class_b=True))
    quiet(air)
    air.lab.queue(node.dev_eui, b"x", confirmed=True)
    air.lab.advance(300 * SECOND_US)
    first, again = air.at_gps_times()
    assert 100_000 <= again.txpk["tmms"] - first.txpk["tmms"] < 125_000
    with pytest.raises(Refused, match="class_b_timeout_s"):
        class_b_node(air.lab, 2, class_b_timeout_s=0)
    with pytest.raises(Refused, match="ping_slot_periodicity"):
        class_b_node(air.lab, 2, ping_slot_periodicity=8)
    with pytest.raises(Refused, match="class_b"):
        air.lab.call("gateway_put", gateway_eui=air.gateways[0].eui, class_b="both")


@pytest.mark.parametrize("step", ["commit", "committed", "sent"])
def test_inv_01_a_kill_before_a_ping_slot_reuses_no_counter(make: Callable[..., Air], step: str) -> None:
    air = make()
    node = class_b_node(air.lab)
    air.hear(node.up(class_b=True))
    quiet(air)
    air.lab.queue(node.dev_eui, b"one")
    with air.lab.dying(step):
        air.lab.advance(20 * SECOND_US)
    air.lab.queue(node.dev_eui, b"two")
    hear_a_stranger(air)
    air.lab.advance(60 * SECOND_US)
    frames: dict[int, set[bytes]] = {}
    for sent in air.at_gps_times():
        frames.setdefault(node.read(sent.phy).f_cnt, set()).add(sent.phy)
    assert frames and all(len(phys) == 1 for phys in frames.values())
    data = [node.read(sent.phy).data for sent in air.at_gps_times()]
    assert data.count(b"two") == 1 and data.count(b"one") <= 1
    counters = [node.read(sent.phy).f_cnt for sent in air.at_gps_times()]
    assert counters == sorted(set(counters))
