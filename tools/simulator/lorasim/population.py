"""Who lives in a world: devices that send a running number, meters of a town, and the modules of a house."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lorasim.certification import Certification
from lorasim.clock import MeterClock
from lorasim.consumption import to_us
from lorasim.crypto import SessionKeys
from lorasim.device import Device, DeviceConfig
from lorasim.house import Module, Report, SimulatedHouse, key_of, start_of
from lorasim.meters.fleet import FleetMeter, config_of
from lorasim.outbox import Message
from lorasim.scenario import DeviceGroup
from lorawan import commands

if TYPE_CHECKING:
    from lorasim.world import World

ANSWER_S = (1.0, 5.0)
"""How long a module takes to answer what it was asked."""


@dataclass(slots=True)
class Numbered:
    """A device that sends a running number."""

    config: DeviceGroup
    sent: int = 0


class Population:
    """Made with its world; see the module."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.house: SimulatedHouse | None = None
        self.clock: MeterClock | None = None
        self.numbered: dict[int, Numbered] = {}
        self.modules: dict[int, Module] = {}
        """Radio modules of the house's meters, by DevEUI."""
        self.fleet: dict[int, FleetMeter] = {}
        self._seed: int = world.seed or 0
        self._add_groups()
        self._add_fleet()
        self._add_house()

    # ------------------------------------------------------------------------------------------------- building

    def _add_groups(self) -> None:
        for group in self.world.scenario.devices:
            for index in range(group.count):
                dev_eui = int(group.dev_eui, 16) + index
                device = self.world.add_device(
                    DeviceConfig(
                        dev_eui=dev_eui,
                        join_eui=int(group.join_eui, 16),
                        app_key=key_of(self._seed, dev_eui),
                        nwk_key=key_of(self._seed, dev_eui, "nwk_key"),
                        mac_version=group.mac_version,
                        dr=group.dr,
                        adr=group.adr,
                        battery=group.battery,
                        battery_mah=group.battery_mah,
                        join_backoff_max_s=group.join_backoff_max_s,
                        first_dev_nonce=group.first_dev_nonce,
                        class_c=group.class_c,
                        ping_periodicity=None if group.ping_periodicity < 0 else group.ping_periodicity,
                        ppm=group.ppm,
                        manners=group.manners,
                        firmware=group.firmware,
                        duty_cycle=group.duty_cycle,
                    )
                )
                self._activate(device, group.activation, group.dev_addr, index)
                device.certification = Certification() if group.certification else None
                self.numbered[dev_eui] = Numbered(group)

    def _add_fleet(self) -> None:
        world = self.world
        zone = world.scenario.clock.zone
        today = datetime.fromtimestamp(world.start_us / 1e6, ZoneInfo(zone))
        start = datetime.combine(today.date(), datetime.min.time(), today.tzinfo)
        for group in world.scenario.meters:
            for number in range(group.count):
                meter = FleetMeter(group, number, self._seed, start, f"{self._seed}/{world.scenario.name}")
                self.fleet[meter.dev_eui] = meter
                device = world.add_device(config_of(group, meter.dev_eui, self._seed))
                self._activate(device, group.activation, group.dev_addr, number)

    def _activate(self, device: Device, activation: str, first: str, index: int) -> None:
        """Give an ABP device its session, with the gateways' channels in it as its maker has set them.

        One of 1.1 has lost its radio parameters and says so until the network confirms it (1.1 §5.1).
        """
        if activation != "ABP":
            return
        dev_eui = device.config.dev_eui
        nwk, app, s_int, enc = (
            key_of(self._seed, dev_eui, name) for name in ("nwk_s_key", "app_s_key", "s_nwk_s_int_key", "nwk_s_enc_key")
        )
        if device.config.lorawan_1_1:
            device.activate(int(first, 16) + index, 0, SessionKeys(nwk, s_int, enc, app, lorawan_1_1=True))
            assert device.session is not None
            device.session.rekeyed = True
            device.reset_radio()
        else:
            device.activate(int(first, 16) + index, 0, SessionKeys.of_1_0(nwk, app))
            device.state.apply_cflist(self.world.cflist)

    def _add_house(self) -> None:
        world, scenario = self.world, self.world.scenario
        if scenario.house is None:
            return
        start = start_of(scenario, world.start_us)
        self.house = SimulatedHouse(scenario.house, self._seed, start)
        self.clock = self._clock_of(start)
        for module in self.house.modules:
            self.modules[module.dev_eui] = module
            world.add_device(
                DeviceConfig(
                    dev_eui=module.dev_eui,
                    join_eui=module.join_eui,
                    app_key=module.app_key,
                    nwk_key=key_of(self._seed, module.dev_eui, "nwk_key"),
                    mac_version=module.mac_version,
                    dr=scenario.house.dr,
                    battery=scenario.house.battery,
                    join_backoff_max_s=scenario.house.join_backoff_max_s,
                )
            )
            if module.deaf:
                world.air.deaf[module.dev_eui] = 0.5
            if not module.meter.flat and scenario.house.common_gateway:
                world.air.move(module.dev_eui, int(scenario.house.common_gateway, 16))

    def _clock_of(self, meter_start: datetime) -> MeterClock:
        lead_in_us = round(self.world.scenario.clock.lead_in_s * 1e6)
        return MeterClock(self.world.start_us + lead_in_us, to_us(meter_start), self.world.speed or 1.0)

    # ------------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        """The run begins; ``world.start_us`` says exactly when."""
        if self.house is not None:
            self.clock = self._clock_of(self.house.start)
            for module in self.house.modules:
                self._next_report(module, self.house.reports(module))

    def join_spread_s(self, dev_eui: int) -> float:
        """Within how long after the start this device is switched on."""
        if dev_eui in self.numbered:
            return self.numbered[dev_eui].config.join_spread_s
        if dev_eui in self.fleet:
            return self.fleet[dev_eui].group.join_spread_s
        house = self.world.scenario.house
        return house.join_spread_s if house is not None else 0.0

    def group_of(self, dev_eui: int) -> str:
        """What assertions and reports call the devices that this one belongs to."""
        if dev_eui in self.numbered:
            return self.numbered[dev_eui].config.name or "devices"
        if dev_eui in self.fleet:
            return self.fleet[dev_eui].group.name or "meters"
        return "house" if self.house is not None else ""

    def switched_on(self, dev_eui: int, now: int) -> None:
        """A device has power from now on."""
        if dev_eui in self.numbered:
            group = self.numbered[dev_eui]
            rng, interval_s = self.world.rng, group.config.interval_s
            first_s = rng.expovariate(1 / interval_s) if group.config.random_intervals else rng.uniform(0, interval_s)
            self.world.at(now + round(first_s * 1e6), self._send_number, self.world.devices[dev_eui], group)
        elif dev_eui in self.fleet:
            meter = self.fleet[dev_eui]
            self.world.at(meter.next_report_us(now), self._fleet_reports, meter)

    def told(self, device: Device, fields: dict[str, Any], now: int) -> None:
        """A device has accepted a downlink: its meter does what it asks for."""
        dev_eui, f_port = device.config.dev_eui, fields["f_port"]
        answers: list[Message] = []
        if dev_eui in self.fleet and f_port and fields["data"]:
            answer = self.fleet[dev_eui].answer(f_port, bytes.fromhex(fields["data"]), now)
            answers = [] if answer is None else [answer]
        elif dev_eui in self.modules and self.house is not None and self.clock is not None:
            module, meter_us = self.modules[dev_eui], self.clock.meter_us(now)
            if fields["device_time"] is not None:
                self.house.tell_time(module, meter_us)
            if f_port and fields["data"]:
                answers = self.house.answer(module, f_port, bytes.fromhex(fields["data"]), meter_us)
        for answer in answers:
            self.world.at(now + round(self.world.rng.uniform(*ANSWER_S) * 1e6), self.world.send, dev_eui, answer)

    # ------------------------------------------------------------------------------------------------- reports

    def _send_number(self, device: Device, group: Numbered) -> None:
        world, config = self.world, group.config
        group.sent += 1
        if config.link_check and group.sent % config.link_check == 0:
            device.outbox.wishes.append(commands.LinkCheckReq())
        if config.device_time and group.sent % config.device_time == 0:
            device.outbox.wishes.append(commands.DeviceTimeReq())
        data = (group.sent % (1 << 8 * config.payload_bytes)).to_bytes(config.payload_bytes, "big")
        world.send(device.config.dev_eui, Message(config.f_port, data, config.confirmed, {"number": group.sent}))
        pause_s = world.rng.expovariate(1 / config.interval_s) if config.random_intervals else config.interval_s
        world.at(world.now_us + round(pause_s * 1e6), self._send_number, device, group)

    def _fleet_reports(self, meter: FleetMeter) -> None:
        world = self.world
        message = meter.message(world.now_us)
        if message is not None:
            world.send(meter.dev_eui, message)
        world.at(meter.next_report_us(world.now_us), self._fleet_reports, meter)

    def _next_report(self, module: Module, reports: Iterator[Report]) -> None:
        assert self.clock is not None
        report = next(reports, None)
        if report is None:
            return
        due = self.clock.send_us(report.measured_us, report.send_us)
        self.world.at(due, self._report, module, report, reports)

    def _report(self, module: Module, report: Report, reports: Iterator[Report]) -> None:
        meter, world = module.meter, self.world
        tag = {
            "serial": meter.serial,
            "resource": meter.resource,
            "measured_us": report.measured_us,
            "units": report.units,
        }
        if self.house is not None and self.house.asks_time(module, report.measured_us):
            world.devices[module.dev_eui].outbox.wishes.append(commands.DeviceTimeReq())
        world.send(module.dev_eui, Message(report.f_port, report.payload, module.confirmed, tag))
        self._next_report(module, reports)
