"""What ADR remembers: over restarts, lost answers, refusals, back-off of the device, outages of gateways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from lns.adr import Memory, heard_in_step
from lns.adr.availability import excused
from lns.adr.memory import FIRST_PAUSE, HISTORY, LONGEST_PAUSE, MAX_REFUSALS

HOUR_US = 3_600_000_000


def told(count: int, dr: int = 0, snr_db: float = 0.0, memory: Memory | None = None, **fields: bool) -> Memory:
    """A memory after so many uplinks."""
    memory = memory or Memory()
    first = memory.f_cnt + 1 if memory.started else 0
    for f_cnt in range(first, first + count):
        memory.heard(f_cnt, f_cnt, dr, snr_db, 1, fields.get("adr_ack_req", False))
    return memory


def everything(memory: Memory) -> dict[str, object]:
    return {name: getattr(memory, name) for name in Memory.__slots__}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.integers(0, 7),
            st.none() | st.floats(-30, 20),
            st.booleans(),
            st.sampled_from(["", "ask", "accept", "refuse power", "refuse all"]),
        ),
        max_size=60,
    )
)
def test_inv_36_a_restart_between_any_two_frames_forgets_nothing(
    course: list[tuple[int, int, float | None, bool, str]],
) -> None:
    lives, one = Memory(), Memory()
    f_cnt = 0
    for gap, dr, snr_db, adr_ack_req, what in course:
        f_cnt += gap
        lives = Memory.unpack(lives.pack()) if lives.started else lives
        for memory in (lives, one):
            if what == "accept":
                memory.answered(True, True, True)
            elif what.startswith("refuse"):
                memory.answered(what == "refuse power", what == "refuse power", False)
            memory.heard(f_cnt, f_cnt, dr, snr_db, 3, adr_ack_req)
            if what == "ask" and memory.may_ask(adr_ack_req):
                memory.asked(dr % 6, 3, 2)
    assert everything(lives) == everything(one)
    assert lives.samples == one.samples
    assert len(lives.pack()) <= 84


def test_samples_keep_what_algorithms_need() -> None:
    memory = Memory()
    for n in range(HISTORY + 5):
        memory.heard(3 * n, n, 2, -n / 4, 2, False)
    samples = memory.samples
    assert len(samples) == HISTORY
    assert [one.snr_db for one in samples] == [-n / 4 for n in range(5, HISTORY + 5)]
    assert [one.f_cnt for one in samples] == [3 * n for n in range(5, HISTORY + 5)]
    assert {one.gateways for one in samples} == {2}


def test_the_answer_puts_the_request_in_force() -> None:
    memory = told(5)
    memory.asked(4, 2, 2)
    assert not memory.may_ask(False)
    assert memory.answered(True, True, True)
    memory = told(1, dr=4, memory=memory)
    assert (memory.dr, memory.tx_power, memory.nb_trans, memory.uncertain) == (4, 2, 2, False)
    assert memory.samples[-1].tx_power == 2 and memory.since == 1


def test_a_device_that_obeys_has_agreed_though_its_answer_was_lost() -> None:
    memory = told(5)
    memory.asked(4, 2, 1)
    memory = told(1, dr=4, memory=memory)
    assert (memory.dr, memory.tx_power, memory.uncertain) == (4, 2, False)


def test_a_lost_answer_without_another_data_rate_leaves_doubt() -> None:
    memory = told(5)
    memory.asked(0, 3, 1)
    memory = told(4, memory=memory)
    assert memory.uncertain and memory.may_ask(False)


def test_back_off_of_the_device_means_full_power_and_a_new_beginning() -> None:
    memory = told(25, dr=5)
    memory.asked(5, 4, 1)
    memory.answered(True, True, True)
    memory = told(3, dr=5, memory=memory)
    memory = told(1, dr=4, memory=memory, adr_ack_req=True)
    assert (memory.dr, memory.tx_power, memory.uncertain) == (4, 0, True)
    assert len(memory.samples) == 1 and memory.refusals == 0


def test_who_asks_for_a_sign_may_have_raised_its_power() -> None:
    """ADRACKReq: the SNR is that of an unknown power and is not kept; the request that answers restates the power."""
    memory = told(5, dr=5)
    memory.asked(5, 4, 1)
    memory.answered(True, True, True)
    memory = told(4, dr=5, memory=memory)
    before = memory.samples
    memory = told(1, dr=5, snr_db=12.0, memory=memory, adr_ack_req=True)
    assert memory.uncertain and [one.snr_db for one in memory.samples] == [one.snr_db for one in before]
    memory.asked(5, 2, 1)
    memory.answered(True, True, True)
    memory = told(1, dr=5, snr_db=1.0, memory=memory)
    assert not memory.uncertain and memory.samples[-1].tx_power == 2


@pytest.mark.parametrize("highest", range(8))
def test_powers_that_a_device_does_not_have_are_found_out(highest: int) -> None:
    """A shorter table of powers is found in three requests, is no failure, and keeps no data rate away."""
    memory, requests = told(20, dr=5), 0
    wanted = 7
    while True:
        wanted = min(wanted, memory.max_tx_power)
        if wanted == memory.tx_power:
            break
        memory.asked(5, wanted, 1)
        requests += 1
        memory.answered(True, True, wanted <= highest)
        assert memory.refusals == 0
        memory = told(1, dr=5, memory=memory)
    assert requests <= 4
    assert memory.tx_power <= highest


def test_a_device_that_refuses_its_own_power_is_not_asked_for_ever() -> None:
    memory, requests = told(20), 0
    for _ in range(200):
        if memory.may_ask(False):
            memory.asked(5, max(memory.min_tx_power, 0), 1)
            requests += 1
            memory.answered(True, True, False)
        memory = told(1, memory=memory)
    assert requests <= MAX_REFUSALS + 4, "one to learn, three to give up, one for each pause that is over"


def test_refusals_pause_longer_and_longer_and_a_sign_is_given_all_the_same() -> None:
    memory, asked_at = told(1), []
    for n in range(3000):
        if memory.may_ask(False):
            memory.asked(5, 0, 1)
            asked_at.append(n)
            memory.answered(True, False, True)
        memory = told(1, memory=memory)
    pauses = [b - a for a, b in pairwise(asked_at)]
    assert pauses[: MAX_REFUSALS - 1] == [1] * (MAX_REFUSALS - 1)
    assert pauses[MAX_REFUSALS - 1 : MAX_REFUSALS + 2] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE
    assert memory.pause and memory.may_ask(adr_ack_req=True)


def test_a_device_that_agrees_and_does_not_obey_is_left_in_peace() -> None:
    memory, requests = told(5), 0
    for _ in range(60):
        if memory.may_ask(False):
            memory.asked(5, 0, 1)
            requests += 1
            memory.answered(True, True, True)
        memory = told(1, dr=0, memory=memory)
    assert requests == MAX_REFUSALS


def test_an_answer_to_nothing_leaves_doubt() -> None:
    memory = told(5)
    assert not memory.answered(True, True, True)
    assert memory.uncertain


@pytest.mark.parametrize(
    ("missing", "outages", "expected"),
    [
        (10, [[]], 0),
        (10, [[(0, 5 * HOUR_US)]], 5),
        (10, [[(0, 10 * HOUR_US)]], 10),
        (10, [[(-HOUR_US, 99 * HOUR_US)]], 10),
        (10, [[(0, 10 * HOUR_US)], []], 0),  # another gateway could have heard
        (10, [[(0, 10 * HOUR_US)], [(0, 2 * HOUR_US)]], 2),
        (10, [[(20 * HOUR_US, 30 * HOUR_US)]], 0),
        (0, [[(0, 10 * HOUR_US)]], 0),
        (10, [], 0),
    ],
)
def test_frames_that_nobody_could_hear(missing: int, outages: list[list[tuple[int, int]]], expected: int) -> None:
    assert excused(missing, 0, 10 * HOUR_US, outages) == expected


def test_excused_frames_leave_no_gap() -> None:
    memory = told(5)
    memory.heard(30, 30, 0, 0.0, 1, False, excused=25)
    assert [one.f_cnt for one in memory.samples] == list(range(25, 31))


def test_a_device_that_sends_often_is_looked_at_once_a_minute() -> None:
    """Deciding costs as much as all the rest of an uplink. A loss and a question are looked at all the same."""
    memory, due = Memory(), []
    for f_cnt in range(150):
        memory.heard(f_cnt, 60_000 + 5 * f_cnt, 5, 9.0, 1, False)
        due.append(memory.is_due(False))
        assert memory.is_due(True)
    assert [f_cnt for f_cnt, is_due in enumerate(due) if is_due] == [12, 19, 120], "from the twentieth on ten minutes"
    memory.heard(152, 60_752, 5, 9.0, 1, False)
    assert memory.is_due(False), "two frames were lost"


def test_twenty_frames_within_a_minute_are_looked_at() -> None:
    """However fast they came: the next look would be ten minutes later."""
    memory, packed, due = Memory(), b"", []
    for f_cnt in range(30):
        memory.heard(f_cnt, 60_000 + f_cnt, 5, 9.0, 1, False)
        short = heard_in_step(packed, f_cnt, 60_000 + f_cnt, 5, 9.0, 1) if packed else None
        packed = memory.pack()
        assert short in (None, (packed, memory.is_due(False)))
        due += [f_cnt] if memory.is_due(False) else []
    assert due == [19]


def test_a_device_that_sends_seldom_is_always_looked_at() -> None:
    memory = Memory()
    for f_cnt in range(40):
        memory.heard(f_cnt, 60_000 + 601 * f_cnt, 5, 9.0, 1, False)
        assert memory.is_due(False) is (f_cnt > 0), "of one frame only the simple algorithms make something"
        assert memory.is_due(False, first=True)


@given(st.data())
def test_the_short_way_is_the_same_as_the_long_one(data: st.DataObject) -> None:
    """Whatever a session has been through, an uplink that the short way takes leaves what the long one leaves."""
    draw = data.draw
    memory, f_cnt, heard_s, dr, taken = Memory(), 0, 60_000, 3, 0
    for _ in range(draw(st.integers(1, 45))):
        f_cnt += draw(st.sampled_from([1, 1, 1, 1, 1, 1, 3]))
        heard_s += draw(st.sampled_from([0, 5, 59, 61, 3600]))
        what = draw(st.sampled_from(["plain"] * 8 + ["asked", "answered", "other dr", "sign"]))
        if what == "asked":
            memory.asked(min(dr + 1, 5), draw(st.integers(0, 3)), 1)
        if what == "answered":
            memory.answered(True, True, draw(st.booleans()))
        if what == "other dr":
            dr = draw(st.integers(0, 5))
        snr_db, gateways, packed = draw(st.floats(-25, 15)), draw(st.integers(1, 300)), memory.pack()
        short = None if what == "sign" else heard_in_step(packed, f_cnt, heard_s, dr, snr_db, gateways)
        memory = Memory.unpack(packed, memory.tx_power, memory.nb_trans)
        memory.heard(f_cnt, heard_s, dr, snr_db, gateways, what == "sign")
        if short is not None:
            taken += 1
            assert short == (memory.pack(), memory.is_due(False))
            assert memory.may_ask(False)
    event("taken" if taken else "none taken")
