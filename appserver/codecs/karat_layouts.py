"""Packets of KARAT heat, water and electricity meters behind a radio module, as tables.

Layout: github.com/ws-lab/karat-proto (MIT) at 4515b7a, migrations/0002_set_value.up.sql. Every field is four bytes from
byte 7 on; the end of its name is its unit, and its unit tells its type. The names of the second circuit (608-611,
808-811) and of the cold water (612, 613, 812, 813) are ours: the source calls one by the other's name.
"""

from __future__ import annotations

from dataclasses import dataclass

FIELD_TYPES = {
    "gcal": "f",
    "m3": "f",
    "t": "f",
    "c": "f",
    "mpa": "f",
    "h": "i",
    "kwh": "I",
    "kvarh": "I",
    "err": "I",
    "gap4": "4x",
    "gap1": "x",
}
"""``struct`` codes by unit: IEEE 754 numbers; minutes; thousandths of a kWh and kvarh; bits; bytes without meaning."""

SECOND_CIRCUIT, COLD_WATER = 4, 5
"""What is beside a subsystem's main register has a channel of its own: ten times the subsystem, plus 1 to 3 for pulse
inputs, these for the others."""

FLAGS_30X = {
    0: "flow_low_error",
    1: "flow_high_error",
    2: "flow_meter_power_error",
    3: "mass_not_computable",
    4: "flow_low",
    5: "flow_high",
    6: "flow_meter_power_lost",
    7: "mass_imbalance",
    8: "temperature_low_error",
    9: "temperature_high_error",
    10: "temperature_sensor_error",
    12: "temperature_low",
    13: "temperature_high",
    14: "temperature_sensor_broken",
    16: "pressure_low_error",
    17: "pressure_high_error",
    18: "pressure_sensor_error",
    20: "pressure_low",
    21: "pressure_high",
    22: "pressure_sensor_broken",
    26: "heat_not_computable",
    30: "heat_negative",
}
FLAGS_COMPACT = {
    2: "mass_not_computable",
    3: "no_water",
    4: "flow_low",
    5: "flow_high",
    8: "temperature_low_error",
    9: "temperature_high_error",
    10: "temperature_sensor_error",
    11: "temperature_difference_low_error",
    12: "temperature_low",
    13: "temperature_high",
    15: "temperature_difference_low",
    16: "heat_not_computable",
    18: "hardware_fault",
    30: "archives_cleared",
}

