"""Counters, queue and acknowledgements under kills, silence and lies, judged by what the gateways were given to send."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise

import pytest

from tests.support.fake_gateway import Sent
from tests.support.lab import SECOND_US, WINDOW_US, Killed, Lab
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice

STEPS = ("commit", "committed", "acked", "sent")
OPEN = {"queued", "scheduled", "sent", "unknown"}


def payloads_by_counter(node: Node, air: list[Sent]) -> dict[int, set[bytes]]:
    """What the device could have heard under each FCntDown."""
    heard: dict[int, set[bytes]] = defaultdict(set)
    for sent in air:
        heard[int.from_bytes(sent.phy[6:8], "little")].add(sent.phy)
        node.read(sent.phy)
    return heard


def busy(lab: Lab, node: Node, rng: random.Random, ids: list[str]) -> None:
    """One turn of a device's life: something is queued, it sends, time goes by."""
    if len(ids) < 25 and rng.random() < 0.6:
        confirmed = rng.random() < 0.3
        ids.append(lab.queue(node.dev_eui, rng.randbytes(4), confirmed=confirmed))
    if rng.random() < 0.8:
        lab.uplink(node.up(confirmed=rng.random() < 0.4, ack=rng.random() < 0.5))
    lab.advance(rng.randrange(1, 12) * SECOND_US)


@pytest.mark.parametrize("device_class", ["A", "C"])
def test_inv_01_inv_31_killed_at_every_step(lab: Lab, device_class: str) -> None:
    """No counter with two payloads, no unconfirmed item on the air twice, and every item comes to one end."""
    rng = random.Random(31)
    gateway = lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", device_class=device_class))
    ids: list[str] = []
    ends: dict[str, str] = {}
    lab.uplink(node.up())
    for turn in range(60):
        gateway.outcomes.clear()
        gateway.outcomes.extend(rng.choice(["", "", None, "COLLISION_PACKET"]) for _ in range(4))
        lab.die_at = STEPS[turn % 4] if turn % 3 == 0 else None
        try:
            busy(lab, node, rng, ids)
        except Killed:
            lab.die_at = None
            lab.kill()
        lab.die_at = None
        for id in ids:
            state = next((row for (row,) in lab.rows("SELECT state FROM queue_item WHERE id = ?", id)), "")
            if id in ends:
                assert state == ends[id], "an end is the end"
            confirmed = bool(lab.rows("SELECT 1 FROM queue_item WHERE id = ? AND confirmed", id))
            if state and (state not in OPEN or (state in ("sent", "unknown") and not confirmed)):
                ends[id] = state
    gateway.outcomes.clear()
    for _ in range(35):
        lab.uplink(node.up(ack=True))
        lab.advance(50 * SECOND_US)
    kept = dict(lab.rows("SELECT id, state FROM queue_item"))
    confirmed_ids = {id for (id,) in lab.rows("SELECT id FROM queue_item WHERE confirmed")}
    for id, state in kept.items():
        allowed = {"acked", "failed"} if id in confirmed_ids else {"sent", "unknown"}
        assert state in allowed, (id, state)
    heard = payloads_by_counter(node, lab.air)
    assert len(heard) > 20 and lab.lives > 10
    assert all(len(payloads) == 1 for payloads in heard.values())
    times_on_air: dict[bytes, set[int]] = defaultdict(set)
    for sent in lab.air:
        down = node.read(sent.phy)
        if sent.on_air and down.f_port and not down.confirmed:
            times_on_air[down.data].add(down.f_cnt)
    assert all(len(counters) == 1 for counters in times_on_air.values())


@pytest.mark.parametrize("seed", range(3))
def test_inv_01_lost_tx_acks_use_no_counter_twice(lab: Lab, seed: int) -> None:
    """Three of ten answers of the gateway are lost, some of them on their way to a restarted server."""
    rng = random.Random(seed)
    gateway, node = lab.gateway(), lab.abp(mac_version=("1.0.3", "1.0.4", "1.0.2")[seed])
    for turn in range(60):
        gateway.outcomes.clear()
        gateway.outcomes.extend([None] if rng.random() < 0.3 else [])
        lab.queue(node.dev_eui, rng.randbytes(8))
        lab.uplink(node.up(confirmed=True))
        if turn % 7 == 6:
            lab.kill()
        lab.advance(5 * SECOND_US)
    heard = payloads_by_counter(node, lab.air)
    assert sorted(heard) == list(range(len(heard))) and len(heard) >= 60
    assert all(len(payloads) == 1 for payloads in heard.values())


