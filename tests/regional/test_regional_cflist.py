"""CFLists: the samples of RP002 and of public stacks, and round trips of random lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import regional
from regional import PlanError, cflist

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "regional_codec.json").read_text(encoding="utf-8"))
RU864 = regional.plan("RU864")
US915 = regional.plan("US915")
GRID = [hz for hz in range(864_100_000, 868_000_000, 100_000) if RU864.may_transmit(hz)]


@pytest.mark.parametrize(
    ("preset", "hex_bytes"),
    [("864", "e8d983b8e18388e98358f18328f98300"), ("866", "082884d82f84a83784783f8448478400")],
)
def test_ru864_presets(preset: str, hex_bytes: str) -> None:
    assert RU864.cflist(RU864.presets[preset]).hex() == hex_bytes
    assert RU864.parse_cflist(bytes.fromhex(hex_bytes)) == RU864.presets[preset]


def test_ru864_two_extra_channels() -> None:
    assert RU864.cflist([864_100_000, 864_300_000]).hex() == "e8d983b8e18300000000000000000000"


def test_nothing_to_say_is_no_list() -> None:
    assert RU864.cflist(RU864.presets["default"]) == b""
    assert US915.cflist(()) == b""


def test_public_vectors() -> None:
    rows = {row["what"]: bytes.fromhex(row["hex"]) for row in VECTORS["cflist"]}
    eu868 = regional.plan("EU868")
    wanted = (867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)
    assert eu868.cflist(wanted) == rows["channels 867.1/867.3/867.5/867.7/867.9 type 0"]
    assert eu868.presets["867"] == wanted
    assert RU864.cflist(RU864.presets["864"]) == rows["RU864 channels 864.1/864.3/864.5/864.7/864.9 type 0"]
    first = [channel.frequency_hz for channel in US915.default_channels[:8]]
    second = [channel.frequency_hz for channel in US915.default_channels[16:24]]
    assert US915.cflist(first) == rows["type 1 mask group0=ff"]
    assert US915.cflist(second) == rows["type 1 mask group1=ff"]


def test_ru864_type_1() -> None:
    """RP002-1.0.5: numbers of the 800 MHz list, the default channels among them."""
    data = RU864.cflist(RU864.presets["864"], list_type=1)
    assert data.hex() == "e0030060000000000000000000000001"
    assert RU864.parse_cflist(data) == RU864.presets["864"]
    with pytest.raises(PlanError, match=r"RU864 in RP002-1.0.4 has no CFList of type 1"):
        regional.plan("RU864", "RP002-1.0.4").cflist(RU864.presets["864"], list_type=1)
    with pytest.raises(PlanError, match=r"RU864 in RP002-1.0.4 has no CFList of type 1"):
        regional.plan("RU864", "RP002-1.0.4").parse_cflist(data)
    with pytest.raises(PlanError, match="864200000 Hz is none of the channels"):
        RU864.cflist([864_200_000], list_type=1)


def test_more_than_five_channels_continue_as_new_channels() -> None:
    extra = [*RU864.presets["864"], *RU864.presets["866"]]
    assert RU864.parse_cflist(RU864.cflist(extra)) == RU864.presets["864"]
    assert RU864.new_channels(extra) == [(7 + n, hz, 0, 5) for n, hz in enumerate(RU864.presets["866"])]
    assert RU864.new_channels(extra, after_cflist=False) == [(2 + n, hz, 0, 5) for n, hz in enumerate(extra)]
    assert RU864.new_channels(RU864.presets["864"]) == []


def test_us915_preset_as_channel_masks() -> None:
    data = US915.cflist(US915.presets["2"])
    assert data.hex() == "00ff000000000000" + "02" + "00" * 6 + "01"
    assert US915.parse_cflist(data) == US915.presets["2"]


def test_24_ghz_counts_in_steps_of_200_hz() -> None:
    plan = regional.plan("ISM2400")
    data = plan.cflist([2_426_000_000])
    assert data[:3] == (2_426_000_000 // 200).to_bytes(3, "little")
    assert plan.parse_cflist(data) == (2_426_000_000,)


@pytest.mark.parametrize(
    ("channels", "problem"),
    [
        ([868_900_000], "868900000 Hz is a default channel: leave it out"),
        ([864_100_000, 864_100_000], "864100000 Hz is given twice"),
        ([868_100_000], "a 125 kHz channel at 868100000 Hz is not within 864-865, 866-868, 868.7-869.2 MHz"),
        ([864_000_000], "not within"),
        ([864_100_050], "multiple of 100 Hz"),
        ([864_100_000 + 10_000 * n for n in range(15)], "a device holds 14 channels beside the default ones, not 15"),
    ],
)
def test_channels_a_plan_cannot_have(channels: list[int], problem: str) -> None:
    with pytest.raises(PlanError, match=problem):
        RU864.cflist(channels)


@pytest.mark.parametrize(
    ("plan", "data", "problem"),
    [
        (RU864, b"", "a CFList has 16 bytes, not 0"),
        (RU864, bytes(17), "not 17"),
        (RU864, bytes(15) + b"\x02", "CFListType 2 is not known"),
        (RU864, b"\0" * 5 + b"\x01" + bytes(9) + b"\x01", "names channel 40, there are 40"),
        (US915, bytes(16), "US915 in RP002-1.0.5 has no CFList of type 0"),
        (US915, bytes(9) + b"\x01" + bytes(5) + b"\x01", "names channel 72, there are 72"),
    ],
)
def test_garbage(plan: regional.Plan, data: bytes, problem: str) -> None:
    with pytest.raises(PlanError, match=problem):
        plan.parse_cflist(data)


def test_the_bytes_alone_have_limits_too() -> None:
    with pytest.raises(PlanError, match="holds 5 channels, not 6"):
        cflist.encode_type0([864_100_000] * 6, 100)
    with pytest.raises(PlanError, match="below 2"):
        cflist.encode_type0([1_677_721_600], 100)
    with pytest.raises(PlanError, match="holds channels 0 to 95, not 96"):
        cflist.encode_type1([0, 96])
    assert cflist.parse(cflist.encode_type1([0, 95]), 100) == (1, (0, 95))
    assert cflist.parse(cflist.encode_type0([1_677_721_500], 100), 100) == (0, (1_677_721_500, 0, 0, 0, 0))


def test_a_hole_keeps_its_place() -> None:
    data = bytes(3) + (864_300_000 // 100).to_bytes(3, "little") + bytes(10)
    assert RU864.parse_cflist(data) == (0, 864_300_000)
    assert RU864.parse_cflist(bytes(16)) == ()


@given(st.lists(st.sampled_from(GRID), unique=True, max_size=5))
def test_round_trip_of_type_0(channels: list[int]) -> None:
    data = RU864.cflist(channels)
    assert data == b"" if not channels else RU864.parse_cflist(data) == tuple(channels)


@given(st.sets(st.integers(0, 71), min_size=1))
def test_round_trip_of_type_1(channels: set[int]) -> None:
    wanted = tuple(US915.default_channels[n].frequency_hz for n in sorted(channels))
    assert US915.parse_cflist(US915.cflist(wanted)) == wanted


@given(st.sampled_from([RU864, US915, regional.plan("CN470"), regional.plan("ISM2400")]), st.binary(max_size=20))
def test_any_bytes_are_channels_or_a_plan_error(plan: regional.Plan, data: bytes) -> None:
    try:
        channels = plan.parse_cflist(data)
    except PlanError:
        return
    assert len(data) == 16 and all(isinstance(hz, int) for hz in channels)
