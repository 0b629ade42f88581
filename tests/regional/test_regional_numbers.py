"""Every number of every plan against regions.json, which was gathered from the specifications and checked against four stacks.

The comparison goes key by key through the file, so that a key nobody compares fails the test. The shapes differ on purpose:
regions.json lists channels and tables in its own way, and nothing of the plan files' reader is used to read it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import regional
from regional import Plan

FACTS = json.loads((Path(__file__).parents[1] / "vectors" / "regions.json").read_text(encoding="utf-8"))
REGIONS: dict[str, dict[str, Any]] = FACTS["regions"]
CN470_PARTS = {"20MHz_A": "CN470-20A", "20MHz_B": "CN470-20B", "26MHz_A": "CN470-26A", "26MHz_B": "CN470-26B"}

# Words, or facts that live in common.* of the file: nothing to compare in a plan.
PROSE = {
    "deprecated",
    "power_ref",
    "regulator_note",
    "subband_power_unit",
    "max_eirp_note",
    "source",
    "chirpstack_limit",
}
PROSE |= {"join_dr_note", "new_channel_req"}


def plan_of(region: str) -> Plan:
    return regional.plan("CN470-20A" if region == "CN470" else region)


def frequencies(channels: Any) -> list[int]:
    return [channel.frequency_hz for channel in channels]


def rates(plan: Plan, downlink: bool) -> dict[int, tuple[Any, ...]]:
    rows = plan.downlink_data_rates if downlink else plan.data_rates
    return {dr: (r.modulation, r.sf, r.bw_hz, r.bitrate, r.codr) for dr, r in enumerate(rows) if r}


def expected_rates(rows: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    result: dict[int, tuple[Any, ...]] = {}
    for dr, row in rows.items():
        if row["modulation"] == "LORA":
            sf, bw = row["sf"], row["bw_hz"]
            bitrate = row.get("bitrate_bps") or sf * bw // 2**sf // 2  # 2.4 GHz, 4/8: not given, follows from the rest
            result[int(dr)] = ("LORA", sf, bw, bitrate, row["cr"])
        elif row["modulation"] == "FSK":
            result[int(dr)] = ("FSK", 0, 0, row["bitrate_bps"], "")
        else:
            result[int(dr)] = ("LR_FHSS", 0, row["ocw_hz"], row["bitrate_bps"], row["cr"])
    return result


def expected_downlink(region: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    rows = region.get("data_rates_downlink", "same as uplink")
    up = expected_rates(region["data_rates_uplink"])
    if isinstance(rows, dict):
        return expected_rates(rows)
    if "except LR-FHSS" in rows:
        without = {int(dr) for dr in re.findall(r"\d+", rows)}
        assert without == {dr for dr, row in up.items() if row[0] == "LR_FHSS"}
        return {dr: row for dr, row in up.items() if dr not in without}
    assert rows == "same as uplink"
    return up


def payloads(rows: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """M and N by data rate; (0, 0) where nothing may be sent."""
    result = {}
    for key, pair in rows.items():
        first, _, last = key.partition("..")
        for dr in range(int(first), int(last or first) + 1):
            result[dr] = tuple(pair) if pair else (0, 0)
    return result


def compare_payloads(plan: Plan, rows: dict[str, Any], repeater: bool, dwell: bool, downlink: bool) -> None:
    for dr, (m, n) in payloads(rows).items():
        assert plan.max_mac_payload(dr, repeater, dwell, downlink=downlink) == m, (plan.name, dr)
        assert plan.max_payload(dr, repeater, dwell, downlink=downlink) == n, (plan.name, dr)
    known = plan.downlink_data_rates if downlink else plan.data_rates
    assert set(payloads(rows)) == {dr for dr, rate in enumerate(known) if rate}


PAYLOAD_KEY = re.compile(r"max_payload_?(uplink|downlink)?_?(dwell400ms)?_?(repeater)?_M_N")


def hopping(text: int | str) -> list[int]:
    """A beacon or ping-slot frequency: a number, or a rule such as "923300000 + 600000*n; n = ... mod 8"."""
    if isinstance(text, int):
        return [text]
    form = re.match(r"(\d+) \+ (\d+)\*n; n = .* mod (\d+)", text)
    assert form, text
    first, step, count = map(int, form.groups())
    return [first + step * n for n in range(count)]


def compare_class_b(plan: Plan, facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        match key:
            case "beacon_frequency_hz":
                assert list(plan.class_b.beacon_frequencies_hz) == hopping(value)
            case "ping_slot_frequency_hz":
                assert list(plan.class_b.ping_slot_frequencies_hz) == hopping(value)
            case "beacon_dr":
                assert plan.class_b.beacon_dr == value
            case "ping_slot_dr":
                assert plan.class_b.ping_slot_dr == value
            case "beacon_frame":
                layout = plan.class_b.beacon_layout
                assert [list(part) for part in layout] == value["layout"]
                assert sum(length for _, length in layout) == value["total_bytes"]
                assert plan.data_rate(facts["beacon_dr"], downlink=True).sf == value["sf"]
            case _:
                raise AssertionError(f"{plan.name}: nobody compares class_b.{key}")


def compare_sub_bands(plan: Plan, region: dict[str, Any]) -> None:
    unit = region.get("subband_power_unit", "")
    erp = "ERP" in unit and plan.name != "RU864"  # RU864: the lower reading of a disputed law, see docs/regions.md
    bands = region["duty_cycle_subbands"]
    assert len(plan.sub_bands) == len(bands)
    for band, fact in zip(plan.sub_bands, sorted(bands, key=lambda row: row["min_hz"]), strict=True):
        assert (band.min_hz, band.max_hz) == (fact["min_hz"], fact["max_hz"])
        assert band.duty_cycle == (1 if fact["duty_cycle"] is None else fact["duty_cycle"])
        power = region["max_eirp_dbm_default"] if fact["max_power_dbm"] is None else fact["max_power_dbm"]
        assert band.max_eirp_dbm == pytest.approx(power + (2.15 if erp else 0))


def compare_cflist(plan: Plan, text: str) -> None:
    first = len(plan.default_channels)
    if text.startswith("type1"):
        assert plan.cflist_types == (1,) and plan.is_fixed
        return
    assert plan.cflist_types[0] == 0
    if "channels" in text:
        numbers = re.search(r"channels (\d+)\.\.(\d+)", text)
        assert numbers and (int(numbers[1]), int(numbers[2])) == (first, first + 4)
    fixed = re.search(r"type1 over (\d+ MHz) fixed list", text)
    assert plan.cflist_fixed_list == (fixed[1] if fixed else "")
    assert (1 in plan.cflist_types) == bool(fixed)


def compare_blocks(plan: Plan, blocks: list[dict[str, Any]]) -> None:
    """The blocks of a fixed plan. The wide channels may go above the listed data rate by LR-FHSS only (RP002-1.0.2 on)."""
    n = 0
    for block in blocks:
        for k in range(block["count"]):
            channel = plan.default_channels[n]
            assert channel.frequency_hz == block["first"] + k * block["step"]
            assert channel.min_dr == block["dr"][0]
            above = range(block["dr"][1] + 1, channel.max_dr + 1)
            assert channel.max_dr >= block["dr"][1]
            assert all(plan.data_rate(dr).modulation == "LR_FHSS" for dr in above)
            assert plan.data_rate(channel.min_dr).bw_hz == block["bw"]
            before_lr_fhss = regional.plan(plan.name, "RP002-1.0.1").default_channels[n]
            assert [before_lr_fhss.min_dr, before_lr_fhss.max_dr] == block["dr"]
            n += 1
    assert n == len(plan.default_channels)


@pytest.mark.parametrize("region", REGIONS)
def test_every_number(region: str) -> None:
    facts, plan = REGIONS[region], plan_of(region)
    for key, value in facts.items():
        if key in PROSE or key in CN470_ONLY:
            continue
        if form := PAYLOAD_KEY.fullmatch(key):
            direction, dwell, repeater = form.groups()
            sides = [direction == "downlink"] if direction else [False, True]
            for downlink in sides:
                compare_payloads(plan, value, bool(repeater), bool(dwell), downlink)
            continue
        COMPARE[key](plan, facts, value)


def _equal(get: Any) -> Any:
    def compare(plan: Plan, region: dict[str, Any], value: Any) -> None:
        assert get(plan) == value, plan.name

    return compare


def _rx1_table(which: str) -> Any:
    def compare(plan: Plan, region: dict[str, Any], table: dict[str, list[int]]) -> None:
        dwell = which == "dwell"
        for dr, row in table.items():
            for offset, expected in enumerate(row):
                assert plan.rx1_dr(int(dr), offset, dwell) == expected, (plan.name, dr, offset)
        assert {dr for dr, row in enumerate(plan.rx1_drs) if row} == {int(dr) for dr in table}

    return compare


def _rx1_rule(plan: Plan, region: dict[str, Any], text: str) -> None:
    if plan.is_fixed:
        assert text == "downlink channel = uplink channel number modulo 8"
        for n, channel in enumerate(plan.default_channels):
            block = region["downlink_channel_block"]
            assert plan.rx1_frequency_hz(channel.frequency_hz) == block["first"] + block["step"] * (n % 8)
    else:
        assert text.startswith("same as uplink channel")
        assert plan.rx1_frequency_hz(123_456_700) == 123_456_700


def _channel_range(plan: Plan, region: dict[str, Any], value: list[int]) -> None:
    assert {(channel.min_dr, channel.max_dr) for channel in plan.default_channels} == {tuple(value)}


def _join_range(plan: Plan, region: dict[str, Any], value: list[int]) -> None:
    assert {(channel.min_dr, channel.max_dr) for channel in plan.join_channels} == {tuple(value)}


def _join_rule(plan: Plan, region: dict[str, Any], text: str) -> None:
    """ "random 125 kHz at DR0 alternating with random 500 kHz at DR4" """
    narrow, wide = map(int, re.findall(r"DR(\d)", text))
    assert frequencies(plan.join_channels) == frequencies(plan.default_channels)
    for channel in plan.join_channels:
        dr = wide if plan.data_rate(channel.min_dr).bw_hz == 500_000 else narrow
        assert (channel.min_dr, channel.max_dr) == (dr, dr)


def _downlink_block(plan: Plan, region: dict[str, Any], block: dict[str, Any]) -> None:
    expected = [block["first"] + k * block["step"] for k in range(block["count"])]
    assert list(plan.downlink_frequencies_hz) == expected
    before_sf5 = rates(regional.plan(plan.name, "RP002-1.0.4"), downlink=True)
    assert (min(before_sf5), max(before_sf5)) == tuple(block["dr"])
    assert {bw for _, _, bw, _, _ in rates(plan, downlink=True).values()} == {block["bw"]}


def _back_off(plan: Plan, region: dict[str, Any], table: dict[str, Any]) -> None:
    for dr, lower in table.items():
        if dr == "note":
            assert lower == "with UplinkDwellTime=1 back-off stops at DR2"
            assert plan.next_lower_dr(3, dwell=True) == 2 and plan.next_lower_dr(2, dwell=True) is None
        else:
            assert plan.next_lower_dr(int(dr)) == lower


def _dwell(plan: Plan, region: dict[str, Any], text: str) -> None:
    differs = any(plan.max_payload(dr, dwell=True) != plan.max_payload(dr) for dr in range(16))
    assert differs == ("UplinkDwellTime" in text)
    if "default 1" in text:
        assert plan.uplink_dwell_at_boot


def _relay(plan: Plan, region: dict[str, Any], rows: list[dict[str, int]]) -> None:
    assert [(r.frequency_hz, r.ack_frequency_hz, r.dr) for r in plan.relay_channels] == [
        (row["freq_hz"], row["ack_freq_hz"], row["dr"]) for row in rows
    ]


def _cflist_rules(plan: Plan, region: dict[str, Any], rules: dict[str, Any]) -> None:
    for example in rules["examples"]:
        extra = example["extra_channels_hz"]
        assert plan.cflist(extra).hex() == example["cflist_hex"]
        assert [plan.channel_index(hz, extra) for hz in extra] == example["channel_indices"]
    example = rules["type1_example_RP002_1_0_5"]
    extra = [hz for hz in example["channels_hz"] if plan.channel_index(hz) is None]
    assert plan.cflist(extra, list_type=1).hex() == example["cflist_hex"]
    listed = FACTS["common"]["cflist"]["fixed_list_800MHz"]["channels"]
    assert [listed[str(n)] for n in example["list_800_numbers"]] == example["channels_hz"]
    assert rules["first_cflist_channel_index"] == len(plan.default_channels)
    six = [866_100_000 + 200_000 * n for n in range(rules["max_in_cflist"] + 1)]
    assert len(plan.parse_cflist(plan.cflist(six))) == rules["max_in_cflist"]
    assert rules["default_channels_never_in_cflist"] is True
    with pytest.raises(regional.PlanError, match="is a default channel"):
        plan.cflist([868_900_000])


COMPARE: dict[str, Any] = {
    "channel_plan": lambda plan, region, value: None if plan.name.startswith(("CN470", "ISM")) else _title(plan, value),
    "kind": _equal(lambda plan: "fixed" if plan.is_fixed else "dynamic"),
    "freq_range_hz": _equal(lambda plan: list(plan.frequency_range_hz)),
    "freq_offset_hz": _equal(
        lambda plan: plan.default_channels[0].frequency_hz - regional.plan("AS923-1").default_channels[0].frequency_hz
    ),
    "frequency_step_hz": _equal(lambda plan: plan.frequency_step_hz),
    "max_channels_device": _equal(lambda plan: plan.max_channels),
    "default_channels_hz": _equal(lambda plan: frequencies(plan.default_channels)),
    "join_channels_hz": _equal(lambda plan: frequencies(plan.join_channels)),
    "join_dr_range": _join_range,
    "default_channels_dr_range": _channel_range,
    "join": _join_rule,
    "rx1_frequency": _rx1_rule,
    "data_rates_uplink": lambda plan, region, rows: _same(rates(plan, False), expected_rates(rows)),
    "data_rates_downlink": lambda plan, region, rows: _same(rates(plan, True), expected_downlink(region)),
    "uplink_channel_blocks": lambda plan, region, blocks: compare_blocks(plan, blocks),
    "downlink_channel_block": _downlink_block,
    "rx1_dr_offset_table": _rx1_table("plain"),
    "rx1_dr_offset_table_downlink_dwell1": _rx1_table("dwell"),
    "rx1_dr_offset_range": _equal(lambda plan: [0, plan.max_rx1_dr_offset]),
    "rx2_default": _equal(lambda plan: {"frequency_hz": plan.rx2_frequency_hz, "dr": plan.rx2_dr}),
    "max_eirp_dbm_default": _equal(lambda plan: plan.max_eirp_dbm),
    "tx_power_offsets_db": _equal(lambda plan: list(plan.tx_power_offsets_db)),
    "class_b": lambda plan, region, facts: compare_class_b(plan, facts),
    "cflist": lambda plan, region, text: compare_cflist(plan, text),
    "ch_mask_cntl": lambda plan, region, text: _masks(plan, text),
    "tx_param_setup_req": _equal(lambda plan: plan.tx_param_setup),
    "dwell_time": _dwell,
    "duty_cycle_subbands": lambda plan, region, rows: compare_sub_bands(plan, region),
    "adr_backoff_next_dr": _back_off,
    "relay_wor_channels": _relay,
    "cflist_rules": _cflist_rules,
}


def _title(plan: Plan, value: str) -> None:
    assert plan.title == value


def _same(got: object, expected: object) -> None:
    assert got == expected


def _masks(plan: Plan, text: str) -> None:
    """What each ChMaskCntl says, in common.ch_mask_cntl of the file."""
    rules = FACTS["common"]["ch_mask_cntl"]
    rows = rules["dynamic_RP002_1_0_5"] if "dynamic" in text else rules["fixed_US915_AU915"]
    if plan.name == "CN779":  # never got the banks of RP002-1.0.5
        rows = rules["dynamic_until_RP002_1_0_4"]
    for cntl, rule in rows.items():
        said = plan.ch_mask_cntl[int(cntl)]
        if form := re.search(r"(?:^channels|bits 0\.\.15 = channels) (\d+)\.\.(\d+)", rule):
            assert said == f"{form[1]}-{form[2]}"
        elif rule.startswith("RFU"):
            assert said == ""
        elif "bank" in rule:
            assert said == ("banks 64-71" if plan.is_fixed else "banks")
        else:
            state = re.search(r"(ON|OFF)", rule)
            assert state
            assert said == state[1].lower() + (" 64-71" if "64..71" in rule else "")


# CN470 has four plans in one entry, and a fifth from before RP002.
CN470_ONLY = {"plans", "join_channels", "max_payload_RP001_and_RP002_1_0_0_M_N", "rx1_dr_offset_table_RP001"}


def spread(blocks: list[list[int]]) -> list[int]:
    return [first + step * k for first, step, count in blocks for k in range(count)]


@pytest.mark.parametrize("part", CN470_PARTS)
def test_cn470_plan(part: str) -> None:
    facts, plan = REGIONS["CN470"]["plans"][part], regional.plan(CN470_PARTS[part])
    assert frequencies(plan.default_channels) == spread(facts["uplink"])
    down = facts["uplink"] if facts["downlink"] == "same frequencies as uplink" else facts["downlink"]
    assert list(plan.downlink_frequencies_hz) == spread(down)
    count = len(spread(down))
    for n, channel in enumerate(plan.default_channels):
        assert plan.rx1_frequency_hz(channel.frequency_hz) == spread(down)[n % count]
    assert [plan.rx2_frequency_hz, plan.rx2_dr] == (facts.get("rx2") or facts["rx2_abp"])
    if "beacon_hz" in facts:
        assert plan.beacon_frequency_hz(12_345) == facts["beacon_hz"]
    joins = [row for row in REGIONS["CN470"]["join_channels"] if row["activates_plan"] == part.replace("MHz_", "")]
    assert frequencies(plan.join_channels) == [row["uplink_hz"] for row in joins]
    for row in joins:
        assert plan.join_rx1_frequency_hz(row["uplink_hz"]) == row["rx1_downlink_hz"]
        assert plan.rx2_frequency_after_join_hz(row["uplink_hz"]) == row["rx2_after_otaa_hz"]
    rules = FACTS["common"]["ch_mask_cntl"]["cn470_20MHz" if "20" in part else "cn470_26MHz"]
    blocks = 4 if "20" in part else 3
    assert plan.ch_mask_cntl[:blocks] == tuple(f"{16 * n}-{16 * n + 15}" for n in range(blocks))
    assert plan.ch_mask_cntl[next(int(k) for k, v in rules.items() if v == "all ON")] == "on"
    assert plan.ch_mask_cntl[next(int(k) for k, v in rules.items() if v == "all OFF")] == "off"


def test_cn470_with_96_channels() -> None:
    region = REGIONS["CN470"]
    facts, plan = region["plans"]["RP001_96ch"], regional.plan("CN470")
    assert frequencies(plan.default_channels) == spread(facts["uplink"])
    assert list(plan.downlink_frequencies_hz) == spread(facts["downlink"])
    assert [plan.rx2_frequency_hz, plan.rx2_dr] == facts["rx2"]
    hops = [508_300_000 + 200_000 * n for n in range(8)]  # "508.3 MHz + 0.2*n"
    assert list(plan.class_b.beacon_frequencies_hz) == list(plan.class_b.ping_slot_frequencies_hz) == hops
    assert plan.max_eirp_dbm == region["max_eirp_dbm_default"]
    for older in (plan, regional.plan("CN470-26B", "RP002-1.0.0")):
        compare_payloads(older, region["max_payload_RP001_and_RP002_1_0_0_M_N"], False, False, False)
        _rx1_table("plain")(older, region, region["rx1_dr_offset_table_RP001"])
    blocks = FACTS["common"]["ch_mask_cntl"]["cn470_RP001_96ch"]
    assert blocks["0..5"] == "channels 16n..16n+15"
    assert plan.ch_mask_cntl == (*(f"{16 * n}-{16 * n + 15}" for n in range(6)), "on", "")


def test_kz865() -> None:
    facts, plan = FACTS["common"]["kazakhstan"]["unofficial_vendor_plan_KZ865"], regional.plan("KZ865")
    assert not plan.official
    assert frequencies(plan.default_channels) == frequencies(plan.join_channels)
    assert frequencies(plan.default_channels) == facts["default_and_join_channels_hz"]
    _channel_range(plan, facts, facts["default_channels_dr_range"])
    assert {"frequency_hz": plan.rx2_frequency_hz, "dr": plan.rx2_dr} == facts["rx2"]
    assert plan.max_eirp_dbm == facts["max_eirp_dbm"]
    assert [0, plan.max_rx1_dr_offset] == facts["rx1_dr_offset_range"]
    assert plan.max_channels == facts["max_channels_device"]
    assert [plan.max_payload(dr) for dr in range(8)] == facts["max_payload_N"]
    ru864 = rates(regional.plan("RU864"), False)
    assert rates(plan, False) == {dr: ru864[dr] for dr in range(8)}
    extra = [863_100_000 + 200_000 * n for n in range(5)]
    assert [plan.channel_index(hz, extra) for hz in extra] == [3, 4, 5, 6, 7]
    delays = facts["receive_delays_ms"]
    assert (plan.receive_delay1_s * 1000, plan.receive_delay2_s * 1000) == (delays["rx1"], delays["rx2"])
    assert (plan.join_accept_delay1_s * 1000, plan.join_accept_delay2_s * 1000) == (delays["join1"], delays["join2"])


@pytest.mark.parametrize("name", regional.names())
def test_common_defaults(name: str) -> None:
    facts, plan = FACTS["common"]["defaults"], regional.plan(name)
    assert plan.receive_delay1_s == facts["RECEIVE_DELAY1_s"]
    assert plan.receive_delay2_s == facts["RECEIVE_DELAY2_s"]
    assert plan.join_accept_delay1_s == facts["JOIN_ACCEPT_DELAY1_s"]
    assert plan.join_accept_delay2_s == facts["JOIN_ACCEPT_DELAY2_s"]
    assert plan.max_fcnt_gap == facts["MAX_FCNT_GAP"]
    assert plan.adr_ack_limit == facts["ADR_ACK_LIMIT"]
    assert plan.adr_ack_delay == facts["ADR_ACK_DELAY"]


def test_fixed_channel_lists_and_eirp_codes() -> None:
    from regional import common

    listed = FACTS["common"]["cflist"]["fixed_list_800MHz"]["channels"]
    assert common.FIXED_CHANNEL_LISTS_HZ["800 MHz"] == tuple(listed[str(n)] for n in range(len(listed)))
    assert FACTS["common"]["cflist"]["fixed_list_900MHz"]["rule"] == "ch n (0..95) = 915.1 MHz + 0.1 MHz*n"
    assert common.FIXED_CHANNEL_LISTS_HZ["900 MHz"] == tuple(915_100_000 + 100_000 * n for n in range(96))
    assert list(common.MAX_EIRP_CODES_DBM) == FACTS["common"]["tx_param_setup"]["max_eirp_code_dbm"]


def test_no_plan_is_left_out() -> None:
    compared = {name for name in REGIONS if name != "CN470"} | set(CN470_PARTS.values()) | {"CN470", "KZ865"}
    assert compared == set(regional.names())
