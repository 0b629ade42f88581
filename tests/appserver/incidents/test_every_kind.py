"""Each kind of incident in the database: what brings it about, its start and evidence, who noticed, and what ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.incidents import Filter, IncidentRow, acknowledge, comment, get_incident, incidents
from appserver.incidents.kinds import KINDS
from appserver.incidents.runner import run
from appserver.metering.corrections import correct
from appserver.metering.incoming import Item, take
from appserver.metering.readings import NewReading, store
from appserver.registry.installations import bind_in
from appserver.rules.entered import rule_book
from appserver.web.incident_words import UNSAID, evidence

D = Decimal
HOUR, DAY = 3_600_000_000, 24 * 3_600_000_000
DEV = "4b41524154000001"
FIRST = date(2026, 9, 1)
DAYS = 45
GRAPH = """
[[rule]]
kind = "temperature_graph"
valid_from = 2020-01-01
source = "График организации"
[rule.values]
rows = [[10, 42, 37], [-5, 64, 50], [-28, 95, 70]]
"""


def midnight(day: int) -> int:
    """Microseconds of a day's first moment, days from the first of September, UTC."""
    return int((datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC) + timedelta(days=day)).timestamp()) * 1_000_000


@dataclass
class World:
    """A house of two flats with forty-five balanced days; now is noon after them."""

    db: Database
    building_id: int
    meters: dict[str, int]
    points: dict[str, int]
    days: int = 0
    now_us: int = 0
    totals: dict[str, Decimal] = field(default_factory=lambda: {"1": D(0), "2": D(0), "house": D(0)})

    def pass_days(self, count: int, one: str = "0.3", two: str = "0.2", house: str = "") -> None:
        """So many days with these volumes; the common meter counts what the flats do unless told."""
        readings = []
        flow = {"1": D(one), "2": D(two), "house": D(house) if house else D(one) + D(two)}
        for _ in range(count):
            self.days += 1
            for name, daily in flow.items():
                self.totals[name] += daily
                readings.append(self._reading(name, midnight(self.days), self.totals[name]))
        with self.db.transaction() as connection:
            store(connection, readings, midnight(self.days) + HOUR)
        self.now_us = midnight(self.days) + 12 * HOUR

    def hours(self, name: str, start_us: int, volumes: list[str]) -> None:
        """Readings by the hour from a moment on, beside the daily ones."""
        at, value, readings = start_us, self.totals[name] + 100, []
        for hourly in [D(0), *map(D, volumes)]:
            value += hourly
            readings.append(self._reading(name, at, value))
            at += HOUR
        self.totals[name] = value
        with self.db.transaction() as connection:
            connection.execute("DELETE FROM last_reading")
            store(connection, readings, at)

    def _reading(self, name: str, at_us: int, value: Decimal) -> NewReading:
        return NewReading(self.meters[name], "volume", at_us, int(value * 10**6), "archive", "lorawan", at_us + 1)

    def say(self, sql: str, *values: object) -> None:
        with self.db.transaction() as connection:
            connection.execute(sql, values)

    def state(self, column: str, value: int) -> None:
        self.say(f"UPDATE device_state SET {column} = ? WHERE dev_eui = ?", value, DEV)

    def flag(self, flag: str) -> None:
        self.say(
            "INSERT INTO device_flag (dev_eui, flag, raised_at_us, note) VALUES (?, ?, ?, '')",
            DEV,
            flag,
            self.now_us - HOUR,
        )

    def unflag(self) -> None:
        self.say("UPDATE device_flag SET cleared_at_us = ?", self.now_us)

    def gateway(self, code: str, at_us: int) -> None:
        self.say(
            "INSERT INTO gateway_log (gateway_eui, at_us, level, code, text) VALUES ('0016c001ff10a235', ?, 'warning', ?, '')",
            at_us,
            code,
        )

    def round(self) -> None:
        run(self.db, self.now_us, rule_book(self.db))

    def of(self, kind: str) -> list[IncidentRow]:
        return list(incidents(self.db, Filter(kinds=(kind,))))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    db = open_database(tmp_path / "application.db")
    registry.create(db, "organisation", {"name": "УК"})
    building = registry.create(db, "building", {"organisation_id": 1, "address": "г. Сатка, 1", "timezone": "UTC"})
    made = World(db, building.id or 0, {}, {})
    for name in ("1", "2", "house"):
        place = {
            "building_id": building.id,
            "resource": "cold_water",
            "role": "house" if name == "house" else "individual",
        }
        if name != "house":
            place["premises_id"] = registry.create(db, "premises", {"building_id": building.id, "number": name}).id
        point = registry.create(db, "point", place)
        meter = registry.create(
            db, "meter", {"serial": name, "resource": "cold_water", "qmax": D(3), "verification_until": "2030-01-01"}
        )
        registry.install(db, point.id, meter.id, FIRST, D(0))
        made.meters[name], made.points[name] = meter.id or 0, point.id or 0
    with db.writing() as session:
        bind_in(session, DEV, made.meters["1"], 1)
    made.pass_days(DAYS)
    with db.transaction() as connection:
        connection.execute("DELETE FROM device_state")
        connection.execute(
            "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, flags, last_uplink_at_us, battery_pct,"
            " clock_offset_us) VALUES (?, '', 0, '', ?, 90, 0)",
            (DEV, made.now_us),
        )
    yield made
    db.close()


