"""INV-29: the budget of a sub-band over any sliding hour, by priority, and over restarts, kills and steps of the clock."""

from __future__ import annotations

import random

import pytest

from lns.clock import Now
from lns.downlink.options import airtime_us
from lns.gateways.airtime import AirtimeBook, Sending, age_us
from lns.gateways.ledger import CEILINGS, HOUR_US, DutyLedger, Priority
from lns.store.batch import Batch
from regional import plan
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.gps_lab import Air, hear_a_stranger
from tests.support.lab import SECOND_US, Lab
from tests.support.otaa_device import OtaaDevice

PLAN = plan("RU864")
NARROW, MIDDLE, WIDE = PLAN.sub_bands
DAY_US = 24 * HOUR_US


def used_ms(lab: Lab, gateway: FakeGateway, number: int = 0) -> float:
    known = lab.state.gateways.get(int(gateway.eui, 16))
    assert known is not None
    return known.ledger.usage(lab.mono_us)[number][1] / 1000


def on_air_us(sent: Sent) -> int:
    """By the formula in lorawan.airtime, which other tests check against published figures."""
    return airtime_us(PLAN, {"SF12": 0, "SF9": 3, "SF7": 5}[sent.txpk["datr"].partition("BW")[0]], sent.txpk["size"])


def test_ceilings_keep_airtime_for_what_matters_more() -> None:
    ledger = DutyLedger(PLAN.sub_bands)
    budget_us = 3_600_000
    for priority, ceiling in sorted(CEILINGS.items(), reverse=True):
        assert ledger.left_us(NARROW, 0, priority) == round(budget_us * ceiling) - ledger.usage(0)[0][1]
        ledger.book(NARROW, 0, ledger.left_us(NARROW, 0, priority))
        assert ledger.left_us(NARROW, 0, priority) == 0
    assert ledger.usage(0)[0][1:] == (budget_us, budget_us)
    assert ledger.left_us(NARROW, 0, Priority.BULK) < 0
    assert [CEILINGS[priority] for priority in Priority] == [1.0, 0.95, 0.8, 0.7]


def test_operators_own_limit_counts_over_all_frequencies(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, max_duty_cycle=0.001)
    for _ in range(8):
        lab.uplink(node.up(confirmed=True), datr="SF12BW125", freq=869.1)
        lab.advance(20 * SECOND_US)
    record = lab.call("gateway", key=gateway.eui)
    assert len(lab.air) == 3 and record.airtime_ms == sum(on_air_us(sent) for sent in lab.air) / 1000
    assert record.max_duty_cycle == 0.001 and record.sub_bands[2].used_ms < 1 / 100 * record.sub_bands[2].budget_ms
    lab.call("gateway_put", gateway_eui=gateway.eui, max_duty_cycle=None)
    assert lab.uplink(node.up(confirmed=True), datr="SF12BW125", freq=869.1)


def test_application_items_leave_airtime_for_answers(lab: Lab) -> None:
    """At four fifths of the budget an item stays in the queue; an acknowledgement still goes out."""
    gateway, node = lab.gateway(), lab.abp()
    ledger = lab.state.gateways.get(int(gateway.eui, 16)).ledger  # type: ignore[union-attr]
    for band in PLAN.sub_bands:
        ledger.book(band, lab.mono_us, int(band.duty_cycle * HOUR_US * 0.81))
    item = lab.queue(node.dev_eui, b"\x01")
    lab.uplink(node.up())
    assert lab.air == [] and lab.item(item).state == "queued" and "duty-cycle budget" in lab.item(item).reason
    assert len(lab.uplink(node.up(confirmed=True))) == 1


@pytest.mark.parametrize("step", ["committed", "acked", "sent"])
def test_inv_29_killed_at_any_step_the_ledger_has_what_was_sent(lab: Lab, step: str) -> None:
    gateway, node = lab.gateway(), lab.abp()
    with lab.dying(step):
        lab.uplink(node.up(confirmed=True), freq=864.5, datr="SF12BW125")
    sent_ms = sum(on_air_us(sent) for sent in lab.air) / 1000
    assert used_ms(lab, gateway) >= sent_ms
    assert used_ms(lab, gateway) <= 1000


def test_inv_29_no_sliding_hour_over_many_kills(lab: Lab) -> None:
    """Whatever was on the air, in this life or earlier ones, is within 0.1 % of every hour."""
    rng = random.Random(29)
    gateway, node = lab.gateway(), lab.abp()
    starts: list[tuple[int, int]] = []
    for turn in range(160):
        phy = node.up(confirmed=True)
        if rng.random() < 0.25:
            with lab.dying(rng.choice(["commit", "committed", "acked", "sent"])):
                lab.uplink(phy, freq=864.5, datr=rng.choice(["SF12BW125", "SF9BW125"]))
        else:
            lab.uplink(phy, freq=864.5, datr=rng.choice(["SF12BW125", "SF9BW125"]))
        if rng.random() < 0.1:
            lab.wall_us += rng.choice([-1, 1]) * rng.choice([3600, 86_400]) * SECOND_US
        if turn % 7 == 0:
            lab.engine.keeper.tend(lab.now)
            lab.pump()
        lab.advance(rng.randrange(20, 200) * SECOND_US)
    for sent in lab.air:
        delay_us = (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32)
        if sent.txpk["freq"] == 864.5:
            starts.append((sent.at_us + delay_us, on_air_us(sent)))
    assert len(starts) > 15 and lab.lives > 20
    for begin, _ in starts:
        assert sum(us for start, us in starts if begin <= start < begin + HOUR_US) <= 3_600_000


