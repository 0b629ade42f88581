"""What a rule of each kind says. The names are those of the TOML keys; an unknown key is an error."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=0, le=10_000)]
Amount = Annotated[Decimal, Field(ge=0, le=10**9)]
Celsius = Annotated[Decimal, Field(ge=-100, le=200)]
ResourceName = Literal["cold_water", "hot_water", "electricity", "heat", "gas"]
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


class Values(BaseModel):
    """The values of a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Substitution(Values):
    """How the volume of a meter is found that told nothing, or whose telling does not count (ПП 354, п. 59-62)."""

    average_months: Annotated[int, Field(ge=1, le=36)]
    """Months whose mean stands in for a missing one."""
    min_months: Annotated[int, Field(ge=1, le=36)]
    """Fewer known months than this give no mean."""
    min_months_heat: Annotated[int, Field(ge=1, le=36)]
    average_periods: Annotated[int, Field(ge=0, le=36)]
    """Missing periods in a row that the mean covers; from the next on the norm counts."""
    norm_factor: Amount = Decimal(1)
    """Factor of the norm (повышающий коэффициент) where it applies; 1 where it does not."""
    tamper_factor: Amount = Decimal(1)
    """Factor of the norm after an interference with the meter (п. 62)."""

    @model_validator(mode="after")
    def _minimum_fits(self) -> Substitution:
        if max(self.min_months, self.min_months_heat) > self.average_months:
            raise ValueError("min_months and min_months_heat must not exceed average_months")
        return self


class Verification(Values):
    """What becomes of the readings of a meter whose verification has ended."""

    expired_accepted: bool
    """Whether they still count."""


class Norm(Values):
    """A norm of consumption in units of the resource a month."""

    resource: ResourceName
    per_person: Amount | None = None
    per_m2: Amount | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Norm:
        if (self.per_person is None) == (self.per_m2 is None):
            raise ValueError("give either per_person or per_m2")
        return self


class CommonNorm(Values):
    """The most that common needs (ОДН, КР на СОИ) may take, in units of the resource a month."""

    resource: ResourceName
    per_m2: Amount
    """Of common rooms."""


class Zone(Values):
    """A tariff zone of the day."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    hours: Annotated[list[str], Field(min_length=1)]
    """Spans of local time such as ``07:00-23:00``; a span may go over midnight."""

    @field_validator("hours")
    @classmethod
    def _spans(cls, value: list[str]) -> list[str]:
        for span in value:
            start, dash, end = span.partition("-")
            if not dash or not _CLOCK.fullmatch(start) or not _CLOCK.fullmatch(end) or start in (end, "24:00"):
                raise ValueError(f"{span!r} is not a span such as 07:00-23:00")
        return value

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Spans as minutes of the day; one over midnight is two."""
        found: list[tuple[int, int]] = []
        for span in self.hours:
            start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in span.split("-"))
            found += [(start, end)] if start < end else [(start, 1440), *([(0, end)] if end else [])]
        return found


class TariffZones(Values):
    """The zones of a day; together they cover each minute exactly once."""

    zones: Annotated[list[Zone], Field(min_length=1)]

    @model_validator(mode="after")
    def _cover_the_day(self) -> TariffZones:
        spans = sorted(span for zone in self.zones for span in zone.spans)
        at = 0
        for start, end in spans:
            if start != at:
                what = "twice" if start < at else "not"
                raise ValueError(f"{min(start, at) // 60:02d}:{min(start, at) % 60:02d} is covered {what}")
            at = end
        if at != 1440:
            raise ValueError(f"{at // 60:02d}:{at % 60:02d} is not covered")
        return self


class HeatQuality(Values):
    """How far the network and the consumer may leave the temperature graph, and what a day's archive must fulfil."""

    supply_pct: Amount
    """Supply temperature, daily mean, to both sides."""
    return_pct: Amount
    """Return temperature, daily mean, upwards only."""
    hot_water_min_c: Celsius
    hot_water_max_c: Celsius
    hot_water_day_c: Amount
    """Allowed fall below the least temperature from 05:00 to 24:00."""
    hot_water_night_c: Amount
    """The same from 00:00 to 05:00."""
    plausibility_pct: Amount
    """The energy a calculator tells may differ so much from mass times temperature difference."""


class TemperatureGraph(Values):
    """Temperatures of supply and return by that of outdoors: rows of ``[outdoor, supply, return]``, in °C."""

    rows: Annotated[list[tuple[Celsius, Celsius, Celsius]], Field(min_length=2)]
    supply_max_c: Celsius | None = None
    """Upper cut (верхняя срезка)."""
    supply_min_c: Celsius | None = None
    """Lower break (нижний излом) for the sake of hot water."""

    @field_validator("rows")
    @classmethod
    def _each_once(cls, value: list[tuple[Decimal, Decimal, Decimal]]) -> list[tuple[Decimal, Decimal, Decimal]]:
        if len({row[0] for row in value}) != len(value):
            raise ValueError("an outdoor temperature stands there twice")
        return sorted(value)


