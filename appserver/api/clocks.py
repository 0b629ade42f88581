"""Clocks of devices: how far they are off, and their corrections by downlink."""

from __future__ import annotations

from appserver.api.devices import DevicePath
from appserver.api.fields import Output, Time, time_of
from appserver.api.router import Api, Call
from appserver.clocks import store
from appserver.metering.timebase import moment
from appserver.rules import ClockCorrection, book_of

api = Api("Devices")


class ClockStep(Output):
    """A step that a clock was told to make. ``state``: planned, queued, corrected, unchanged, failed or expired."""

    id: int
    offset_s: float
    """What was measured: device clock minus server clock."""
    delta_s: int
    state: str
    reason: str
    author: str
    rule: str
    planned_at: Time
    sent_at: Time | None
    settled_at: Time | None
    offset_after_s: float | None
    """What the next frame with a time showed."""


class DeviceClock(Output):
    """A device's clock."""

    offset_s: float | None
    """Device clock minus server clock; null: no frame has told its time."""
    seen_at: Time | None
    corrections: list[ClockStep]
    """Newest first."""


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000


def _view(offset: tuple[int | None, int | None], rows: list[store.CorrectionRow]) -> DeviceClock:
    names = ("id", "delta_s", "state", "reason", "author", "rule")
    steps = [
        ClockStep.model_construct(
            **{name: getattr(row, name) for name in names},
            offset_s=row.offset_us / 1_000_000,
            planned_at=time_of(row.planned_at_us),
            sent_at=time_of(row.sent_at_us),
            settled_at=time_of(row.settled_at_us),
            offset_after_s=_seconds(row.offset_after_us),
        )
        for row in rows
    ]
    return DeviceClock.model_construct(offset_s=_seconds(offset[0]), seen_at=time_of(offset[1]), corrections=steps)


async def clock_of(call: Call, dev_eui: str) -> DeviceClock:
    """How a device's clock stands."""
    db = call.services.database
    return _view(await db.run(store.offset_of, db, dev_eui), await db.run(store.of_device, db, dev_eui))


async def correct_clock(call: Call, dev_eui: str) -> None:
    """Plan a correction now; RegistryError ``conflict`` says why there is none."""
    services = call.services
    now_us = services.clock()
    rule, values = book_of(services.settings.data_dir).get(ClockCorrection, moment(now_us).date())
    db = services.database
    await db.run(store.ask, db, dev_eui, now_us, values, call.who.name, rule.version)


@api.add("GET", "/devices/{dev_eui}/clock", answers=DeviceClock, summary="Show a device's clock and its corrections")
async def get_clock(call: Call, path: DevicePath) -> DeviceClock:
    return await clock_of(call, path.dev_eui)


@api.add(
    "POST", "/devices/{dev_eui}/clock", answers=DeviceClock, status=202, summary="Correct a device's clock by downlink"
)
async def post_clock(call: Call, path: DevicePath) -> DeviceClock:
    await correct_clock(call, path.dev_eui)
    return await clock_of(call, path.dev_eui)
