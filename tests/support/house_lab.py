"""A house of the simulator in virtual time: frames through the real engine into the real application, as months go by.

>>> lab = HouseLab(tmp_path, "satka_month", datetime(2026, 10, 1, tzinfo=ZONE), seed=7)
>>> lab.live(days=32)
>>> lab.ask_for_gaps = True
>>> lab.live(days=3)
>>> lab.balance(date(2026, 10, 1), date(2026, 11, 1))
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from lorasim import checker
from lorasim.house import CODECS, Meter, Module, SimulatedHouse, import_rows

from appserver import exchange
from appserver.backfill.runner import round_of
from appserver.db import open_database
from appserver.ingest import Ingest
from appserver.metering import house_balance
from appserver.metering.balance import Balance
from appserver.metering.explain import Explanation, explain_balance
from appserver.registry import create
from appserver.registry.installations import replace_meter
from appserver.rules import Backfill, load
from internalapi import messages as m
from tests.support.air_lab import AirLab

HOUR_US = 3_600_000_000
M3 = Decimal(10_000)


def microseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000


class HouseLab(AirLab):
    """The network's application side with it: registry imported, events taken every four hours, gaps asked for on wish."""

    def __init__(self, folder: Path, name: str, start: datetime, seed: int, changes: Mapping[str, str] = {}) -> None:
        text = (resources.files("lorasim") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
        text = text.replace("seed = 2018", f"seed = {seed}", 1)
        text = text.replace("keepalive_s = 75", "keepalive_s = 900")  # nothing depends on it, and a month has many
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.db = open_database(folder / "application.db")
        self.ask_for_gaps = False
        self._heard: dict[str, list[tuple[int, int]]] = {}
        """When values of a meter were received, and what they were, by serial number."""
        self.rule = load().get(Backfill, start.date())[1]
        super().__init__(folder, text, start_us=microseconds(start))
        self.ingest = Ingest(self.db, lambda: self.wall_us)
        self._acts = sorted(
            ((self.house.day_us(r.day, r.hour), m) for m in self.house.meters if (r := m.replacement) is not None),
            key=lambda act: act[0],
        )
        rows = import_rows(self.world.scenario, now_us=self.wall_us)
        for profile in sorted({row["profile"] for row in rows} & CODECS.keys()):
            self.call("profile_put", name=profile, mac_version="1.0.2", region="RU864", codec=CODECS[profile])
        self._import(rows)
        self.building_id = int(self.db.rows("SELECT id FROM building")[0][0])
        self.switch_on()

    def start(self, restored: int = 0) -> None:
        super().start(restored)
        self.journal._db.execute("PRAGMA synchronous = OFF")  # nobody is killed here, and a month has many commits

    def _register_devices(self, profile: str) -> None:
        """The import of the registry brings them."""

    @property
    def house(self) -> SimulatedHouse:
        assert self.world.house is not None
        return self.world.house

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.world.scenario.clock.zone)

    # ------------------------------------------------------------------------------------------------ the operator

    async def devices_put(self, *, items: list[m.DeviceWrite], dry_run: bool) -> m.PutResult:
        result: m.PutResult = self.call("devices_put", items=items, dry_run=dry_run)
        return result

    async def queue_put(self, **fields: Any) -> m.QueueItem:
        with patch("lns.api.queue.system_now", lambda: self.now):  # the API's clock is the machine's
            item: m.QueueItem = self.call("queue_put", **fields)
        return item

    def _import(self, rows: Sequence[Mapping[str, str]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)
        table = exchange.read_table(out.getvalue().encode())
        report = asyncio.run(exchange.run(self.db, self, table, False, self.wall_us))
        assert report.applied, report.errors

    def _replace(self, meter: Meter, at_us: int) -> None:
        """The fitter's act: what the old one showed and the new one shows."""
        assert meter.replacement is not None
        ((point_id,), *_) = self.db.rows(
            "SELECT i.point_id FROM meter m JOIN installation i ON i.meter_id = m.id WHERE m.serial = ?",
            (meter.serial,),
        )
        fields = {"serial": f"{meter.serial}-2", "model": meter.model, "resource": meter.resource}
        new = create(self.db, "meter", fields)
        end, start = (
            Decimal(units) / M3 for units in (self.house.removed_units(meter), meter.replacement.start_litres * 10)
        )
        day = datetime.fromtimestamp(at_us / 1e6, self.zone).date()
        replace_meter(self.db, point_id, new.id, day, end, start, at_us)

    # ------------------------------------------------------------------------------------------------ time

    def live(self, days: float) -> None:
        """Let time go by, four hours at a time; acts are written at their moments."""
        until_us = self.wall_us + round(days * 24) * HOUR_US
        while self.wall_us < until_us:
            step_us = 4 * HOUR_US
            if self._acts:
                step_us = min(step_us, self._acts[0][0] - self.wall_us)
            self.run(step_us / 1e6)
            self.take()
            if self._acts and self._acts[0][0] <= self.wall_us:
                at_us, meter = self._acts.pop(0)
                self._replace(meter, at_us)
            if self.ask_for_gaps:
                asyncio.run(round_of(self.db, self, self.wall_us, self.rule))

    def take(self) -> None:
        """The application takes what the network has for it."""
        while True:
            result = self.call("events", after=self.ingest.cursor(), limit=1000, wait_s=0.0)
            events = [m.decoder(m.Event).decode(body) for body in result["events"]]
            if not events:
                return
            self.ingest.take(events)

    def moment(self, day: date) -> int:
        return microseconds(datetime(day.year, day.month, day.day, tzinfo=self.zone))

    # ------------------------------------------------------------------------------------------------ what the server says

    def balance(self, first: date, last: date, resource: str = "cold_water") -> Balance:
        return house_balance(self.db, self.building_id, resource, first, last, "day")

    def explanation(self, first: date, last: date, resource: str = "cold_water") -> Explanation:
        found = explain_balance(self.db, self.balance(first, last, resource))
        assert found is not None
        return found

    # ------------------------------------------------------------------------------------------------ what is true

    def truth(self, first: date, last: date, resource: str = "cold_water") -> dict[str, float]:
        """What was put in between two midnights, m³ or Gcal: ``lost`` is theft, leak and common needs; ``clock`` what clocks shift."""
        house, edges = self.house, (self.moment(first), self.moment(last))
        meters = [meter for meter in house.meters if meter.resource == resource]
        one = meters[0].one

        def between(units: Any) -> float:
            start, end = (units(edge) for edge in edges)
            return float((end - start) / Decimal(one))

        theft = sum(between(lambda at, meter=meter: house.stolen_units(meter, at)) for meter in meters)
        leak = between(lambda at: house.leaked_units(resource, at))
        common = between(lambda at: house.common_units(resource, at))
        clock = -sum(
            between(lambda at, its=its: house.units(its.meter, its.true_us(at)) - house.units(its.meter, at))
            for its in house.modules
            if its.meter.resource == resource and its.meter.flat
        )
        return {"theft": theft, "leak": leak, "common": common, "lost": theft + leak + common, "clock": clock}

    def heard_by(self, at_us: int, serial: str) -> int | None:
        """The last value of a meter that the network had promised to keep by a moment, 0.0001 m³; by the air's own record."""
        if not self._heard:
            for line in checker.acknowledged(self.lines()):
                if line.tag is not None:
                    self._heard.setdefault(line.tag["serial"], []).append((line.pushed_us, line.tag["units"]))
        return next((units for t, units in reversed(self._heard.get(serial, ())) if t <= at_us), None)

    def module(self, flat: int) -> Module:
        return next(one for one in self.house.modules if one.meter.flat == flat)
