"""A device's transmitter: on which channel it may send now, what a frame costs, and which windows follow it."""

from __future__ import annotations

from lorasim.battery import Battery
from lorasim.device_config import DeviceConfig
from lorasim.dice import Random
from lorasim.duty import DutyCycle, JoinBudget
from lorasim.mac import Channel, MacState
from lorasim.radio import Uplink, airtime_us
from lorasim.receiver import Receiver
from regional import Plan

JOIN_REQUEST_BYTES = 23


class Transmitter:
    """``end_us``: when the last frame ended; ``had_power``: it has been switched on, be it off again."""

    __slots__ = ("_join_budget", "_plan", "battery", "config", "duty", "end_us", "had_power")

    def __init__(self, config: DeviceConfig, plan: Plan) -> None:
        self.config, self._plan = config, plan
        self.duty = DutyCycle(config.duty_cycle)
        self.battery: Battery | None = None
        self._join_budget: JoinBudget | None = None
        self.end_us = 0
        self.had_power = False

    def power_on(self, now: int) -> None:
        """The budget of joins begins anew; a battery does not."""
        config, self.had_power = self.config, True
        if config.battery_mah and self.battery is None:
            self.battery = Battery(config.battery_mah, config.sleep_ua, now)
        if config.duty_cycle:
            self._join_budget = JoinBudget(now)

    def battery_level(self, now: int) -> int:
        """What DevStatusAns tells: 1 to 254; 0 on external power, 255 when it cannot be measured."""
        return self.config.battery if self.battery is None else self.battery.level(now)

    def is_exhausted(self, now: int) -> bool:
        return self.battery is not None and self.battery.is_empty(now)

    def channel(self, state: MacState, dr: int, now: int, rng: Random) -> tuple[int, int]:
        """An enabled channel that may be used now, and when one may; the first is only of use when the second is past."""
        usable, duty = state.usable(dr), self.duty
        if duty.silent_until_us <= now and not duty.by_band:
            return rng.choice(usable), now
        channels = state.channels
        open_, free_us = duty.open_channels(self._plan, [(i, channels[i].frequency_hz) for i in usable], now)
        return (rng.choice(open_), now) if open_ else (usable[0], free_us)

    def join_free_us(self, dr: int, now: int) -> int:
        """From when a request to join at a data rate is within its budget; one that is, is taken from it."""
        if self._join_budget is None:
            return now
        long_us = airtime_us(JOIN_REQUEST_BYTES, str(self._plan.datr(dr)), crc=True)
        free_us = self._join_budget.free_us(now, long_us)
        if free_us <= now:
            self._join_budget.spend(now, long_us)
        return free_us

    def send(
        self,
        phy: bytes,
        channel: Channel,
        state: MacState,
        dr: int,
        now: int,
        delay_us: int,
        receiver: Receiver,
        accept: bool,
    ) -> tuple[Uplink, int]:
        """A frame leaves, and its two windows are set; when the second is over."""
        plan, firmware = self._plan, self.config.firmware
        datr = str(plan.datr(dr))
        long_us = airtime_us(len(phy), datr, crc=True)
        power_dbm = state.eirp_dbm()
        uplink = Uplink(self.config.dev_eui, phy, channel.frequency_hz, datr, dr, now, long_us, power_dbm)
        rx1_hz = plan.join_rx1_frequency_hz(channel.frequency_hz) if accept else channel.rx1_hz
        rx1 = rx1_hz, str(plan.datr(plan.rx1_dr(dr, state.rx1_dr_offset, state.downlink_dwell), downlink=True))
        rx2_hz = firmware.rx2_frequency_hz or state.rx2_frequency_hz
        rx2 = rx2_hz, str(plan.datr(state.rx2_dr if firmware.rx2_dr < 0 else firmware.rx2_dr, downlink=True))
        self.end_us = end_us = now + long_us
        self.duty.sent(plan, channel.frequency_hz, now, long_us, state.max_duty_cycle)
        if self.battery is not None:
            self.battery.transmitted(long_us, power_dbm, rx1[1], rx2[1])
        # a crystal that runs fast opens the windows early
        shift_us = firmware.rx_shift_ms * 1000 - delay_us * self.config.ppm * 1e-6
        return uplink, receiver.open(end_us + delay_us + round(shift_us), rx1, rx2)
