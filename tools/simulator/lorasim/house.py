"""A house of flats with its meters and radio modules: what exists, what it would tell, and the registry of it all."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from lorasim import archive, heating, payloads
from lorasim.consumption import UNITS_PER_M3, Household, Register, local_midnight, to_us
from lorasim.faults import Leak, Replacement, Theft
from lorasim.outbox import Message
from lorasim.scenario import House, Scenario

RESOURCES = ("cold_water", "hot_water")
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

MANUFACTURERS = {True: "Декаст", False: "Тепловодомер"}
MODELS = {True: "СВК 15-3-2-И", False: "ВСХНд-50"}
"""Of the meters in flats (True) and of the common ones."""

HEAT_MODELS = {True: "КАРАТ-Компакт 2-223", False: "КАРАТ-307"}
NAMES = {"cold_water": "ХВС", "hot_water": "ГВС", "heat": "тепло"}
CODECS = {"karat-929lw": "karat-meter"}
"""Codec of profiles that a server does not bring with it."""
WATER_CHANNEL = 15
"""Of a KARAT-307's cold water: subsystem 1, and 5 for what is beside its heat."""


@dataclass(slots=True)
class Meter:
    """A meter of water or heat. ``flat`` is 0 for the common meter of the house."""

    flat: int
    resource: str
    serial: str
    start_units: int
    register: Register | None
    """None: a common meter, which adds up the others."""
    theft: Theft | None = None
    replacement: Replacement | None = None

    @property
    def model(self) -> str:
        return (HEAT_MODELS if self.resource == "heat" else MODELS)[bool(self.flat)]

    @property
    def one(self) -> int:
        """Units of its register in a unit of the resource."""
        return heating.KCAL if self.resource == "heat" else UNITS_PER_M3


@dataclass(slots=True)
class Module:
    """The radio module on a meter."""

    dev_eui: int
    join_eui: int
    app_key: bytes
    mac_version: str
    profile: str
    meter: Meter
    layout: str
    """``karat-v18``, ``karat-v20``, ``vega-si11``, ``karat-223`` or ``karat-307``."""
    confirmed: bool = False
    deaf: bool = False
    start_pulses: int = 0
    residents: int = 0
    water: Meter | None = None
    """The cold water meter that a KARAT-307 reads beside its heat."""
    silent_us: int | None = None
    """From this meter time on it says nothing and hears nothing."""
    time_told_us: int | None = None
    """When DeviceTimeAns came last."""
    clock: list[tuple[int, int]] = field(default_factory=list)
    """(since when, how far its clock is ahead), microseconds, in order of time; before the first it is right."""

    def clock_error_us(self, at_us: int) -> int:
        """Its clock minus the right one at a moment."""
        return next((error_us for since_us, error_us in reversed(self.clock) if since_us <= at_us), 0)

    def set_clock(self, at_us: int, error_us: int) -> None:
        """From then on its clock is off by so much, until it goes wrong again."""
        self.clock = sorted([*(one for one in self.clock if one[0] != at_us), (at_us, error_us)])

    def true_us(self, stamp_us: int) -> int:
        """When its clock shows a time."""
        guess = stamp_us - self.clock_error_us(stamp_us)
        return stamp_us - self.clock_error_us(guess)


@dataclass(slots=True, frozen=True)
class Report:
    """One payload that a meter wants to send."""

    send_us: int
    """Meter time of sending."""
    measured_us: int
    """Meter time of the value."""
    units: int
    """The value, in 0.0001 m³, as the payload carries it (rounded down to its resolution)."""
    f_port: int
    payload: bytes


def key_of(seed: int, dev_eui: int, name: str = "app_key") -> bytes:
    """A root key that is random enough for a simulation and the same in every run."""
    return hashlib.sha256(f"lorasim/{name}/{seed}/{dev_eui:016x}".encode()).digest()[:16]


