"""Numbers, times and identifiers as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from appserver.web.i18n import N_, gettext, language, ngettext

DASH = "–"
_UNITS = {"cold_water": N_("m³"), "hot_water": N_("m³"), "gas": N_("m³"), "electricity": N_("kWh"), "heat": N_("Gcal")}


def number(value: Decimal | float | int | None, digits: int = 0, sign: bool = False) -> str:
    """A number with ``digits`` decimals and the language's marks; a dash for None."""
    if value is None:
        return DASH
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-digits))
    if exact.is_zero():
        exact = abs(exact)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    text = format_decimal(abs(exact), pattern, locale=language())
    mark = "−" if exact < 0 else "+" if sign and exact > 0 else ""
    return mark + text


def volume(value: Decimal | None) -> str:
    """A meter's register, to three decimals."""
    return number(value, 3)


def percent(value: Decimal | float | None, digits: int = 1) -> str:
    """A percentage (already in per cent)."""
    return DASH if value is None else number(value, digits) + ("\xa0%" if language() == "ru" else "%")


def unit(resource: str) -> str:
    """The unit of a resource."""
    return gettext(_UNITS.get(resource, "m³"))


def moment(microseconds: int | None, zone: str) -> str:
    """Date and time to the second in ``zone``."""
    return (
        DASH
        if microseconds is None
        else format_datetime(_local(microseconds, zone), "d MMM y HH:mm:ss", locale=language())
    )


def minute(microseconds: int | None, zone: str) -> str:
    """Date and time to the minute in ``zone``."""
    return (
        DASH
        if microseconds is None
        else format_datetime(_local(microseconds, zone), "d MMM y HH:mm", locale=language())
    )


def local_minute(value: datetime) -> str:
    """Date and time to the minute of a moment in the zone that it has."""
    return format_datetime(value, "d MMM y HH:mm", tzinfo=value.tzinfo, locale=language())


def clock(microseconds: int | None, zone: str) -> str:
    """Time of day to the second in ``zone``."""
    return DASH if microseconds is None else _local(microseconds, zone).strftime("%H:%M:%S")


def iso(microseconds: int | None) -> str:
    """RFC 3339 in UTC, for machines."""
    return "" if microseconds is None else _utc(microseconds).isoformat(timespec="seconds")


def day(value: date | None) -> str:
    """A date."""
    return DASH if value is None else format_date(value, "d MMM y", locale=language())


def day_before(value: date) -> str:
    """The last day of a period that ends with ``value`` excluded."""
    return day(value - timedelta(days=1))


def isoday(value: str) -> str:
    """A date out of its ISO text."""
    return day(date.fromisoformat(value))


def day_short(value: date) -> str:
    """A day without its year: ``5 Oct, Mon``."""
    return format_date(value, "d MMM, EE", locale=language())


def month_name(value: date) -> str:
    """A month without its year."""
    return format_date(value, "LLLL", locale=language()).capitalize()


def month(value: date) -> str:
    """A month by its name: ``October 2026``."""
    return format_date(value, "LLLL y", locale=language()).capitalize()


def ago(microseconds: int | None, now_us: int) -> str:
    """How long ago, roughly."""
    if microseconds is None:
        return gettext("never")
    seconds = max((now_us - microseconds) // 1_000_000, 0)
    if seconds < 60:
        return gettext("just now")
    if seconds < 3600:
        count = seconds // 60
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", count) % {"n": count}
    if seconds < 86400:
        count = seconds // 3600
        return ngettext("%(n)d hour ago", "%(n)d hours ago", count) % {"n": count}
    count = seconds // 86400
    return ngettext("%(n)d day ago", "%(n)d days ago", count) % {"n": count}


def interval(seconds: int) -> str:
    """A span of time in its largest whole unit."""
    if seconds and seconds % 86400 == 0:
        return ngettext("%(n)d day", "%(n)d days", seconds // 86400) % {"n": seconds // 86400}
    if seconds and seconds % 3600 == 0:
        return ngettext("%(n)d hour", "%(n)d hours", seconds // 3600) % {"n": seconds // 3600}
    if seconds and seconds % 60 == 0:
        return ngettext("%(n)d minute", "%(n)d minutes", seconds // 60) % {"n": seconds // 60}
    return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}


def eui(value: str) -> str:
    """An EUI in groups of four digits, for reading."""
    return " ".join(value[i : i + 4] for i in range(0, len(value), 4))


def frequency(hertz: int) -> str:
    """A frequency in MHz."""
    return number(Decimal(hertz) / 1_000_000, 1 if hertz % 100_000 == 0 else 3)


def _utc(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _local(microseconds: int, zone: str) -> datetime:
    return _utc(microseconds).astimezone(ZoneInfo(zone))
