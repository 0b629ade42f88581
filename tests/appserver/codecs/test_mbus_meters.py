"""Meters that send M-Bus records: the samples of meter_payloads.json through their codecs, each with its public source."""

# ruff: noqa: DTZ001 (meter clocks have no zone)

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError, Decoded, decode
from appserver.codecs.mbus import Record
from appserver.codecs.mbus_profile import expand

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
}
CODECS = {"sontex": "sontex-7x9", "elvaco": "elvaco-cmi41", "kamstrup": "mbus-water", "sensus": "mbus-water"}
CASES = [name for name in ROWS if name.partition("-")[0] in CODECS]


def read(name: str) -> Decoded:
    row = ROWS[name]
    return decode(CODECS[name.partition("-")[0]], row["fport"], bytes.fromhex(row["hex"]), 0)


def by_channel(decoded: Decoded, *, archive: bool = False) -> dict[int, Decimal]:
    return {m.channel: m.value for m in decoded.measurements if m.archive is archive}


def test_all_samples_are_here() -> None:
    assert len(CASES) == 14


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("elvaco", "sontex"))])
def test_heat_meter(name: str) -> None:
    """ZennerIoT/element-parsers and TheThingsNetwork/lorawan-devices: energy is channel 1, volume channel 2."""
    records = ROWS[name]["expected"]["records"]
    wanted = {
        {"energy": 1, "volume": 2}[r["q"]]: Decimal(str(r["value"]))
        for r in records
        if r["q"] in ("energy", "volume") and "storage" not in r
    }
    decoded = read(name)
    assert by_channel(decoded) == wanted
    assert by_channel(decoded, archive=True) == {}  # the due date of these was never set
    assert {m.unit for m in decoded.measurements} <= {"kWh", "m3"}
    times = [r["value"] for r in records if r["q"] == "datetime"]
    assert decoded.clock == (datetime.fromisoformat(times[0]) if times else None)
    errors = [r["value"] for r in records if r["q"] == "error_flags"]
    if errors:
        assert decoded.flags == tuple(f"error_bit{bit}" for bit in range(64) if errors[0] >> bit & 1)
    else:
        assert decoded.flags is None


def test_error_frame_has_no_zeros() -> None:
    quantities = [r["quantity"] for r in read("elvaco-cmi4110-err").values["records"]]
    assert quantities == ["energy", "fabrication_no", "error_flags"]
    during = [r for r in read("elvaco-cmi4110-err2").values["records"] if r.get("function") == "error"]
    assert [r["quantity"] for r in during] == ["power", "volume_flow", "flow_temp", "return_temp"]


@pytest.mark.parametrize("name", ["kamstrup-flowiq-profile", "kamstrup-flowiq-profile33"])
def test_hourly_profile_of_flowiq(name: str) -> None:
    """TheThingsNetwork/lorawan-devices at af4ebca, vendor/kamstrup/mbusparser.yaml."""
    decoded = read(name)
    wanted = [
        (datetime.fromisoformat(at), Decimal(str(value))) for at, value in ROWS[name]["expected"]["profile_hourly_m3"]
    ]
    assert [(m.at, m.value) for m in decoded.measurements] == wanted
    assert {(m.channel, m.unit, m.archive) for m in decoded.measurements} == {(1, "m3", True)}


def test_profile_of_iperl() -> None:
    """TheThingsNetwork/lorawan-devices at 44aafd7, vendor/sensus/iperl-codec.yaml: steps of sixty minutes."""
    decoded, expected = read("sensus-iperl-oms"), ROWS["sensus-iperl-oms"]["expected"]
    assert decoded.flags == ("low_battery",)
    assert (decoded.values["access_no"], decoded.values["status"]) == (6, 4)
    assert decoded.measurements[0].value == Decimal(str(expected["volume_m3"]))
    assert decoded.measurements[0].at == datetime.fromisoformat(expected["time_local"])
    assert [m.value for m in decoded.measurements][::-1] == [Decimal(str(v)) for v in expected["hourly_m3"]]
    assert [m.at.hour for m in decoded.measurements if m.at] == [(13 - n) % 24 for n in range(12)]


def test_midnight_frame_of_flowiq() -> None:
    decoded = read("kamstrup-flowiq-midnight")
    (volume,) = decoded.measurements
    assert (volume.value, volume.at, volume.archive) == (Decimal("0.236"), datetime(2023, 10, 19), True)
    temperatures = [r for r in decoded.values["records"] if r["quantity"] == "flow_temp"]
    assert [(r["function"], r["value"]) for r in temperatures] == [("min", None), ("max", None)]


def test_profile_without_base_is_refused_and_the_frame_kept() -> None:
    decoded = read("kamstrup-flowiq-nobase")
    assert decoded.measurements == ()
    assert decoded.values["profiles"] == [{"quantity": "volume", "error": "the profile of volume has no base value"}]
    assert [r["quantity"] for r in decoded.values["records"]] == ["datetime"]


def test_installation_frame_of_flowiq() -> None:
    decoded = read("kamstrup-install")
    assert decoded.measurements == ()
    assert decoded.values["meter_id"] == "53885758"
    assert decoded.values["manufacturer"] == "KAW"
    assert decoded.values["records"] == [{"quantity": "vif_7f", "value": 7362751, "vifes": ["0x16"]}]


def test_wired_frame() -> None:
    decoded = decode("mbus-wired", 1, bytes.fromhex(ROWS["mbus-kamstrup-601"]["hex"]), 0)
    assert by_channel(decoded) == {1: Decimal(37351), 2: Decimal("561.08")}
    assert decoded.clock == datetime(2011, 1, 5, 15, 26)
    assert decoded.flags == ()


AT = datetime(2024, 3, 1, 2)


def profile(data: str, vife: int = 0x13) -> list[Decimal | None]:
    base = (Record("volume", "m3", Decimal("10.000")), Record("datetime", "", AT))
    whole = Record("volume", "m3", bytes.fromhex(data), vifes=(vife,), scale=-3)
    return [point.value for point in expand(base, whole)]


@pytest.mark.parametrize(
    ("data", "vife", "values"),
    [
        ("62010100", 0x13, ["9.999"]),
        ("62010100", 0x1F, ["10.001"]),
        ("a2010100", 0x13, ["10.001"]),
        ("e201ffff", 0x13, ["10.001"]),
        ("22010100", 0x13, ["0.001"]),
        ("22010080" + "0200", 0x13, [None, "0.002"]),
        ("6101ff01", 0x13, [None, None]),
    ],
)
def test_profile_modes(data: str, vife: int, values: list[str | None]) -> None:
    assert profile(data, vife) == [None if v is None else Decimal(v) for v in values]


@pytest.mark.parametrize("data", ["62", "6200", "62fb", "6f01", "620101"])
def test_profile_with_strange_control_bytes(data: str) -> None:
    with pytest.raises(CodecError):
        profile(data)


@given(st.sampled_from(["sontex-7x9", "elvaco-cmi41", "mbus-water", "mbus-wired"]), st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_codec_error(codec: str, data: bytes) -> None:
    with contextlib.suppress(CodecError):
        json.dumps(decode(codec, 1, data, 0).values)


@given(st.binary(max_size=30), st.binary(min_size=2, max_size=2))
def test_any_profile_on_a_base(body: bytes, control: bytes) -> None:
    head = bytes.fromhex("78446d002cfd284413c1aa77004d9313")
    with contextlib.suppress(CodecError):
        decode("mbus-water", 1, head + bytes([len(body) + 2]) + control + body, 0)
