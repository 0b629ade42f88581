"""Incidents in words, for messages that leave the house: Russian and English."""

from __future__ import annotations

from appserver.incidents.store import IncidentRow
from appserver.metering.timebase import moment, zone_of

KIND_WORDS: dict[str, tuple[str, str]] = {
    "silent_meter": ("Прибор молчит", "Silent meter"),
    "silent_gateway": ("Шлюз молчит", "Silent gateway"),
    "leak": ("Утечка", "Leak"),
    "burst": ("Прорыв", "Burst"),
    "magnet": ("Магнит", "Magnet"),
    "opened": ("Вскрытие прибора", "Opened case"),
    "reverse_flow": ("Обратный поток", "Reverse flow"),
    "no_flow": ("Нет расхода", "No flow"),
    "device_fault": ("Неисправность прибора", "Device fault"),
    "low_battery": ("Разряжена батарея", "Low battery"),
    "clock": ("Часы прибора неверны", "Wrong clock"),
    "conflict": ("Противоречивые показания", "Conflicting readings"),
    "verification": ("Поверка просрочена", "Verification overdue"),
    "temperature_graph": ("Нарушен температурный график", "Temperature graph not kept"),
    "imbalance": ("Небаланс выше предела", "Imbalance over limit"),
    "theft": ("Подозрение на хищение", "Suspected theft"),
}
_CHANGES = {"opened": ("", ""), "closed": ("Устранено: ", "Over: ")}


def subject_line(incident: IncidentRow, change: str, language: str) -> str:
    """One line: what, where."""
    index = 0 if language == "ru" else 1
    flat = f", {('кв. ', 'flat ')[index]}{incident.premises}" if incident.premises else ""
    where = f"{incident.address}{flat}" if incident.address else incident.gateway_eui or incident.dev_eui
    return f"{_CHANGES[change][index]}{KIND_WORDS[incident.kind][index]} — {where}"


def message(incident: IncidentRow, change: str, language: str, timezone: str, url: str = "") -> str:
    """A few lines for a person: what, where, since when, the evidence, the address of the page."""
    index = 0 if language == "ru" else 1
    zone = zone_of(incident.timezone or timezone)
    started = moment(incident.started_at_us, zone).strftime("%d.%m.%Y %H:%M")
    lines = [subject_line(incident, change, language), f"{('Начало', 'Start')[index]}: {started}"]
    if incident.ended_at_us is not None:
        lines.append(f"{('Конец', 'End')[index]}: {moment(incident.ended_at_us, zone).strftime('%d.%m.%Y %H:%M')}")
    if incident.serial:
        lines.append(f"{('ПУ №', 'Meter No.')[index]} {incident.serial}")
    facts = [f"{key}={value}" for key, value in incident.evidence.items() if not isinstance(value, list | dict)]
    if facts:
        lines.append(", ".join(facts))
    if url:
        lines.append(
            f"{url}/incidents?building_id={incident.building_id}" if incident.building_id else f"{url}/incidents"
        )
    return "\n".join(lines)
