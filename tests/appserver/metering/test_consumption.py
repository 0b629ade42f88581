"""FR-04 and MET-05: consumption, rollover against reset, replacement."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.metering.consumption import KARAT_MODULUS, Mark, Register, Step, Term, advance, consumption
from appserver.metering.timebase import HOUR_US

FIVE = Register((Decimal(100_000), KARAT_MODULUS), Decimal(3))
DAY = Decimal(24)
ZERO = Decimal(0)


@pytest.mark.parametrize(
    ("previous", "current", "hours", "reverse", "volume", "event"),
    [
        ("10", "10", 24, "0", "0", ""),
        ("10", "12.5", 24, "0", "2.5", ""),
        ("10", "82", 24, "0", "72", ""),
        ("10", "83", 24, "0", "73", "implausible"),
        ("99998.7", "1.2", 24, "0", "2.5", "rollover"),
        ("99998.7", "71", 24, "0", None, "reset"),
        ("429496.7290", "0.0010", 24, "0", "0.0016", "rollover"),
        ("123.4567", "0", 24, "0", None, "reset"),
        ("123.4567", "123.4567", 0, "0", "0", ""),
        ("5.271", "5.269", 24, "0", "-0.002", "small_decrease"),
        ("5.271", "5.266", 24, "0", "-0.005", "small_decrease"),
        ("5.271", "5.265", 24, "0", None, "reset"),
        ("123.9", "123.8", 24, "0.1", "-0.1", "reverse_flow"),
        ("123.9", "123.8", 24, "0.2", None, "reset"),
        ("99999.999", "0", 0, "0", None, "reset"),
        ("99999.999", "0", 1, "0", "0.001", "rollover"),
        ("50000", "40000", 24, "0", None, "reset"),
        ("99999", "100005", 24, "0", "6", ""),
        ("0.5", "0.0", 24, "0.5", "-0.5", "reverse_flow"),
        ("0", "99999.999", 24, "0", "-0.001", "small_decrease"),
        ("99990", "50", 720, "0", "60", "rollover"),
    ],
)
def test_table(previous: str, current: str, hours: int, reverse: str, volume: str | None, event: str) -> None:
    """Twenty-one cases: a tiny fall is never a reset, a reset is never a consumption."""
    step = consumption(Decimal(previous), Decimal(current), Decimal(hours), FIVE, Decimal(reverse))
    assert step == Step(None if volume is None else Decimal(volume), event)
    assert step.billable >= 0


def test_pulse_counter_wraps_at_its_own_modulus() -> None:
    weight = Decimal("0.01")
    register = Register((Decimal(10) ** 9, weight * 2**32), Decimal(500))
    before = (2**32 - 5) * weight
    assert consumption(before, 3 * weight, DAY, register) == Step(8 * weight, "rollover")


def term(id_: int, start: int, end: int | None, start_value: str, end_value: str | None = None) -> Term:
    until = None if end is None else end * HOUR_US
    return Term(id_, start * HOUR_US, until, Decimal(start_value), Decimal(end_value) if end_value else None, FIVE)


def test_replacement_with_days_between() -> None:
    terms = [term(1, 0, 48, "100", "103"), term(2, 96, None, "7")]
    first = advance(None, terms, 24 * HOUR_US, Decimal(101), "measured")
    second = advance(first, terms, 120 * HOUR_US, Decimal(9), "measured")
    assert (first.total, first.event) == (Decimal(1), "installed")
    assert (second.total, second.breaks, second.event) == (Decimal(1 + 2 + 2), 1, "replaced no_meter")


def test_fr_04_replacement_within_a_day_misses_nothing() -> None:
    terms = [term(1, 0, 48, "100", "103"), term(2, 60, None, "7")]
    mark = advance(None, terms, 120 * HOUR_US, Decimal(9), "measured")
    assert (mark.total, mark.breaks, mark.event) == (Decimal(3 + 2), 0, "installed replaced")


def test_fr_04_ratio_of_transformers_counts_per_installation() -> None:
    """The same meter behind other transformers is another installation: 2 kWh at 20, then 3 kWh at 40."""
    terms = [
        replace(term(1, 0, 48, "100", "102"), ratio=Decimal(20)),
        replace(term(2, 48, None, "102"), ratio=Decimal(40)),
    ]
    mark = advance(None, terms, 96 * HOUR_US, Decimal(105), "measured")
    assert (mark.total, mark.breaks) == (Decimal(2 * 20 + 3 * 40), 0)


def test_two_replacements_between_two_marks() -> None:
    terms = [term(1, 0, 10, "0", "1"), term(2, 10, 20, "50", "54"), term(3, 20, None, "0")]
    mark = advance(Mark(0, 1, ZERO, ZERO), terms, 24 * HOUR_US, Decimal("0.5"), "measured")
    assert mark.total == Decimal("5.5")


def test_removal_without_a_value_is_a_break() -> None:
    terms = [term(1, 0, 10, "100"), term(2, 10, None, "0")]
    mark = advance(Mark(0, 1, Decimal(100), ZERO), terms, 24 * HOUR_US, Decimal(2), "measured")
    assert (mark.total, mark.breaks, mark.event) == (Decimal(2), 1, "replaced no_end_value")


def test_reset_is_a_break_and_counting_goes_on_from_the_new_value() -> None:
    terms = [term(1, 0, None, "100")]
    before = advance(None, terms, 24 * HOUR_US, Decimal(120), "measured")
    reset = advance(before, terms, 48 * HOUR_US, Decimal(1), "measured")
    after = advance(reset, terms, 72 * HOUR_US, Decimal(3), "measured")
    assert (before.total, reset.total, after.total) == (Decimal(20), Decimal(20), Decimal(22))
    assert (reset.breaks, reset.event, after.breaks, after.event) == (1, "reset", 1, "")


@given(st.lists(st.integers(-50, 30_000), min_size=2, max_size=60), st.integers(0, 99_999 * 10_000))
def test_sums_telescope(litres: list[int], start: int) -> None:
    """Whatever the register does, jitter and rollover included: Σ steps = last total − first total, exactly."""
    terms = [Term(1, 0, None, Decimal(start).scaleb(-4), None, FIVE)]
    value, marks = start, []
    previous: Mark | None = None
    for hour, units in enumerate(litres, 1):
        value = (value + units) % (100_000 * 10_000)
        previous = advance(previous, terms, hour * HOUR_US, Decimal(value).scaleb(-4), "measured")
        marks.append(previous)
    if marks[-1].breaks == 0:
        assert marks[-1].total == Decimal(sum(litres)).scaleb(-4)
        assert sum((b.total - a.total for a, b in itertools.pairwise(marks)), ZERO) == marks[-1].total - marks[0].total
