"""The rules of the Regional Parameters, written out by hand from RP002-1.0.5, RP001-1.0.3A and the Russian sub-bands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import regional
from regional import PlanError, SubBand

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "regional_codec.json").read_text(encoding="utf-8"))
DYNAMIC = [name for name in regional.names() if not regional.plan(name).is_fixed]
FIXED = [name for name in regional.names() if regional.plan(name).is_fixed]


@pytest.fixture
def ru864() -> regional.Plan:
    return regional.plan("RU864")


# RU864, RP002-1.0.5 tables 100-109


def test_ru864_data_rates_both_ways(ru864: regional.Plan) -> None:
    words = ["SF12BW125", "SF11BW125", "SF10BW125", "SF9BW125", "SF8BW125", "SF7BW125", "SF7BW250", 50_000]
    for dr, word in enumerate(words):
        assert ru864.dr_of(word) == dr
        assert ru864.datr(dr) == word
    assert (ru864.dr_of("SF6BW125"), ru864.dr_of("SF5BW125")) == (12, 13)
    assert ru864.dr_of("SF7BW500") is None
    assert ru864.dr_of(100_000) is None
    with pytest.raises(PlanError, match=r"RU864 has no uplink data rate 8; it has \[0, 1, 2, 3, 4, 5, 6, 7, 12, 13\]"):
        ru864.datr(8)
    with pytest.raises(PlanError, match="no downlink data rate -1"):
        ru864.datr(-1, downlink=True)


def test_ru864_payloads(ru864: regional.Plan) -> None:
    assert [ru864.max_payload(dr) for dr in range(8)] == [51, 51, 51, 115, 242, 242, 242, 242]
    assert [ru864.max_mac_payload(dr) for dr in range(8)] == [59, 59, 59, 123, 250, 250, 250, 250]
    assert [ru864.max_payload(dr, repeater=True) for dr in range(8)] == [51, 51, 51, 115, 222, 222, 222, 222]
    assert [ru864.max_payload(dr, dwell=True) for dr in range(8)] == [ru864.max_payload(dr) for dr in range(8)]
    assert ru864.max_payload(8) == ru864.max_payload(16) == ru864.max_payload(-1) == ru864.max_mac_payload(-1) == 0


@pytest.mark.parametrize("uplink_dr", range(8))
@pytest.mark.parametrize("offset", range(6))
def test_ru864_rx1_is_uplink_minus_offset(ru864: regional.Plan, uplink_dr: int, offset: int) -> None:
    assert ru864.rx1_dr(uplink_dr, offset) == max(0, uplink_dr - offset)


def test_ru864_rx1_of_the_fast_rates_and_outside(ru864: regional.Plan) -> None:
    assert [ru864.rx1_dr(12, offset) for offset in range(6)] == [12, 5, 4, 3, 2, 1]
    assert [ru864.rx1_dr(13, offset) for offset in range(6)] == [13, 12, 5, 4, 3, 2]
    for pair in ((0, 6), (8, 0), (16, 0)):
        with pytest.raises(PlanError, match="no RX1 data rate"):
            ru864.rx1_dr(*pair)


def test_ru864_windows_and_channels(ru864: regional.Plan) -> None:
    assert ru864.rx1_frequency_hz(864_500_000) == 864_500_000
    assert ru864.join_rx1_frequency_hz(868_900_000) == 868_900_000
    assert (ru864.rx2_frequency_hz, ru864.rx2_dr) == (869_100_000, 0)
    assert ru864.rx2_frequency_after_join_hz(868_900_000) == 869_100_000
    assert ru864.default_channels == ru864.join_channels == ((868_900_000, 0, 5), (869_100_000, 0, 5))
    extra = ru864.presets["864"]
    assert [ru864.channel_index(hz, extra) for hz in (868_900_000, 869_100_000, *extra)] == list(range(7))
    assert ru864.channel_index(866_100_000, extra) is None


def test_ru864_power(ru864: regional.Plan) -> None:
    assert ru864.max_eirp_dbm == 16
    assert [ru864.tx_power_dbm(index) for index in range(8)] == [16, 14, 12, 10, 8, 6, 4, 2]
    assert ru864.max_tx_power_index == 7
    for index in (8, 15, -1):
        with pytest.raises(PlanError, match="RU864 has TXPower 0 to 7"):
            ru864.tx_power_dbm(index)


def test_ru864_back_off(ru864: regional.Plan) -> None:
    def course(dr: int | None) -> list[int]:
        return [] if dr is None else [dr, *course(ru864.next_lower_dr(dr))]

    assert course(13) == [13, 12, 5, 4, 3, 2, 1, 0]
    assert course(7) == [7, 6, 5, 4, 3, 2, 1, 0]


def test_required_snr(ru864: regional.Plan) -> None:
    """Semtech data sheets; 3 dB more at 250 kHz, 6 dB more at 500 kHz."""
    assert [ru864.required_snr_db(dr) for dr in range(6)] == [-20, -17.5, -15, -12.5, -10, -7.5]
    assert ru864.required_snr_db(6) == -4.5
    assert ru864.required_snr_db(7) is None
    assert [ru864.required_snr_db(dr) for dr in (12, 13)] == [-5, -2.5]
    assert ru864.required_snr_db(8) is ru864.required_snr_db(99) is ru864.required_snr_db(-1) is None
    assert regional.plan("US915").required_snr_db(4) == -4
    assert regional.plan("EU868").required_snr_db(8) is None


# RU864, GKRCh 18-46-03-1 annex 12


@pytest.mark.parametrize(
    ("frequency_hz", "duty_cycle", "power_dbm", "hour_s"),
    [
        (864_100_000, 0.001, 14, 3.6),
        (867_900_000, 0.01, 14, 36),
        (868_900_000, 0.1, 20, 360),
        (869_100_000, 0.1, 20, 360),
    ],
)
def test_ru864_sub_bands(
    ru864: regional.Plan, frequency_hz: int, duty_cycle: float, power_dbm: float, hour_s: float
) -> None:
    band = ru864.sub_band(frequency_hz)
    assert band is not None
    assert (band.duty_cycle, band.max_eirp_dbm) == (duty_cycle, power_dbm)
    assert band.airtime_us() == hour_s * 1_000_000
    assert band.airtime_us(60_000_000) == hour_s * 1_000_000 / 60


@pytest.mark.parametrize("frequency_hz", [863_999_999, 865_500_000, 868_100_000, 868_500_000, 869_525_000, 870_000_000])
def test_ru864_gaps_have_no_sub_band(ru864: regional.Plan, frequency_hz: int) -> None:
    assert ru864.sub_band(frequency_hz) is None
    assert not ru864.may_transmit(frequency_hz)


def test_ru864_channels_must_fit_entirely(ru864: regional.Plan) -> None:
    """125 kHz: centres 864.0625-864.9375, 866.0625-867.9375, 868.7625-869.1375: 17 channels of the 200 kHz grid."""
    for low, high in ((864_062_500, 864_937_500), (866_062_500, 867_937_500), (868_762_500, 869_137_500)):
        assert ru864.may_transmit(low) and ru864.may_transmit(high)
        assert not ru864.may_transmit(low - 100) and not ru864.may_transmit(high + 100)
    grid = [hz for hz in range(864_100_000, 870_000_000, 200_000) if ru864.may_transmit(hz)]
    assert len(grid) == 17
    assert ru864.may_transmit(868_825_000, 250_000) and not ru864.may_transmit(868_824_900, 250_000)


def test_presets_of_all_plans_are_legal() -> None:
    for name in regional.names():
        plan = regional.plan(name)
        assert plan.presets["default"] == ()
        for channels in plan.presets.values():
            assert all(plan.may_transmit(hz) for hz in channels)


def test_an_edge_belongs_to_the_upper_neighbour() -> None:
    eu868 = regional.plan("EU868")
    assert eu868.sub_band(865_000_000) == (865_000_000, 868_000_000, 0.01, 16.15)
    assert eu868.sub_band(868_000_000) == (868_000_000, 868_600_000, 0.01, 16.15)
    assert eu868.sub_band(868_600_000) == (868_000_000, 868_600_000, 0.01, 16.15)
    assert eu868.sub_band(868_600_001) is None
    assert eu868.sub_band(0) is None


def test_an_operator_may_set_other_limits(ru864: regional.Plan) -> None:
    licensed = ru864.with_sub_bands(
        [SubBand(866_000_000, 869_200_000, 1, 27), SubBand(864_000_000, 865_000_000, 0.5, 20)]
    )
    assert licensed.sub_band(868_100_000) == (866_000_000, 869_200_000, 1, 27)
    assert licensed.sub_band(864_100_000) == (864_000_000, 865_000_000, 0.5, 20)
    assert licensed.cflist([868_100_000]) != b""
    assert ru864.sub_band(868_100_000) is None
    assert licensed.rx1_dr(5, 1) == 4


# Fixed plans


def test_us915_tables_differ_by_direction() -> None:
    us915 = regional.plan("US915")
    assert us915.dr_of("SF10BW125") == 0 and us915.dr_of("SF8BW500") == 4
    assert us915.dr_of("SF8BW500", downlink=True) == 12
    assert us915.datr(8, downlink=True) == "SF12BW500" and us915.datr(8) == "SF5BW125"
    assert us915.max_payload(0) == 11 and us915.max_payload(0, downlink=True) == 242
    assert us915.rx1_dr(0, 0) == 10 and us915.rx1_dr(3, 3) == 10 and us915.rx1_dr(4, 1) == 13
    with pytest.raises(PlanError):
        us915.rx1_dr(0, 4)


def test_lr_fhss_needs_the_coding_rate() -> None:
    eu868 = regional.plan("EU868")
    assert eu868.dr_of("M0CW137") is None
    assert [eu868.dr_of("M0CW137", codr) for codr in ("1/3", "2/6", "2/3", "4/6")] == [8, 8, 9, 9]
    assert [eu868.dr_of("M0CW336", codr) for codr in ("1/3", "2/3")] == [10, 11]
    assert eu868.dr_of("M0CW137", "1/3", downlink=True) is None
    assert eu868.dr_of("SF7BW125", "4/5") == 5
    assert regional.plan("EU868", "RP002-1.0.1").dr_of("M0CW137", "1/3") is None


@pytest.mark.parametrize("row", VECTORS["rx1_frequency"], ids=lambda row: f"{row['region']}-{row['uplink_hz']}")
def test_rx1_frequency_vectors(row: dict[str, int | str]) -> None:
    assert regional.plan(str(row["region"])).rx1_frequency_hz(int(row["uplink_hz"])) == row["rx1_hz"]


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_plan_knows_no_other_uplink_channel(name: str) -> None:
    plan = regional.plan(name)
    with pytest.raises(PlanError, match="is no uplink channel of"):
        plan.rx1_frequency_hz(868_900_000)
    assert plan.channel_index(868_900_000) is None
    assert plan.channel_index(plan.default_channels[-1].frequency_hz) == len(plan.default_channels) - 1
    assert plan.new_channels([868_900_000]) == []


def test_us915_preset_is_an_eighth_of_the_band() -> None:
    us915 = regional.plan("US915")
    assert us915.presets["2"] == (*range(903_900_000, 905_400_000, 200_000), 904_600_000)
    assert [us915.channel_index(hz) for hz in us915.presets["2"]] == [8, 9, 10, 11, 12, 13, 14, 15, 65]


# Dwell time


def test_as923_dwell_time() -> None:
    """RP002-1.0.5: with DownlinkDwellTime RX1 is never slower than DR2, with UplinkDwellTime DR0 and DR1 carry nothing."""
    plan = regional.plan("AS923-1")
    assert plan.tx_param_setup
    assert [plan.max_payload(dr, dwell=True) for dr in range(6)] == [0, 0, 11, 53, 125, 242]
    assert [plan.max_payload(dr, repeater=True, dwell=True) for dr in range(6)] == [0, 0, 11, 53, 125, 222]
    for dr in (0, 1, 2, 3, 4, 5, 6, 7, 12, 13):
        for offset in range(8):
            slow, fast = plan.rx1_dr(dr, offset), plan.rx1_dr(dr, offset, dwell=True)
            assert fast == max(2, slow), (dr, offset)
    assert plan.next_lower_dr(2) == 1 and plan.next_lower_dr(2, dwell=True) is None


# Class B


@pytest.mark.parametrize("row", VECTORS["ping_slot_frequency"], ids=lambda row: row["region"])
def test_ping_slot_vectors(row: dict[str, str | int]) -> None:
    plan = regional.plan(str(row["region"]))
    dev_addr, beacon_time_s = int(str(row["dev_addr"]), 16), int(row["beacon_gps_s"])
    assert plan.ping_slot_frequency_hz(dev_addr, beacon_time_s) == row["freq_hz"]


def test_hopping_beacon() -> None:
    us915 = regional.plan("US915")
    heard = [us915.beacon_frequency_hz(128 * n) for n in range(9)]
    assert heard == [923_300_000 + 600_000 * (n % 8) for n in range(9)]
    assert us915.beacon_frequency_hz(127) == heard[0] and us915.beacon_frequency_hz(128) == heard[1]
    assert regional.plan("RU864").beacon_frequency_hz(128 * 5) == 869_100_000


def test_no_class_b_where_the_plan_has_none() -> None:
    with pytest.raises(PlanError, match="KZ865 defines no beacon channel"):
        regional.plan("KZ865").beacon_frequency_hz(0)
    with pytest.raises(PlanError, match="KZ865 defines no ping slot channel"):
        regional.plan("KZ865").ping_slot_frequency_hz(1, 0)


# Revisions


def test_differences_by_revision() -> None:
    def at(name: str, revision: str) -> regional.Plan:
        return regional.plan(name, revision)

    assert at("EU868", "RP001-1.0.2A").max_tx_power_index == 5
    assert at("EU868", "RP001-1.0.2B").max_tx_power_index == 7
    assert at("RU864", "RP002-1.0.4").dr_of("SF6BW125") is None
    assert at("RU864", "RP002-1.0.4").relay_channels and not at("RU864", "RP002-1.0.3").relay_channels
    assert at("AS923-1", "RP002-1.0.0").max_payload(2) == 51 and at("AS923-1", "RP002-1.0.1").max_payload(2) == 115
    assert at("AS923-1", "RP001-1.0.3A").rx1_dr(5, 7) == 5 and at("AS923-1", "RP002-1.0.0").rx1_dr(5, 7) == 7
    assert at("AS923-1", "RP001-1.0.2A").max_eirp_dbm == 14
    assert at("KR920", "RP001-1.0.2A").tx_power_dbm(1) == 14 and at("KR920", "RP001-1.0.2A").tx_power_dbm(6) == 0
    assert at("CN470", "RP001-1.0.2A").max_eirp_dbm == 17
    assert at("IN865", "RP002-1.0.4").max_eirp_dbm == 30 and at("IN865", "RP002-1.0.4").max_tx_power_index == 10
    assert at("AU915", "RP001-1.0.2A").dr_of("SF10BW125") == 0 and at("AU915", "RP001-1.0.2B").dr_of("SF10BW125") == 2
    assert at("AU915", "RP001-1.0.3A").max_payload(0, dwell=True) == 51
    assert at("AU915", "RP002-1.0.0").max_payload(0, dwell=True) == 0
    assert at("AU915", "RP001-1.1A").class_b.beacon_dr == 10 and at("AU915", "RP001-1.1B").class_b.beacon_dr == 8
    assert not at("AU915", "RP001-1.1A").tx_param_setup and at("AU915", "RP001-1.1B").tx_param_setup
    assert at("US915", "RP002-1.0.1").default_channels[64].max_dr == 4
    assert at("US915", "RP001-1.0.2B").cflist(at("US915", "RP001-1.0.2B").presets["2"]) == b""
    assert at("CN470-20A", "RP002-1.0.0").rx2_dr == 0 and at("CN470-20A", "RP002-1.0.1").rx2_dr == 1
    assert at("CN470-20A", "RP002-1.0.0").max_payload(0) == 51 and at("CN470-20A", "RP002-1.0.1").max_payload(0) == 0


def test_a_plan_is_never_older_or_newer_than_it_is() -> None:
    assert regional.plan("RU864", "RP001-1.0.2B").revision == "RP001-1.1A"
    assert regional.plan("CN470", "RP002-1.0.5").revision == "RP001-1.0.3A"
    assert regional.plan("KZ865", "RP001-1.0.3A").revision == "vendors"
    assert regional.plan("RU864").revision == regional.REVISIONS[-1]


def test_every_plan_can_be_read_in_every_revision() -> None:
    for name in regional.names():
        for revision in regional.REVISIONS:
            plan = regional.plan(name, revision)
            for channel in plan.join_channels:
                assert plan.max_payload(channel.max_dr) > 0
                plan.data_rate(plan.rx1_dr(channel.max_dr, 0), downlink=True)


def test_a_revision_for_each_version_of_lorawan() -> None:
    assert set(regional.REVISION_OF_LORAWAN) == {"1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1"}
    assert set(regional.REVISION_OF_LORAWAN.values()) <= set(regional.REVISIONS)
