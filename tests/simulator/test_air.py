"""The air of a world: levels, maps, who hears what and why not, strangers; against the tables of airtime and sensitivity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from lorasim import scenario
from lorasim.air import Air, Map, Means
from lorasim.link import sensitivity_dbm
from lorasim.radio import REQUIRED_SNR_DB, Uplink, airtime_us
from lorasim.recording import Recorder
from lorasim.scenario import GatewayEntry, Radio
from lorasim.world import World

T0 = 1_790_000_000_000_000
ONE = [GatewayEntry("0016c001ff1e5a01")]
AIRTIMES_US = {
    10: (41216, 72192, 144384, 288768, 577536, 991232),
    13: (46336, 82432, 164864, 288768, 577536, 1155072),
    23: (61696, 113152, 205824, 370688, 823296, 1482752),
    51: (102656, 184832, 328704, 616448, 1314816, 2465792),
    64: (118016, 215552, 390144, 698368, 1560576, 2793472),
    222: (348416, 614912, 1106944, 2009088, 4427776, 8036352),
}
"""PHYPayload bytes → SF7 to SF12 at 125 kHz, CRC on: sx1302_hal's lora_packet_time_on_air, compiled and run."""


def uplink(dev_eui: int = 1, sf: int = 7, start_us: int = T0, hz: int = 868_900_000, dbm: float = 16.0) -> Uplink:
    long_us = airtime_us(23, f"SF{sf}BW125", crc=True)
    return Uplink(dev_eui, bytes(23), hz, f"SF{sf}BW125", 12 - sf, start_us, long_us, dbm)


def heard(air: Air, *uplinks: Uplink) -> list[list[int]]:
    """All at their times; the gateways that decode each."""
    frames = [air.begin(one) for one in sorted(uplinks, key=lambda one: one.start_us)]
    return [[eui for eui, _ in air.decode(frame, lambda eui: "")] for frame in frames]


# ------------------------------------------------------------------------------------------- airtime, sensitivity


@pytest.mark.parametrize("length", AIRTIMES_US)
def test_airtime_agrees_with_the_reference(length: int) -> None:
    assert tuple(airtime_us(length, f"SF{sf}BW125", crc=True) for sf in range(7, 13)) == AIRTIMES_US[length]


def test_airtime_of_downlinks_and_beacons() -> None:
    assert airtime_us(17, "SF12BW125", crc=False) == 1155072
    assert airtime_us(33, "SF12BW125", crc=False) == 1810432
    assert airtime_us(33, "SF7BW125", crc=False) == 71936
    assert airtime_us(17, "SF9BW125", crc=False, implicit=True, preamble=10) == 152576


@pytest.mark.parametrize("sf", range(7, 13))
def test_sensitivity_of_each_spreading_factor(sf: int) -> None:
    """A frame is decoded down to the floor of its spreading factor below the noise of 125 kHz, and not below."""
    for above_db, decoded in ((0.1, True), (-0.1, False)):
        snr_db = REQUIRED_SNR_DB[sf] + above_db
        air = Air(Radio(rssi_dbm=-117 + snr_db, snr_db=snr_db, spread_db=0, fading_db=0), ONE, 1)
        assert bool(heard(air, uplink(sf=sf))[0]) is decoded
    assert sensitivity_dbm(sf) == pytest.approx(-117 + REQUIRED_SNR_DB[sf], abs=0.05)


def test_less_power_is_a_weaker_signal() -> None:
    air = Air(Radio(rssi_dbm=-95, snr_db=5, spread_db=0, fading_db=0), ONE, 1)
    for n, (dbm, rssi, snr) in enumerate(((16.0, -95, 5), (6.0, -105, -5))):
        frame = air.begin(uplink(dbm=dbm, start_us=T0 + n * 1_000_000))
        ((_, signal),) = air.decode(frame, lambda eui: "")
        assert (signal.rssi_dbm, signal.snr_db) == (pytest.approx(rssi), pytest.approx(snr))


# ------------------------------------------------------------------------------------------------------ collisions


@pytest.mark.parametrize(("collisions", "heard_both"), [(True, False), (False, True)])
def test_collisions_can_be_switched_off(collisions: bool, heard_both: bool) -> None:
    air = Air(Radio(spread_db=0, fading_db=0), ONE, 1, collisions)
    first, second = heard(air, uplink(1), uplink(2, start_us=T0 + 1000))
    assert (first == second == [0x0016C001FF1E5A01]) is heard_both


