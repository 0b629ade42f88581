"""Beacons: made by the server at GPS times, or kept free for a forwarder that makes its own (TS001-1.0.4 §8, §13)."""

from __future__ import annotations

import base64
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lorasim import class_b as oracle

from lorawan.class_b import Beacon, parse_gateway_position
from regional import names, plan
from tests.support.fake_gateway import Sent
from tests.support.gps_lab import BEACON_PERIOD_US, Air, class_b_node, hear_a_stranger, quiet
from tests.support.lab import SECOND_US, Lab

AIRTIME_US = 152_576


def beaconing(lab: Lab, mode: str = "server", gateways: int = 1, **fields: Any) -> Air:
    air = Air(lab, gateways)
    for gateway in air.gateways:
        lab.call("gateway_put", gateway_eui=gateway.eui, class_b=mode, **fields)
    return air


def beacons(air: Air) -> list[Sent]:
    return [sent for sent in air.lab.air if sent.txpk.get("nhdr")]


@pytest.fixture
def air(tmp_path: Path) -> Air:
    return beaconing(Lab(tmp_path))


@pytest.mark.parametrize("name", [name for name in names() if plan(name).class_b.beacon_dr is not None])
def test_the_layouts_of_the_regions(name: str) -> None:
    """The plan's list of fields and the bytes are one and the same layout."""
    region = plan(name)
    dr = region.class_b.beacon_dr
    assert dr is not None
    sf = region.data_rate(dr, downlink=True).sf
    data = Beacon(1_474_560_000 - 1_474_560_000 % 128, bytes(range(1, 8)), 3, sf).encode()
    at, found = 0, {}
    for field, length in region.class_b.beacon_layout:
        found.setdefault(field, data[at : at + length])
        at += length
    assert at == len(data)
    assert struct.unpack("<I", found["Time"])[0] % 128 == 0
    assert found["Param"] == b"\x03" and found["GwSpecific"] == bytes(range(1, 8))
    assert oracle.beacon_time_s(data, sf) == struct.unpack("<I", found["Time"])[0]
    for n in range(20):
        hz = region.class_b.beacon_frequencies_hz
        if hz:
            assert region.beacon_frequency_hz(128 * n + 5) == hz[n % len(hz)]


def test_a_beacon_every_128_seconds(air: Air) -> None:
    hear_a_stranger(air)
    for n in range(10):
        air.lab.advance(64 * SECOND_US)
        hear_a_stranger(air, n)
    sent = beacons(air)
    times = [one.txpk["tmms"] for one in sent]
    assert len(times) == 5 and all(time % 128_000 == 1 for time in times)
    assert [after - before for before, after in pairwise(times)] == [128_000] * 4
    for one in sent:
        txpk = one.txpk
        assert (txpk["freq"], txpk["datr"], txpk["codr"], txpk["powe"]) == (869.1, "SF9BW125", "4/5", 16)
        assert (txpk["ipol"], txpk["ncrc"], txpk["nhdr"], txpk["prea"], txpk["imme"]) == (False, True, True, 10, False)
        assert len(one.phy) == 17 and one.phy[:2] == b"\x00\x03"
        assert oracle.beacon_time_s(one.phy, 9) == txpk["tmms"] // 1000
        # Well before its time, so that nothing else is promised for it.
        assert 15 * SECOND_US < txpk["tmms"] * 1000 - (one.at_us + air.offset_us) < 25 * SECOND_US


def test_a_beacon_tells_where_its_gateway_stands(tmp_path: Path) -> None:
    air = beaconing(Lab(tmp_path), latitude=55.75, longitude=37.62)
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US)
    place = parse_gateway_position(Beacon.parse(beacons(air)[0].phy).gw_specific)
    assert place == pytest.approx((55.75, 37.62), abs=1e-4)


def test_a_gateway_without_a_place_tells_its_network(air: Air) -> None:
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US)
    specific = Beacon.parse(beacons(air)[0].phy).gw_specific
    assert specific[:1] == b"\x03" and specific[4:] == bytes.fromhex(air.gateways[0].eui)[:-4:-1]


def test_all_gateways_send_at_the_same_time(tmp_path: Path) -> None:
    air = beaconing(Lab(tmp_path), gateways=3)
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US)
    sent = beacons(air)
    assert len({one.gateway for one in sent}) == 3
    assert len({one.txpk["tmms"] for one in sent}) == 1
    assert len({one.phy[:8] for one in sent}) == 1  # the common part is common