def test_rows_are_forgotten_after_the_hour_and_refused_frames_leave_none(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.extend(["COLLISION_PACKET"] * 2)
    lab.uplink(node.up(confirmed=True))
    assert lab.rows("SELECT count(*) FROM airtime") == [(0,)]
    lab.uplink(node.up(confirmed=True))
    assert lab.rows("SELECT count(*) FROM airtime") == [(1,)]
    lab.kill()
    lab.advance(HOUR_US - 60 * SECOND_US)
    lab.engine.keeper.tend(lab.now)
    lab.pump()
    assert lab.rows("SELECT count(*) FROM airtime") == [(1,)] and used_ms(lab, gateway, 2) > 0
    lab.advance(70 * SECOND_US)
    lab.engine.keeper.tend(lab.now)
    lab.pump()
    assert lab.rows("SELECT count(*) FROM airtime") == [(0,)] and used_ms(lab, gateway, 2) == 0


def test_silence_counts_as_sent(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up(confirmed=True))
    lab.advance(60 * SECOND_US)
    lab.kill()
    assert used_ms(lab, gateway, 2) == on_air_us(sent) / 1000


def test_what_waits_in_the_forwarder_over_a_restart_is_in_nobodys_way(lab: Lab) -> None:
    """The gateway still has the frame of the life before: the new one does not send into it."""
    gateway = lab.gateway()
    joining, node = OtaaDevice(), lab.abp()
    lab.device(joining.dev_eui, "1.0.2", join_eui=f"{joining.join_eui:016x}", app_key=joining.app_key.hex())
    with lab.dying("sent"):
        lab.uplink(joining.join_request(1), datr="SF12BW125", freq=869.1)
    (accept,) = lab.air
    gateway.pull()
    lab.advance(3_600_000)
    (answer,) = lab.uplink(node.up(confirmed=True), datr="SF9BW125", freq=868.9)
    begin, end = accept.txpk["tmst"], accept.txpk["tmst"] + on_air_us(accept)
    start = answer.txpk["tmst"]
    assert start >= end + 42_500 or start + on_air_us(answer) + 42_500 <= begin


def test_region_without_duty_cycle_keeps_no_rows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lab = Lab(tmp_path, region="US915")
    gateway, node = lab.gateway(), lab.abp()
    for _ in range(5):
        assert lab.uplink(node.up(confirmed=True), freq=902.3, datr="SF10BW125")
        lab.advance(5 * SECOND_US)
    record = lab.call("gateway", key=gateway.eui)
    assert record.sub_bands == [] and record.airtime_ms > 0
    assert lab.rows("SELECT count(*) FROM airtime") == [(0,)]
    lab.close()


NOW = Now(5 * HOUR_US, 10 * DAY_US)


@pytest.mark.parametrize(
    ("wall_us", "mono_us", "age"),
    [
        (NOW.wall_us - HOUR_US, NOW.mono_us - HOUR_US, HOUR_US),
        (NOW.wall_us - HOUR_US - DAY_US, NOW.mono_us - HOUR_US, HOUR_US),  # the wall clock was set ahead meanwhile
        (NOW.wall_us + DAY_US, NOW.mono_us - HOUR_US, HOUR_US),  # it was set back
        (NOW.wall_us - HOUR_US, NOW.mono_us + HOUR_US, HOUR_US),  # the machine was started anew
        (NOW.wall_us + DAY_US, NOW.mono_us + HOUR_US, 0),  # both: nothing is certain
    ],
)
def test_age_of_a_booking_is_never_overestimated(wall_us: int, mono_us: int, age: int) -> None:
    assert age_us(wall_us, mono_us, NOW) == age


@pytest.mark.parametrize("mode", ["server", "gateway"])
def test_inv_29_beacons_are_in_the_ledger_after_a_kill(lab: Lab, mode: str) -> None:
    """Also those of which nobody told whether they went out, and they are forgotten after the hour."""
    air = Air(lab, 1)
    (gateway,) = air.gateways
    lab.call("gateway_put", gateway_eui=gateway.eui, class_b=mode)
    gateway.outcomes.extend([None] * 3)
    hear_a_stranger(air)
    for number in range(12):
        lab.advance(64 * SECOND_US)
        hear_a_stranger(air, number)
    before_ms = used_ms(lab, gateway, 2)
    assert before_ms >= 5 * 152.576
    lab.kill()
    assert used_ms(lab, gateway, 2) == pytest.approx(before_ms)
    lab.call("gateway_put", gateway_eui=gateway.eui, class_b="off")
    lab.advance(HOUR_US + 60 * SECOND_US)
    lab.engine.keeper.tend(lab.now)
    lab.pump()
    assert lab.rows("SELECT count(*) FROM airtime") == [(0,)] and used_ms(lab, gateway, 2) == 0


def test_rows_whose_outcome_never_came_are_pruned() -> None:
    book, batch = AirtimeBook(), Batch()
    book.reserve(batch, 7, [Sending(1, 868_900_000, 1_000_000, 50_000)], Now(0, 0))
    book.prune(batch, Now(HOUR_US + 1_049_999, 0))
    assert [name for name, _ in batch.operations] == ["airtime_put"]
    book.prune(batch, Now(HOUR_US + 1_050_000, 0))
    book.prune(batch, Now(2 * HOUR_US, 0))
    assert batch.operations[1:] == [("airtime_drop", (7,))]
