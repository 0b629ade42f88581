"""Hours of a house out of packed months: what the balance by hour says, whatever came late, twice or was corrected."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from appserver import registry
from appserver.db import Connection, open_database
from appserver.errors import RegistryError
from appserver.metering import house_balance
from appserver.metering.corrections import correct
from appserver.metering.hours import house_hours, settle
from appserver.metering.hours.closed import counted_hours
from appserver.metering.hours.series import point_hours
from appserver.metering.hours.settling import _settle_chunk
from appserver.metering.periods import close_period
from appserver.metering.readings import NewReading, store
from appserver.metering.store import rebuild
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of

DAY = date(2026, 10, 28)
UNTIL = date(2026, 11, 3)
"""A week over the end of a month."""
NOW_US = midnight_us(day_number(UNTIL), zone_of("UTC")) + 48 * HOUR_US


class House:
    """A building with a common meter, one that counts what leaves, and flats; all readings are made here."""

    def __init__(self, folder: Path, timezone: str = "Asia/Yekaterinburg", flats: int = 3, since: date = DAY) -> None:
        self.db = open_database(folder / "application.db")
        self.zone = zone_of(timezone)
        organisation = registry.create(self.db, "organisation", {"name": "УК"})
        place = {"organisation_id": organisation.id, "address": "ул. Мира, 1", "timezone": timezone}
        self.id = int(registry.create(self.db, "building", place).id or 0)
        self.points: dict[str, int] = {}
        self.meters: dict[str, int] = {}
        self.add("house", since)
        self.add("out", since, direction="out", role="house")
        for number in range(1, flats + 1):
            premises = registry.create(self.db, "premises", {"building_id": self.id, "number": str(number)})
            self.add(str(number), since, role="individual", premises_id=premises.id)

    def add(self, name: str, since: date, role: str = "house", **fields: object) -> None:
        place = {"building_id": self.id, "resource": "cold_water", "role": role, "name": name, **fields}
        self.points[name] = int(registry.create(self.db, "point", place).id or 0)
        meter = registry.create(self.db, "meter", {"serial": name, "resource": "cold_water", "digits": 5, "qmax": 5})
        self.meters[name] = int(meter.id or 0)
        registry.install(self.db, self.points[name], self.meters[name], since - timedelta(days=1), Decimal(0))

    def at(self, day: date, hour: int = 0, minute: int = 0) -> int:
        return midnight_us(day_number(day), self.zone) + hour * HOUR_US + minute * HOUR_US // 60

    def reading(self, name: str, at_us: int, litres: int, quality: str = "archive", late_us: int = 0) -> NewReading:
        received_us = at_us + HOUR_US + late_us
        return NewReading(self.meters[name], "volume", at_us, litres * 1000, quality, "lorawan", received_us)

    def take(self, readings: list[NewReading]) -> int:
        with self.db.transaction() as connection:
            return store(connection, readings, NOW_US)

    def agrees(self, first: date = DAY, last: date = UNTIL) -> None:
        """The packed hours say what the balance by hour says."""
        hours = house_hours(self.db, self.id, "cold_water", first, last)
        rows = house_balance(self.db, self.id, "cold_water", first, last, "hour").periods
        assert [v if v is None else Decimal(v).scaleb(-6) for v in hours.house] == [row.house for row in rows]
        assert [Decimal(v).scaleb(-6) for v in hours.individual] == [row.individual for row in rows]
        assert hours.known == [row.measured + row.interpolated for row in rows]
        assert hours.estimated == [row.interpolated for row in rows]
        assert any(hours.known), "something is known, or the comparison tells nothing"

    def kept(self) -> list[tuple[object, ...]]:
        return self.db.rows("SELECT point_id, month, volumes, ranks FROM point_hours ORDER BY 1, 2")

    def due(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM hours_due")[0][0])


@pytest.fixture
def house(tmp_path: Path, database_kind: str) -> House:
    return House(tmp_path)


def life(house: House, seed: int, first: date = DAY, last: date = UNTIL) -> list[NewReading]:
    """Hourly readings as they come: some missing, some between the hours, some without a clock, falls and jumps."""
    chance = random.Random(seed)
    readings = []
    hours = round((house.at(last) - house.at(first)) / HOUR_US)
    for name in house.points:
        value = chance.randrange(50_000)
        for hour in range(hours + 1):
            value += chance.randrange(40)
            if chance.random() < 0.02:
                value = max(value + chance.choice((-2, -500, 9_000)), 0)
            if chance.random() < 0.15 or (chance.random() < 0.04 and hour % 24 > 12):
                continue
            minute = 0 if chance.random() < 0.85 else chance.randrange(60)
            quality = chance.choice(("archive", "archive", "measured", "server_time"))
            readings.append(
                house.reading(name, house.at(first) + hour * HOUR_US + minute * HOUR_US // 60, value, quality)
            )
            if chance.random() < 0.03:
                readings.append(house.reading(name, readings[-1].measured_at_us, value + 7, quality, late_us=1))
    return readings


@pytest.mark.parametrize("seed", range(3))
def test_hours_say_what_the_balance_by_hour_says(house: House, seed: int) -> None:
    readings = life(house, seed)
    random.Random(seed).shuffle(readings)
    house.take(readings[::2])
    house.agrees()  # nothing is kept yet: what is due is computed while reading
    assert settle(house.db) > 0 and house.due() == 0
    house.agrees()
    kept = house.kept()
    house.take(readings[1::2])  # late ones
    assert house.due()
    house.agrees()
    assert house.kept() == kept, "reading writes nothing"
    settle(house.db)
    house.agrees()
    assert house.kept() != kept


def test_hours_are_the_same_in_any_order_and_settled_at_any_time(tmp_path: Path, database_kind: str) -> None:
    found = []
    for number, order in enumerate((1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        house = House(folder)
        readings = life(house, 5)
        random.Random(order).shuffle(readings)
        for start in range(0, len(readings), 150):
            house.take(readings[start : start + 150])
            if order == 2:
                settle(house.db)
        house.take(readings)  # all of them again
        settle(house.db)
        found.append(house.kept())
    assert found[0] == found[1] and len(found[0]) == 5 * 2


class Died(Exception):
    """The process, at some statement."""


class Mortal:
    """A connection that dies at its n-th statement; what it was told so far is gone with its transaction."""

    def __init__(self, connection: Connection, statements: int) -> None:
        self._connection, self._left = connection, statements

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Died

    def execute(self, *arguments: Any) -> Any:
        self._count()
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        self._count()
        return self._connection.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_whoever_dies_while_settling_leaves_it_due(house: House) -> None:
    house.take(life(house, 2))
    due = house.db.rows("SELECT * FROM hours_due ORDER BY 1, 2, 3")
    deaths = 0
    while True:
        try:
            with house.db.transaction() as connection:
                _settle_chunk(Mortal(connection, deaths))  # type: ignore[arg-type]
                if deaths % 2:
                    raise Died  # between the last statement and the commit
        except Died:
            deaths += 1
        else:
            break
        assert house.db.rows("SELECT * FROM hours_due ORDER BY 1, 2, 3") == due
        assert house.kept() == []
        house.agrees()
    assert deaths >= 4
    settle(house.db)
    assert house.due() == 0 and house.kept()
    house.agrees()


def test_what_is_known_already_is_not_due_again(house: House) -> None:
    readings = life(house, 1)
    house.take(readings)
    settle(house.db)
    assert house.take(readings) == 0 and house.due() == 0
    assert settle(house.db) == 0


def test_a_correction_moves_the_hours_around_it(house: House) -> None:
    house.take([house.reading("1", house.at(DAY, hour), 100 + hour) for hour in range(49)])
    settle(house.db)
    assert house_hours(house.db, house.id, "cold_water", DAY, UNTIL).individual[30:32] == [1000, 1000]
    correct(
        house.db,
        house.meters["1"],
        house.at(DAY, 31),
        Decimal("0.1315"),
        author="Иванова",
        reason="misread",
        now_us=NOW_US,
    )
    for _ in range(2):
        hours = house_hours(house.db, house.id, "cold_water", DAY, UNTIL)
        assert hours.individual[30:32] == [1500, 500]
        house.agrees()
        assert settle(house.db) or house.due() == 0


def test_a_rollover_and_a_replacement_within_an_hour(house: House) -> None:
    full = 10**8
    house.take([house.reading("1", house.at(DAY, hour), (full - 5 + hour) % full) for hour in range(20)])
    house.take([house.reading("2", house.at(DAY, hour), 10 * hour) for hour in range(20)])
    new = int(registry.create(house.db, "meter", {"serial": "new", "resource": "cold_water"}).id or 0)
    registry.replace_meter(house.db, house.points["2"], new, DAY, Decimal("0.1"), Decimal(7), house.at(DAY, 9, 30))
    house.meters["2"] = new
    house.take([house.reading("2", house.at(DAY, hour), 7000 + 10 * (hour - 9)) for hour in range(10, 20)])
    house.agrees()
    settle(house.db)
    house.agrees()


def test_a_change_of_the_register_computes_all_hours_again(house: House) -> None:
    house.take([house.reading("1", house.at(DAY, hour), 6000 * hour) for hour in range(30)])
    settle(house.db)
    assert house_hours(house.db, house.id, "cold_water", DAY, UNTIL).individual[3] == 6_000_000, "implausible, and kept"
    registry.update(house.db, "building", house.id, {"timezone": "Asia/Kolkata"})
    assert house.due() == 5
    house.zone = zone_of("Asia/Kolkata")
    house.agrees()
    settle(house.db)
    house.agrees()


@pytest.mark.parametrize(
    ("timezone", "day"), [("Europe/Berlin", date(2026, 10, 25)), ("Australia/Lord_Howe", date(2026, 10, 4))]
)
def test_days_on_which_clocks_change(tmp_path: Path, timezone: str, day: date) -> None:
    house = House(tmp_path, timezone, flats=1, since=day - timedelta(days=1))
    first, last = day - timedelta(days=1), day + timedelta(days=2)
    house.take(life(house, 3, first, last))
    settle(house.db)
    if timezone == "Europe/Berlin":
        house.agrees(first, last)
    hours = house_hours(house.db, house.id, "cold_water", day, day + timedelta(days=1))
    assert len(hours.house) == {"Europe/Berlin": 25, "Australia/Lord_Howe": 24}[timezone]


def test_points_tell_their_own_hours(house: House) -> None:
    house.take(life(house, 4))
    settle(house.db)
    hours = house_hours(house.db, house.id, "cold_water", DAY, UNTIL)
    start_us, series = point_hours(house.db, house.id, "cold_water", DAY, UNTIL)
    assert start_us == hours.start_us == house.at(DAY)
    flats = [series[house.points[name]] for name in ("1", "2", "3")]
    assert [sum(value or 0 for value in hour) for hour in zip(*flats, strict=True)] == hours.individual
    assert [sum(value is not None for value in hour) for hour in zip(*flats, strict=True)] == hours.known
    assert [a - b for a, b in zip(series[1], series[2], strict=True) if None not in (a, b)] == [
        volume for volume in hours.house if volume is not None
    ]


def test_hours_of_a_closed_period_are_as_they_were_frozen(house: House) -> None:
    first, last = date(2026, 10, 29), date(2026, 10, 31)
    house.take([house.reading("1", house.at(DAY, hour), 10 * hour) for hour in range(97) if hour % 24 != 6])
    before = house_hours(house.db, house.id, "cold_water", DAY, UNTIL)
    span = (house.id, "cold_water", first, last)
    close_period(house.db, *span, author="Иванова", now_us=NOW_US)
    house.take([house.reading("1", house.at(DAY, hour), 10 * hour + 5) for hour in (6, 30, 54, 78)])  # late
    live = house_hours(house.db, house.id, "cold_water", DAY, UNTIL)
    counted, within = counted_hours(house.db, house.id, "cold_water", DAY, UNTIL)
    assert [closing.first_day for closing in within] == [first]
    for name in ("individual", "known", "estimated"):
        mixed = getattr(live, name)[:24] + getattr(before, name)[24:72] + getattr(live, name)[72:]
        assert getattr(counted, name) == mixed
    assert counted.individual != live.individual and counted.estimated != live.estimated
    part, _ = counted_hours(house.db, house.id, "cold_water", date(2026, 10, 30), UNTIL)
    assert part.individual == counted.individual[48:]
    house.db.connection.execute(
        "DROP TRIGGER period_result_no_delete" if not house.db.url else "SET session_replication_role = replica"
    )
    house.db.connection.execute("DELETE FROM period_result WHERE part = 'hours'")
    assert counted_hours(house.db, house.id, "cold_water", DAY, UNTIL)[0].individual == counted.individual, (
        "by its balance"
    )


def test_points_that_tell_midnights_only_keep_nothing(house: House) -> None:
    house.take([house.reading("1", house.at(DAY + timedelta(days=n)), n) for n in range(5)])
    settle(house.db)
    assert (house.kept(), house.due()) == ([], 0)


def test_a_point_whose_installation_was_a_mistake_leaves_nothing(house: House) -> None:
    house.take([house.reading("1", house.at(DAY, hour), hour) for hour in range(10)])
    settle(house.db)
    with house.db.transaction() as connection:
        connection.execute("DELETE FROM boundary WHERE point_id = ?", (house.points["1"],))
        connection.execute("DELETE FROM installation WHERE point_id = ?", (house.points["1"],))
        rebuild(connection, house.points["1"])
    assert (house.kept(), house.db.rows("SELECT * FROM hours_due WHERE point_id = ?", (house.points["1"],))) == ([], [])


def test_what_cannot_be_asked(house: House) -> None:
    for resource, last, field in (("steam", UNTIL, "resource"), ("gas", DAY, "to"), ("gas", date(2028, 1, 1), "to")):
        with pytest.raises(RegistryError) as told:
            house_hours(house.db, house.id, resource, DAY, last)
        assert told.value.field == field
    with pytest.raises(RegistryError):
        house_hours(house.db, 999, "gas", DAY, UNTIL)
    empty = house_hours(house.db, house.id, "gas", DAY, UNTIL)
    assert set(empty.house) == {None} and not any(empty.individual) and len(empty.house) == 6 * 24


def test_a_house_of_more_points_than_a_byte_counts() -> None:
    from appserver.metering.hours.packed import Month, counted, summed

    blocks = []
    for number in range(600):
        month = Month(3)
        month.put(0, number - 300, 0)
        month.put(1, 2**52, 1)
        month.put(2, 2**52 + 1, 0)
        blocks.append(month.packed)
    assert summed([volumes for volumes, _ in blocks], 3) == [sum(range(-300, 300)), 600 * 2**52, 0]
    assert counted([ranks for _, ranks in blocks], 3) == ([600, 600, 0], [0, 600, 0])