@pytest.mark.parametrize(("demodulators", "decoded"), [(8, 8), (16, 12)])
def test_each_gateway_has_its_demodulators(demodulators: int, decoded: int) -> None:
    gateways = [GatewayEntry("0016c001ff1e5a01", demodulators=demodulators)]
    air = Air(Radio(spread_db=0, fading_db=0, inter_sf=False), gateways, 1)
    frames = [uplink(n, 7 + n % 6, T0 + n, 864_100_000 + 200_000 * (n // 6)) for n in range(12)]
    assert sum(map(bool, heard(air, *frames))) == decoded


def test_why_a_frame_was_lost_is_known() -> None:
    air = Air(Radio(snr_db=-30, spread_db=0, fading_db=0), ONE, 1)
    frame = air.begin(uplink())
    assert air.decode(frame, lambda eui: "") == []
    assert air.why_lost(frame) == {"0016c001ff1e5a01": "signal"}
    assert air.decode(frame, lambda eui: "half duplex") == []
    assert air.why_lost(frame) == {"0016c001ff1e5a01": "half duplex"}


# ------------------------------------------------------------------------------------------------------------ maps


def map_air(**fields: Any) -> Air:
    return Air(Radio(radius_m=2000, coverage_snr_db=-40, **fields), ONE, 1)


def test_a_map_loses_with_distance_and_walls() -> None:
    """Means over many devices: those in basements are 15 to 25 dB worse off."""
    levels = {}
    for kind in ("static", "basement"):
        air = map_air(surroundings=[kind])
        assert isinstance(air.terrain, Map)
        levels[kind] = mean(air.terrain.gains_db(device, 1.0)[0] for device in range(400))
    assert 10 < levels["static"] - levels["basement"] < 25
    near, far = map_air(), Air(Radio(radius_m=8000, coverage_snr_db=-60), ONE, 1)
    gain = [mean(one.terrain.gains_db(device, 1.0)[0] for device in range(400)) for one in (near, far)]
    assert gain[0] - gain[1] == pytest.approx(23.2 * 0.602, abs=2.0)  # four times as far, exponent 2.32


def test_fading_goes_on_over_time() -> None:
    air = map_air(surroundings=["fading"])
    gains = [air.terrain.gains_db(7, second)[0] for second in range(0, 36_000, 60)]
    assert 4 < stdev(gains) < 12
    close = [abs(air.terrain.gains_db(8, 1 + n / 1e4)[0] - air.terrain.gains_db(8, 1 + n / 1e4)[0]) for n in range(50)]
    assert max(close) < 1e-6  # at one moment there is one gain


def test_devices_are_placed_where_the_net_was_planned() -> None:
    air = Air(Radio(radius_m=9000, coverage_snr_db=0), ONE, 1)
    floor = -117 + 0 - 16
    assert isinstance(air.terrain, Map)
    means = [air.terrain._of(device).mean_gains_db[0] for device in range(200)]
    assert min(means) >= floor - 0.1


@pytest.mark.parametrize("radius_m", [0.0, 3000.0])
def test_a_device_that_moves_is_near_its_gateway(radius_m: float) -> None:
    gateways = [GatewayEntry(f"0016c001ff1e5a0{n}") for n in range(4)]
    air = Air(Radio(radius_m=radius_m, spread_db=0, fading_db=0, coverage_snr_db=-40), gateways, 3)
    assert isinstance(air.terrain, Map if radius_m else Means)
    best = Counter[bool]()
    for device in range(100):
        air.move(device, 0x0016C001FF1E5A02)
        gains = air.terrain.gains_db(device, 1.0)
        best[gains[2] == max(gains)] += 1
    assert best[True] >= 90


# ----------------------------------------------------------------------------------------------- a whole world


WORLD = """
name = "air"
[radio]
{radio}
[[gateways]]
eui = "0016c001ff1e5a01"
[[devices]]
count = 20
activation = "ABP"
interval_s = 60
join_spread_s = 10
"""


def run(path: Path, radio: str, seconds: int = 1800, seed: int = 1) -> World:
    with Recorder(path) as recorder:
        world = World(scenario.parse(WORLD.format(radio=radio)), T0, seed=seed, recorder=recorder)
        world.start(T0)
        world.handle_timer(T0 + seconds * 1_000_000)
    return world


def test_strangers_take_the_air_and_are_forwarded(tmp_path: Path) -> None:
    alone = run(tmp_path / "a", "spread_db = 0\nfading_db = 0").snapshot()
    crowded = run(
        tmp_path / "b", "spread_db = 0\nfading_db = 0\nforeign_per_h = 30000\nforeign_dbm = [-110.0, -90.0]"
    ).snapshot()
    assert crowded.foreign == pytest.approx(15_000, rel=0.05)
    assert crowded.unheard > 5 * max(1, alone.unheard)
    assert b'"collision"' in (tmp_path / "b").read_bytes()
    assert crowded.push_data > 10 * alone.push_data


@pytest.mark.parametrize(
    "radio", ["fading_db = 4", "radius_m = 1500\nsurroundings = ['fading', 'basement']\nforeign_per_h = 900"]
)
def test_one_seed_is_one_air(tmp_path: Path, radio: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / name, radio, 600, seed)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


def test_half_duplex_follows_the_gateway(tmp_path: Path) -> None:
    world = run(tmp_path / "a", "spread_db = 0", 10)
    (gateway,) = world.gateways.values()
    assert not gateway.busy(T0, T0 + 1)


def test_a_clock_that_runs_fast_makes_no_collisions_by_itself() -> None:
    """A month's frames within minutes would be one collision: then they are off unless they are asked for."""
    text = 'name = "x"\n[clock]\nspeed = 10000\n{}[[gateways]]\neui = "0016c001ff1e5a01"\n[house]\norganisation = "o"\naddress = "a"\nflats = 1\n'
    assert not World(scenario.parse(text.format("")), T0).air.collisions
    assert World(scenario.parse(text.format("[radio]\ncollisions = true\n")), T0).air.collisions


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("surroundings = ['space']", "radio.surroundings: 'space' is none of static"),
        ("foreign_dbm = [-100]", "radio.foreign_dbm: expected a list of 2"),
        ("surroundings = 'static'", "radio.surroundings: expected a list"),
    ],
)
def test_impossible_air(lines: str, complaint: str) -> None:
    with pytest.raises(scenario.ScenarioError, match=complaint):
        scenario.parse(WORLD.format(radio=lines))
