"""A populated application.db: the house in Satka with sixty flats and a month of readings.

Everything goes the way of the real server: the registry's services, then events with payloads through the ingest.
Payloads are packed here by the published layouts, not by code of ours. The same arguments give the same database.

>>> satka = build(tmp_path / "application.db")
>>> satka.db, satka.building_id, satka.first_day, satka.last_day
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlmodel import Session

from appserver.db import Database, open_database
from appserver.ingest import Ingest
from appserver.registry.crud import create_in
from appserver.registry.installations import bind_in, install_in, replace_meter
from internalapi.messages import Event, Reception

ZONE = ZoneInfo("Asia/Yekaterinburg")
ADDRESS = "Челябинская область, г. Сатка, ул. Бакальская, д. 12"
KARAT_EPOCH = datetime(2000, 3, 1)  # noqa: DTZ001 (the device's own zone)
DAY_INTEGRAL = 15
RESOURCES = ("cold_water", "hot_water")
PULSE = Decimal("0.01")

NO_METER = 57
"""This flat has no meters."""
SILENT = 23
"""The hot water module of this flat falls silent after ten days."""
GAPPY = 31
"""The cold water module of this flat misses some midnights, its values in between are interpolated or missing."""
MAGNET = 44
"""Somebody holds a magnet to the cold water meter of this flat."""
REPLACED = 12
"""The cold water meter of this flat is replaced in the middle of the month."""


@dataclass(slots=True)
class Satka:
    """What was built."""

    db: Database
    organisation_id: int
    building_id: int
    first_day: date
    last_day: date
    """The balance is known from the midnight that begins ``first_day`` to the one that begins ``last_day``."""
    now_us: int
    premises: dict[int, int] = field(default_factory=dict)
    """Flat → premises id."""
    points: dict[tuple[int, str], int] = field(default_factory=dict)
    """(flat, resource) → point id; flat 0 is the house."""
    meters: dict[tuple[int, str], int] = field(default_factory=dict)
    dev_euis: dict[tuple[int, str], str] = field(default_factory=dict)
    per_day: dict[tuple[int, str], list[Decimal]] = field(default_factory=dict)
    volumes: dict[tuple[int, str], Decimal] = field(default_factory=dict)
    """What truly passed from the first to the last midnight."""


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return round(moment.timestamp()) * 1_000_000


def midnight(day: date) -> datetime:
    """The day's first moment in the house's zone."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


def karat(value: Decimal, at: datetime, flags: int = 0, archive: int = DAY_INTEGRAL) -> bytes:
    """Packet 0x0285 of a KARAT-926LW."""
    seconds = round((at.replace(tzinfo=None) - KARAT_EPOCH).total_seconds())
    return struct.pack("<HBIHII", 0x0285, archive, seconds, flags, int(value * 10_000), 0)


def vega(pulses: int, at: datetime, battery: int = 97) -> bytes:
    """Packet of a Vega SI-11, revision 1, with one counting input."""
    return struct.pack("<BBBIb4I", 1, battery, 0x08, round(at.timestamp()), 21, pulses, 0, 0, 0)


def build(
    path: Path,
    flats: int = 60,
    days: int = 31,
    first_day: date = date(2026, 10, 1),
    seed: int = 2018,
    loss: Decimal = Decimal("0.03"),
) -> Satka:
    """Make the database at ``path``; ``loss`` is the share of the common meters that no flat counts."""
    db = open_database(path)
    rng = random.Random(seed)
    last_day = first_day + timedelta(days=days)
    satka = _registry(db, flats, first_day, last_day, rng)
    start = {key: Decimal(rng.randrange(50_000, 3_800_000)).scaleb(-4) * (1 if key[0] else 100) for key in satka.points}
    _install(satka, start)
    events = _flat_events(satka, start, days, rng)
    events += _house_events(satka, days, loss)
    events.sort(key=lambda event: event.time_us)
    for number, event in enumerate(events, 1):
        event_fields = {name: getattr(event, name) for name in event.__struct_fields__} | {"id": number}
        events[number - 1] = Event(**event_fields)
    ingest = Ingest(db, lambda: satka.now_us)
    for at in range(0, len(events), 1000):
        ingest.take(events[at : at + 1000])
    if flats >= REPLACED:
        _replace(satka, days)
    return satka


