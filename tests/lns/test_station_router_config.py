from __future__ import annotations

import json
from typing import Any

import pytest

import regional
from lns.gateways.basicstation.router_config import HALF_WIDTH_HZ, Options, UnfitPlan, radio_setup
from regional import Modulation
from tests.support.station import REGIONS

CASES = [(name, preset) for name in regional.names() if name != "ISM2400" for preset in regional.plan(name).presets]


def config(name: str, preset: str = "default", features: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    plan = regional.plan(name)
    setup = radio_setup(plan, plan.presets[preset], Options(**options), features)
    return dict(json.loads(setup.encode(1234.5)))


def heard_hz(config: dict[str, Any]) -> list[int]:
    """What the eight narrow demodulators listen to, by the station's own reading of the configuration."""
    (conf,) = config["sx1301_conf"]
    chains = [conf[f"chan_multiSF_{n}"] for n in range(8)]
    return [conf[f"radio_{one['radio']}"]["freq"] + one["if"] for one in chains if one["enable"]]


def test_ru864_is_what_was_seen_to_work() -> None:
    """Facts of runs with Station 2.0.6: lorabasics/basicstation issues 162, 173, 200."""
    made = config("RU864", "864")
    assert made == {
        "msgtype": "router_config",
        "NetID": None,
        "JoinEui": None,
        "region": "AU915",
        "hwspec": "sx1301/1",
        "freq_range": [864_000_000, 870_000_000],
        "max_eirp": 14,
        "DRs": [
            *([sf, 125, 0] for sf in (12, 11, 10, 9, 8, 7)),
            [7, 250, 0],
            [0, 0, 0],
            *[[-1, 0, 0]] * 8,
        ],
        "sx1301_conf": [
            {
                "radio_0": {"enable": True, "freq": 864_500_000},
                "radio_1": {"enable": True, "freq": 869_000_000},
                "chan_multiSF_0": {"enable": True, "radio": 1, "if": -100_000},
                "chan_multiSF_1": {"enable": True, "radio": 1, "if": 100_000},
                "chan_multiSF_2": {"enable": True, "radio": 0, "if": -400_000},
                "chan_multiSF_3": {"enable": True, "radio": 0, "if": -200_000},
                "chan_multiSF_4": {"enable": True, "radio": 0, "if": 0},
                "chan_multiSF_5": {"enable": True, "radio": 0, "if": 200_000},
                "chan_multiSF_6": {"enable": True, "radio": 0, "if": 400_000},
                "chan_multiSF_7": {"enable": False},
                "chan_Lora_std": {"enable": False},
                "chan_FSK": {"enable": False},
            }
        ],
        "MuxTime": 1234.5,
    }
    assert config("RU864")["max_eirp"] == 16, "868.7-869.2 MHz allow more than the plan's 16 dBm"
    assert config("RU864", "864", max_eirp_dbm=16)["max_eirp"] == 16
    assert config("RU864", region="RU864")["region"] == "RU864"


@pytest.mark.parametrize("kind", HALF_WIDTH_HZ)
@pytest.mark.parametrize(("name", "preset"), CASES)
def test_every_region_is_heard_by_two_radios(name: str, preset: str, kind: str) -> None:
    plan, made = regional.plan(name), config(name, preset, concentrator=kind)
    heard, (conf,) = heard_hz(made), made["sx1301_conf"]
    chosen = plan.presets[preset]
    if plan.is_fixed:
        narrow = [c.frequency_hz for c in plan.default_channels if plan.data_rate(c.min_dr).bw_hz == 125_000]
        assert heard == [hz for hz in narrow if not chosen or hz in chosen][:8]
    else:
        assert heard == [*(channel.frequency_hz for channel in plan.default_channels), *chosen]
    reach = HALF_WIDTH_HZ[kind]
    assert all(abs(conf[f"chan_multiSF_{n}"].get("if", 0)) <= reach for n in range(8))
    assert conf["radio_0"]["enable"] and conf["radio_1"]["enable"]
    assert made["region"] in REGIONS and len(made["DRs"]) == 16
    assert made["max_eirp"] <= plan.max_eirp_dbm
    low, high = made["freq_range"]
    rx1 = [plan.rx1_frequency_hz(frequency_hz) for frequency_hz in heard]
    assert all(low <= frequency_hz <= high for frequency_hz in (*heard, *rx1, plan.rx2_frequency_hz))


@pytest.mark.parametrize(("name", "preset"), CASES)
@pytest.mark.parametrize("features", [(), ("rmtsh", "updn-dr")])
def test_data_rates_of_both_directions_have_the_numbers_that_the_server_uses(
    name: str, preset: str, features: tuple[str, ...]
) -> None:
    plan = regional.plan(name)
    setup = radio_setup(plan, plan.presets[preset], Options(), features)
    separate = "updn-dr" in features
    tables = [setup.message[key] for key in (("DRs_up", "DRs_dn") if separate else ("DRs", "DRs"))]
    for dr, datr in enumerate(setup.uplink_datr):
        if datr is not None:
            rate = plan.data_rate(dr)
            assert datr == rate.datr
            expected = [0, 0, 0] if rate.modulation is Modulation.FSK else [rate.sf, rate.bw_hz // 1000, 0]
            assert tables[0][dr] == expected
    for datr, dr in setup.downlink_dr.items():
        rate = plan.data_rate(dr, downlink=True)
        assert rate.datr == datr and tables[1][dr][0] == rate.sf
    wanted = {plan.rx2_dr, *(plan.rx1_dr(channel.min_dr, 0) for channel in plan.default_channels)}
    assert wanted <= set(setup.downlink_dr.values())


def test_sf5_and_sf6_only_for_stations_that_know_two_tables() -> None:
    assert not any(0 < sf < 7 for sf, _, _ in config("US915")["DRs"])
    made = config("US915", features=("updn-dr",))
    assert made["DRs_up"][7] == [6, 125, 0] and made["DRs_dn"][0] == [5, 500, 0] and "DRs" not in made
    assert config("US915")["DRs"][8] == [12, 500, 1], "only for downlinks"


def test_the_wide_channel_of_an_american_sub_band() -> None:
    (conf,) = config("US915", "2")["sx1301_conf"]
    wide = conf["chan_Lora_std"]
    assert conf[f"radio_{wide['radio']}"]["freq"] + wide["if"] == 904_600_000
    assert (wide["bandwidth"], wide["spread_factor"]) == (500_000, 8)


def test_beacons_when_they_are_wanted() -> None:
    assert "bcning" not in config("RU864")
    assert config("RU864", beacons=True)["bcning"] == {"DR": 3, "layout": [2, 8, 17], "freqs": [869_100_000]}
    assert len(config("US915", beacons=True)["bcning"]["freqs"]) == 8


def test_what_no_station_can_hear_is_refused() -> None:
    with pytest.raises(UnfitPlan, match="below 1 GHz"):
        config("ISM2400")
    plan = regional.plan("RU864")
    with pytest.raises(UnfitPlan, match=r"cannot hear .* choose another preset"):
        radio_setup(plan, (864_100_000, 866_500_000), Options())
    with pytest.raises(UnfitPlan, match="8 demodulators"):
        radio_setup(plan, tuple(868_300_000 + 100_000 * n for n in range(7)), Options())
