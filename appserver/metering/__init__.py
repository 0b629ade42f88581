"""Days, boundary values, consumption and balance: pure functions over plain values, and the storage beside them.

``timebase`` makes moments of device clocks and days of a zone; ``boundary`` gives a register's value at a moment;
``consumption`` the volume between two values of one register and along a point's installations; ``balance`` puts a
building's points together. ``store`` and ``queries`` do the same over application.db.
"""

from appserver.metering.balance import Balance, PeriodRow, PointRow
from appserver.metering.boundary import BoundaryValue, Sample, boundary_value
from appserver.metering.collection import collection, silent_modules
from appserver.metering.consumption import Step, consumption
from appserver.metering.queries import house_balance
from appserver.metering.readings import (
    LastReadingPage,
    LastReadingRow,
    ReadingRow,
    add_manual_reading,
    last_readings,
    point_readings,
)
from appserver.metering.volumes import volumes

__all__ = [
    "Balance",
    "BoundaryValue",
    "LastReadingPage",
    "LastReadingRow",
    "PeriodRow",
    "PointRow",
    "ReadingRow",
    "Sample",
    "Step",
    "add_manual_reading",
    "boundary_value",
    "collection",
    "consumption",
    "house_balance",
    "last_readings",
    "point_readings",
    "silent_modules",
    "volumes",
]