HEAT = {"dQ_gcal": (0, ""), "Q1_gcal": (0, "supply"), "Q2_gcal": (0, "return")}
HEAT_2 = {name: (SECOND_CIRCUIT, variant) for name, (_, variant) in HEAT.items()}
WATER = {"dV_m3": (COLD_WATER, "")}
COMPACT = {"dQ_gcal": (0, ""), "V1_m3": (1, ""), "V2_m3": (2, ""), "V3_m3": (3, "")}
ENERGY = {"E_kwh": (0, ""), "E1_kwh": (0, "tariff1"), "E2_kwh": (0, "tariff2"), "E3_kwh": (0, "tariff3")}


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a packet and which of them are registers."""

    fields: str
    registers: dict[str, tuple[int, str]]
    """Field to (0: the subsystem's own channel, else the digit after it; variant)."""
    flags: dict[int, str]
    compact: bool = False


def _heat(fields: str) -> Layout:
    return Layout(fields, HEAT, FLAGS_30X)


def _heat_2(fields: str) -> Layout:
    return Layout(fields, HEAT_2, FLAGS_30X)


def _water(fields: str) -> Layout:
    return Layout(fields, WATER, FLAGS_30X)


def _compact(fields: str) -> Layout:
    return Layout(fields, COMPACT, FLAGS_COMPACT, True)


def _energy(fields: str) -> Layout:
    return Layout(fields, ENERGY, {})


TIMES = "Tmin_h Tmax_h Tdt_h Tf_h Tep_h"
LIMITS = "Q1min_gcal Q1max_gcal Q2min_gcal Q2max_gcal"
LAYOUTS_1_8 = {
    600: _heat("m1_t m2_t T1_c T2_c P1_mpa P2_mpa Q1_gcal Q2_gcal dQ_gcal err tA_h"),
    601: _heat(f"dm_t dT_c {LIMITS} {TIMES}"),
    602: _heat("V1_m3 V2_m3 T1_c T2_c P1_mpa P2_mpa Q1_gcal Q2_gcal dQ_gcal err tA_h"),
    603: _heat(f"dV_m3 dT_c {LIMITS} {TIMES}"),
    604: _heat("dV_m3 dm_t T1_c T2_c dT_c P1_mpa P2_mpa dQ_gcal err tA_h"),
    605: _heat(f"Q1min_gcal Q1max_gcal {TIMES}"),
    606: _heat("m1_t m2_t dm_t T1_c T2_c dT_c P1_mpa P2_mpa dQ_gcal err tA_h"),
    607: _heat(f"V1_m3 V2_m3 dV_m3 Q1min_gcal Q1max_gcal {TIMES}"),
    608: _heat_2("dQ_gcal m1_t m2_t dm_t T1_c T2_c P1_mpa P2_mpa err tA_h"),
    609: _heat_2(f"Q2_gcal Q1_gcal V1_m3 V2_m3 dV_m3 {TIMES}"),
    610: _heat_2("dQ_gcal dV_m3 dm_t T2_c P1_mpa err tA_h"),
    611: _heat_2(TIMES),
    612: _water(f"dV_m3 P_mpa {TIMES} err tA_h"),
    613: _water(f"T_c P_mpa {TIMES} err tA_h"),
    622: _compact("dQ_gcal dV_m3 m1_t T1_c T2_c dT_c V1_m3 V2_m3 V3_m3 err tA_h"),
}
LAYOUTS_2_0 = {
    800: _heat("m1_t m2_t dm_t T1_c T2_c Q1_gcal Q2_gcal dQ_gcal err tA_h"),
    801: _heat(f"V1_m3 V2_m3 dV_m3 dT_c P1_mpa P2_mpa {TIMES}"),
    804: _heat("V1_m3 m1_t T1_c T2_c dT_c P1_mpa P2_mpa dQ_gcal err tA_h"),
    805: _heat(TIMES),
    806: _heat("m1_t m2_t dm_t T1_c T2_c dT_c P1_mpa P2_mpa dQ_gcal err tA_h"),
    807: _heat(f"V1_m3 V2_m3 dV_m3 Q1min_gcal Q1max_gcal {TIMES}"),
    808: _heat_2("m1_t m2_t dm_t T1_c T2_c Q1_gcal Q2_gcal dQ_gcal err tA_h"),
    809: _heat_2(f"V1_m3 V2_m3 dV_m3 dT_c P1_mpa P2_mpa {TIMES}"),
    810: _heat_2("dQ_gcal dV_m3 dm_t T1_c P1_mpa err tA_h"),
    811: _heat_2(TIMES),
    812: _water(f"dV_m3 P_mpa {TIMES} err tA_h"),
    813: _water(f"T_c P_mpa {TIMES} err tA_h"),
    822: _compact("dQ_gcal dV_m3 m1_t T1_c T2_c dT_c V1_m3 V2_m3 V3_m3 err tA_h"),
    823: _compact("dQ_gcal dV_m3 dm_t T1_c T2_c dT_c V1_m3 V2_m3 V3_m3 err tA_h"),
    900: _energy("E_kwh E1_kwh E2_kwh E3_kwh gap4 R_kvarh R1_kvarh R2_kvarh R3_kvarh"),
    902: _energy(
        "first_E_plus_kwh first_E_minus_kwh first_R_plus_kvarh first_R_minus_kvarh gap1"
        " second_E_plus_kwh second_E_minus_kwh second_R_plus_kvarh second_R_minus_kvarh"
    ),
}
"""902 has two half-hours; which of them its time stamps is not published, so they are words and no readings."""