@pytest.mark.parametrize("device_class", ["A", "C"])
@pytest.mark.parametrize("version", ["1.0.3", "1.1.0"])
def test_inv_04_the_counter_goes_over_16_bits(lab: Lab, version: str, device_class: str) -> None:
    lab.gateway()
    counters = {"f_cnt_down": 65_530} | ({"a_f_cnt_down": 65_530} if version == "1.1.0" else {})
    node = lab.abp(1, version, lab.profile(version, device_class=device_class), **counters)
    lab.uplink(node.up())
    lab.advance(10 * SECOND_US)
    for number in range(12):
        lab.queue(node.dev_eui, bytes((number,)))
        if device_class == "A" or version == "1.1.0":
            lab.uplink(node.up(f_opts=b"\x20\x02" if device_class == "C" and not number else b""))
        lab.advance(10 * SECOND_US)
    read = [node.read(sent.phy, base=0 if sent.phy[7] == 0xFF else 0x10000) for sent in lab.air]
    items = [down for down in read if down.f_port]
    assert [down.data for down in items] == [bytes((number,)) for number in range(12)]
    assert [down.f_cnt for down in items] == list(range(65_530, 65_542))


def test_inv_04_at_the_end_of_32_bits_class_c_stops_and_says_so(lab: Lab) -> None:
    lab.gateway()
    last = 2**32 - 1
    node = lab.abp(profile=lab.profile("1.0.3", device_class="C"), f_cnt_down=last)
    lab.uplink(node.up())
    lab.advance(60 * SECOND_US)
    ids = [lab.queue(node.dev_eui, bytes((number,))) for number in range(2)]
    lab.advance(3600 * SECOND_US)
    (sent,) = lab.air
    assert node.read(sent.phy, base=0xFFFF0000).f_cnt == last
    assert [lab.item(id).state for id in ids] == ["sent", "queued"]
    assert {entry.level for entry in lab.events("log")} == {"ERROR"}


def test_inv_09_each_repetition_has_its_acknowledgement_and_the_reading_is_one(lab: Lab) -> None:
    gateways = [lab.gateway(number) for number in range(1, 6)]
    node = lab.abp()
    phy = node.up(b"\x07", confirmed=True)
    for _ in range(3):
        lab.uplink(phy, *gateways)
        lab.advance(4 * SECOND_US)
    assert lab.ups() == [(0, b"\x07")]
    assert [node.read(sent.phy).f_cnt for sent in lab.air] == [0, 1, 2]
    assert all(node.read(sent.phy).ack for sent in lab.air)


def test_inv_16_forged_and_lost_joins_leave_queue_and_counters(lab: Lab) -> None:
    lab.gateway()
    device = OtaaDevice()
    dev_eui = lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    id = lab.queue(dev_eui, b"\x09")
    forged = OtaaDevice(app_key=bytes(15) + b"\x77")
    for nonce in range(1, 4):
        lab.uplink(forged.join_request(nonce))
        lab.advance(20 * SECOND_US)
    for nonce in range(4, 7):
        lab.uplink(device.join_request(nonce))  # the accepts are lost on the air
        lab.advance(20 * SECOND_US)
    item = lab.item(id)
    assert (item.state, item.reason, item.f_cnt_down, item.attempts_made) == ("queued", "", None, 0)


REFUSALS = [
    "TOO_LATE",
    "TOO_EARLY",
    "COLLISION_PACKET",
    "COLLISION_BEACON",
    "TX_FREQ",
    "TX_POWER",
    "GPS_UNLOCKED",
    "UNKNOWN",
    "QUEUE_FULL",
    "INTERNAL_ERROR",
    "DUTY_CYCLE_OVERFLOW",
    "something_new",
]


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("refused", [1, 2, 3], ids=["RX1", "RX1 and RX2", "both and a gateway"])
def test_inv_28_class_a_every_error_leads_to_the_next_option(lab: Lab, error: str, refused: int) -> None:
    near, far = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x01")
    for gateway in (near, far):
        gateway.outcomes.extend([error] * refused)
    phy = node.up()
    near.hear(phy, lsnr=8.0)
    far.hear(phy, lsnr=-3.0)
    lab.advance(WINDOW_US + 10 * SECOND_US)
    assert len({sent.phy for sent in lab.air}) == 1
    tries = len(lab.air)
    assert tries == (3 if refused == 1 else 4)
    assert sum(sent.on_air for sent in lab.air) == (1 if refused == 1 else 0)
    assert lab.item(id).state == ("sent" if refused == 1 else "queued")