def conflict(world: World) -> None:
    at = datetime.fromtimestamp(midnight(DAYS) / 10**6, UTC)
    take(world.db, [Item(at, D("99"), meter_id=world.meters["2"])], "gprs", world.now_us)


def decide(world: World) -> None:
    correct(world.db, world.meters["2"], midnight(DAYS), D("9"), author="a", reason="seen", now_us=world.now_us)


def leak(world: World) -> None:
    world.hours("2", midnight(DAYS - 4) + HOUR, ["0.02"] * 4 * 24)


def no_leak(world: World) -> None:
    world.hours("2", midnight(DAYS) + 2 * HOUR, ["0"] * 5 * 24)
    world.now_us += 5 * DAY
    world.state("last_uplink_at_us", world.now_us)


def burst(world: World) -> None:
    world.hours("2", world.now_us - 62 * HOUR, ["0"] * 60 + ["2.5"])


def later(world: World) -> None:
    world.now_us += 3 * HOUR


def no_flow(world: World) -> None:
    world.pass_days(31, two="0")
    world.state("last_uplink_at_us", world.now_us)


def flow_again(world: World) -> None:
    world.pass_days(1)


def imbalance(world: World) -> None:
    world.pass_days(4, house="0.9")
    world.state("last_uplink_at_us", world.now_us)


def theft(world: World) -> None:
    world.pass_days(7, one="0.01", house="0.5")
    world.state("last_uplink_at_us", world.now_us)


def long_after(world: World) -> None:
    world.pass_days(15, one="0.01", house="0.5")


def graph(world: World) -> None:
    folder = world.db.path.parent
    (folder / "rules").mkdir()
    (folder / "rules" / "graph.toml").write_text(GRAPH, encoding="utf-8")
    (folder / "outdoor").mkdir()
    days = [FIRST + timedelta(days=n) for n in range(DAYS + 5)]
    (folder / "outdoor" / "a.csv").write_text("\n".join(f"{day};-5" for day in days), encoding="utf-8")
    point = registry.create(world.db, "point", {"building_id": world.building_id, "resource": "heat", "role": "house"})
    meter = registry.create(world.db, "meter", {"serial": "307", "resource": "heat"})
    registry.install(world.db, point.id, meter.id, FIRST, D(0))
    with world.db.writing() as session:
        bind_in(session, "70b3d5e75e00aaaa", meter.id or 0, 1, "heat")
    world.say("UPDATE device_state SET last_uplink_at_us = ? WHERE dev_eui = '70b3d5e75e00aaaa'", world.now_us)
    for day in range(DAYS - 4, DAYS + 1):
        heat_day(world, day, "64" if day < DAYS - 1 else "50")