class SimulatedHouse:
    """All meters and modules of a :class:`~lorasim.scenario.House` for one seed.

    ``start``: local midnight at which the meters' registers hold their start values.
    """

    def __init__(self, config: House, seed: int, start: datetime) -> None:
        self.config = config
        self.seed = seed
        self.start = start
        self.start_us = to_us(start)
        self.meters: list[Meter] = []
        self.modules: list[Module] = []
        rng = random.Random(f"{seed}/house")
        serial = config.serial
        base = int(config.dev_eui, 16)
        thefts = {(theft.flat, theft.resource): theft for theft in config.thefts}
        homes = {theft.flat: theft.residents for theft in config.thefts}
        replaced = {(one.flat, one.resource): one for one in config.replacements}
        for flat in range(1, config.flats + 1):
            household = Household(f"{seed}/flat/{flat}", rng.choices((0, 1, 2, 3, 4, 5), (1, 16, 20, 14, 7, 2))[0])
            household.residents = homes.get(flat, household.residents)
            for resource in config.resources:
                if resource == "heat":
                    home = heating.HeatedPremises(household.key, household.residents + 1, config.address)
                    register = Register(home, resource, start)
                    start_units = rng.randrange(heating.KCAL // 10, 20 * heating.KCAL)
                else:
                    register = Register(household, resource, start)
                    start_units = rng.randrange(5 * UNITS_PER_M3, 380 * UNITS_PER_M3) // 10 * 10
                meter = Meter(flat, resource, str(serial + len(self.meters)), start_units, register)
                meter.theft, meter.replacement = thefts.get((flat, resource)), replaced.get((flat, resource))
                self._add(meter, base)
        for resource in config.resources:
            if config.common_profile == "karat-929lw":  # its numbers have 24 bits: a young meter shows more digits
                start_units = rng.randrange(100, 1_000) * (heating.KCAL if resource == "heat" else UNITS_PER_M3)
            else:
                start_units = rng.randrange(2_000, 90_000) * UNITS_PER_M3
            self._add(Meter(0, resource, str(serial + len(self.meters)), start_units, None), base)
        flat_modules = [m for m in self.modules if m.meter.flat]
        for index, module in enumerate(rng.sample(flat_modules, min(config.confirmed_devices, len(flat_modules)))):
            module.confirmed = True
            module.deaf = index < config.deaf_devices
        self._add_faults(flat_modules)

    def _add_faults(self, modules: list[Module]) -> None:
        for module in modules:
            meter = module.meter
            for one in self.config.silences:
                if (one.flat, one.resource) == (meter.flat, meter.resource):
                    module.silent_us = self.day_us(one.from_day)
            for wrong in self.config.clocks:
                if meter.flat in wrong.flats:
                    module.set_clock(self.day_us(wrong.from_day), round(wrong.minutes * 60e6))

    def day_us(self, day: int, hour: int = 0) -> int:
        """An hour of a local day, counted from the first."""
        date = self.start.date() + timedelta(days=day)
        return to_us(datetime(date.year, date.month, date.day, hour, tzinfo=self.start.tzinfo))

    def _add(self, meter: Meter, base: int) -> None:
        config, index = self.config, len(self.modules)
        dev_eui = base + index
        older = config.v18_every and index % config.v18_every == 0
        layout = "karat-v18" if older and meter.flat else "karat-v20"
        self.meters.append(meter)
        if not meter.flat and config.common_profile == "vega-si-11":
            layout = "vega-si11"
        elif not meter.flat and config.common_profile == "karat-929lw":
            layout = "karat-307"
            beside = next((module for module in self.modules if module.layout == layout), None)
            if beside is not None:  # heat is its own, cold water beside it
                beside.meter, beside.water = sorted((beside.meter, meter), key=lambda one: one.resource != "heat")
                return
        elif meter.resource == "heat":
            layout = "karat-223"
        self.modules.append(
            Module(
                dev_eui=dev_eui,
                join_eui=int(config.join_eui, 16),
                app_key=key_of(self.seed, dev_eui),
                mac_version=config.mac_version if meter.flat else config.common_mac_version,
                profile="karat-929lw" if layout == "karat-223" else self._profile(meter),
                meter=meter,
                layout=layout,
                start_pulses=1_000 + index if layout == "vega-si11" else 0,
                residents=meter.register.household.residents if meter.register else 0,
            )
        )

    def _profile(self, meter: Meter) -> str:
        return self.config.flat_profile if meter.flat else self.config.common_profile

    # ------------------------------------------------------------------------------------------------- volumes

    def units(self, meter: Meter, at_us: int) -> int:
        """What the meter's register holds, 0.0001 m³; of a replaced one, that of the meter that hangs there then."""
        replaced = meter.replacement
        if replaced is not None and at_us >= (since_us := self.day_us(replaced.day, replaced.hour)):
            return replaced.start_litres * 10 + self._counted(meter, at_us) - self._counted(meter, since_us)
        return meter.start_units + self._counted(meter, at_us)

    def removed_units(self, meter: Meter) -> int:
        """What a meter that is replaced shows when it is taken off."""
        assert meter.replacement is not None
        return meter.start_units + self._counted(meter, self.day_us(meter.replacement.day, meter.replacement.hour))

    def _counted(self, meter: Meter, at_us: int) -> int:
        since = max(0, at_us - self.start_us)
        if meter.register is not None:
            return meter.register.units(since) - self.stolen_units(meter, at_us)
        flats = self.used_units(meter.resource, at_us)
        return flats + self._common(meter.resource, flats) + self.leaked_units(meter.resource, at_us)

    def used_units(self, resource: str, at_us: int) -> int:
        """What all flats have truly used since the start."""
        since = max(0, at_us - self.start_us)
        return sum(m.register.units(since) for m in self.meters if m.register and m.resource == resource)

    def _common(self, resource: str, used: int) -> int:
        return used * round(self.config.loss_percent.get(resource, 0.0) * 10_000) // 1_000_000

    def common_units(self, resource: str, at_us: int) -> int:
        """What was used in common since the start: cleaning, washing the stairs."""
        return self._common(resource, self.used_units(resource, at_us))

    def stolen_units(self, meter: Meter, at_us: int) -> int:
        """What has gone past a flat's meter since the start."""
        if meter.theft is None or meter.register is None:
            return 0
        from_us = self.day_us(meter.theft.from_day)
        if at_us <= from_us:
            return 0
        if meter.theft.until_day:
            at_us = min(at_us, self.day_us(meter.theft.until_day))
        used = meter.register.units(at_us - self.start_us) - meter.register.units(from_us - self.start_us)
        return used * round(meter.theft.share * 1_000_000) // 1_000_000

    def leaked_units(self, resource: str, at_us: int) -> int:
        """What has leaked since the start."""
        since = max(0, at_us - self.start_us)
        leaked = round(self.config.leak_l_per_h.get(resource, 0.0) * 10) * since // HOUR_US
        for leak in self.config.leaks:
            leaked += self._leaked(leak, at_us) if leak.resource == resource else 0
        return leaked

    def _leaked(self, leak: Leak, at_us: int) -> int:
        return round(leak.l_per_h * 10) * max(0, at_us - self.day_us(leak.from_day)) // HOUR_US

    def pulses(self, module: Module, at_us: int) -> int:
        """Pulse counter of a common meter's module; it stood at ``start_pulses`` at the meter's start value."""
        weight = self.config.pulse_litres * 10
        return module.start_pulses + (self.units(module.meter, at_us) - module.meter.start_units) // weight

    def shown_units(self, module: Module, at_us: int) -> int:
        """The value as the payload can carry it."""
        if module.layout == "vega-si11":
            weight = self.config.pulse_litres * 10
            return module.meter.start_units + (self.pulses(module, at_us) - module.start_pulses) * weight
        units = self.units(module.meter, at_us)
        return units // 10 * 10 if module.layout == "karat-v18" else units

    # ------------------------------------------------------------------------------------------------- reports

    def reports(self, module: Module) -> Iterator[Report]:
        """Everything the module sends, from the first midnight on, until it falls silent."""
        rng = random.Random(f"{self.seed}/reports/{module.dev_eui:x}")
        if not module.meter.flat:
            yield from self._common_reports(module, rng)
            return
        offset_us = rng.randrange(60_000_000, round(self.config.report_spread_h * HOUR_US))
        sent_us = 0
        for day in count():
            # clocks drift: the same two modules do not meet on the air every day
            connect_us = max(self.day_us(day) + offset_us + rng.randrange(HOUR_US), sent_us)
            if module.silent_us is not None and connect_us >= module.silent_us:
                return
            stamps = sorted(self._latest(module, hour, connect_us) for hour in self.config.hours)
            for stamp_us in stamps:
                if stamp_us >= self.start_us:
                    yield from self.report(module, stamp_us, connect_us)
            sent_us = connect_us
            tells_now = module.layout in ("karat-v18", "karat-v20") and self.config.current_every_d
            if tells_now and day % self.config.current_every_d == 0:
                now = self.current(module, connect_us)
                sent_us = now.send_us
                yield now

    def _common_reports(self, module: Module, rng: random.Random) -> Iterator[Report]:
        offset_us = rng.randrange(60_000_000, 120_000_000)
        for day in count():
            for hour in range(0, 24, self.config.common_period_h):
                at_us = self.day_us(day, hour)
                yield from self.report(module, at_us, at_us + offset_us + rng.randrange(HOUR_US))

    def _latest(self, module: Module, hour: int, at_us: int) -> int:
        """The last time that a module's clock showed an hour."""
        day = (self._local(at_us + DAY_US).date() - self.start.date()).days
        return next(stamp for n in count() if module.true_us(stamp := self.day_us(day - n, hour)) <= at_us)

    def report(self, module: Module, at_us: int, send_us: int) -> list[Report]:
        """Payloads with what the module stored when its clock showed a moment."""
        true_us = module.true_us(at_us)
        if module.layout == "vega-si11":
            counters = (self.pulses(module, true_us), 0, 0, 0)
            payload = payloads.vega_si11(at_us // 1_000_000, counters, self.config.common_period_h)
            return [Report(send_us, at_us, self.shown_units(module, true_us), payloads.VEGA_PORT, payload)]
        stamp, kind = self._local(at_us), payloads.KARAT_HOUR_INTEGRAL
        if stamp.hour == 0:
            kind = payloads.KARAT_DAY_INTEGRAL
            if module.layout in ("karat-223", "karat-307"):  # calculators close a day with a record stamped 23:00
                stamp -= timedelta(hours=1)
        units = self.shown_units(module, true_us)
        return [
            Report(send_us, at_us, units, payloads.KARAT_PORT, data)
            for data in self._record(module, kind, stamp, true_us)
        ]

    def _record(self, module: Module, kind: int, stamp: datetime, true_us: int, protocol: str = "") -> list[bytes]:
        """The packets of a record that a KARAT module stored at a moment."""
        units = self.shown_units(module, true_us)
        if module.layout in ("karat-223", "karat-307"):
            meter = module.meter
            circuit = heating.Circuit(self.start, self.config.address, lambda at_us: self._counted(meter, at_us))
            if module.layout == "karat-223":
                return [heating.compact_223(circuit, kind, stamp, true_us, units)]
            water_units = self.units(module.water, true_us) if module.water is not None else 0
            return heating.karat_307(circuit, kind, stamp, true_us, units, water_units)
        older = protocol == "1.8" if protocol else module.layout == "karat-v18"
        return [(payloads.karat_926_v18 if older else payloads.karat_926_v20)(kind, stamp, units)]

    def current(self, module: Module, at_us: int) -> Report:
        """What the module sends when it reads its meter while sending: the stamp is its clock."""
        stamp_us = at_us + module.clock_error_us(at_us)
        if module.layout == "karat-v18":  # this protocol tells full hours only: the next one
            rest_us = -stamp_us % HOUR_US
            at_us, stamp_us = at_us + rest_us, stamp_us + rest_us
        return self._karat(module, payloads.KARAT_CURRENT, stamp_us, at_us, self.shown_units(module, at_us))

    def _karat(self, module: Module, kind: int, stamp_us: int, send_us: int, units: int) -> Report:
        build = payloads.karat_926_v18 if module.layout == "karat-v18" else payloads.karat_926_v20
        return Report(send_us, stamp_us, units, payloads.KARAT_PORT, build(kind, self._local(stamp_us), units))

    def _local(self, at_us: int) -> datetime:
        return datetime.fromtimestamp(at_us // 1_000_000, self.start.tzinfo or ZoneInfo("UTC"))

    def asks_time(self, module: Module, measured_us: int) -> bool:
        """Whether DeviceTimeReq rides with the value of a moment: with every midnight's until it is answered."""
        every_d = self.config.device_time_every_d
        if not every_d or not module.meter.flat or self._local(measured_us).hour:
            return False
        return module.time_told_us is None or measured_us - module.time_told_us > (every_d - 1) * DAY_US

    def tell_time(self, module: Module, at_us: int) -> None:
        """A module was told the time: its clock is right."""
        module.time_told_us = at_us
        module.set_clock(at_us, 0)

    # ------------------------------------------------------------------------------------------------- commands

    def answer(self, module: Module, f_port: int, data: bytes, now_us: int) -> list[Message]:
        """What a module sends when it is told something at a meter time."""
        if module.layout == "vega-si11" or (module.silent_us is not None and now_us >= module.silent_us):
            return []
        if (correction_us := archive.clock_correction(data)) is not None:
            module.set_clock(now_us, module.clock_error_us(now_us) + correction_us)
            return []
        query = archive.parse(data)
        if query is None:
            return []
        zone = self.start.tzinfo or ZoneInfo("UTC")
        at_us = to_us(query.moment.replace(tzinfo=zone))
        true_us = module.true_us(at_us)
        if not max(self.start_us, now_us - self.config.archive_days * DAY_US) <= true_us <= now_us or not query.known:
            return [Message(f_port, archive.no_record(query))]
        tag = {
            "serial": module.meter.serial,
            "resource": module.meter.resource,
            "measured_us": at_us,
            "units": self.shown_units(module, true_us),
            "asked": True,
        }
        packets = self._record(module, query.kind, query.stamp, true_us, query.protocol)
        return [Message(f_port, data, module.confirmed, tag) for data in packets]


def cubic_metres(units: int) -> str:
    """0.0001 m³ as a decimal of cubic metres."""
    return decimal(units, UNITS_PER_M3)


def decimal(units: int, one: int) -> str:
    """Units of which ``one`` make the resource's unit, a power of ten, as a decimal of it."""
    return f"{units // one}.{units % one:0{len(str(one)) - 1}d}"


def start_of(scenario: Scenario, now_us: int) -> datetime:
    """Local midnight at which the meters of a scenario start."""
    return local_midnight(now_us, scenario.clock.days, scenario.clock.zone)


def import_rows(scenario: Scenario, seed: int | None = None, now_us: int | None = None) -> list[dict[str, str]]:
    """The registry of the scenario's house, one row a meter, in the columns of the application's import table.

    ``seed`` and ``now_us`` as in the run that follows: keys and meters come from the first, dates from the second.
    """
    if scenario.house is None:
        return []
    start = start_of(scenario, time.time_ns() // 1000 if now_us is None else now_us)
    house = SimulatedHouse(scenario.house, scenario.seed if seed is None else seed, start)
    meters = [
        (module, meter) for module in house.modules for meter in (module.meter, module.water) if meter is not None
    ]
    return [_import_row(scenario, house, index, *its) for index, its in enumerate(meters)]


def _import_row(scenario: Scenario, house: SimulatedHouse, index: int, module: Module, meter: Meter) -> dict[str, str]:
    config = house.config
    # verified at a factory some years ago; a few are due soon, so that the register has something to show
    verified = date(house.start.year - 1 - index % 5, 1 + index * 7 % 12, 1 + index * 5 % 28)
    years = 6 if meter.resource == "cold_water" or not meter.flat else 5
    entrance = (meter.flat - 1) * config.entrances // config.flats + 1
    place = f"подъезд {entrance}, кв. {meter.flat}" if meter.flat else "ОДПУ"
    if meter.flat and config.tenants:
        place = config.tenants[meter.flat - 1]
    row = {
        "organisation": config.organisation,
        "organisation_kind": "management_company",
        "inn": config.inn,
        "address": config.address,
        "fias_guid": config.fias_guid,
        "timezone": scenario.clock.zone,
        "building_kind": "office" if config.tenants else "house",
        "premises": str(meter.flat) if meter.flat else "",
        "premises_kind": ("nonresidential" if config.tenants else "flat") if meter.flat else "",
        "account": f"{config.account_prefix}{meter.flat:06d}" if meter.flat else "",
        "residents": str(module.residents) if meter.flat and not config.tenants else "",
        "area_m2": f"{(31.2, 44.6, 58.9)[meter.flat % 3]}" if meter.flat else "",
        "resource": meter.resource,
        "role": "individual" if meter.flat else "house",
        "direction": "in",
        "serial": meter.serial,
        "manufacturer": "НПО КАРАТ" if meter.resource == "heat" else MANUFACTURERS[bool(meter.flat)],
        "model": meter.model,
        "digits": "5" if meter.flat else "6",
        "verified_on": verified.isoformat(),
        "verification_until": verified.replace(year=verified.year + years).isoformat(),
        "installed_on": house.start.date().isoformat(),
        "start_value": decimal(meter.start_units, meter.one),
        "dev_eui": f"{module.dev_eui:016x}",
        "channel": str(WATER_CHANNEL) if meter is module.water else "1",
        "device_name": f"{place}, {NAMES[module.meter.resource]}",
        "profile": module.profile,
        "join_eui": f"{module.join_eui:016x}",
        "app_key": module.app_key.hex(),
    }
    if module.layout == "vega-si11":
        row |= {
            "pulse_weight": cubic_metres(config.pulse_litres * 10),
            "start_pulses": str(module.start_pulses),
        }
    return row


def gateway_rows(scenario: Scenario) -> list[dict[str, object]]:
    """The gateways to register: ``gateway_eui``, ``name``, ``latitude``, ``longitude``."""
    return [
        {"gateway_eui": g.eui, "name": g.name, "latitude": g.latitude, "longitude": g.longitude}
        for g in scenario.gateways
        if not g.rogue
    ]
