"""One time base: moments are microseconds since 1970 UTC, days belong to a zone.

Days of 23 and 25 hours need no case of their own: a day is what lies between two midnights.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
MAX_AHEAD_US = 300 * SECOND_US
"""A device clock that is further ahead of the reception is not believed."""

ASSUMED_CLOCK_US = MAX_AHEAD_US
"""How far a clock may be off that is believed and that nothing ever compared with ours."""
SENDING_US = 60 * SECOND_US
"""How much later than it was read a value may arrive that a device reads while sending."""
UNKNOWN_AGE_US = 24 * HOUR_US
"""How old a stored value may be whose device has no clock to believe."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)


@lru_cache(maxsize=512)
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises KeyError or ValueError for a name that does not exist."""
    return ZoneInfo(name)


def microseconds(moment: datetime) -> int:
    """An aware moment as microseconds since 1970 UTC."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND_US + delta.microseconds


def moment(at_us: int, zone: ZoneInfo | None = None) -> datetime:
    """Microseconds since 1970 UTC as an aware moment in ``zone`` (UTC when None)."""
    utc = _EPOCH + timedelta(microseconds=at_us)
    return utc if zone is None else utc.astimezone(zone)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH_DAY).days


def date_of(day: int) -> date:
    """The date of a day number."""
    return _EPOCH_DAY + timedelta(days=day)


def day_of(at_us: int, zone: ZoneInfo) -> int:
    """Number of the day that ``at_us`` lies in."""
    return day_number(moment(at_us, zone).date())


@lru_cache(maxsize=65_536)
def midnight_us(day: int, zone: ZoneInfo) -> int:
    """The moment at which a day begins (the first of two, when a clock change repeats it)."""
    start = date_of(day)
    return microseconds(datetime(start.year, start.month, start.day, tzinfo=zone))


def hours_in_day(day: date, zone: ZoneInfo) -> int:
    """Length of a day in hours: 24, or 23 or 25 where the clocks change."""
    number = day_number(day)
    return round((midnight_us(number + 1, zone) - midnight_us(number, zone)) / HOUR_US)


def midnights_near(at_us: int, reach_us: int, zone: ZoneInfo) -> Iterator[int]:
    """Numbers of the days whose first moment is at most ``reach_us`` away from ``at_us``."""
    day = day_of(at_us, zone)
    if at_us - midnight_us(day, zone) <= reach_us:
        yield day
    if midnight_us(day + 1, zone) - at_us <= reach_us:
        yield day + 1


def from_device(clock: datetime, zone: ZoneInfo) -> int:
    """The moment that a naive device clock in ``zone`` shows."""
    return microseconds(clock.replace(tzinfo=zone))


def trusted_moment(device_us: int | None, received_at_us: int, commissioned_at_us: int) -> tuple[int, bool]:
    """The moment a reading counts for, and whether it is the device's (else that of the reception).

    A device clock is believed unless it says less than the commissioning or more than five minutes ahead.
    """
    if device_us is None or device_us < commissioned_at_us or device_us > received_at_us + MAX_AHEAD_US:
        return received_at_us, False
    return device_us, True


def clock_bound_us(clock_error_us: int | None, server_time: bool = False) -> int:
    """How far the moment of a value may be from the true one.

    As far as its clock was seen to be off; five minutes when nothing compared it. On server time it is the time a value
    takes to arrive, or a whole day when the device had stored it at a moment of its own that is not to be believed.
    """
    if server_time:
        return UNKNOWN_AGE_US if clock_error_us is None else SENDING_US
    return ASSUMED_CLOCK_US if clock_error_us is None else abs(clock_error_us)
