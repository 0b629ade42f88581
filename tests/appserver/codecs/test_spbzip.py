"""SPbZIP: the samples of meter_payloads.json, from github.com/VegaAbsolute/IoTVegaParser at 5f262340, SPBZIP_v1.js."""

from __future__ import annotations

import contextlib
import json
import struct
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError, Decoded, decode

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
    if row["id"].startswith("spbzip")
}


def read(name: str) -> tuple[Decoded, dict[str, Any]]:
    return decode("spbzip", ROWS[name]["fport"], bytes.fromhex(ROWS[name]["hex"]), 0), ROWS[name]["expected"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(".000", "").rstrip("Z"))


def test_info() -> None:
    decoded, expected = read("spbzip-info")
    (total,) = decoded.measurements
    assert total.value * 1000 == expected["meterReadingWh"]
    assert (total.channel, total.unit) == (1, "kWh")
    assert total.at == decoded.clock == moment(expected["timeStringISO"])
    assert decoded.values["serial"] == expected["serialNumber"]
    assert decoded.values["model"] == "ЦЭ2726А"
    assert decoded.values["phases"] == expected["phasesNumber"]
    assert decoded.values["power_limit_relay"] is False
    assert moment(decoded.values["made"]) == moment(expected["productionDateStringISO"])
    assert decoded.values["software"] == str(expected["swVer"])
    assert decoded.temperature_c == expected["temperature"]
    assert decoded.values["reason"] == "request"
    assert decoded.flags == ("power_limited",)


def test_instant() -> None:
    decoded, expected = read("spbzip-instant")
    assert decoded.measurements == ()
    assert decoded.clock == moment(expected["timeStringISO"])
    for phase in "abc":
        for ours, theirs in (("voltage_v", "Voltage"), ("current_a", "Current"), ("power_factor", "PowerFactor")):
            assert float(decoded.values[f"{ours}_{phase}"]) == expected[f"phase{phase.upper()}{theirs}"]
    assert float(decoded.values["power_factor"]) == expected["averagePowerFactor"]
    assert float(decoded.values["frequency_hz"]) == expected["frequency"]
    assert decoded.values["power_w"] == expected["power"]


def test_tariffs_sum_to_the_total() -> None:
    decoded, expected = read("spbzip-tariffs")
    assert [m.value * 1000 for m in decoded.measurements] == [
        expected["meterReadingWh"],
        *(expected[f"tariff{n}ReadingWh"] for n in (1, 2, 3, 4)),
    ]
    total, *tariffs = [m.value for m in decoded.measurements]
    assert sum(tariffs) == total == Decimal("120.341")
    assert [m.channel for m in decoded.measurements] == [1, 2, 3, 4, 5]
    assert decoded.values["tariff"] == expected["tariff"]


def test_profile() -> None:
    decoded, expected = read("spbzip-profile")
    first, last = decoded.values["half_hours"]
    assert (moment(first["time"]), first["power"]) == (
        moment(expected["penultHalfHourTimeStringISO"]),
        expected["penultHalfHourPower"],
    )
    assert (moment(last["time"]), last["power"]) == (
        moment(expected["lastHalfHourTimeStringISO"]),
        expected["lastHalfHourPower"],
    )


def test_sentinels() -> None:
    decoded = decode("spbzip", 2, struct.pack("<BIIB5IH", 4, 1, 0, 1, 0xFFFFFFFF, 5, *[0xFFFFFFFF] * 3, 0), 0)
    assert [(m.channel, m.value, m.at) for m in decoded.measurements] == [(2, Decimal("0.005"), None)]


@pytest.mark.parametrize(("f_port", "data"), [(2, b""), (2, b"\x09"), (2, b"\x04\x00"), (7, b"\x01")])
def test_garbage(f_port: int, data: bytes) -> None:
    with pytest.raises(CodecError):
        decode("spbzip", f_port, data, 0)


@given(
    st.sampled_from([2, 3, 4, 5]),
    st.one_of(
        st.binary(max_size=60),
        *(
            st.binary(min_size=length - 1, max_size=length - 1).map(lambda body, kind=kind: bytes([kind]) + body)
            for kind, length in ((1, 34), (2, 43), (4, 32), (5, 25))
        ),
    ),
)
def test_any_bytes_give_a_value_or_a_codec_error(f_port: int, data: bytes) -> None:
    with contextlib.suppress(CodecError):
        json.dumps(decode("spbzip", f_port, data, 0).values)