def heat_day(world: World, day: int, supply: str) -> None:
    fields = {"T1_c": supply, "T2_c": "50", "m1_t": "100", "m2_t": "100", "dQ_gcal": "1.4", "tA_h": "24"}
    world.say(
        "INSERT INTO calculator_record (dev_eui, subsystem, circuit, archive, at_us, fields, received_at_us)"
        " VALUES ('70b3d5e75e00aaaa', 1, 'heat1', 'day_interval', ?, ?, 0)",
        midnight(day),
        json.dumps(fields),
    )


def graph_kept(world: World) -> None:
    heat_day(world, DAYS + 1, "64")
    world.now_us += DAY


def flagged(flag: str) -> tuple[Callable[[World], None], Callable[[World], None]]:
    return lambda world: world.flag(flag), World.unflag


TABLE: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "silent_meter": (
        lambda world: world.state("last_uplink_at_us", world.now_us - 60 * HOUR),
        lambda world: world.state("last_uplink_at_us", world.now_us),
    ),
    "silent_gateway": (
        lambda world: world.gateway("GATEWAY_OFFLINE", world.now_us - 2 * HOUR),
        lambda world: world.gateway("GATEWAY_ONLINE", world.now_us - HOUR),
    ),
    "leak": (leak, no_leak),
    "burst": (burst, later),
    "magnet": flagged("magnetic_tamper"),
    "opened": flagged("case_opened"),
    "reverse_flow": flagged("backflow"),
    "no_flow": (no_flow, flow_again),
    "device_fault": flagged("hardware_fault"),
    "low_battery": (lambda world: world.state("battery_pct", 5), lambda world: world.state("battery_pct", 90)),
    "clock": (
        lambda world: world.state("clock_offset_us", -2_400_000_000),
        lambda world: world.state("clock_offset_us", 0),
    ),
    "conflict": (conflict, decide),
    "verification": (
        lambda world: world.say("UPDATE meter SET verification_until = '2026-09-30' WHERE serial = '1'"),
        lambda world: world.say("UPDATE meter SET verification_until = '2032-09-30' WHERE serial = '1'"),
    ),
    "temperature_graph": (graph, graph_kept),
    "imbalance": (imbalance, flow_again),
    "theft": (theft, long_after),
}
"""Kind → what brings it about, what ends it."""


def test_fr_09_the_table_has_all_sixteen_kinds() -> None:
    assert set(TABLE) == set(KINDS) and len(KINDS) == 16


def test_fr_09_a_house_in_order_has_no_incident(world: World) -> None:
    world.round()
    assert incidents(world.db, Filter()) == []


@pytest.mark.parametrize("kind", TABLE)
def test_fr_09_every_kind_has_start_end_evidence_acknowledgement_and_comment(world: World, kind: str) -> None:
    begin, end = TABLE[kind]
    world.round()
    begin(world)
    world.round()
    found = world.of(kind)
    assert len(found) == 1, [(i.kind, i.evidence) for i in incidents(world.db, Filter())]
    [incident] = found
    assert incident.ended_at_us is None and 0 < incident.started_at_us <= world.now_us
    assert incident.evidence, "an incident without evidence accuses"
    told = {name for name, value in incident.evidence.items() if value not in ("", None)}
    assert len(evidence(incident.evidence)) == len(told - UNSAID), "and each has its words"
    assert incident.rule.startswith("incident_limits@")
    assert (incident.severity, incident.layer) == (KINDS[kind].severity, KINDS[kind].layer)
    acknowledge(world.db, incident.id, "ivanova", world.now_us)
    comment(world.db, incident.id, "petrov", "выехали", world.now_us)
    end(world)
    world.now_us += HOUR // 60
    world.round()
    over = get_incident(world.db, incident.id)
    assert over.ended_at_us is not None and over.ended_at_us > over.started_at_us
    assert (over.acknowledged_by, over.comments[0].text, over.started_at_us) == (
        "ivanova",
        "выехали",
        incident.started_at_us,
    )
