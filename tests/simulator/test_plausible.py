"""Absurd values in scenario files: refused before the run, with the key, and nothing that is usable is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from lorasim import plausible, scenario, virtual
from lorasim.__main__ import main
from lorasim.scenario import ScenarioError

GATEWAY = 'name = "x"\n[[gateways]]\neui = "0016c001ff1e5a01"\n'
HOUSE = GATEWAY + '[house]\norganisation = "o"\naddress = "a"\n'
DEVICES = GATEWAY + "[[devices]]\n"
METERS = GATEWAY + "[[meters]]\n"
EVENT = DEVICES + "[[events]]\nat_s = 1\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (DEVICES + "count = -1", "devices.0.count: -1 is not from 1 to 10000000"),
        (DEVICES + "interval_s = 0", "devices.0.interval_s: 0.0 is not from 0.001"),
        (DEVICES + "interval_s = nan", "devices.0.interval_s: nan is not"),
        (DEVICES + "dr = 99", "devices.0.dr: 99 is not from 0 to 15"),
        (DEVICES + "dr = 7", "devices.0.dr: RU864 has no LoRa data rate 7 for uplinks; it has 0, 1, 2, 3, 4, 5"),
        (
            'region = "US915"\npreset = "2"\n' + DEVICES + "dr = 3\nfirmware = { rx2_dr = 3 }",
            "devices.0.firmware.rx2_dr: US915 has no LoRa data rate 3 for downlinks; it has 0, 8, 9, 10",
        ),
        (DEVICES + 'mac_version = "2.0"', "devices.0.mac_version: '2.0' is none of 1.0.2, 1.0.3, 1.0.4, 1.1"),
        (DEVICES + 'activation = "abp"', "devices.0.activation: 'abp' is none of OTAA, ABP"),
        (DEVICES + 'dev_addr = "zz"', "devices.0.dev_addr: 'zz' is not 8 lower-case hex digits"),
        (
            DEVICES + 'dev_addr = "ffffffff"\ncount = 2',
            "devices.0.dev_addr: 2 counted from ffffffff do not fit 32 bits",
        ),
        (DEVICES + "f_port = 300", "devices.0.f_port"),
        (DEVICES + "payload_bytes = 243", "devices.0.payload_bytes"),
        (DEVICES + "firmware = { deaf = 2 }", "devices.0.firmware.deaf: 2.0 is not from 0 to 1"),
        (DEVICES + 'manners = { mute = ["DevStatus"] }', "devices.0.manners.mute: there is no request 'DevStatus'"),
        (
            DEVICES + 'manners = { refused = ["LinkADRReq.power"] }',
            "devices.0.manners.refused: LinkADRReq has no part 'power'; it has channel_mask_ack",
        ),
        (
            DEVICES + "count = 5\n[[devices]]\ndev_eui = '70b3d5fffe000005'",
            "devices.1.dev_eui: 70b3d5fffe000005 and what follows are devices of devices.0, too",
        ),
        (GATEWAY + '[[gateways]]\neui = "0016c001ff1e5a01"', "gateways.1.eui: 0016c001ff1e5a01 is also that of"),
        (GATEWAY + "demodulators = 0", "gateways.0.demodulators: 0 is not from 1"),
        (GATEWAY + "keepalive_s = 0", "gateways.0.keepalive_s"),
        (GATEWAY + "latitude = 91.0", "gateways.0.latitude: 91.0 is not from -90 to 90"),
        (GATEWAY + "backhaul = { loss = 2 }", "gateways.0.backhaul.loss: 2.0 is not from 0 to 1"),
        (GATEWAY + "[radio]\nloss = 1.5", "radio.loss"),
        (GATEWAY + "[radio]\nforeign_dbm = [-95, -125]", "radio.foreign_dbm: from -95.0 to -125.0"),
        (GATEWAY + "[radio]\nradius_m = 9\nsurroundings = []", "radio.surroundings: empty"),
        (GATEWAY + '[clock]\nzone = "Mars/Olympus"', "clock.zone: there is no zone 'Mars/Olympus'"),
        (GATEWAY + "[clock]\ndays = -3", "clock.days: -3"),
        (GATEWAY + "[clock]\nspeed = inf", "clock.speed: inf"),
        (HOUSE + "flats = 0", "house.flats: 0 is not from 1"),
        (HOUSE + 'resources = ["beer"]', "house.resources.0: 'beer' is none of cold_water, hot_water, heat"),
        (HOUSE + "hours = [0, 25]", "house.hours.1: 25 is not from 0 to 23"),
        (HOUSE + "loss_percent = { beer = 1 }", "house.loss_percent: 'beer' is none of"),
        (HOUSE + "common_period_h = 0", "house.common_period_h"),
        (HOUSE + 'common_profile = "other"', "house.common_profile: 'other' is none of vega-si-11"),
        (HOUSE + 'common_gateway = "0016c001ff1e5a09"', "house.common_gateway: there is no gateway 0016c001ff1e5a09"),
        (HOUSE + "thefts = [{ flat = 61 }]", "house.thefts.0.flat: 61, and the house has 60 flats"),
        (METERS + "residents = [4, 1]", "meters.0.residents: from 4 to 1: write the lower one first"),
        (METERS + 'incidents = [{ kind = "leak", meter = 1 }]', "meters.0.incidents.0.meter: 1, and the group has 1"),
        (EVENT + 'do = "restart"\ngroup = "foo"', "events.0.group: there is no group 'foo'; there are 'devices'"),
        (EVENT + 'do = "gateway_off"\ngateway = "0016c001ff1e5a09"', "events.0.gateway: there is no gateway"),
        (EVENT + 'do = "restart"\ndevices = ["70b3d5fffe000002"]', "events.0.devices: no group has a device"),
        (EVENT + 'do = "refuse"\nerror = "NO"', "events.0.error: 'NO' is none of TOO_LATE"),
        (EVENT + 'do = "restart"\nshare = 9', "events.0.share"),
        (EVENT + 'do = "restart"\nevery_s = 0.01', "events.0.every_s: 0.01 is neither 0"),
        (EVENT + 'do = "downlink"\ndata = "xyz"', "events.0.data: 'xyz' is not bytes in hex"),
        ('name = "x"\n[[devices]]', "gateways: missing"),
    ],
)
def test_absurd_values(text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario.parse(text)
    assert str(caught.value).startswith(complaint)


def test_every_rule_is_of_a_key_that_exists() -> None:
    for rules in (plausible.RANGES, plausible.CHOICES, plausible.HEX):
        for kind, keys in rules.items():
            assert set(keys) <= {f.name for f in dataclasses.fields(kind)}, kind


def test_every_number_has_its_bounds() -> None:
    """A new key of a number or identifier must say what it may be."""
    for kind, keys in plausible.RANGES.items():
        for f in dataclasses.fields(kind):
            words = str(f.type).replace("|", " ").replace("[", " ").replace(",", " ").replace("]", " ").split()
            if {"int", "float"} & set(words):
                assert f.name in keys, f"{kind.__name__}.{f.name}"


def test_a_file_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(b'name = "\xff"')
    assert main([str(path)]) == 2
    assert "broken.toml: not a text in UTF-8 (invalid start byte, byte 8)" in capsys.readouterr().err


def test_short_payloads_begin_anew_at_0() -> None:
    """A running number of one byte goes on after 255."""
    plan = scenario.parse(DEVICES + 'payload_bytes = 1\ninterval_s = 5\nactivation = "ABP"\nadr = false')
    world = virtual.world_of(plan)
    sent: list[str] = []

    def observe(t: int, kind: str, fields: dict[str, Any]) -> None:
        if kind == "uplink":
            sent.append(fields["data"])

    world.recorder.observers.append(observe)
    world.start(world.start_us)
    while world.timer() is not None and world.now_us < world.start_us + 1_400_000_000:
        world.handle_timer(world.timer() or 0)
    assert sent[254:258] == ["ff", "00", "01", "02"]


def test_a_run_of_no_length_is_refused() -> None:
    plan = scenario.parse(DEVICES + "[clock]\ndays = 0\n")
    with pytest.raises(ScenarioError, match=r"clock\.duration_s and clock\.days are 0"):
        virtual.run(plan, lambda world: pytest.fail("no server is made for it"))
    whole = scenario.load("satka_month").clock
    assert whole.days == 0 and whole.duration_s == 32 * 86_400
