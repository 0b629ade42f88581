"""Carries an import out: the devices to the network first, then one transaction of application.db."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from appserver.db import Database
from appserver.exchange.plan import Change, Plan, make_plan
from appserver.exchange.rows import Row, RowError, read_row
from appserver.exchange.settle import settle
from appserver.exchange.tables import Table
from appserver.ingest import redecode
from appserver.metering.store import rebuild
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import DeviceWrite, PutResult

MAX_ERRORS = 1000


class DeviceStore(Protocol):
    """Where devices are kept: the client of the internal API."""

    async def devices_put(self, *, items: list[DeviceWrite], dry_run: bool) -> PutResult:
        """Create or change devices, all or none."""
        ...


@dataclass(slots=True)
class ImportReport:
    """What an import did, or (``dry_run``) would do."""

    dry_run: bool
    rows: int
    applied: bool = False
    errors: list[RowError] = field(default_factory=list)
    """When there is one, nothing is applied."""
    changes: list[Change] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)
    """Counts by table: organisation, building, premises, point, meter, installation, module_channel, device."""
    ignored_columns: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the network says about devices that it takes all the same: weak root keys."""
    readings: int = 0
    """Readings found in frames that had waited for their meter."""


async def run(
    db: Database, network: DeviceStore, table: Table, dry_run: bool, now_us: int, actor: str = "import"
) -> ImportReport:
    """Import a table, all of it or nothing. A second run of the same file changes nothing.

    ``actor`` stands in the journal beside what it creates and changes.
    """
    report = ImportReport(dry_run, len(table.rows), ignored_columns=table.ignored)
    rows, devices = await db.run(_check, table, report)
    if not report.errors:
        _take(report, await db.run(_preview, db, rows, now_us))
    if not report.errors:
        await _put_devices(network, devices, dry_run, report)
    if not report.errors and not dry_run:
        _take(report, await db.run(_apply, db, rows, now_us, report, actor))
        report.applied = not report.errors
    report.errors.sort(key=lambda error: error.row)
    del report.errors[MAX_ERRORS:]
    return report


def _check(table: Table, report: ImportReport) -> tuple[list[Row], list[DeviceWrite]]:
    rows = []
    for number, cells in table.rows:
        row, errors = read_row(number, cells)
        report.errors += errors
        if not errors:
            rows.append(row)
    devices = _devices(rows, report)
    if not table.rows:
        report.errors.append(RowError(1, "", "The file has headings and no rows."))
    return rows, devices


def _devices(rows: Sequence[Row], report: ImportReport) -> list[DeviceWrite]:
    """One device for all rows with its DevEUI; rows without any column of a device leave it as it is."""
    merged: dict[str, dict[str, Any]] = {}
    first: dict[str, int] = {}
    keys: dict[str, tuple[str, int]] = {}
    for row in rows:
        values = row.of("device")
        if not values:
            continue
        dev_eui = row.of("channel")["dev_eui"]
        known = merged.setdefault(dev_eui, {})
        first.setdefault(dev_eui, row.number)
        for name, value in values.items():
            if known.setdefault(name, value) != value:
                detail = f"{name}: row {first[dev_eui]} gives device {dev_eui} another one."
                report.errors.append(RowError(row.number, name, detail))
        key = values.get("app_key")
        if key is not None and keys.setdefault(key, (dev_eui, row.number))[0] != dev_eui:
            detail = f"app_key: device {keys[key][0]} in row {keys[key][1]} has the same key; keys must differ."
            report.errors.append(RowError(row.number, "app_key", detail))
    for values in merged.values():
        if "app_key" in values:
            values["activation"] = "OTAA"
    return [DeviceWrite(dev_eui=dev_eui, **values) for dev_eui, values in merged.items()]


def _preview(db: Database, rows: list[Row], now_us: int) -> Plan:
    with db.snapshot() as connection:
        return make_plan(connection, rows, now_us).plan


def _apply(db: Database, rows: list[Row], now_us: int, report: ImportReport, actor: str) -> Plan:
    with db.transaction() as connection:
        planner = make_plan(connection, rows, now_us)
        if planner.plan.errors:
            return planner.plan
        planner.write()
        settle(connection, now_us, planner.created(), planner.changed(), actor)
        for point_id in sorted(planner.plan.points):
            rebuild(connection, point_id)
    if planner.plan.dev_euis:
        report.readings = redecode(db, now_us, sorted(planner.plan.dev_euis)).readings
    return planner.plan


def _take(report: ImportReport, plan: Plan) -> None:
    report.errors += plan.errors
    report.changes = plan.changes
    kept = {name: getattr(report, name).get("device") for name in ("created", "changed", "unchanged")}
    for name, devices in kept.items():
        counts = dict(getattr(plan, name))
        if devices is not None:
            counts["device"] = devices
        setattr(report, name, counts)


async def _put_devices(network: DeviceStore, devices: list[DeviceWrite], dry_run: bool, report: ImportReport) -> None:
    if not devices:
        return
    try:
        result = await network.devices_put(items=devices, dry_run=dry_run)
    except ApiError as error:
        report.errors.append(RowError(0, error.problem.field or "", f"The network refuses the devices: {error}"))
        return
    except NetworkUnavailable as error:
        report.errors.append(RowError(0, "", f"Nothing was imported: {error}"))
        return
    report.warnings = result.warnings
    report.created["device"] = result.created
    report.changed["device"] = result.changed
    report.unchanged["device"] = result.unchanged
