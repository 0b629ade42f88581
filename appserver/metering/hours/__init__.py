"""Hours of points, kept packed by month: a year of a house is read at once.

What a reading, a correction or a change of the registry may move is noted in its own transaction (:mod:`.due`); the packed
hours follow soon after (:mod:`.settling`), and whoever reads before that computes what is due himself (:mod:`.series`).
"""

from appserver.metering.hours.due import due_around, due_of_point
from appserver.metering.hours.series import MAX_DAYS, HouseHours, house_hours
from appserver.metering.hours.settling import keep_settling, settle

__all__ = [
    "MAX_DAYS",
    "HouseHours",
    "due_around",
    "due_of_point",
    "house_hours",
    "keep_settling",
    "settle",
]
