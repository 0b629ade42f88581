"""The meters of a group: made from their table, asked for reports, and answering queries of their archive."""

from __future__ import annotations

from datetime import datetime

from lorasim import archive
from lorasim import payloads as karat
from lorasim.device_config import DeviceConfig
from lorasim.dice import Dice
from lorasim.house import key_of
from lorasim.meters.config import MeterGroup
from lorasim.meters.payloads import LAYOUTS, USUAL, Layout, Moment, Payload, report
from lorasim.meters.register import HOUR_US, Register
from lorasim.meters.usage import PROFILES, UNITS
from lorasim.outbox import Message

LITRE = 10
"""0.1 litres in one; of other resources amounts are in their unit."""
JITTER_US = 20_000_000
"""Modules' clocks drift: the same two do not meet on the air every day."""


class FleetMeter:
    """One meter with its radio module."""

    __slots__ = ("_dice", "_offset_us", "dev_eui", "group", "layout", "number", "register", "start", "town")

    def __init__(self, group: MeterGroup, number: int, seed: int, start: datetime, town: str) -> None:
        self.group, self.number, self.start, self.town = group, number, start, town
        self.dev_eui = int(group.dev_eui, 16) + number
        self.layout: Layout = LAYOUTS[group.payload or USUAL[group.resource]]
        self._dice = Dice(f"{seed}/meter/{self.dev_eui:x}")
        dice = self._dice
        residents = dice.randrange(group.residents[0], group.residents[1] + 1)
        start_units = dice.randrange(5, 300) * UNITS[group.resource]
        key = f"{seed}/{self.dev_eui:x}"
        profile = PROFILES[group.resource]

        def use(day: int) -> list[int]:
            return profile(key, group.resource, day, residents, town)

        incidents = [one for one in group.incidents if one.meter == number]
        litre = LITRE if group.resource.endswith("water") else 1
        self.register = Register(use, start, start_units, group.serial + number, incidents, litre)
        spread_us = round((group.spread_h or group.every_h) * HOUR_US)
        self._offset_us = dice.randrange(max(1, spread_us))

    def next_report_us(self, now: int) -> int:
        """When the next report is due: at its own moment behind the next full period of the local day."""
        period_us = round(self.group.every_h * HOUR_US)
        start_us = round(self.start.timestamp()) * 1_000_000
        number = (now - start_us - self._offset_us) // period_us + 1
        return start_us + number * period_us + self._offset_us + self._dice.randrange(JITTER_US)

    def _moment(self, now: int) -> Moment:
        return Moment(self.register, now, self.start, self.town, self.group.every_h)

    def message(self, now: int) -> Message | None:
        """What it sends now; None when it says nothing."""
        if self.register.is_silent(now):
            return None
        return self._message(report(self.layout, self._moment(now), self.group.archive))

    def _message(self, payload: Payload) -> Message:
        shown = payload.shown
        tag = {
            "serial": str(shown.serial),
            "resource": self.group.resource,
            "measured_us": payload.measured_us,
            "units": shown.forward,
        }
        return Message(payload.f_port, payload.data, self.group.confirmed, tag)

    def answer(self, f_port: int, data: bytes, now: int) -> Message | None:
        """What it answers to a downlink of its application: a record of its archive, or that there is none."""
        query = archive.parse(data) if self.layout.archive and f_port == karat.KARAT_PORT else None
        if query is None:
            return None
        moment_us = round(query.moment.replace(tzinfo=self.start.tzinfo).timestamp() * 1e6)
        moment_us -= self.register.clock_error_us(now)
        begins_us = round(self.start.timestamp() * 1e6)
        if query.protocol != self.layout.archive or not query.known or not begins_us <= moment_us <= now:
            return Message(f_port, archive.no_record(query), self.group.confirmed, None)
        return self._message(self.layout.build(self._moment(now), query.kind, moment_us))


def config_of(group: MeterGroup, dev_eui: int, seed: int) -> DeviceConfig:
    """The radio module of a meter."""
    return DeviceConfig(
        dev_eui=dev_eui,
        join_eui=int(group.join_eui, 16),
        app_key=key_of(seed, dev_eui),
        nwk_key=key_of(seed, dev_eui, "nwk_key") if group.mac_version.startswith("1.1") else bytes(16),
        mac_version=group.mac_version,
        dr=group.dr,
        adr=group.adr,
        join_backoff_max_s=group.join_backoff_max_s,
        manners=group.manners,
        firmware=group.firmware,
        duty_cycle=group.duty_cycle,
        battery_mah=group.battery_mah,
    )
