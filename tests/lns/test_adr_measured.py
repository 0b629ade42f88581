"""The default algorithm: within limits, steady on a steady link, quick when it gets worse, slow to take away."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lns.adr import Current, Decision, Limits, Memory, Rate, Sample
from lns.adr.interface import HISTORY
from lns.adr.measured import measured
from lns.adr.static import static

RATES = tuple(Rate(dr, -20 + 2.5 * dr, 1800 / 1.85**dr) for dr in range(6))


def limits(dr: int = 0, margin_db: float = 10.0, **fields: int) -> Limits:
    low, high = fields.get("min_dr", 0), fields.get("max_dr", 5)
    return Limits(
        high,
        fields.get("max_tx_power", 7),
        RATES[dr].floor_db,
        margin_db,
        low,
        fields.get("min_tx_power", 0),
        fields.get("max_nb_trans", 3),
        RATES[low : high + 1],
    )


def link(snr_db: float, spread_db: float = 0.0, count: int = HISTORY, lost: int = 0, tx_power: int = 0) -> list[Sample]:
    """So many frames at full power, seen with a power index; ``lost`` more of them before the last one."""
    rng = random.Random(5)
    numbers = [*range(count - 1), count - 1 + lost] if count else []
    return [Sample(n, rng.gauss(snr_db, spread_db) - 2 * tx_power, tx_power) for n in numbers]


def settled(snr_db: float, spread_db: float = 0.0, margin_db: float = 10.0, dr: int = 0) -> Decision:
    """Where it ends on such a link."""
    current = Current(dr, 0, 1)
    for _ in range(20):
        decision = measured(link(snr_db, spread_db, tx_power=current.tx_power), current, limits(current.dr, margin_db))
        if not decision.changes:
            return decision
        current = Current(*decision[:3])
    raise AssertionError("it never comes to rest")


@given(
    st.lists(st.tuples(st.integers(1, 16), st.floats(-25, 13), st.integers(0, 7)), max_size=20),
    st.integers(0, 5),
    st.integers(0, 7),
    st.integers(1, 3),
    st.integers(0, 20),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(1, 3),
    st.floats(0, 40),
)
def test_it_never_asks_for_what_is_not_allowed(
    frames: list[tuple[int, float, int]],
    dr: int,
    tx_power: int,
    nb_trans: int,
    since: int,
    a_dr: int,
    b_dr: int,
    a_power: int,
    b_power: int,
    max_nb_trans: int,
    margin_db: float,
) -> None:
    f_cnt, samples = 0, []
    for gap, snr_db, power in frames:
        f_cnt += gap
        samples.append(Sample(f_cnt, snr_db, power))
    allowed = limits(
        dr,
        margin_db,
        min_dr=min(a_dr, b_dr),
        max_dr=max(a_dr, b_dr),
        min_tx_power=min(a_power, b_power),
        max_tx_power=max(a_power, b_power),
        max_nb_trans=max_nb_trans,
    )
    current = Current(dr, tx_power, nb_trans, min(since, len(samples)))
    decision = measured(samples, current, allowed)
    assert decision.changes == (decision[:3] != current[:3])
    if decision.changes:
        assert allowed.min_dr <= decision.dr <= allowed.max_dr
        assert allowed.min_tx_power <= decision.tx_power <= allowed.max_tx_power
        assert 1 <= decision.nb_trans <= allowed.max_nb_trans


@settings(deadline=None, max_examples=30)
@given(st.floats(-25, 13), st.integers(0, 5), st.floats(0, 30))
def test_a_constant_link_is_settled_for_good(snr_db: float, dr: int, margin_db: float) -> None:
    """Each change lowers the price of the same link, so no setting comes twice once the link is known well."""
    memory, seen, changes = Memory(), [(dr, 0, 1)], 0
    for f_cnt in range(110):
        used = seen[-1]
        memory.heard(f_cnt, f_cnt, used[0], snr_db - 2 * used[1], 1, False)
        decision = measured(
            memory.samples,
            Current(memory.dr, memory.tx_power, memory.nb_trans, memory.since),
            limits(memory.dr, margin_db),
        )
        if decision.changes:
            changes += 1
            assert f_cnt < 2 * HISTORY or decision[:3] not in seen, "back where it was"
            memory.asked(*decision[:3])
            memory.answered(True, True, True)
            seen.append(decision[:3])
            last = f_cnt
    assert changes <= 6
    assert changes == 0 or last <= 4 * HISTORY


@pytest.mark.parametrize("spread_db", [0.0, 3.0, 6.0])
def test_a_weaker_link_gets_more(spread_db: float) -> None:
    """Airtime never falls when the signal does."""
    airtime = []
    for snr_db in range(10, -20, -2):
        decision = settled(snr_db, spread_db)
        airtime.append(decision.nb_trans * RATES[decision.dr].airtime_ms)
    assert all(later >= earlier * 0.99 for earlier, later in pairwise(airtime))


def test_a_fading_link_gets_more_than_a_steady_one() -> None:
    steady, fading = settled(-3.0, 0.5), settled(-3.0, 7.0)
    assert fading.nb_trans * RATES[fading.dr].airtime_ms > steady.nb_trans * RATES[steady.dr].airtime_ms


def test_a_higher_margin_buys_more() -> None:
    assert settled(-6.0, 3.0, margin_db=20).dr < settled(-6.0, 3.0, margin_db=2).dr


def test_a_daily_meter_does_not_wait_for_weeks() -> None:
    decision = measured(link(0.0, 1.0, count=2), Current(0, 0, 1, 2), limits(0))
    assert decision.dr >= 3 and decision.tx_power == 0


def test_it_lowers_the_data_rate_at_once_when_the_link_fails() -> None:
    samples = link(6.0, 1.0, count=15) + [Sample(15 + n, -7.0) for n in range(5)]
    decision = measured(samples, Current(5, 0, 1, 20), limits(5))
    assert decision.dr < 5 and decision.reason.code == "weak"


def test_it_gives_power_back_at_once() -> None:
    samples = link(6.0, 1.0, count=15, tx_power=7) + [Sample(15 + n, -16.0, 7) for n in range(3)]
    decision = measured(samples, Current(5, 7, 1, 18), limits(5))
    assert decision.tx_power < 7 or decision.dr < 5


def test_loss_that_the_signal_does_not_explain_is_answered() -> None:
    decision = measured(link(5.0, 1.0, lost=8), Current(5, 0, 1), limits(5))
    assert decision.changes and decision.reason.code == "lossy"
    assert (decision.nb_trans, -decision.dr) > (1, -5)


def test_one_lost_frame_proves_nothing() -> None:
    assert measured(link(5.0, 1.0, lost=1), Current(5, 2, 1), limits(5)).reason.code != "lossy"


@pytest.mark.parametrize("count", range(2, HISTORY))
def test_inv_36_less_power_and_fewer_repetitions_need_a_full_history(count: int) -> None:
    decision = measured(link(13.0, 0.5, count=count), Current(5, 0, 3, count), limits(5))
    assert (decision.tx_power, decision.nb_trans) == (0, 3)
    since_change = measured(link(13.0, 0.5), Current(5, 0, 3, count), limits(5))
    assert (since_change.tx_power, since_change.nb_trans) == (0, 3)
    assert measured(link(13.0, 0.5), Current(5, 0, 3), limits(5)).nb_trans == 1


def test_static_keeps_to_its_values_and_to_the_limits() -> None:
    wanted = limits(0)._replace(static=(3, 2, 2))
    assert static([], Current(0, 0, 1), wanted)[:3] == (3, 2, 2)
    assert not static([], Current(3, 2, 2), wanted).changes
    assert static([], Current(0, 0, 1), wanted._replace(max_dr=2, max_tx_power=1))[:3] == (2, 1, 2)
