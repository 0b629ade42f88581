"""The simulated class B device and GPS gateway, held against published vectors and the forwarders' own rules."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from lorasim import class_b, gwmp
from lorasim.class_b import BEACONLESS_US, PERIOD_US, START_US, ClassB, Lock, gps_of, utc_of
from lorasim.gateway import Gateway, GatewayConfig
from lorasim.jit import FORWARDERS, JitQueue, Kind
from lorasim.radio import Datagram, Downlink, Reception, airtime_us

from regional import plan
from tests.support.vectors import Row, load, params

T0 = 1_790_000_000_000_000
RU864 = plan("RU864")
VECTORS = load("crypto.json")["vectors"]


def of(category: str) -> list[Any]:
    return params([row for row in VECTORS if row["category"] == category], "id")


@pytest.mark.parametrize("row", of("ping_offset"))
def test_ping_offsets(row: Row) -> None:
    i = row["inputs"]
    assert class_b.ping_offset(i["beacon_time"], int(i["DevAddr_be"], 16), i["ping_period_slots"]) == row["expected"]


@pytest.mark.parametrize("row", of("next_ping_slot"))
def test_ping_slots(row: Row) -> None:
    i = row["inputs"]
    after_us, periodicity = i["after_gps_s"] * 1_000_000, 7 - (i["pings_per_beacon"].bit_length() - 1)
    begin = after_us - after_us % PERIOD_US
    slots = [s for k in (0, 1) for s in class_b.slots(begin + k * PERIOD_US, int(i["DevAddr_be"], 16), periodicity)]
    assert min(s for s in slots if s > after_us) == round(row["expected"] * 1_000_000)


@pytest.mark.parametrize("row", of("beacon_crc16"))
def test_beacon_crcs(row: Row) -> None:
    assert f"{class_b.crc(bytes.fromhex(row['inputs']['bytes'])):04x}" == row["expected"]


@pytest.mark.parametrize("row", of("utc_to_gps_seconds"))
def test_gps_time_of_this_century(row: Row) -> None:
    if row["inputs"]["utc"][0] >= 2017:  # since then there has been no leap second
        year, month, day, *_ = row["inputs"]["utc"]
        moment = datetime(year, month, day, tzinfo=UTC)
        assert gps_of(round(moment.timestamp() * 1e6)) == row["expected"] * 1_000_000


@pytest.mark.parametrize("sf", [8, 9, 10, 12])
def test_beacons(sf: int) -> None:
    payload = class_b.beacon_payload(1_474_000_000, sf)
    assert class_b.beacon_time_s(payload, sf) == 1_474_000_000
    for at in range(len(payload)):
        damaged = payload[:at] + bytes((payload[at] ^ 1,)) + payload[at + 1 :]
        assert class_b.beacon_time_s(damaged, sf) is None
    assert class_b.beacon_time_s(payload[:-1], sf) is None


# ---------------------------------------------------------------------------------------------------------- device

BEACON_GPS_US = gps_of(T0) - gps_of(T0) % PERIOD_US + PERIOD_US
ADDRESS = 0x01020304


def beacon(gps_us: int = BEACON_GPS_US, late_us: int = 0, hz: int = 869_100_000) -> Downlink:
    phy = class_b.beacon_payload(gps_us // 1_000_000, 9)
    airtime = airtime_us(len(phy), "SF9BW125", crc=False, implicit=True, preamble=10)
    return Downlink(1, -1, phy, hz, "SF9BW125", False, 14, utc_of(gps_us) + START_US + late_us, airtime, implicit=True)


def down(gps_us: int, late_us: int = 0, hz: int = 868_900_000, datr: str = "SF9BW125") -> Downlink:
    return Downlink(1, 1, bytes(12), hz, datr, True, 14, utc_of(gps_us) + late_us, 164_864)


def told(error_us: int = 0, ppm: float = 0.0) -> ClassB:
    """A device that was told the time ten seconds before the beacon."""
    half = ClassB(RU864, periodicity=3, ppm=ppm)
    assert half.wants_time(T0) and not half.wants_time(T0 + 1)
    gps_us = BEACON_GPS_US - 10_000_000
    half.told((gps_us + error_us) // 1_000_000, (gps_us + error_us) % 1_000_000 * 256 // 1_000_000, utc_of(gps_us))
    return half


def hear(half: ClassB, downlink: Downlink) -> str | None:
    why = half.detect(downlink, downlink.start_us, ADDRESS)
    if why is None:
        assert half.release(downlink)
        if downlink.implicit:
            assert half.take_beacon(downlink)
    return why


@pytest.mark.parametrize(("error_ms", "found"), [(0, True), (15, True), (-15, True), (30, False), (-30, False)])
def test_a_first_beacon_needs_the_time_within_20_ms(error_ms: int, found: bool) -> None:
    half = told(error_ms * 1000)
    assert (hear(half, beacon()) is None) == found
    assert half.locked == found


def test_after_two_beacons_not_found_it_asks_again() -> None:
    half = told()
    notes = []
    while (due := half.timer()) is not None:
        notes.append(half.handle_timer(due))
    assert notes == ["beacon_missed", "beacon_not_found"]
    assert half.lock is Lock.NO_TIME and half.wants_time(utc_of(BEACON_GPS_US) + 900_000_000)


def test_a_locked_device_hears_in_its_slots_only() -> None:
    half = told(ppm=20)
    assert hear(half, beacon()) is None
    slots = list(class_b.slots(BEACON_GPS_US, ADDRESS, 3))
    assert len(slots) == 16
    assert hear(half, down(slots[5])) is None
    assert half.window == "ping slot"
    assert "ms away" in str(hear(half, down(slots[5], late_us=60_000)))
    assert "868900000" in str(hear(half, down(slots[6], hz=869_100_000)))
    assert "SF9" in str(hear(half, down(slots[6], datr="SF10BW125")))
    others = [s for s in class_b.slots(BEACON_GPS_US, ADDRESS + 1, 3) if s not in slots]
    assert "ms away" in str(hear(half, down(others[0])))


def test_two_hours_without_a_beacon_end_the_lock() -> None:
    half = told(ppm=30)
    assert hear(half, beacon()) is None
    notes = []
    while (due := half.timer()) is not None:
        notes.append(half.handle_timer(due))
        if due < utc_of(BEACON_GPS_US) + BEACONLESS_US - PERIOD_US:
            # Its clock runs off, its windows grow with the time: it still hears.
            slot = next(class_b.slots(BEACON_GPS_US + len(notes) * PERIOD_US, ADDRESS, 3))
            assert hear(half, down(slot)) is None, len(notes)
    assert notes[-1] == "beacon_lost" and not half.locked
    assert len(notes) == pytest.approx(BEACONLESS_US / PERIOD_US, abs=2)


def test_a_group_is_heard_in_its_own_slots() -> None:
    half = told()
    assert hear(half, beacon()) is None
    session: Any = object()
    half.groups.append(class_b.PingSlots(0x0F000001, 5, 868_900_000, 3, session))
    slot = next(class_b.slots(BEACON_GPS_US, 0x0F000001, 5))
    assert hear(half, down(slot)) is None
    assert half.group is session
    assert hear(half, down(next(class_b.slots(BEACON_GPS_US + PERIOD_US, ADDRESS, 3)))) is None
    assert half.group is None


# --------------------------------------------------------------------------------------------------------- gateway


def pull_resp(**fields: Any) -> bytes:
    txpk = {"imme": False, "freq": 868.9, "rfch": 0, "powe": 14, "modu": "LORA", "datr": "SF9BW125", "codr": "4/5"}
    body = txpk | {"ipol": True, "ncrc": True, "size": 12, "data": "YAQDAgGAAAAKcy4p"} | fields
    return b"\x02\x01\x00\x03" + json.dumps({"txpk": body}).encode()


def running(**fields: Any) -> Gateway:
    gateway = Gateway(GatewayConfig(1, channels_hz=[868_900_000], **fields), random.Random(1))
    gateway.start(T0)
    return gateway


def effects(gateway: Gateway) -> list[Any]:
    found = []
    while (effect := gateway.next_effect()) is not None:
        found.append(effect)
    return found


def tx_ack(gateway: Gateway, now: int, **fields: Any) -> str:
    effects(gateway)
    gateway.receive(pull_resp(**fields), now)
    (ack,) = [e.data for e in effects(gateway) if isinstance(e, Datagram) and e.data[3] == gwmp.TX_ACK]
    return str(json.loads(ack[12:])["txpk_ack"]["error"]) if ack[12:] else "NONE"


def test_frames_carry_the_time_while_gps_is_locked() -> None:
    gateway = running(gps=True)
    for is_locked in (True, False):
        gateway.gps_locked = is_locked
        effects(gateway)
        gateway.hear(Reception(b"\x40", 868_900_000, "SF9BW125", -90, 5, T0 + 1, T0 + 200_123), T0 + 200_123)
        gateway.handle_timer(T0 + 300_000)
        (push,) = [e.data for e in effects(gateway) if isinstance(e, Datagram) and e.data[3] == gwmp.PUSH_DATA]
        (rxpk,) = json.loads(push[12:])["rxpk"]
        assert rxpk.get("tmms") == (gps_of(T0 + 200_123) // 1000 if is_locked else None)


def test_frames_at_a_gps_time() -> None:
    gateway = running(gps=True)
    at = gps_of(T0 + 5_000_000) // 1000
    assert tx_ack(gateway, T0 + 1_000_000, tmms=at) == "NONE"
    due = gateway.timer()
    while due is not None and due <= T0 + 6_000_000:
        gateway.handle_timer(due)
        due = gateway.timer()
    (frame,) = [e for e in effects(gateway) if isinstance(e, Downlink)]
    assert frame.start_us == T0 + 5_000_000 and not frame.implicit
    gateway.gps_locked = False
    assert tx_ack(gateway, T0 + 7_000_000, tmms=at + 10_000) == "GPS_UNLOCKED"
    assert tx_ack(running(), T0, tmms=at) == "GPS_UNLOCKED"


@pytest.mark.parametrize("name", ["1301", "1302"])
@pytest.mark.parametrize(
    ("kind", "after_beacon_ms", "outcome"),
    [
        (Kind.B, -2_900, "COLLISION_BEACON"),  # in the guard, which holds against class B
        (Kind.B, -3_500, "NONE"),
        (Kind.A, -2_900, "NONE"),
        (Kind.C, -400, "NONE"),
        (Kind.A, -100, "COLLISION_BEACON"),  # 165 ms on air reach into the beacon
        (Kind.A, 1_000, "COLLISION_BEACON"),  # reserved for 2.12 s
        (Kind.B, 2_100, "COLLISION_BEACON"),
        (Kind.B, 2_200, "NONE"),
    ],
)
def test_a_queued_beacon_and_its_neighbours(name: str, kind: Kind, after_beacon_ms: int, outcome: str) -> None:
    queue = JitQueue(FORWARDERS[name])
    now, at = 1_000_000, 20_000_000
    assert queue.enqueue(at, beacon(), now, Kind.BEACON) == "NONE"
    tmst = at + after_beacon_ms * 1000
    assert queue.enqueue(tmst, down(0), now, kind) == outcome


def test_a_forwarder_makes_beacons_by_itself() -> None:
    gateway = running(gps=True, beacon_hz=869_100_000)
    frames = []
    while (due := gateway.timer()) is not None and due < T0 + 400_000_000:
        gateway.handle_timer(due)
        frames += [e for e in effects(gateway) if isinstance(e, Downlink)]
    assert [frame.start_us for frame in frames] == [
        utc_of(BEACON_GPS_US + k * PERIOD_US) + START_US for k in range(len(frames))
    ]
    assert len(frames) == 3 and {frame.airtime_us for frame in frames} == {152_576}
    assert all(frame.implicit and not frame.inverted for frame in frames)
