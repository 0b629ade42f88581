"""FR-20: what counts when two sources tell a meter's value for the same midnight, for every pair of them, in both orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product

from appserver.db import Database
from appserver.metering.incoming import Item, take
from appserver.metering.readings import NewReading, add_manual_reading, store
from appserver.metering.timebase import microseconds
from tests.appserver.sources.conftest import NOW_US
from tests.support.house import FIRST_DAY, House

LATER_US = NOW_US + 365 * 86_400_000_000
LOW, HIGH = Decimal("103"), Decimal("104")
RANKS = {
    "lorawan archive": 0,
    "gprs archive": 0,
    "manual": 1,
    "import": 1,
    "gis": 1,
    "lorawan current": 2,
    "gprs current": 2,
    "lorawan, wrong clock": 3,
}
"""A stored value beats one that a person or a file told, which beats one read while sending, which beats a wrong clock."""
QUALITIES = {"lorawan archive": "archive", "lorawan current": "measured", "lorawan, wrong clock": "server_time"}


def tell(db: Database, meter: int, source: str, value: Decimal, midnight: datetime, number: int) -> None:
    now, at_us = LATER_US + number, microseconds(midnight)
    if source in QUALITIES:
        with db.transaction() as connection:
            micro = int(value * 1_000_000)
            store(connection, [NewReading(meter, "volume", at_us, micro, QUALITIES[source], "lorawan", now)], now)
    elif source == "manual":
        add_manual_reading(db, meter, value, at_us, now, "operator")
    else:
        kind, _, archive = source.partition(" ")
        take(db, [Item(midnight, value, meter_id=meter, archive=archive != "current")], kind, now)


def told(db: Database, house: House, midnight: datetime) -> tuple[int, str, int, int]:
    """What counts at a midnight: value, quality; readings for it, and how many of them contradict another."""
    at_us = microseconds(midnight)
    day = (at_us + 3 * 3_600_000_000) // 86_400_000_000
    (row,) = db.rows(
        "SELECT value_micro / 1000000, quality, (SELECT count(*) FROM reading WHERE measured_at_us = ?1),"
        " (SELECT count(*) FROM reading WHERE measured_at_us = ?1 AND conflict)"
        " FROM boundary WHERE point_id = ?2 AND day = ?3",
        (at_us, house.points["1"], day),
    )
    return row


PAIRS = list(product(RANKS, RANKS))


def pairs() -> Iterator[tuple[str, str, datetime]]:
    """Each pair with a midnight of its own."""
    for number, (first, second) in enumerate(PAIRS):
        yield first, second, FIRST_DAY + timedelta(days=8 + number)


def test_fr_20_the_same_value_twice_is_one_reading(db: Database, house: House) -> None:
    for first, second, midnight in pairs():
        tell(db, house.meters["1"], first, LOW, midnight, 1)
        before = told(db, house, midnight)
        tell(db, house.meters["1"], second, LOW, midnight, 2)
        expected = (103, "server_time" if RANKS[first] == 3 else "measured", 1, 0)
        assert told(db, house, midnight) == before == expected, (first, second)


def test_fr_20_of_two_values_the_better_source_counts_and_equals_are_disputed(db: Database, house: House) -> None:
    """Whichever came first; of equals the one that was known first stands until a person decides."""
    for first, second, midnight in pairs():
        tell(db, house.meters["1"], first, LOW, midnight, 1)
        tell(db, house.meters["1"], second, HIGH, midnight, 2)
        if RANKS[first] == RANKS[second]:
            expected = (103, "disputed", 2, 1)
        else:
            expected = (103 if RANKS[first] < RANKS[second] else 104, "measured", 2, 1)
        assert told(db, house, midnight) == expected, (first, second)
