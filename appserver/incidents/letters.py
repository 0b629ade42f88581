"""What one subscription is told at once: one incident in full, many as a digest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from appserver.incidents.kinds import SEVERITIES
from appserver.incidents.store import IncidentRow
from appserver.incidents.words import KIND_WORDS, message, subject_line

MAX_LINES = 40
"""Incidents told in full; the rest is in the summary above them."""
SUMMARY_FROM = 4
"""So many incidents get a summary on top."""

News = Sequence[tuple[IncidentRow, str]]
"""Incidents with what happened to them: ``opened`` or ``closed``."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to one address."""

    channel: str
    target: str
    chat: str
    subject: str
    text: str


def collapse(news: News) -> list[tuple[IncidentRow, str]]:
    """Each incident once, by the last that happened to it: one that came and went meanwhile is told as over."""
    last = {incident.id: (incident, change) for incident, change in news}
    return list(last.values())


def summary(news: News, language: str) -> str:
    """How many incidents of each kind there are, and where most of them."""
    index = 0 if language == "ru" else 1
    lines = []
    kinds = Counter((change, incident.kind) for incident, change in news)
    for (change, kind), count in sorted(kinds.items(), key=lambda item: (item[0][0] == "closed", -item[1], item[0][1])):
        houses = Counter(
            incident.address or incident.gateway_eui or incident.dev_eui
            for incident, each in news
            if (each, incident.kind) == (change, kind)
        ).most_common()
        where = "; ".join(f"{address} — {number}" for address, number in houses[:5])
        more = f"; {('ещё домов:', 'more houses:')[index]} {len(houses) - 5}" if len(houses) > 5 else ""
        over = ("Устранено: ", "Over: ")[index] if change == "closed" else ""
        lines.append(f"{over}{KIND_WORDS[kind][index]}: {count} ({where}{more})")
    return "\n".join(lines)


def compose(channel: str, target: str, chat: str, language: str, news: News, timezone: str, url: str) -> Letter:
    """One letter of everything that waits; the gravest first."""
    told = collapse(news)
    order = sorted(
        told, key=lambda one: (one[1] == "closed", -SEVERITIES.index(one[0].severity), one[0].started_at_us, one[0].id)
    )
    if len(order) == 1:
        return Letter(
            channel, target, chat, subject_line(*order[0], language), message(*order[0], language, timezone, url)
        )
    words = "нештатных ситуаций" if language == "ru" else "incidents"
    parts = [summary(order, language)] if len(order) >= SUMMARY_FROM else []
    parts += [message(incident, change, language, timezone, url) for incident, change in order[:MAX_LINES]]
    if len(order) > MAX_LINES:
        parts.append(f"+{len(order) - MAX_LINES}")
    return Letter(channel, target, chat, f"MeterWAN: {len(order)} {words}", "\n\n".join(parts))
