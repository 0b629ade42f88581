"""Every sample of the vectors: which codec reads it, and that every number the source expects is in what we say.

The sources name their fields in their own words; the tests of the codecs compare field by field. Here nothing is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from appserver.codecs import CODECS, CodecError, decode, encode

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
}
READ_BY = {
    "karat": ("karat-926-v18-day", "karat-926-v18-day-end", "karat-926-v18-magnet", "karat-926-v20-day", "karat-devinfo-0100"),
    "karat-meter": (
        "karat-213-v18-real", "karat-30x-800-hour", "karat-30x-801-hour", "karat-30x-600-day-v18", "karat-213-v20",
        "karat-el-900",
    ),
    "betar-water": ("betar-shve-real", "betar-shve-time", "betar-shve-settings", "betar-shve-flow"),
    "betar-gas": ("vega-sgbm-gas",),
    "spbzip": ("spbzip-info", "spbzip-instant", "spbzip-tariffs", "spbzip-profile"),
    "vega-gm-2": ("vega-gm2-real",),
    "vega-si-22": ("vega-si22-real",),
    "vega-td-11": ("vega-td11-real",),
    "vega-tp-11": ("vega-tp11-real",),
    "vega-tl-11": ("vega-tl11-real",),
    "vega-si-12": ("vega-si12-real", "vega-si12r-real"),
    "vega-si-11": ("vega-si11-v1",),
    "vega-m-bus-1": ("vega-mbus1-heat", "vega-mbus1-transparent-0"),
    "vega-si-23": ("vega-si23-electric",),
    "axioma-w1": ("axioma-w1-enh24", "axioma-w1-ext15", "axioma-w1-alarm"),
    "adeunis-pulse": ("adeunis-pulse4-5a", "adeunis-arf8230-46"),
    "elvaco-cmi41": (
        "elvaco-cmi4110-1", "elvaco-cmi4110-err", "elvaco-cmi4110-2", "elvaco-cmi4110-err2", "elvaco-cmi4111",
        "elvaco-cmi4160",
    ),
    "sontex-7x9": ("sontex-7x9-1", "sontex-7x9-2"),
    "mbus-water": (
        "kamstrup-flowiq-profile", "kamstrup-flowiq-profile33", "kamstrup-flowiq-midnight", "kamstrup-flowiq-nobase",
        "kamstrup-install", "sensus-iperl-oms",
    ),
    "mbus-wired": (
        "mbus-kamstrup-601", "mbus-falcon-water", "mbus-elster-f2", "mbus-bad-premature-end-of-data1",
        "mbus-bad-too-many-dife", "mbus-bad-invalid-length",
    ),
    "zenner-water": ("zenner-112c000000", "zenner-11fc010000", "zenner-111e000000"),
    "gwf": ("gwf-relative-time", "gwf-app-error"),
    "nas-um30x3": ("nas-um3023-status", "nas-um3023-usage"),
    "holley-dtz541": ("holley-emeter",),
    "milesight-uc300": ("milesight-uc300",),
    "milesight-em300-di": ("milesight-em300-di-history",),
    "milesight-em500-pp": ("milesight-em500-pp",),
    "milesight-ct101": ("milesight-ct101",),
    "jooby-pulse": ("jooby-hourmc", "jooby-daymc", "jooby-exabsdaymc"),
    "jooby-gas": ("jooby-lastevent-gaz",),
    "jooby-mtx": ("jooby-lastevent-mtx",),
}  # fmt: skip
CODEC = {name: codec for codec, names in READ_BY.items() for name in names}
COMMANDS: dict[str, dict[str, Any]] = {
    "karat-dl-archq-v18": {
        "command": "archive_query",
        "protocol": "1.8",
        "archive": "hour_interval",
        "time": "2024-01-15T13:00:00",
    },
    "karat-dl-time": {"command": "clock_correction", "delta_s": -37},
}
NO_READING = {"gwf-app-error", "kamstrup-flowiq-nobase"}
"""The frame is kept with what else it says; the value that the source calls an error is no reading."""
NOT_TOLD = {
    "time", "productionDate", "UUID", "rawValue", "id", "length", "data", "proto", "penultHalfHourTime", "lastHalfHourTime",
    "tariff", "phasesNumber", "message_format", "reserve", "sizeDataPackage",
}  # fmt: skip
"""Unix seconds (told as text), counters of the transmission, raw bytes of settings."""
CODED = {("betar-shve-settings", "value")}
"""Told as the device's own code, not as the minutes it stands for."""
SENTINELS = {Decimal(-100), Decimal(-128)}


def numbers(value: object, key: str = "") -> Iterator[Decimal]:
    """All numbers of a value, also those that stand as text."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from numbers(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers(item, key)
    elif not isinstance(value, bool) and value is not None:
        try:
            yield Decimal(str(value))
        except InvalidOperation:
            return


def expected_numbers(value: object, key: str = "") -> Iterator[tuple[str, Decimal]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in NOT_TOLD:
                yield from expected_numbers(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from expected_numbers(item, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, Decimal(str(value))


def test_no_sample_is_left_out() -> None:
    assert len(ROWS) == 75
    assert sorted([*CODEC, *COMMANDS]) == sorted(ROWS)
    assert len(CODEC) == sum(len(names) for names in READ_BY.values())
    assert set(READ_BY) <= set(CODECS)


@pytest.mark.parametrize("name", CODEC)
def test_sample(name: str) -> None:
    row = ROWS[name]
    assert row["direction"] == "up"
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    if "error" in expected and name not in NO_READING:
        with pytest.raises(CodecError):
            decode(CODEC[name], row["fport"] or 1, data, 0)
        return
    decoded = decode(CODEC[name], row["fport"] or 1, data, 1_546_346_096_000_000)
    if name in NO_READING:
        assert decoded.measurements == ()
        return
    told = set(numbers(decoded.values)) | {m.value for m in decoded.measurements}
    told |= {Decimal(n) for n in (decoded.battery_pct, decoded.temperature_c) if n is not None}
    scaled = {number * 1000 for number in told}  # Wh and litres, which we tell in kWh and m3
    for key, number in expected_numbers(expected):
        if number not in SENTINELS and (name, key) not in CODED:
            close = any(abs(number - ours) <= Decimal("0.0001") for ours in told) or number in scaled
            assert close, (key, number, decoded.values)


@pytest.mark.parametrize("name", COMMANDS)
def test_downlink_sample(name: str) -> None:
    row = ROWS[name]
    assert row["direction"] == "down"
    assert encode("karat", COMMANDS[name]) == (row["fport"], bytes.fromhex(row["hex"]))
    assert encode("karat-meter", COMMANDS[name]) == (row["fport"], bytes.fromhex(row["hex"]))
