"""Class B over real datagrams in virtual time: the simulator's devices with their drifting crystals, gateways with GPS, one air.

The device computes beacons and ping slots by code of its own; what it hears in them it has been spoken to at the right
microsecond, on the right channel, under the right counter.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lorasim.class_b import gps_of

from lns.downlink.listener import gateways_to
from tests.support.air_lab import AirLab, txpk

SCENARIO = """
name = "class b"
region = "{region}"
preset = "{preset}"
[radio]
snr_db = 8
spread_db = 0
fading_db = 0
weaker_db = 3
[backhaul]
delay_ms = 30
jitter_ms = 20
{gateways}
[[devices]]
count = {count}
mac_version = "{mac_version}"
interval_s = {interval_s}
join_spread_s = 5
confirmed = false
dr = 3
ping_periodicity = {periodicity}
ppm = {ppm}
"""
GATEWAY = """
[[gateways]]
eui = "0016c001ff1e5a0{n}"
forwarder = "{forwarder}"
gps = {gps}
beacons = {beacons}
keepalive_s = 10
stat_s = 3600
"""
DEV_EUI = 0x70B3D5FFFE000001


def gateway(n: int, gps: bool = True, beacons: bool = True, forwarder: str = "1302") -> str:
    return GATEWAY.format(n=n, forwarder=forwarder, gps=str(gps).lower(), beacons=str(beacons).lower())


def class_b_lab(
    folder: Path,
    *gateways: str,
    count: int = 1,
    mac_version: str = "1.0.3",
    interval_s: float = 300,
    periodicity: int = 4,
    ppm: float = 15.0,
    region: str = "RU864",
    preset: str = "864",
) -> AirLab:
    text = SCENARIO.format(
        gateways="".join(gateways),
        count=count,
        mac_version=mac_version,
        interval_s=interval_s,
        periodicity=periodicity,
        ppm=ppm,
        region=region,
        preset=preset,
    )
    lab = AirLab(folder, text, region=region, channels=preset)
    lab.profile(mac_version, device_class="B")
    return lab


def locked(lab: AirLab, seconds: float = 1200) -> None:
    """Let the device join, find the beacon and say so."""
    lab.switch_on()
    lab.run(seconds)
    assert all(device.class_b is not None and device.class_b.locked for device in lab.world.devices.values())
    sessions = [device.session for device in lab.state.devices.values()]
    assert all(session is not None and session.radio.beacon_locked for session in sessions)


@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4", "1.1.0"])
def test_a_downlink_in_a_ping_slot(tmp_path: Path, mac_version: str) -> None:
    lab = class_b_lab(tmp_path, gateway(1), mac_version=mac_version)
    locked(lab)
    item = lab.queue(f"{DEV_EUI:016x}", b"close the valve")
    lab.run(40)
    (heard,) = lab.heard(DEV_EUI, "ping slot")
    assert bytes.fromhex(heard["data"]) == b"close the valve"
    assert lab.item(item).state == "sent"
    sent = [txpk(line) for line in lab.lines("pull_resp") if "tmms" in txpk(line)]
    assert len(sent) == 1 and sent[0]["freq"] == 868.9 and sent[0]["datr"] == "SF9BW125"


@pytest.mark.parametrize("ppm", [-40.0, 40.0])
def test_crystals_that_drift_hear_every_slot(tmp_path: Path, ppm: float) -> None:
    lab = class_b_lab(tmp_path, gateway(1), ppm=ppm, periodicity=2, interval_s=1500)
    locked(lab, seconds=3200)
    for n in range(20):
        lab.queue(f"{DEV_EUI:016x}", bytes((n,)))
        lab.run(37)
    heard = lab.heard(DEV_EUI, "ping slot")
    answered = lab.heard(DEV_EUI, "RX1") + lab.heard(DEV_EUI, "RX2")
    data = {bytes.fromhex(line["data"]) for line in heard + answered if line["f_port"]}
    assert data == {bytes((n,)) for n in range(20)}
    assert len(heard) >= 17
    counters = [line["f_cnt"] for line in lab.lines("downlink")]
    assert counters == sorted(set(counters))
    assert lab.lines("downlink_refused") == []


def test_the_time_answer_is_right_to_the_beacon_window(tmp_path: Path) -> None:
    """A server whose own clock is an hour off, and slow backhauls: DeviceTimeAns still finds the beacon."""
    lab = class_b_lab(tmp_path, gateway(1), gateway(2, gps=False, beacons=False))
    lab.wall_us += 250_000_000
    locked(lab)
    assert not lab.lines("beacon_missed")
    beacons = lab.lines("beacon")
    assert len(beacons) >= 5


def test_beacons_that_the_server_makes(tmp_path: Path) -> None:
    lab = class_b_lab(tmp_path, gateway(1, beacons=False), gateway(2, beacons=False, forwarder="1301"))
    for eui in lab.world.gateways:
        lab.call("gateway_put", gateway_eui=f"{eui:016x}", class_b="server")
    locked(lab, seconds=1500)
    lab.queue(f"{DEV_EUI:016x}", b"x")
    lab.run(40)
    assert len(lab.heard(DEV_EUI, "ping slot")) == 1
    on_air = [line for line in lab.lines("on_air") if line["phy"].startswith("0003")]
    assert {line["gateway"] for line in on_air} == {f"{eui:016x}" for eui in lab.world.gateways}
    assert {(line["frequency_hz"], line["datr"], line["airtime_us"]) for line in on_air} == {
        (869_100_000, "SF9BW125", 152_576)
    }
    for line in on_air:  # within a millisecond of T_BeaconDelay, as its Prec says
        assert abs(gps_of(line["t"]) % 128_000_000 - 1_500) <= 1_000
    refused = [line for line in lab.lines("tx_ack") if line["outcome"].get("error") not in ("NONE", None)]
    assert refused == []


def test_lost_beacons_make_it_class_a_again(tmp_path: Path) -> None:
    lab = class_b_lab(tmp_path, gateway(1), interval_s=900, periodicity=3)
    locked(lab, seconds=1900)
    for one in lab.world.gateways.values():
        one.config.beacon_hz = 0
    lab.run(3600)
    (device,) = lab.world.devices.values()
    assert device.class_b is not None and device.class_b.locked and device.class_b.missed > 20
    lab.queue(f"{DEV_EUI:016x}", b"still there")
    lab.run(30)
    assert bytes.fromhex(lab.heard(DEV_EUI, "ping slot")[-1]["data"]) == b"still there"
    lab.run(5400)
    assert not device.class_b.locked and lab.lines("beacon_lost")
    session = next(iter(lab.state.devices.values())).session
    assert session is not None and not session.radio.beacon_locked
    before = len(lab.heard(DEV_EUI, "ping slot"))
    item = lab.queue(f"{DEV_EUI:016x}", b"in an answer")
    lab.run(1000)
    assert len(lab.heard(DEV_EUI, "ping slot")) == before
    assert bytes.fromhex(lab.heard(DEV_EUI, "RX1")[-1]["data"]) == b"in an answer"
    assert lab.item(item).state == "sent"


def test_gps_unlocked_at_the_best_gateway(tmp_path: Path) -> None:
    lab = class_b_lab(tmp_path, gateway(1), gateway(2), periodicity=3)
    locked(lab)
    device = next(iter(lab.state.devices.values()))
    best = lab.world.gateways[gateways_to(lab.state, device)[0].eui]
    best.gps_locked = False  # it has told its time with the last frame, and loses its fix unnoticed
    lab.queue(f"{DEV_EUI:016x}", b"x")
    lab.run(20)
    outcomes = [line["outcome"].get("error", "") for line in lab.lines("tx_ack")][-2:]
    assert outcomes == ["GPS_UNLOCKED", "NONE"]
    assert len(lab.heard(DEV_EUI, "ping slot")) == 1
    record = lab.call("gateway", key=f"{best.config.eui:016x}")
    assert (record.gps.state, record.tx_outcomes["GPS_UNLOCKED"]) == ("lost", 1)


def test_a_confirmed_downlink_in_a_ping_slot_is_acknowledged(tmp_path: Path) -> None:
    lab = class_b_lab(tmp_path, gateway(1), periodicity=2)
    locked(lab)
    item = lab.queue(f"{DEV_EUI:016x}", b"x", confirmed=True)
    lab.run(30)
    assert lab.item(item).state == "acked"
    assert len(lab.heard(DEV_EUI, "ping slot")) == 1


def test_what_people_see_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = class_b_lab(tmp_path, gateway(1), periodicity=4)
    for module in ("gateways", "sessions"):
        monkeypatch.setattr(f"lns.api.{module}.system_now", lambda: lab.now)
    lab.switch_on()
    lab.run(2)
    fresh = lab.call("gateway", key="0016c001ff1e5a01")
    assert (fresh.class_b, fresh.gps.state) == ("gateway", "none")
    lab.run(1200)
    record = lab.call("gateway", key="0016c001ff1e5a01")
    assert record.gps.state == "locked" and abs(record.gps.off_ms) < 100
    session = lab.call("session", key=f"{DEV_EUI:016x}")
    assert session.device_class == "B" and session.class_b.locked
    assert session.class_b.ping_slot_periodicity == 4 and session.class_b.ping_slot_dr == 3
    assert session.class_b.gateways == 1
    assert 0 < session.class_b.next_ping_slot_us - lab.wall_us <= 32_000_000


def test_beacons_and_ping_slots_that_hop(tmp_path: Path) -> None:
    """US915: eight beacon channels in turn, eight ping-slot channels by address and time, beacons of 23 bytes."""
    lab = class_b_lab(tmp_path, gateway(1, beacons=False), region="US915", preset="2", periodicity=3)
    (one,) = lab.world.gateways.values()
    one.config.tx_min_hz, one.config.tx_max_hz = 923_000_000, 928_000_000
    lab.call("gateway_put", gateway_eui="0016c001ff1e5a01", class_b="server")
    locked(lab, seconds=1500)
    for n in range(6):
        lab.queue(f"{DEV_EUI:016x}", bytes((n,)))
        lab.run(128)
    assert len(lab.heard(DEV_EUI)) >= 6 and len(lab.heard(DEV_EUI, "ping slot")) >= 4
    beacons = [line for line in lab.lines("on_air") if line["phy"].startswith("0000000003")]
    assert {line["datr"] for line in beacons} == {"SF12BW500"} and {len(line["phy"]) for line in beacons} == {46}
    for line in beacons:
        assert line["frequency_hz"] == 923_300_000 + 600_000 * (gps_of(line["t"]) // 128_000_000 % 8)
    assert lab.lines("beacon_lost", "beacon_not_found") == []
