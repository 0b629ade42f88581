"""Quantities of heat: units, enthalpy of water, energy of a period, working times. Pure functions of decimals.

Enthalpy is that of IAPWS-IF97, region 1 (water up to 350 °C below its boiling line). Energy is that of методика 99/пр.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

GJ_PER_GCAL = Decimal("4.1868")
KWH_PER_GCAL = Decimal(1163)
PER_GCAL = {"Gcal": Decimal(1), "GJ": GJ_PER_GCAL, "kWh": KWH_PER_GCAL}
GAUGE_MPA = Decimal("0.101325")
"""Calculators tell pressure above that of the air."""
USUAL_MPA = Decimal("0.5")
TIME_PARTS = ("tA_h", "Tmin_h", "Tmax_h", "Tdt_h", "Tf_h", "Tep_h")
"""Траб, Тmin, Тmax, ТΔt, Тф, Тэп."""
TIME_TOLERANCE_H = Decimal("0.1")
"""Calculators tell minutes, rounded each."""
_STEP = Decimal("0.000001")

_REGION_1 = (
    (0, -2, 0.14632971213167),
    (0, -1, -0.84548187169114),
    (0, 0, -3.7563603672040),
    (0, 1, 3.3855169168385),
    (0, 2, -0.95791963387872),
    (0, 3, 0.15772038513228),
    (0, 4, -0.016616417199501),
    (0, 5, 0.00081214629983568),
    (1, -9, 0.00028319080123804),
    (1, -7, -0.00060706301565874),
    (1, -1, -0.018990068218419),
    (1, 0, -0.032529748770505),
    (1, 1, -0.021841717175414),
    (1, 3, -0.000052838357969930),
    (2, -3, -0.00047184321073267),
    (2, 0, -0.00030001780793026),
    (2, 1, 0.000047661393906987),
    (2, 3, -0.0000044141845330846),
    (2, 17, -7.2694996297594e-16),
    (3, -4, -0.000031679644845054),
    (3, 0, -0.0000028270797985312),
    (3, 6, -8.5205128120103e-10),
    (4, -5, -0.0000022425281908000),
    (4, -2, -6.5171222895601e-7),
    (4, 10, -1.4341729937924e-13),
    (5, -8, -4.0516996860117e-7),
    (8, -11, -1.2734301741641e-9),
    (8, -6, -1.7424871230634e-10),
    (21, -29, -6.8762131295531e-19),
    (23, -31, 1.4478307828521e-20),
    (29, -38, 2.6335781662795e-23),
    (30, -39, -1.1947622640071e-23),
    (31, -40, 1.8228094581404e-24),
    (32, -41, -9.3537087203124e-26),
)
"""I, J, n of IAPWS-IF97 table 2."""


def convert(value: Decimal, unit: str, to: str) -> Decimal:
    """Energy in another unit: ``Gcal``, ``GJ``, ``kWh``."""
    return value * PER_GCAL[to] / PER_GCAL[unit]


def enthalpy_kj_kg(temperature_c: Decimal, pressure_mpa: Decimal) -> Decimal:
    """Specific enthalpy of water at an absolute pressure. Raises ValueError outside of 0-250 °C."""
    if not 0 <= temperature_c <= 250:
        raise ValueError(f"water of {temperature_c} °C is not what flows in heat networks")
    kelvin, pressure = float(temperature_c) + 273.15, float(pressure_mpa)
    pi, tau = pressure / 16.53, 1386 / kelvin
    derivative = sum(n * (7.1 - pi) ** i * j * (tau - 1.222) ** (j - 1) for i, j, n in _REGION_1)
    return Decimal(repr(0.461526 * kelvin * tau * derivative)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


def energy_gcal(
    mass_in_t: Decimal,
    supply_c: Decimal,
    return_c: Decimal,
    mass_out_t: Decimal | None = None,
    cold_c: Decimal | None = None,
    supply_mpa: Decimal | None = None,
    return_mpa: Decimal | None = None,
) -> Decimal:
    """Energy that a system took. Without ``mass_out_t`` it is closed: ``Q = M1 (h1 - h2)``.

    Open: ``Q = M1 (h1 - h2) + (M1 - M2) (h2 - hcold)``. Pressures are those above the air's, as calculators tell them.
    """
    h1 = enthalpy_kj_kg(supply_c, (USUAL_MPA if supply_mpa is None else supply_mpa) + GAUGE_MPA)
    h2 = enthalpy_kj_kg(return_c, (USUAL_MPA if return_mpa is None else return_mpa) + GAUGE_MPA)
    gigajoules = mass_in_t * (h1 - h2) / 1000
    if mass_out_t is not None:
        cold = enthalpy_kj_kg(Decimal(5) if cold_c is None else cold_c, USUAL_MPA + GAUGE_MPA)
        gigajoules += (mass_in_t - mass_out_t) * (h2 - cold) / 1000
    return (gigajoules / GJ_PER_GCAL).quantize(_STEP, ROUND_HALF_EVEN)


def plain_energy_gcal(mass_t: Decimal, supply_c: Decimal, return_c: Decimal) -> Decimal:
    """``M (t1 - t2) / 1000``: what an engineer reckons in the head, to see whether an energy can be true."""
    return mass_t * (supply_c - return_c) / 1000


def plausible(told_gcal: Decimal, reckoned_gcal: Decimal, limit_pct: Decimal) -> bool:
    """Whether a told energy is within ``limit_pct`` of the reckoned one."""
    return abs(told_gcal - reckoned_gcal) * 100 <= abs(reckoned_gcal) * limit_pct


@dataclass(frozen=True, slots=True)
class Times:
    """The identity of working times: Траб + Тmin + Тmax + ТΔt + Тф + Тэп = the period."""

    sum_h: Decimal
    period_h: Decimal
    known: bool
    """Whether all of its parts were told."""

    @property
    def ok(self) -> bool:
        return self.known and abs(self.sum_h - self.period_h) <= TIME_TOLERANCE_H


def times(parts: Mapping[str, Decimal | None], period_h: Decimal) -> Times:
    """Check the identity over the fields of TIME_PARTS; ``period_h`` is 23, 24 or 25 for a day."""
    told = [parts.get(name) for name in TIME_PARTS]
    return Times(sum((part for part in told if part is not None), Decimal(0)), period_h, None not in told)
