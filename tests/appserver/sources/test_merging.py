"""FR-20: what counts when two sources tell a meter's value for the same midnight, for every pair of them, in both orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations, product

from appserver.db import Database
from appserver.incidents.gather import quick
from appserver.metering.boundary import RANK
from appserver.metering.corrections import correct, open_conflicts
from appserver.metering.incoming import Item, take
from appserver.metering.readings import NewReading, add_manual_reading, store
from appserver.metering.timebase import microseconds
from appserver.rules import IncidentLimits
from appserver.rules.entered import rule_book
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


def disputed(db: Database, now_us: int = LATER_US) -> tuple[list[int], list[int]]:
    """Moments that wait for a person: on the page of conflicts, and as incidents."""
    book = rule_book(db)
    _, limits = book.get(IncidentLimits, FIRST_DAY.date())
    picture = quick(db, now_us, limits, book)
    listed = [conflict.measured_at_us for conflict in open_conflicts(db)]
    return sorted(listed), sorted(fact.at_us for fact in picture.conflicts)


def last(db: Database, meter: int) -> tuple[int, int]:
    (row,) = db.rows("SELECT measured_at_us, value_micro FROM last_reading WHERE meter_id = ?", (meter,))
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
    """Whichever came first; of equals the one that was known first stands until a person decides.

    What a stronger source beats is on no list and no incident, and is not the meter's last reading.
    """
    equals = []
    for first, second, midnight in pairs():
        tell(db, house.meters["1"], first, LOW, midnight, 1)
        tell(db, house.meters["1"], second, HIGH, midnight, 2)
        if RANKS[first] == RANKS[second]:
            expected = (103, "disputed", 2, 1)
            equals.append(microseconds(midnight))
        else:
            expected = (103 if RANKS[first] < RANKS[second] else 104, "measured", 2, 1)
            assert last(db, house.meters["1"]) == (microseconds(midnight), expected[0] * 1_000_000), (first, second)
        assert told(db, house, midnight) == expected, (first, second)
    now_us = microseconds(FIRST_DAY + timedelta(days=69))  # incidents look back over 62 days
    assert disputed(db, now_us) == (equals, equals)
    correct(db, house.meters["1"], equals[0], LOW, author="ivanov", reason="seen", now_us=LATER_US + 3)
    assert disputed(db, now_us) == (equals[1:], equals[1:])


def test_fr_20_of_three_values_the_strongest_counts_in_any_order(db: Database, house: House) -> None:
    trio = {"lorawan archive": Decimal("103"), "manual": Decimal("104"), "gprs current": Decimal("102")}
    for number, order in enumerate(permutations(trio)):
        midnight = FIRST_DAY + timedelta(days=350 + number)
        for at, source in enumerate(order):
            tell(db, house.meters["1"], source, trio[source], midnight, at)
        assert told(db, house, midnight) == (103, "measured", 3, 2), order
    assert disputed(db) == ([], [])


def test_fr_20_equals_below_a_stronger_value_are_no_conflict(db: Database, house: House) -> None:
    midnight = FIRST_DAY + timedelta(days=380)
    tell(db, house.meters["1"], "manual", LOW, midnight, 1)
    tell(db, house.meters["1"], "gis", HIGH, midnight, 2)
    assert told(db, house, midnight)[1] == "disputed"
    assert disputed(db) == ([microseconds(midnight)],) * 2
    tell(db, house.meters["1"], "lorawan archive", HIGH + 1, midnight, 3)
    assert told(db, house, midnight) == (105, "measured", 3, 2)
    assert disputed(db) == ([], [])


def test_fr_20_nothing_overrides_what_a_person_decided(db: Database, house: House) -> None:
    midnight = FIRST_DAY + timedelta(days=380)
    meter, at_us = house.meters["1"], microseconds(midnight)
    tell(db, meter, "lorawan archive", LOW, midnight, 1)
    tell(db, meter, "gprs archive", HIGH, midnight, 2)
    correct(db, meter, at_us, HIGH, author="ivanov", reason="seen on site", now_us=LATER_US + 3)
    for number, source in enumerate(RANKS):
        tell(db, meter, source, LOW - number, midnight, 4 + number)
        assert told(db, house, midnight)[:2] == (104, "measured"), source
        assert last(db, meter) == (at_us, 104_000_000), source
    assert disputed(db) == ([], [])


def test_fr_20_every_quality_of_a_reading_has_a_rank() -> None:
    assert set(RANK) == {"corrected", "archive", "manual", "import", "measured", "server_time"}
