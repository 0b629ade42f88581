"""A house of flats with its meters and radio modules: what exists, what it would tell, and the registry of it all."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from lorasim import payloads
from lorasim.consumption import UNITS_PER_M3, Household, Register, local_midnight, to_us
from lorasim.scenario import House, Scenario

RESOURCES = ("cold_water", "hot_water")
HOUR_US = 3_600_000_000

MANUFACTURERS = {True: "Декаст", False: "Тепловодомер"}
MODELS = {True: "СВК 15-3-2-И", False: "ВСХНд-50"}
"""Of the meters in flats (True) and of the common ones."""

WATER = {"cold_water": "ХВС", "hot_water": "ГВС"}


@dataclass(slots=True)
class Meter:
    """A water meter. ``flat`` is 0 for the common meter of the house."""

    flat: int
    resource: str
    serial: str
    start_units: int
    register: Register | None
    """None: a common meter, which adds up the others."""

    @property
    def model(self) -> str:
        return MODELS[bool(self.flat)]


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
    """``karat-v18``, ``karat-v20`` or ``vega-si11``."""
    confirmed: bool = False
    deaf: bool = False
    start_pulses: int = 0
    residents: int = 0


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
        for flat in range(1, config.flats + 1):
            household = Household(f"{seed}/flat/{flat}", rng.choices((0, 1, 2, 3, 4, 5), (1, 16, 20, 14, 7, 2))[0])
            for resource in RESOURCES:
                register = Register(household, resource, start)
                start_units = rng.randrange(5 * UNITS_PER_M3, 380 * UNITS_PER_M3) // 10 * 10
                meter = Meter(flat, resource, str(serial + len(self.meters)), start_units, register)
                self._add(meter, base)
        for resource in RESOURCES:
            start_units = rng.randrange(2_000, 90_000) * UNITS_PER_M3
            self._add(Meter(0, resource, str(serial + len(self.meters)), start_units, None), base)
        flat_modules = [m for m in self.modules if m.meter.flat]
        for index, module in enumerate(rng.sample(flat_modules, min(config.confirmed_devices, len(flat_modules)))):
            module.confirmed = True
            module.deaf = index < config.deaf_devices

    def _add(self, meter: Meter, base: int) -> None:
        config, index = self.config, len(self.modules)
        dev_eui = base + index
        older = config.v18_every and index % config.v18_every == 0
        layout = ("karat-v18" if older else "karat-v20") if meter.flat else "vega-si11"
        self.meters.append(meter)
        self.modules.append(
            Module(
                dev_eui=dev_eui,
                join_eui=int(config.join_eui, 16),
                app_key=key_of(self.seed, dev_eui),
                mac_version=config.mac_version if meter.flat else config.common_mac_version,
                profile=config.flat_profile if meter.flat else config.common_profile,
                meter=meter,
                layout=layout,
                start_pulses=0 if meter.flat else 1_000 + index,
                residents=meter.register.household.residents if meter.register else 0,
            )
        )

    # ------------------------------------------------------------------------------------------------- volumes

    def units(self, meter: Meter, at_us: int) -> int:
        """What the meter's register holds, 0.0001 m³."""
        since = max(0, at_us - self.start_us)
        if meter.register is not None:
            return meter.start_units + meter.register.units(since)
        flats = sum(m.register.units(since) for m in self.meters if m.register and m.resource == meter.resource)
        ppm = round(self.config.loss_percent.get(meter.resource, 0.0) * 10_000)
        leak_per_h = round(self.config.leak_l_per_h.get(meter.resource, 0.0) * 10)
        return meter.start_units + flats + flats * ppm // 1_000_000 + leak_per_h * since // HOUR_US

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
        """Everything the module sends, from the first midnight on, without end."""
        rng = random.Random(f"{self.seed}/reports/{module.dev_eui:x}")
        common = module.layout == "vega-si11"
        spread_us = round(self.config.report_spread_h * HOUR_US)
        offset_us = rng.randrange(60_000_000, 120_000_000) if common else rng.randrange(60_000_000, spread_us)
        zone = self.start.tzinfo
        first = self.start.date()
        hours = range(0, 24, self.config.common_period_h) if common else (0,)
        day = 0
        while True:
            date = first + timedelta(days=day)
            for hour in hours:
                moment = datetime(date.year, date.month, date.day, hour, tzinfo=zone)
                # clocks drift: the same two modules do not meet on the air every day
                yield self.report(module, to_us(moment), offset_us + rng.randrange(HOUR_US))
            day += 1

    def report(self, module: Module, at_us: int, delay_us: int) -> Report:
        """The payload with the value of one moment."""
        units = self.shown_units(module, at_us)
        if module.layout == "vega-si11":
            payload = payloads.vega_si11(
                at_us // 1_000_000, (self.pulses(module, at_us), 0, 0, 0), self.config.common_period_h
            )
            return Report(at_us + delay_us, at_us, units, payloads.VEGA_PORT, payload)
        local = datetime.fromtimestamp(at_us // 1_000_000, self.start.tzinfo or ZoneInfo("UTC"))
        build = payloads.karat_926_v18 if module.layout == "karat-v18" else payloads.karat_926_v20
        payload = build(payloads.KARAT_DAY_INTEGRAL, local, units)
        return Report(at_us + delay_us, at_us, units, payloads.KARAT_PORT, payload)


def cubic_metres(units: int) -> str:
    """0.0001 m³ as a decimal of cubic metres."""
    return f"{units // UNITS_PER_M3}.{units % UNITS_PER_M3:04d}"


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
    return [_import_row(scenario, house, index, module) for index, module in enumerate(house.modules)]


def _import_row(scenario: Scenario, house: SimulatedHouse, index: int, module: Module) -> dict[str, str]:
    config, meter = house.config, module.meter
    # verified at a factory some years ago; a few are due soon, so that the register has something to show
    verified = date(house.start.year - 1 - index % 5, 1 + index * 7 % 12, 1 + index * 5 % 28)
    years = 6 if meter.resource == "cold_water" or not meter.flat else 5
    entrance = (meter.flat - 1) * config.entrances // config.flats + 1
    place = f"подъезд {entrance}, кв. {meter.flat}" if meter.flat else "ОДПУ"
    row = {
        "organisation": config.organisation,
        "organisation_kind": "management_company",
        "inn": config.inn,
        "address": config.address,
        "fias_guid": config.fias_guid,
        "timezone": scenario.clock.zone,
        "building_kind": "house",
        "premises": str(meter.flat) if meter.flat else "",
        "premises_kind": "flat" if meter.flat else "",
        "account": f"{config.account_prefix}{meter.flat:06d}" if meter.flat else "",
        "residents": str(module.residents) if meter.flat else "",
        "area_m2": f"{(31.2, 44.6, 58.9)[meter.flat % 3]}" if meter.flat else "",
        "resource": meter.resource,
        "role": "individual" if meter.flat else "house",
        "direction": "in",
        "serial": meter.serial,
        "manufacturer": MANUFACTURERS[bool(meter.flat)],
        "model": meter.model,
        "digits": "5" if meter.flat else "6",
        "verified_on": verified.isoformat(),
        "verification_until": verified.replace(year=verified.year + years).isoformat(),
        "installed_on": house.start.date().isoformat(),
        "start_value": cubic_metres(meter.start_units),
        "dev_eui": f"{module.dev_eui:016x}",
        "channel": "1",
        "device_name": f"{place}, {WATER[meter.resource]}",
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
    ]
