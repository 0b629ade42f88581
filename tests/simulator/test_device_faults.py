"""What is wrong with devices on purpose, and what they must keep to: duty cycle, airtime of joins, batteries."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from lorasim.battery import Battery
from lorasim.dice import Dice
from lorasim.duty import DutyCycle, JoinBudget

from lorawan import commands as mac
from regional import plan
from tests.simulator.conftest import Lab, MakeLab

RU = plan("RU864")
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US


def sent(lab: Lab) -> list[dict[str, Any]]:
    return lab.lines("transmit")


# ------------------------------------------------------------------------------------------------------ duty cycle


def test_sub_bands_are_silent_after_a_frame() -> None:
    """A second at 0.1 % is silence for 1000 s, at 10 % for 10 s; the other band is free meanwhile."""
    duty = DutyCycle(by_band=True)
    duty.sent(RU, 864_100_000, 0, SECOND_US, 0)
    assert duty.free_us(RU, 864_900_000) == 1000 * SECOND_US
    assert duty.free_us(RU, 868_900_000) == 0
    duty.sent(RU, 868_900_000, 0, SECOND_US, 0)
    assert duty.free_us(RU, 869_100_000) == 10 * SECOND_US
    channels = [(0, 868_900_000), (1, 864_100_000)]
    assert duty.open_channels(RU, channels, 5 * SECOND_US) == ([], 10 * SECOND_US)
    assert duty.open_channels(RU, channels, 10 * SECOND_US) == ([0], 10 * SECOND_US)


def test_duty_cycle_req_counts_on_all_channels() -> None:
    duty = DutyCycle(by_band=False)
    duty.sent(RU, 868_900_000, 0, SECOND_US, 4)
    assert duty.free_us(RU, 864_100_000) == 16 * SECOND_US


def test_a_device_keeps_to_the_duty_cycle_of_its_bands(make_lab: MakeLab) -> None:
    """SF12 frames of two seconds every ten: in no hour more than a thousandth below 865 MHz, a tenth around 869 MHz."""
    lab = make_lab(device="dr = 0\nadr = false\nduty_cycle = true\npayload_bytes = 40", interval_s=10)
    lab.run(3 * 3600)
    airtime: dict[bool, Counter[int]] = defaultdict(Counter)
    for line in sent(lab):
        airtime[line["frequency_hz"] < 865_000_000][line["t"] // HOUR_US] += line["airtime_us"]
    longest = max(line["airtime_us"] for line in sent(lab))
    assert 0 < max(airtime[True].values()) <= 0.001 * HOUR_US + longest
    assert 0.05 * HOUR_US < max(airtime[False].values()) <= 0.1 * HOUR_US + longest


def test_a_device_obeys_duty_cycle_req(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=2)
    lab.run(20)
    lab.queue(f_opts=mac.DutyCycleReq(max_duty_cycle=9).encode())
    lab.run(10)
    before = len(sent(lab))
    lab.run(600)
    gaps = [
        b["t"] - a["t"] - (a["airtime_us"] << 9)
        for a, b in zip(sent(lab)[before:], sent(lab)[before + 1 :], strict=False)
    ]
    assert gaps and min(gaps) >= 0


def test_joins_have_a_budget_that_shrinks() -> None:
    """36 s in the first hour, 36 s in the next ten, 8.7 s in each day behind (TS001-1.0.4 §7)."""
    budget, spent, now = JoinBudget(0), Counter[int](), 0
    while now < 60 * HOUR_US:
        free = budget.free_us(now, SECOND_US)
        if free > now:
            now = free
            continue
        budget.spend(now, SECOND_US)
        spent[0 if now < HOUR_US else 1 if now < 11 * HOUR_US else 2 + (now - 11 * HOUR_US) // (24 * HOUR_US)] += 1
        now += 2 * SECOND_US
    assert (spent[0], spent[1], spent[2], spent[3]) == (36, 36, 8, 8)


# ------------------------------------------------------------------------------------------------------- batteries


def test_a_battery_runs_down() -> None:
    battery = Battery(1.0, sleep_ua=1000.0, now=0)
    assert battery.level(0) == 254
    assert battery.level(HOUR_US // 2) == 127
    for _ in range(10):
        battery.transmitted(SECOND_US, 14, "SF7BW125", "SF12BW125")
    assert battery.level(HOUR_US // 2) < 127 - 25
    assert not battery.is_empty(HOUR_US // 2) and battery.is_empty(HOUR_US)
    assert battery.level(HOUR_US) == 1


def test_a_device_tells_its_battery_and_stops_when_it_is_empty(make_lab: MakeLab) -> None:
    lab = make_lab(device="battery_mah = 0.01\nadr = false", interval_s=10)
    lab.run(20)
    lab.queue(f_opts=mac.DevStatusReq().encode())
    lab.run(20)
    (answer,) = [one for one in lab.session.f_opts if one[:1] == b"\x06"]
    assert 1 < answer[1] < 254
    lab.run(600)
    assert len(lab.lines("battery_empty")) == 1
    last = sent(lab)[-1]["t"]
    assert last < lab.now - 300 * SECOND_US


# --------------------------------------------------------------------------------------------------------- firmware


def test_counters_that_begin_anew(make_lab: MakeLab) -> None:
    lab = make_lab(device="firmware = { f_cnt_reset_after = 3 }", interval_s=5)
    lab.run(60)
    assert [line["f_cnt"] for line in lab.lines("uplink")][:7] == [0, 1, 2, 0, 1, 2, 0]


def test_a_dev_nonce_that_never_changes(make_lab: MakeLab) -> None:
    lab = make_lab(device="firmware = { repeats_dev_nonce = true }\nfirst_dev_nonce = 77", silent=True)
    lab.run(120)
    assert {line["dev_nonce"] for line in lab.lines("join_request")} == {77}
    assert len(lab.lines("join_request")) > 2


def test_rx2_on_the_wrong_frequency(make_lab: MakeLab) -> None:
    lab = make_lab(device="confirmed = true\nfirmware = { rx2_frequency_hz = 869525000 }", rx_window=2)
    lab.run(90)
    assert not lab.device.joined  # even the accept comes in RX2
    right = make_lab(device="firmware = { rx2_frequency_hz = 869100000, rx2_dr = 0 }", rx_window=2)
    right.run(30)
    assert right.device.joined


def test_adr_that_agrees_and_does_nothing(make_lab: MakeLab) -> None:
    lab = make_lab(device="dr = 3\nfirmware = { stuck_adr = true }", interval_s=5)
    lab.run(15)
    lab.queue(f_opts=mac.LinkADRReq(dr=5, tx_power=2, ch_mask=3, ch_mask_cntl=0, nb_trans=1).encode())
    lab.run(20)
    assert b"\x03\x07" in lab.session.f_opts
    assert lab.device.state.dr == 3 and lab.device.state.tx_power == 0


@pytest.mark.parametrize(("shift_ms", "hears"), [(8.0, True), (40.0, False), (-40.0, False)])
def test_windows_at_another_time(make_lab: MakeLab, shift_ms: float, hears: bool) -> None:
    lab = make_lab(device=f"firmware = {{ rx_shift_ms = {shift_ms} }}")
    lab.run(30)
    assert lab.device.joined is hears


def test_a_deaf_device(make_lab: MakeLab) -> None:
    lab = make_lab(device="firmware = { deaf = 1.0 }")
    lab.run(60)
    assert not lab.device.joined and lab.lines("on_air")


def test_manners_are_keys(make_lab: MakeLab) -> None:
    lab = make_lab(device='manners = { mute = ["DevStatusReq"], refused = ["RXParamSetupReq.channel_ack"] }')
    lab.run(20)
    lab.queue(f_opts=mac.DevStatusReq().encode() + mac.RXParamSetupReq(0, 0, 869_100_000).encode())
    lab.run(25)
    said = b"".join(lab.session.f_opts)
    assert said[:2] == b"\x05\x06" and b"\x06\xff" not in said


# ---------------------------------------------------------------------------------------------------------- restart


@pytest.mark.parametrize(("counters", "first"), [(True, 2), (False, 0)])
def test_restart_with_and_without_kept_counters(make_lab: MakeLab, counters: bool, first: int) -> None:
    lab = make_lab(interval_s=10)
    lab.run(32)
    before = len(lab.lines("uplink"))
    lab.device_does(lambda now: lab.device.restart(now, keep_session=True, keep_counters=counters))
    lab.run(12)
    after = lab.lines("uplink")[before]
    assert (after["f_cnt"] >= first) if counters else after["f_cnt"] == 0
    assert len(lab.lines("joined")) == 1


# ------------------------------------------------------------------------------------------------------------- dice


def test_dice_are_fair_and_reproducible() -> None:
    dice, again = Dice("a"), Dice("a")
    rolls = [dice.random() for _ in range(20_000)]
    assert rolls[:100] == [again.random() for _ in range(100)]
    assert sum(rolls) / len(rolls) == pytest.approx(0.5, abs=0.01)
    gauss = [dice.gauss(3, 2) for _ in range(20_000)]
    mean = sum(gauss) / len(gauss)
    assert mean == pytest.approx(3, abs=0.06)
    assert sum((x - mean) ** 2 for x in gauss) / len(gauss) == pytest.approx(4, rel=0.05)
    assert Counter(dice.randrange(2, 5) for _ in range(3000)).keys() == {2, 3, 4}
    waits = [dice.expovariate(0.1) for _ in range(20_000)]
    assert sum(waits) / len(waits) == pytest.approx(10, rel=0.05)