def test_without_gps_time_there_is_no_beacon(air: Air) -> None:
    air.lab.advance(400 * SECOND_US)
    assert beacons(air) == []
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US)
    assert len(beacons(air)) == 1


def test_an_unlocked_gateway_is_not_asked_again(air: Air) -> None:
    hear_a_stranger(air)
    air.gateways[0].outcomes.append("GPS_UNLOCKED")
    air.lab.advance(3 * BEACON_PERIOD_US)
    assert len(beacons(air)) == 1
    record = air.lab.call("gateway", key=air.gateways[0].eui)
    assert record.gps.state == "lost" and record.beacons["GPS_UNLOCKED"] == 1
    hear_a_stranger(air, 1)
    air.lab.advance(2 * BEACON_PERIOD_US)
    assert len(beacons(air)) > 1


def test_off_means_off(tmp_path: Path) -> None:
    air = beaconing(Lab(tmp_path), mode="off")
    hear_a_stranger(air)
    air.lab.advance(300 * SECOND_US)
    assert beacons(air) == [] and air.lab.engine.beacons.timer_us() is None
    air.lab.call("gateway_put", gateway_eui=air.gateways[0].eui, class_b="server")
    air.lab.advance(BEACON_PERIOD_US)
    assert len(beacons(air)) == 1


def test_its_airtime_is_booked_and_given_back_when_refused(air: Air) -> None:
    hear_a_stranger(air)
    gateway = air.lab.state.gateways.get(int(air.gateways[0].eui, 16))
    assert gateway is not None

    def used_us() -> int:
        band = air.lab.state.plan.sub_band(869_100_000)
        return {row[0]: row[1] for row in gateway.ledger.usage(air.lab.mono_us)}[band]

    air.lab.advance(BEACON_PERIOD_US)
    assert used_us() == AIRTIME_US
    air.gateways[0].outcomes.append("COLLISION_PACKET")
    air.lab.advance(BEACON_PERIOD_US)
    assert len(beacons(air)) == 2 and used_us() == AIRTIME_US


@pytest.mark.parametrize("mode", ["server", "gateway"])
def test_nothing_else_is_sent_during_a_beacon(tmp_path: Path, mode: str) -> None:
    """An answer whose RX1 falls into the beacon takes RX2 or another gateway, before a forwarder refuses it."""
    air = beaconing(Lab(tmp_path), mode=mode)
    node = air.lab.abp(1)
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US - air.gps_us % BEACON_PERIOD_US - 900_000)
    answers = air.hear(node.up(b"x", confirmed=True))
    if mode == "server":
        (answer,) = answers
        begins_us = (answer.txpk["tmst"] - air.gateways[0].tmst()) % (1 << 32) + air.gps_us
        assert SECOND_US < begins_us % BEACON_PERIOD_US < 2 * SECOND_US  # RX2, behind the beacon
    else:
        assert answers == []  # RX1 and RX2 both lie in the time that its forwarder reserves
        (row,) = air.lab.rows("SELECT outcome FROM frame WHERE kind = 'down'")
        assert "transmits something else" in row[0]


def test_a_restart_sends_no_beacon_twice(air: Air) -> None:
    hear_a_stranger(air)
    air.lab.advance(BEACON_PERIOD_US - air.gps_us % BEACON_PERIOD_US - 10 * SECOND_US)
    assert len(beacons(air)) == 1
    air.lab.kill()
    hear_a_stranger(air, 2)
    air.lab.advance(5 * SECOND_US)
    again = beacons(air)
    # The forwarder refuses the second one as a collision with the first: both are the same bytes at the same time.
    assert len({(one.phy, one.txpk["tmms"]) for one in again}) == 1


def test_class_b_goes_on_under_beacons(tmp_path: Path) -> None:
    air = beaconing(Lab(tmp_path))
    node = class_b_node(air.lab, ping_slot_periodicity=0)
    air.hear(node.up(class_b=True))
    quiet(air)
    for _ in range(100):
        air.lab.queue(node.dev_eui, bytes(40))
    air.lab.advance(3 * BEACON_PERIOD_US)
    pings = air.at_gps_times()
    assert len(pings) == 100 and len(beacons(air)) in (2, 3)
    for sent in pings:
        assert 2_120 <= sent.txpk["tmms"] % 128_000 < 125_000
        assert len(base64.b64decode(sent.txpk["data"])) == 53