@pytest.mark.parametrize("device_class", ["A", "C"])
@pytest.mark.parametrize("confirmed", [False, True])
def test_inv_28_missing_tx_ack_is_unknown_and_nothing_is_sent_again(
    lab: Lab, device_class: str, confirmed: bool
) -> None:
    gateway = lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", device_class=device_class))
    lab.uplink(node.up())
    lab.advance(30 * SECOND_US)
    gateway.outcomes.extend([None] * 9)
    id = lab.queue(node.dev_eui, b"valve", confirmed=confirmed, **({"attempts": 1} if confirmed else {}))
    if device_class == "A":
        lab.uplink(node.up())
    lab.advance(600 * SECOND_US)
    assert len(lab.air) == 1
    assert lab.item(id).state == ("failed" if confirmed and device_class == "C" else "unknown")


@pytest.mark.parametrize("device_class", ["A", "C"])
def test_inv_30_one_gateway_transmits_a_unicast_frame(lab: Lab, device_class: str) -> None:
    gateways = [lab.gateway(number) for number in range(1, 6)]
    device = OtaaDevice()
    lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    assert len([sent for sent in lab.uplink(device.join_request(1), *gateways) if sent.on_air]) == 1
    node = lab.abp(profile=lab.profile("1.0.3", device_class=device_class))
    for turn in range(10):
        before = len(lab.air)
        lab.uplink(node.up(confirmed=device_class == "A"), *gateways)
        lab.advance(10 * SECOND_US)
        if device_class == "C":
            gateways[turn % 5].outcomes.append("COLLISION_PACKET")
            lab.queue(node.dev_eui, bytes((turn,)))
        lab.advance(10 * SECOND_US)
        assert len([sent for sent in lab.air[before:] if sent.on_air]) == 1


def test_inv_32_class_a_confirmed_item_is_sent_in_bounded_attempts(lab: Lab) -> None:
    """Under a new counter each time, and not more often than every 10, 40, 160 s."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"reboot", confirmed=True, attempts=4)
    at_us = []
    for _ in range(100):
        at_us += [sent.at_us for sent in lab.uplink(node.up())]
        lab.advance(7 * SECOND_US)
    read = [node.read(sent.phy) for sent in lab.air]
    assert [(down.f_cnt, down.data) for down in read] == [(number, b"reboot") for number in range(4)]
    gaps_s = [(b - a) / 1e6 for a, b in pairwise(at_us)]
    assert [gap >= least for gap, least in zip(gaps_s, (10, 40, 160), strict=True)] == [True] * 3
    assert (lab.item(id).state, lab.item(id).attempts_made) == ("failed", 4)
    assert [event.acknowledged for event in lab.events("ack")] == [False]


@pytest.mark.parametrize("device_class", ["A", "C"])
@pytest.mark.parametrize("step_s", [-86_400, -3600, 3600, 86_400])
def test_inv_25_attempts_go_on_when_the_wall_clock_steps(lab: Lab, device_class: str, step_s: int) -> None:
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", device_class=device_class))
    lab.uplink(node.up())
    lab.advance(60 * SECOND_US)
    lab.queue(node.dev_eui, b"x", confirmed=True)
    for turn in range(12):
        if device_class == "A":
            lab.uplink(node.up())
        lab.advance(30 * SECOND_US)
        if turn == 1:
            lab.wall_us += step_s * SECOND_US
    assert len(lab.air) == 3


def test_inv_32_a_command_that_reboots_the_device_ends(lab: Lab) -> None:
    """It joins anew instead of acknowledging, each time: the ACK cannot come in another session."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"reboot", confirmed=True)
    heard = []
    for turn in range(12):
        lab.uplink(node.up())
        for sent in lab.air[len(heard) :]:
            heard.append(node.read(sent.phy).data)
            node = lab.abp(1, dev_addr=0x0100_0900 + turn)
        lab.advance(300 * SECOND_US)
    assert heard == [b"reboot"] * 3
    assert lab.item(id).state == "failed" and "new session" in lab.item(id).reason


def test_inv_32_confirmed_item_expires_between_its_attempts(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"x", confirmed=True, attempts=9, expires_at_us=lab.wall_us + 100 * SECOND_US)
    for _ in range(20):
        lab.uplink(node.up())
        lab.advance(30 * SECOND_US)
    assert 2 <= len(lab.air) <= 4
    assert lab.item(id).state == "expired"


