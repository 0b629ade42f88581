"""Airtime of a gateway by sub-band over a sliding hour."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lns.gateways.ledger import HOUR_US, DutyLedger


@dataclass(frozen=True)
class Band:
    min_hz: int
    max_hz: int
    duty_cycle: float


NARROW, WIDE = Band(864_000_000, 865_000_000, 0.001), Band(868_700_000, 869_200_000, 0.1)


def test_budget_is_used_and_comes_back() -> None:
    ledger = DutyLedger([NARROW, WIDE])
    assert ledger.left_us(NARROW, 0) == 3_600_000
    ledger.book(NARROW, 1_000_000, 2_000_000)
    assert ledger.left_us(NARROW, 1_000_000) == 1_600_000
    assert ledger.left_us(WIDE, 1_000_000) == 360_000_000
    assert ledger.left_us(NARROW, HOUR_US + 2_999_999) == 1_600_000
    assert ledger.left_us(NARROW, HOUR_US + 3_000_000) == 3_600_000


def test_cancelled_booking_is_given_back_once() -> None:
    ledger = DutyLedger([NARROW])
    first, second = ledger.book(NARROW, 0, 1_000), ledger.book(NARROW, 0, 1_000)
    ledger.cancel(NARROW, first)
    ledger.cancel(NARROW, first)
    assert ledger.usage(0) == [(NARROW, 1_000, 3_600_000)]
    ledger.cancel(NARROW, second)
    assert ledger.left_us(NARROW, 0) == 3_600_000


def test_frequency_without_a_sub_band_has_no_limit() -> None:
    ledger = DutyLedger([NARROW])
    ledger.cancel(None, ledger.book(None, 0, 5))
    assert ledger.left_us(None, 0) == HOUR_US
    assert ledger.left_us(NARROW, 0) == 3_600_000


@given(st.lists(st.tuples(st.integers(0, 600_000_000), st.integers(10_000, 2_800_000)), max_size=60))
def test_who_asks_first_never_exceeds_it(wishes: list[tuple[int, int]]) -> None:
    ledger, now_us = DutyLedger([NARROW]), 0
    sent: list[tuple[int, int]] = []
    for wait_us, airtime_us in wishes:
        now_us += wait_us
        start_us = now_us + (1_000_000 if airtime_us % 2 else 2_000_000)  # RX1 or RX2: not in their order
        if ledger.left_us(NARROW, now_us) >= airtime_us:
            ledger.book(NARROW, start_us, airtime_us)
            sent.append((start_us, airtime_us))
    for end_us in (start + airtime for start, airtime in sent):
        begin_us = end_us - HOUR_US
        used = sum(max(0, min(start + airtime, end_us) - max(start, begin_us)) for start, airtime in sent)
        assert used <= 3_600_000