def _registry(db: Database, flats: int, first_day: date, last_day: date, rng: random.Random) -> Satka:
    with db.writing() as session:
        organisation = create_in(session, "organisation", {"name": "УК «Сатка-Сервис»", "inn": "7417000000"})
        building = create_in(
            session,
            "building",
            {"organisation_id": organisation.id, "address": ADDRESS, "timezone": ZONE.key},
        )
        now_us = microseconds(midnight(last_day)) + 9 * 3_600_000_000
        satka = Satka(db, organisation.id, building.id, first_day, last_day, now_us)
        for flat in range(flats + 1):
            premises_id = None
            if flat:
                premises = create_in(
                    session,
                    "premises",
                    {
                        "building_id": building.id,
                        "number": str(flat),
                        "account_number": f"7412{flat:06d}",
                        "area_m2": Decimal(rng.randrange(300, 900)).scaleb(-1),
                        "residents": rng.randrange(1, 6),
                    },
                )
                satka.premises[flat] = premises_id = premises.id
            if flat != NO_METER:
                for resource in RESOURCES:
                    _point(session, satka, flat, premises_id, resource)
    return satka


def _point(session: Session, satka: Satka, flat: int, premises_id: int | None, resource: str) -> None:
    number = len(satka.points)
    key = (flat, resource)
    point = create_in(
        session,
        "point",
        {
            "building_id": satka.building_id,
            "premises_id": premises_id,
            "resource": resource,
            "role": "individual" if flat else "house",
        },
    )
    meter = create_in(
        session,
        "meter",
        {
            "serial": f"{18270200 + number}",
            "manufacturer": "НПО КАРАТ" if flat else "Декаст",
            "model": "СВК-15-3-2" if flat else "ВСХНд-50",
            "resource": resource,
            "digits": 5 if flat else 7,
            "verified_on": date(2024, 5, 1),
            "verification_until": date(2026, 12, 10) if number % 17 == 0 else date(2030, 5, 1),
        },
    )
    satka.points[key], satka.meters[key] = point.id, meter.id
    satka.dev_euis[key] = f"70b3d5e75e{number:06x}"


def _install(satka: Satka, start: dict[tuple[int, str], Decimal]) -> None:
    with satka.db.writing() as session:
        for key, point_id in satka.points.items():
            install_in(session, point_id, satka.meters[key], satka.first_day, start[key], recompute=False)
            if key[0]:
                bind_in(session, satka.dev_euis[key], satka.meters[key])
            else:
                bind_in(session, satka.dev_euis[key], satka.meters[key], 1, "", PULSE, start[key], Decimal(1000))


def _daily_volumes(days: int, resource: str, rng: random.Random) -> list[Decimal]:
    level = rng.choice((60, 110, 160, 220, 300)) * (10 if resource == "cold_water" else 6)
    return [Decimal(round(level * rng.uniform(0.5, 1.6))).scaleb(-4) for _ in range(days)]


def _flat_events(satka: Satka, start: dict[tuple[int, str], Decimal], days: int, rng: random.Random) -> list[Event]:
    events = []
    for key in satka.points:
        flat, resource = key
        if not flat:
            continue
        value = start[key]
        per_day = _daily_volumes(days, resource, rng)
        satka.per_day[key], satka.volumes[key] = per_day, sum(per_day, Decimal(0))
        delay = timedelta(seconds=rng.randrange(60, 5 * 3600))
        for number in range(days + 1):
            at = midnight(satka.first_day + timedelta(days=number))
            if number:
                value += per_day[number - 1]
            if (key == (SILENT, "hot_water") and number > 10) or (
                flat == REPLACED and resource == "cold_water" and number > 15
            ):
                break
            flags = 2 if key == (MAGNET, "cold_water") and number > 20 else 0
            if key == (GAPPY, "cold_water") and number % 5 == 0 and 0 < number < days:
                events += _around(satka, key, value, per_day[number - 1], at, number)
                continue
            events.append(_event(satka, key, karat(value, at, flags), at + delay, number, 5))
    return events