def test_inv_32_what_was_queued_later_waits_for_the_attempts(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.queue(node.dev_eui, b"first", confirmed=True, attempts=2)
    lab.queue(node.dev_eui, b"second")
    for _ in range(5):
        lab.uplink(node.up())
        lab.advance(60 * SECOND_US)
    assert [node.read(sent.phy).data for sent in lab.air] == [b"first", b"first", b"second"]


def test_inv_33_an_ack_sent_before_the_downlink_was_over_counts_for_nothing(lab: Lab) -> None:
    """The gateway has taken the frame for RX1 in a second; an uplink with an ACK bit comes before that."""
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"valve", confirmed=True)
    lab.uplink(node.up())
    assert lab.item(id).state == "sent"
    lab.uplink(node.up(ack=True))
    assert lab.item(id).state == "sent"
    assert lab.counters["early_acks"] == 1
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(ack=True))
    assert lab.item(id).state == "acked"


def test_inv_33_sec_03_an_ack_delayed_by_somebody_is_not_counted(lab: Lab) -> None:
    """Yang 2018: the uplink that acknowledged item 1 is held back and played when item 2 waits for its ACK."""
    lab.gateway()
    node = lab.abp()
    first = lab.queue(node.dev_eui, b"1", confirmed=True)
    lab.uplink(node.up())
    lab.advance(10 * SECOND_US)
    held_back = node.up(ack=True)
    lab.uplink(node.up(ack=True))
    second = lab.queue(node.dev_eui, b"2", confirmed=True)
    lab.advance(10 * SECOND_US)
    lab.uplink(node.up())
    assert [lab.item(id).state for id in (first, second)] == ["acked", "sent"]
    lab.advance(10 * SECOND_US)
    lab.uplink(held_back)
    assert lab.item(second).state == "sent"


def test_inv_33_an_ack_of_a_new_session_is_not_of_the_old_ones_item(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"x", confirmed=True, attempts=1)
    lab.uplink(node.up())
    lab.advance(10 * SECOND_US)
    fresh = lab.abp(1, dev_addr=0x0100_0999)
    lab.uplink(fresh.up(ack=True))
    assert lab.item(id).state == "failed"


def test_inv_33_the_session_of_an_item_outlives_the_kill(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"x", confirmed=True)
    lab.uplink(node.up())
    lab.kill()
    lab.advance(10 * SECOND_US)
    lab.uplink(node.up(ack=True))
    assert lab.item(id).state == "acked"


def test_met_13_at_most_once(lab: Lab) -> None:
    """A valve command whose fate is unknown is never sent again; refused everywhere it was not on the air, and may go."""
    gateway, node = lab.gateway(), lab.abp()
    id = lab.queue(node.dev_eui, b"close", at_most_once=True)
    gateway.outcomes.extend(["COLLISION_PACKET", "COLLISION_PACKET"])
    lab.uplink(node.up())
    assert lab.item(id).state == "queued"
    lab.advance(10 * SECOND_US)
    gateway.outcomes.append(None)
    lab.uplink(node.up())
    lab.kill()
    for _ in range(5):
        lab.advance(60 * SECOND_US)
        lab.uplink(node.up())
    item = lab.item(id)
    assert (item.state, item.at_most_once, item.attempts_made) == ("unknown", True, 1)
    assert len([sent for sent in lab.air if sent.outcome != "COLLISION_PACKET"]) == 1


def test_met_13_at_most_once_is_never_confirmed(lab: Lab) -> None:
    node = lab.abp()
    with pytest.raises(Exception, match="at_most_once"):
        lab.queue(node.dev_eui, b"close", at_most_once=True, confirmed=True)
    with pytest.raises(Exception, match="attempts"):
        lab.queue(node.dev_eui, b"close", attempts=3)
    with pytest.raises(Exception, match="1 to 10"):
        lab.queue(node.dev_eui, b"close", attempts=11, confirmed=True)


def test_an_item_too_long_lets_shorter_ones_pass_and_goes_when_it_fits(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    long = lab.queue(node.dev_eui, bytes(60))
    short = [lab.queue(node.dev_eui, bytes((number,))) for number in (1, 2)]
    for _ in range(2):
        lab.uplink(node.up(), datr="SF12BW125")
        lab.advance(10 * SECOND_US)
    assert [lab.item(id).state for id in short] == ["sent", "sent"]
    assert [node.read(sent.phy).f_pending for sent in lab.air] == [True, False]
    assert lab.item(long).state == "queued"
    assert lab.item(long).reason.startswith("it needs DR3: 60 bytes, and at present at most 51 fit")
    lab.uplink(node.up(), datr="SF9BW125")
    assert lab.item(long).state == "sent"
