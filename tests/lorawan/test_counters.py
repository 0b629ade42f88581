"""Frame counters: 16 bits to 32, rollover, late frames (TS001-1.0.4 §4.3.1.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan.counters import LATE_WINDOW, MAX_F_CNT, full_f_cnt, late_f_cnt, mark_seen, seen, within_gap


@given(st.integers(0, MAX_F_CNT - 65_535), st.integers(0, 65_534))
def test_every_gap_below_65535_is_found(next_expected: int, gap: int) -> None:
    assert full_f_cnt(next_expected + gap & 0xFFFF, next_expected) == next_expected + gap


@given(st.integers(1, MAX_F_CNT + 1))
def test_the_newest_frame_again_is_a_retransmission(next_expected: int) -> None:
    assert full_f_cnt(next_expected - 1 & 0xFFFF, next_expected) == next_expected - 1


def test_around_every_rollover() -> None:
    for high in (0, 1, 2, 0xFFFD):
        base = high << 16
        for newest in range(base + 0xFFF0, base + 0x1_0010):
            for ahead in (0, 1, 2, 16, 16_383, 65_534):
                f_cnt = newest + ahead
                assert full_f_cnt(f_cnt & 0xFFFF, newest + 1) == f_cnt


def test_the_first_frame_may_have_any_counter() -> None:
    assert [full_f_cnt(n, 0) for n in (0, 1, 65_535)] == [0, 1, 65_535]


def test_the_end_of_a_session_wraps_below_what_is_expected() -> None:
    assert full_f_cnt(0xFFFF, MAX_F_CNT) == MAX_F_CNT
    assert full_f_cnt(0, MAX_F_CNT) == 0
    assert full_f_cnt(5, MAX_F_CNT + 1) == 5


@given(st.integers(1, MAX_F_CNT), st.integers(0, LATE_WINDOW))
def test_late_frames_within_the_window(next_expected: int, behind: int) -> None:
    f_cnt = next_expected - 1 - behind
    found = late_f_cnt(f_cnt & 0xFFFF, next_expected)
    assert found == (f_cnt if f_cnt >= 0 else None)


@given(st.integers(LATE_WINDOW + 2, 65_000), st.integers(0, 1 << 16))
def test_frames_behind_the_window_are_not_late_ones(behind: int, high: int) -> None:
    newest = (high << 16) + 65_535
    assert late_f_cnt(newest - behind & 0xFFFF, newest + 1) is None


@given(st.integers(0, MAX_F_CNT - 500), st.lists(st.integers(0, 400), max_size=60))
def test_the_window_remembers_what_a_set_remembers(base: int, offsets: list[int]) -> None:
    bitmap, next_expected, taken = 0, base, set()
    for offset in offsets:
        f_cnt = base + offset
        expected = f_cnt in taken or next_expected - 1 - f_cnt > LATE_WINDOW
        assert seen(bitmap, f_cnt, next_expected) == expected
        if not expected:
            bitmap, next_expected = mark_seen(bitmap, f_cnt, next_expected)
            taken.add(f_cnt)
            assert next_expected == max(taken) + 1
        assert bitmap < 1 << LATE_WINDOW + 1


def test_a_jump_longer_than_the_window_forgets_all_but_the_newest() -> None:
    assert mark_seen((1 << LATE_WINDOW + 1) - 1, 1_000, 500) == (1, 1_001)
    assert mark_seen(1, 500 + LATE_WINDOW - 1, 500) == (1 << LATE_WINDOW | 1, 500 + LATE_WINDOW)


@pytest.mark.parametrize(("f_cnt", "fits"), [(0, True), (100, True), (16_483, True), (16_484, False)])
def test_gap_of_old_devices(f_cnt: int, fits: bool) -> None:
    assert within_gap(f_cnt, 100) == fits
