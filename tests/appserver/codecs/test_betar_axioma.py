"""Betar and Axioma: the samples of meter_payloads.json, each with its public source."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import json
import struct
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError, Decoded, decode

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
}


def read(codec: str, name: str) -> Decoded:
    return decode(codec, ROWS[name]["fport"], bytes.fromhex(ROWS[name]["hex"]), 0)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(".000", "").rstrip("Z"))


@pytest.mark.parametrize("name", ["betar-shve-real", "betar-shve-flow"])
def test_betar_water(name: str) -> None:
    """github.com/VegaAbsolute/IoTVegaParser at 5f262340, betar_shve_v1.js, and the vendor's own screenshot."""
    decoded, expected = read("betar-water", name), ROWS[name]["expected"]
    (volume,) = decoded.measurements
    assert volume.value == Decimal(str(expected["consumption"]))
    assert volume.at == decoded.clock == moment(expected["timeStringISO"])
    assert (volume.unit, volume.archive) == ("m3", False)
    assert (decoded.battery_pct, decoded.temperature_c) == (expected["chargePercent"], expected["temperature"])
    assert decoded.flags == (("leak",) if expected["isLeakDetected"] else ())


def test_betar_temperature_is_one_signed_byte() -> None:
    """The vendor's decoder reads the magnet flag into it and gives 507 °C."""
    decoded = decode("betar-water", 2, struct.pack("<BBbBBIBBI", 1, 90, -5, 1, 1, 1_700_000_000, 1, 1, 7), 0)
    assert decoded.temperature_c == -5
    assert decoded.flags == ("magnetic_tamper", "indicator_blocked", "leak", "burst")


def test_betar_clock_and_settings() -> None:
    assert read("betar-water", "betar-shve-time").clock == moment(ROWS["betar-shve-time"]["expected"]["timeStringISO"])
    settings = read("betar-water", "betar-shve-settings").values["settings"]
    assert settings["time_zone_min"] == ROWS["betar-shve-settings"]["expected"]["settings"]["55"]["value"]


def test_betar_gas() -> None:
    decoded, expected = read("betar-gas", "vega-sgbm-gas"), ROWS["vega-sgbm-gas"]["expected"]
    assert decoded.measurements[0].value == Decimal(str(expected["consumption"]))
    assert (decoded.battery_pct, decoded.temperature_c) == (expected["chargePercent"], expected["temperature"])
    assert decoded.clock == moment(expected["timeStringISO"])
    assert decoded.values["reboots"] == expected["rebootsNumber"]


def test_betar_sentinels() -> None:
    decoded = decode("betar-gas", 2, struct.pack("<BBIbIB", 1, 255, 0, 0, 0xFFFFFFFF, 0), 0)
    assert (decoded.measurements, decoded.clock, decoded.battery_pct) == ((), None, None)


def test_axioma_extended() -> None:
    """ZennerIoT/element-parsers, lib/axioma_qalcosonic.ex."""
    decoded, expected = read("axioma-w1", "axioma-w1-ext15"), ROWS["axioma-w1-ext15"]["expected"]
    now, *hours = decoded.measurements
    assert (now.value, now.at, now.archive) == (Decimal("13.609"), moment(expected["time"]), False)
    assert [m.value for m in hours] == [Decimal(str(v)) for v in expected["hourly_volume_m3"]]
    assert hours[0].at == moment(expected["log_hour"])
    assert hours[-1].at == datetime(2019, 7, 22, 10)
    assert all(m.archive for m in hours)
    assert set(decoded.flags or ()) == {"leak", "temporary_error"}


def test_axioma_enhanced() -> None:
    """TheThingsNetwork/lorawan-devices at 34d9b1e, vendor/axioma/qalcosonic-w1-codec.yaml."""
    decoded, expected = read("axioma-w1", "axioma-w1-enh24"), ROWS["axioma-w1-enh24"]["expected"]
    (volume,) = decoded.measurements
    assert (volume.value, volume.at) == (Decimal(str(expected["volume_m3"])), moment(expected["time"]))
    assert decoded.values["steps"] == expected["deltas_l"]
    assert decoded.values["log_volume_m3"] == str(expected["log_volume_m3"])
    assert decoded.flags == ()


def test_axioma_alarm() -> None:
    decoded, expected = read("axioma-w1", "axioma-w1-alarm"), ROWS["axioma-w1-alarm"]["expected"]
    assert decoded.measurements == ()
    assert decoded.clock == moment(expected["time"])
    assert set(decoded.flags or ()) == {"leak", "temporary_error"}


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (0x04, ("low_battery",)),
        (0x08, ("permanent_error",)),
        (0x20, ("leak",)),
        (0x60, ("reverse_flow",)),
        (0xA0, ("burst",)),
        (0x80, ("freeze",)),
        (0x40, ("code_40",)),
    ],
)
def test_axioma_status(status: int, flags: tuple[str, ...]) -> None:
    assert decode("axioma-w1", 103, struct.pack("<IB", 1, status), 0).flags == flags


def test_axioma_sentinels() -> None:
    nothing = struct.pack("<IBIII15H", 0, 0, 0xFFFFFFFF, 1_563_738_196, 0xFFFFFFFF, *[0] * 15)
    assert decode("axioma-w1", 100, nothing, 0).measurements == ()
    gap = struct.pack("<IBIII15H", 1_563_795_470, 0, 0xFFFFFFFF, 1_563_738_196, 1000, 5, 0xFFFF, *[1] * 13)
    assert [m.value for m in decode("axioma-w1", 100, gap, 0).measurements] == [Decimal("1.000"), Decimal("1.005")]
    odd = bytes.fromhex(ROWS["axioma-w1-enh24"]["hex"])[:-1] + b"\xfc"
    assert decode("axioma-w1", 100, odd, 0).measurements == ()


@given(
    st.sampled_from(["betar-water", "betar-gas", "axioma-w1"]),
    st.sampled_from([2, 3, 4, 100, 103]),
    st.one_of(
        st.binary(max_size=60),
        *(st.binary(min_size=n, max_size=n) for n in (5, 47, 51)),
        *(st.binary(min_size=n, max_size=n).map(lambda b: b"\1" + b) for n in (11, 14)),
    ),
)
def test_any_bytes_give_a_value_or_a_codec_error(codec: str, f_port: int, data: bytes) -> None:
    with contextlib.suppress(CodecError):
        json.dumps(decode(codec, f_port, data, 0).values)
