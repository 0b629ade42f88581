"""Frame counters: 16 bits on the air, 32 in the MIC (TS001-1.0.4 §4.3.1.5)."""

from __future__ import annotations

from typing import Final

MAX_F_CNT: Final = 0xFFFFFFFF
"""The last frame of a session; the device must join again after it."""
MAX_F_CNT_GAP: Final = 16384
"""Largest jump a device of LoRaWAN 1.0.3 and older accepts; 1.0.4 and 1.1 have no limit (TS001-1.0.4 removed it)."""
LATE_WINDOW: Final = 128
"""How far behind the newest frame a late one may be and still be taken (our extension, data only)."""


def full_f_cnt(f_cnt16: int, next_expected: int) -> int:
    """The 32-bit counter that 16 bits on the air most likely stand for.

    ``next_expected`` is one more than the newest counter accepted (0 before the first frame). The result is the
    newest accepted one itself (a retransmission, when the 16 bits equal its), else the smallest value not below
    ``next_expected`` with these 16 bits, modulo 2**32. The frame is new when the result is not below
    ``next_expected``; the MIC, computed with the result, has the last word.
    """
    ahead = (f_cnt16 - next_expected) & 0xFFFF
    if ahead == 0xFFFF and next_expected:
        return next_expected - 1
    return (next_expected + ahead) & MAX_F_CNT


def late_f_cnt(f_cnt16: int, next_expected: int, window: int = LATE_WINDOW) -> int | None:
    """The counter of a frame that comes after newer ones: at most ``window`` behind the newest, else None.

    The newest itself (distance 0) is a retransmission and counts as within the window.
    """
    behind = (next_expected - 1 - f_cnt16) & 0xFFFF
    if behind > window or behind >= next_expected:
        return None
    return next_expected - 1 - behind


def seen(bitmap: int, f_cnt: int, next_expected: int) -> bool:
    """True when this counter has been accepted. Bit *i* of ``bitmap`` stands for ``next_expected - 1 - i``.

    Counters older than the bitmap reaches count as seen, newer ones as not.
    """
    behind = next_expected - 1 - f_cnt
    if behind < 0:
        return False
    return behind > LATE_WINDOW or bool(bitmap >> behind & 1)


def mark_seen(bitmap: int, f_cnt: int, next_expected: int) -> tuple[int, int]:
    """Take a counter: the new bitmap and the new ``next_expected``."""
    ahead = f_cnt + 1 - next_expected
    if ahead > 0:
        return (bitmap << ahead | 1) & (1 << LATE_WINDOW + 1) - 1 if ahead <= LATE_WINDOW else 1, f_cnt + 1
    return bitmap | 1 << -ahead, next_expected


def within_gap(f_cnt: int, next_expected: int) -> bool:
    """True when a device of 1.0.3 or older accepts this jump (:data:`MAX_F_CNT_GAP`)."""
    return f_cnt - next_expected < MAX_F_CNT_GAP