def _around(satka: Satka, key: tuple[int, str], value: Decimal, day: Decimal, at: datetime, number: int) -> list[Event]:
    """Current values two hours before and after a midnight instead of the stored one; every second time nothing."""
    if number % 10 == 0:
        return []
    hour = (day / 24).quantize(Decimal("0.0001"))
    sent = [(at - timedelta(hours=2), value - 2 * hour), (at + timedelta(hours=2), value)]
    return [
        _event(satka, key, karat(volume, moment, archive=5), moment + timedelta(seconds=3), 1000 + number * 2 + i, 5)
        for i, (moment, volume) in enumerate(sent)
    ]


def _house_events(satka: Satka, days: int, loss: Decimal) -> list[Event]:
    """The common meters: what the flats took that day and the loss, told every four hours."""
    events = []
    for resource in RESOURCES:
        key = (0, resource)
        flats = [its for (_, of), its in satka.per_day.items() if of == resource]
        passed = [Decimal(0)]
        for day in range(days):
            passed.append(passed[-1] + sum((its[day] for its in flats), Decimal(0)) / (1 - loss))
        satka.volumes[key] = passed[-1].quantize(PULSE, ROUND_DOWN)
        for number in range(days * 6 + 1):
            at = midnight(satka.first_day) + timedelta(hours=4 * number)
            day, part = divmod(number, 6)
            following = passed[min(day + 1, days)]
            pulses = 1000 + int((passed[day] + (following - passed[day]) * part / 6) / PULSE)
            events.append(_event(satka, key, vega(pulses, at), at + timedelta(seconds=70), number, 2))
    return events


def _event(satka: Satka, key: tuple[int, str], data: bytes, received: datetime, f_cnt: int, f_port: int) -> Event:
    time_us = microseconds(received)
    return Event(
        id=0,
        type="up",
        time_us=time_us,
        dev_eui=satka.dev_euis[key],
        device_name=f"кв. {key[0]} {key[1]}" if key[0] else f"дом {key[1]}",
        profile="karat-926lw" if key[0] else "vega-si-11",
        codec="karat" if key[0] else "vega-si-11",
        dev_addr=f"{0x00180000 + int(satka.dev_euis[key][-6:], 16):08x}",
        frame_id=0,
        session_id=1,
        f_port=f_port,
        f_cnt=f_cnt,
        data=data,
        adr=True,
        dr=5,
        frequency_hz=868_900_000,
        datr="SF7BW125",
        receptions=(Reception(gateway_eui="0016c001ff1e5a01", received_at_us=time_us, rssi_dbm=-92.0, snr_db=6.5),),
    )


def _replace(satka: Satka, days: int) -> None:
    """A new meter from day 15 on; its module reports on."""
    key = (REPLACED, "cold_water")
    if days <= 16:
        return
    rows = satka.db.rows("SELECT value_micro FROM last_reading WHERE meter_id = ?", (satka.meters[key],))
    at = midnight(satka.first_day + timedelta(days=15)) + timedelta(hours=10)
    with satka.db.writing() as session:
        new = create_in(
            session,
            "meter",
            {"serial": "26000012", "manufacturer": "НПО КАРАТ", "model": "СВК-15-3-2", "resource": "cold_water"},
        )
    end = Decimal(rows[0][0]).scaleb(-6) + Decimal("0.08")
    replace_meter(satka.db, satka.points[key], new.id, at.date(), end, Decimal("0.015"), microseconds(at))
    satka.meters[key] = new.id
    events, value = [], Decimal("0.015")
    last = satka.db.rows("SELECT event_id FROM event_cursor")[0][0]
    for number in range(16, days + 1):
        value += Decimal("0.11")
        stamp = midnight(satka.first_day + timedelta(days=number))
        event = _event(satka, key, karat(value, stamp), stamp + timedelta(hours=1), 500 + number, 5)
        fields = {name: getattr(event, name) for name in event.__struct_fields__} | {"id": last + number}
        events.append(Event(**fields))
    Ingest(satka.db, lambda: satka.now_us).take(events)
