"""A building's period out of plain marks: sums, counts of flats, quality, and what is not said."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from appserver.metering.balance import NOTHING, Ends, PointInfo, imbalance, measured, period_row, point_row, volume_of
from appserver.metering.consumption import Mark

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
A_US, B_US = 1_000, 2_000


def mark(at_us: int, total: str, quality: str = "measured", breaks: int = 0, event: str = "") -> Mark:
    return Mark(at_us, 1, Decimal(100) + Decimal(total), Decimal(total), breaks, quality, event)


def whole(volume: str, quality: str = "measured") -> Ends:
    return Ends(mark(A_US, "0"), mark(B_US, volume, quality))


def row(points: list[PointInfo], ends: list[Ends]):
    return period_row(points, ends, A_US, B_US, START, END)


def house(direction: str = "in", point_id: int = 1) -> PointInfo:
    return PointInfo(point_id, "house", direction)


def flat(number: int, point_id: int | None = None) -> PointInfo:
    return PointInfo(point_id or 100 + number, "individual", "in", premises_id=number)


def test_in_minus_out_minus_flats() -> None:
    made = row(
        [house(), house("out", 2), flat(1), flat(2)], [whole("1000"), whole("100"), whole("400"), whole("450.5")]
    )
    assert (made.house, made.individual, made.imbalance, made.imbalance_pct) == (
        Decimal(900), Decimal("850.5"), Decimal("49.5"), Decimal("5.5"),
    )  # fmt: skip
    assert (made.measured, made.coverage_pct) == (2, Decimal(100))


def test_flat_is_as_good_as_its_worst_point() -> None:
    points = [house(), flat(1), flat(1, 201), flat(2), flat(3), flat(4)]
    ends = [whole("10"), whole("1"), whole("1", "interpolated"), whole("2"), NOTHING, whole("1", "disputed")]
    made = row(points, ends)
    assert (made.measured, made.interpolated, made.partial, made.missing) == (1, 2, 0, 1)
    assert (made.individual, made.coverage_pct) == (Decimal(5), Decimal(75))


def test_missing_common_meter_gives_no_imbalance() -> None:
    made = row([house(), house(point_id=2), flat(1)], [whole("10"), NOTHING, whole("1")])
    assert (made.house, made.imbalance, made.imbalance_pct, made.house_quality) == (None, None, None, "missing")
    none = row([flat(1)], [whole("1")])
    assert (none.house, none.imbalance) == (None, None)


def test_common_meter_known_in_part_gives_no_imbalance() -> None:
    made = row([house(), flat(1)], [Ends(mark(A_US, "0"), mark(B_US - 1, "9")), whole("10")])
    assert (made.house, made.imbalance, made.house_quality) == (Decimal(9), None, "partial")


@pytest.mark.parametrize(
    ("ends", "volume", "quality"),
    [
        (whole("5"), "5", "measured"),
        (Ends(mark(A_US, "0", "interpolated"), mark(B_US, "5")), "5", "interpolated"),
        (Ends(mark(A_US, "0", "server_time"), mark(B_US, "5", "interpolated")), "5", "server_time"),
        (Ends(mark(A_US, "0"), mark(B_US, "5", breaks=1)), "5", "disputed"),
        (Ends(mark(A_US + 1, "1"), mark(B_US, "5")), "4", "partial"),
        (Ends(mark(A_US, "1"), mark(B_US - 1, "5")), "4", "partial"),
        (Ends(mark(A_US + 1, "0", event="origin"), mark(B_US, "5")), "5", "measured"),
        (Ends(mark(A_US, "1"), mark(A_US, "1")), None, "missing"),
        (NOTHING, None, "missing"),
    ],
)
def test_volume_and_quality(ends: Ends, volume: str | None, quality: str) -> None:
    assert volume_of(ends, A_US, B_US) == (None if volume is None else Decimal(volume), quality)


def test_zero_is_not_missing() -> None:
    """No data is never shown as zero, and zero never as no data."""
    made = row([house(), flat(1)], [whole("0"), whole("0")])
    assert (made.house, made.individual, made.imbalance, made.imbalance_pct) == (0, 0, 0, None)
    shown = point_row(flat(1), NOTHING, measured([NOTHING], A_US, B_US)[0], (None, None))
    assert (shown.volume, shown.start, shown.end, shown.quality) == (None, None, None, "missing")


def test_imbalance_with_unmetered_flats() -> None:
    assert imbalance(Decimal(1000), Decimal(870), Decimal(30)) == (Decimal(100), Decimal("10.0"))
    assert imbalance(Decimal(0), Decimal(1)) == (Decimal(-1), None)
