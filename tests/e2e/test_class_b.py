"""Class B over real datagrams in virtual time: the simulator's devices with their drifting crystals, gateways with GPS, one air.

The device computes beacons and ping slots by code of its own; what it hears in them it has been spoken to at the right
microsecond, on the right channel, under the right counter.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.air_lab import AirLab, txpk

SCENARIO = """
name = "class b"
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
) -> AirLab:
    text = SCENARIO.format(
        gateways="".join(gateways),
        count=count,
        mac_version=mac_version,
        interval_s=interval_s,
        periodicity=periodicity,
        ppm=ppm,
    )
    lab = AirLab(folder, text)
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