class HeatSubstitution(Values):
    """Heat of a period in which the meter did not work (методика 99/пр)."""

    max_missing_days: Count
    """Up to so many days the mean of normal work stands in, from the next on the contract's load."""
    indoor_c: Celsius
    design_outdoor_c: Celsius


class IncidentLimits(Values):
    """From when on something is an incident."""

    silent_meter_hours: Annotated[int, Field(ge=1, le=10_000)]
    silent_group: Annotated[int, Field(ge=2, le=10_000)]
    """So many silent modules of one building are one incident."""
    leak_nights: Annotated[int, Field(ge=1, le=31)]
    """Nights in a row whose least hour from 02:00 to 05:00 is over the limit."""
    leak_individual: Amount
    """Units of the resource an hour."""
    leak_house_pct: Amount
    """Least night hour of a common meter against its mean hour."""
    burst_share_pct: Amount
    """Flow of an hour against the most that the meter can count."""
    burst_times: Amount
    """… and against the mean hour of the same point."""
    no_flow_days: Annotated[int, Field(ge=1, le=400)]
    battery_pct: Annotated[int, Field(ge=0, le=100)]
    clock_s: Annotated[int, Field(ge=1, le=10**7)]
    imbalance_pct: Amount
    imbalance_days: Annotated[int, Field(ge=1, le=31)]
    theft_share_pct: Amount
    """A flat's fall that the house's residual takes up, in per cent of that fall."""
    theft_fall_pct: Amount
    """How far a flat's mean day must fall."""
    theft_days: Annotated[int, Field(ge=2, le=60)]
    """Days before and after the fall that are compared."""
    theft_suspects: Annotated[int, Field(ge=1, le=100)]
    """At most so many of a house: a suspicion is an accusation."""


class HeatContract(Values):
    """What was agreed for a heat point."""

    system: Literal["closed", "open"]
    cold_water_c: Celsius
    load_gcal_h: Amount | None = None
    """Load at the design temperature outdoors."""


class OutdoorSensor(Values):
    """The device that tells the outdoor temperature of a place."""

    dev_eui: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    field: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,60}$")] = "temperature_c"
    """Which of the values that its codec gives."""


class WeatherControl(Values):
    """The controller of a heat point that follows the weather: it is watched, never set."""

    dev_eui: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    setpoint: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,60}$")] = "setpoint_c"
    """Which of the values that its codec gives; empty fields are not told."""
    supply: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,60}$")] = "supply_c"
    valve: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,60}$")] = "valve_pct"


class Backfill(Values):
    """How much may be asked of devices for the sake of boundary values that are missing."""

    grace_hours: Annotated[int, Field(ge=1, le=240)]
    """So long after its midnight a value may still come by itself."""
    days_back: Annotated[int, Field(ge=1, le=400)]
    in_flight: Annotated[int, Field(ge=0, le=10_000)]
    """Queries under way at the same time; 0 asks nothing."""
    airtime_ms_hour: Annotated[int, Field(ge=0, le=3_600_000)]
    """Airtime of all queries of an hour."""
    query_airtime_ms: Annotated[int, Field(ge=1, le=10_000)]
    """What one is reckoned at: 20 bytes at SF10."""
    attempts: Annotated[int, Field(ge=1, le=20)]
    """Of one boundary."""
    expires_hours: Annotated[int, Field(ge=1, le=240)]


class ClockCorrection(Values):
    """When and how far device clocks are put right by downlink."""

    limit_s: Annotated[int, Field(ge=1, le=86_400)]
    """A clock that is off by no more is left alone."""
    max_step_s: Annotated[int, Field(ge=1, le=86_400)]
    """Largest step of one correction; a clock that is further off takes several."""
    every_hours: Annotated[int, Field(ge=1, le=8760)]
    """Between two corrections of one clock."""
    attempts: Annotated[int, Field(ge=1, le=20)]
    """Corrections in a row that changed nothing; after them the device is left to a person."""
    in_flight: Annotated[int, Field(ge=0, le=10_000)]
    """Corrections under way at the same time; 0 corrects nothing."""
    expires_hours: Annotated[int, Field(ge=1, le=240)]


KINDS: dict[str, type[Values]] = {
    "substitution": Substitution,
    "verification": Verification,
    "norm": Norm,
    "common_norm": CommonNorm,
    "tariff_zones": TariffZones,
    "heat_quality": HeatQuality,
    "temperature_graph": TemperatureGraph,
    "heat_substitution": HeatSubstitution,
    "heat_contract": HeatContract,
    "outdoor_sensor": OutdoorSensor,
    "weather_control": WeatherControl,
    "incident_limits": IncidentLimits,
    "backfill": Backfill,
    "clock_correction": ClockCorrection,
}
