"""Incidents in words of people: kinds, layers, severities, and what an incident's evidence says."""

from __future__ import annotations

from typing import Any

from appserver.web import words
from appserver.web.i18n import N_, gettext, language

KINDS = {
    "silent_meter": N_("Silent meter"),
    "silent_gateway": N_("Silent gateway"),
    "leak": N_("Leak"),
    "burst": N_("Burst"),
    "magnet": N_("Magnet"),
    "opened": N_("Opened case"),
    "reverse_flow": N_("Reverse flow"),
    "no_flow": N_("No flow"),
    "device_fault": N_("Fault of the meter"),
    "low_battery": N_("Low battery"),
    "clock": N_("Wrong clock"),
    "conflict": N_("Conflicting readings"),
    "verification": N_("Verification overdue"),
    "temperature_graph": N_("Temperature graph not kept"),
    "imbalance": N_("Imbalance over the limit"),
    "theft": N_("Suspected theft"),
}
LAYERS = {"device": N_("Meter"), "data": N_("Data"), "network": N_("Radio and network")}
SEVERITIES = {"info": N_("note"), "warning": N_("warning"), "critical": N_("alarm")}
SIDES = {"supply": N_("supply pipe"), "return": N_("return pipe")}
_EVIDENCE = {
    "hours": N_("hours"),
    "count": N_("meters"),
    "devices": N_("modules"),
    "text": N_("the network says"),
    "flags": N_("the meter says"),
    "battery_pct": N_("charge, %"),
    "limit_pct": N_("limit, %"),
    "offset_s": N_("off by, s"),
    "limit_s": N_("limit, s"),
    "register": N_("register"),
    "value": N_("value"),
    "until": N_("verified until"),
    "readings_count": N_("readings count all the same"),
    "nights": N_("nights"),
    "event": N_("event"),
    "least_per_hour": N_("least in an hour of the night"),
    "most_per_hour": N_("most in an hour"),
    "limit_per_hour": N_("limit for an hour"),
    "days": N_("days"),
    "before": N_("volume before"),
    "resource": N_("resource"),
    "worst_pct": N_("worst, %"),
    "worst_c": N_("largest deviation, °C"),
    "side": N_("where"),
    "fall_per_day": N_("fall of the flat a day"),
    "residual_rise_per_day": N_("rise of the house's residual a day"),
}
FLAGS = {
    "magnetic_tamper": N_("magnetic field"),
    "magnet": N_("magnetic field"),
    "mechanical_tamper": N_("mechanical interference"),
    "head_detached": N_("module taken off the meter"),
    "case_opened": N_("case opened"),
    "terminal_opened": N_("terminal cover opened"),
    "leak": N_("leak"),
    "burst": N_("burst"),
    "reverse_flow": N_("reverse flow"),
    "no_medium": N_("no medium"),
    "no_water": N_("no water"),
    "low_battery": N_("low battery"),
    "hardware_fault": N_("hardware fault"),
    "indicator_blocked": N_("indicator blocked"),
    "reverse": N_("reverse flow"),
    "backflow": N_("reverse flow"),
    "dry": N_("no water"),
    "permanent_error": N_("permanent error"),
    "temperature_sensor_error": N_("error of a temperature sensor"),
    "temperature_sensor_broken": N_("temperature sensor broken"),
    "pressure_sensor_error": N_("error of a pressure sensor"),
    "pressure_sensor_broken": N_("pressure sensor broken"),
    "flow_meter_power_error": N_("error of the flow meter's supply"),
    "flow_meter_power_lost": N_("flow meter without supply"),
    "mass_not_computable": N_("mass cannot be computed"),
    "heat_not_computable": N_("heat cannot be computed"),
    "mass_imbalance": N_("masses do not balance"),
    "heat_negative": N_("negative heat"),
    "freeze": N_("danger of freezing"),
}


SHOWN_DEVICES = 10
UNSAID = frozenset({"last_uplink_at_us"})
"""Evidence that another column says."""


def evidence(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Evidence as labels and texts; what has no words is left out."""
    found = []
    for key, value in values.items():
        label = _EVIDENCE.get(key)
        if label is None or value in ("", None):
            continue
        found.append((gettext(label), _shown(key, value)))
    return found


def _shown(key: str, value: Any) -> str:
    if key == "flags":
        return ", ".join(gettext(FLAGS[flag]) if flag in FLAGS else flag for flag in value)
    if key == "devices":
        return ", ".join(value[:SHOWN_DEVICES]) + (" …" if len(value) > SHOWN_DEVICES else "")
    if key == "nights":
        return ", ".join(
            f"{night['night']} ({_number(night['least'])})" if "least" in night else night["night"] for night in value
        )
    if key == "readings_count":
        return gettext("yes") if value else gettext("no")
    if key in ("resource", "register"):
        return words.word(key, str(value))
    if key == "side":
        return gettext(SIDES.get(value, value))
    if key == "event":
        return words.word("event", str(value))
    return _number(str(value))


def _number(text: str) -> str:
    return text.replace(".", ",") if language() == "ru" and text.replace(".", "").lstrip("-").isdigit() else text
