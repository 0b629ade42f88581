"""FR-19: tariff registers beside the total: volumes by tariff, and whether they add up to the total.

A tariff's register is called after the principal one: ``energy_t1`` … ``energy_t4``. Acts of installation tell the total
only, so a tariff counts between readings of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from appserver.db import Database
from appserver.metering.boundary import boundary_value
from appserver.metering.consumption import ONE, ZERO, consumption
from appserver.metering.store import PointHistory, point_history, samples_around
from appserver.metering.timebase import HOUR_US

TARIFFS = 4


@dataclass(frozen=True, slots=True)
class TariffVolumes:
    """A point's volumes by tariff in a period, beside its total."""

    total: Decimal | None
    tariffs: dict[str, Decimal | None]
    """``t1`` … as far as the meter has them; None when not known at both ends."""
    difference: Decimal | None
    """Total minus the sum of tariffs; None when one of them is not known."""
    adds_up: bool | None
    """Within a unit of the register for each tariff, which is what the display cuts off."""


def add_up(total: Decimal | None, tariffs: Mapping[str, Decimal | None], unit: Decimal = ONE) -> TariffVolumes:
    """Compare a total with its tariffs; ``unit`` is what the registers' display cuts off."""
    known = [volume for volume in tariffs.values() if volume is not None]
    if total is None or not tariffs or len(known) < len(tariffs):
        return TariffVolumes(total, dict(tariffs), None, None)
    difference = total - sum(known, ZERO)
    return TariffVolumes(total, dict(tariffs), difference, abs(difference) <= unit * len(known))


def tariff_volumes(db: Database, point_id: int, from_us: int, until_us: int) -> TariffVolumes:
    """Volumes of a point's registers between two moments. Raises KeyError for a point that does not exist."""
    with db.snapshot() as connection:
        history = point_history(connection, point_id)
        names = [f"{history.register_name}_t{n}" for n in range(1, TARIFFS + 1)]
        marks = ", ".join("?" * len(names))
        present = {
            name
            for (name,) in connection.execute(
                "SELECT DISTINCT l.register FROM installation i JOIN last_reading l ON l.meter_id = i.meter_id"
                f" WHERE i.point_id = ? AND l.register IN ({marks})",
                (point_id, *names),
            )
        }

        def volume(register: str) -> Decimal | None:
            return _volume(connection, replace(history, register_name=register), from_us, until_us)

        tariffs = {name.rpartition("_")[2]: volume(name) for name in names if name in present}
        return add_up(volume(history.register_name), tariffs, max((term.ratio for term in history.terms), default=ONE))


def _volume(connection: sqlite3.Connection, history: PointHistory, from_us: int, until_us: int) -> Decimal | None:
    total = ZERO
    known = False
    for term in history.terms:
        start_us = max(from_us, term.from_us)
        end_us = min(until_us, term.until_us if term.until_us is not None else until_us)
        if start_us >= end_us:
            continue
        samples = samples_around(connection, history, term, start_us, end_us)
        if "_t" in history.register_name:
            samples = [sample for sample in samples if sample.at_us not in (term.from_us, term.until_us)]
        first, last = (boundary_value(samples, edge) for edge in (start_us, end_us))
        if first is None or last is None:
            return None
        step = consumption(first.value, last.value, Decimal(end_us - start_us) / HOUR_US, term.register)
        if step.volume is None:
            return None
        total, known = total + step.volume * term.ratio, True
    return total if known else None
