"""Verifications (поверки): every one stays; the newest gives the meter's ``verified_on`` and ``verification_until``."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

from sqlmodel import Session, select

from appserver.errors import RegistryError
from appserver.models import Meter, MeterVerification


def next_date(verified_on: date, months: int) -> date:
    """Last day of a term of ``months`` that begins on the day of the verification: 10.05.2020, 72 → 09.05.2026."""
    month = verified_on.month - 1 + months
    year, month = verified_on.year + month // 12, month % 12 + 1
    day = min(verified_on.day, calendar.monthrange(year, month)[1])
    return date(year, month, day) - timedelta(days=1)


def of_meter(session: Session, meter_id: int) -> list[MeterVerification]:
    """All verifications of a meter, the newest first; one without a date is the oldest."""
    found = session.exec(select(MeterVerification).where(MeterVerification.meter_id == meter_id)).all()
    return sorted(found, key=lambda v: (v.verified_on or date.min, v.id or 0), reverse=True)


def complete(session: Session, found: MeterVerification) -> None:
    """Derive the end of the term from the meter's interval, and check the dates. Raises RegistryError ``invalid``."""
    if found.result == "unfit":
        found.valid_until = None
        if found.verified_on is None:
            raise RegistryError("invalid", "verified_on", "verified_on: a meter is unfit since a day; name it.")
        return
    meter = session.get(Meter, found.meter_id)
    if found.valid_until is None and found.verified_on is not None and meter and meter.verification_months:
        found.valid_until = next_date(found.verified_on, meter.verification_months)
    if found.verified_on is None and found.valid_until is None:
        raise RegistryError("invalid", "verified_on", "verified_on: a verification needs its date.")
    if found.verified_on and found.valid_until and found.valid_until <= found.verified_on:
        raise RegistryError("invalid", "valid_until", "valid_until: must be after verified_on.")


def settle(session: Session, meter_id: int) -> None:
    """Give the meter the dates of its newest verification. Unfit: verified until the day before."""
    session.flush()
    meter = session.get(Meter, meter_id)
    if meter is None:
        return
    newest = next(iter(of_meter(session, meter_id)), None)
    if newest is None:
        on = until = None
    elif newest.result == "unfit":
        on = newest.verified_on
        until = None if on is None else on - timedelta(days=1)
    else:
        on, until = newest.verified_on, newest.valid_until
    if (meter.verified_on, meter.verification_until) != (on, until):
        meter.verified_on, meter.verification_until = on, until
        session.add(meter)


def from_meter(session: Session, meter: Meter) -> None:
    """Somebody wrote the two dates into the meter itself: make them a verification, or complete the one they are of."""
    assert meter.id is not None
    on, until = meter.verified_on, meter.verification_until
    known = of_meter(session, meter.id)
    newest = known[0] if known else None
    if on is None and until is None:
        if newest is not None:
            session.delete(newest)
    else:
        same = next((v for v in known if v.verified_on == on), None)
        if same is None and newest is not None and newest.verified_on is None and newest.valid_until == until:
            same = newest  # now its date is known too
        found = same or MeterVerification(meter_id=meter.id)
        found.verified_on, found.valid_until, found.result = on, until, "fit"
        complete(session, found)
        session.add(found)
    settle(session, meter.id)
