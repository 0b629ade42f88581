"""Incidents in application.db: what a round found, what people said of it, lists of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from appserver.db import Database, contains
from appserver.errors import RegistryError
from appserver.incidents.facts import Finding
from appserver.incidents.kinds import KINDS, SEVERITIES

MAX_COMMENT = 4000


@dataclass(slots=True)
class Change:
    """An incident that was opened or closed by a round."""

    incident_id: int
    change: str
    kind: str


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one key that hold now made one: the earliest start, all evidence. The ended ones stay as they are."""
    merged: dict[tuple[str, str], Finding] = {}
    over = []
    for finding in findings:
        if finding.ended_at_us is not None:
            over.append(finding)
            continue
        other = merged.get(finding.key)
        if other is not None:
            start = min(other.started_at_us, finding.started_at_us)
            evidence = {**finding.evidence, **other.evidence}
            finding = Finding(finding.kind, other.place, start, evidence, None, other.subject or finding.subject)
        merged[finding.key] = finding
    # An ended one whose key holds now, and did before it began, is a part of that.
    over = [f for f in over if f.key not in merged or merged[f.key].started_at_us > f.started_at_us]
    return [*over, *merged.values()]


def apply(
    connection: sqlite3.Connection, findings: Iterable[Finding], settled: Collection[str], now_us: int, rule: str
) -> list[Change]:
    """Bring incidents in line with what a round found. Needs an open transaction.

    What was not found ends, as far as its kind is ``settled``: the round looked at everything that can find it. The
    same findings twice change nothing the second time but ``seen_at_us`` and the evidence of open ones.
    """
    changes: list[Change] = []
    open_ones: dict[tuple[str, str], tuple[int, int]] = {
        (kind, subject): (id_, started)
        for id_, kind, subject, started in connection.execute(
            "SELECT id, kind, subject, started_at_us FROM incident WHERE ended_at_us IS NULL"
        )
    }
    holding = set()
    for finding in merge(findings):
        evidence = msgspec.json.encode(finding.evidence).decode()
        known = open_ones.get(finding.key)
        if finding.ended_at_us is None:
            holding.add(finding.key)
            if known is not None:
                kept = evidence if finding.kind in settled else None
                connection.execute(
                    "UPDATE incident SET seen_at_us = ?, evidence = coalesce(?, evidence) WHERE id = ?",
                    (now_us, kept, known[0]),
                )
                continue
        elif known is not None and known[1] <= finding.ended_at_us and known[1] >= finding.started_at_us:
            _close(connection, known[0], finding.ended_at_us)
            del open_ones[finding.key]
            changes.append(Change(known[0], "closed", finding.kind))
            continue
        new = _insert(connection, finding, evidence, now_us, rule)
        if new is not None:
            changes.append(Change(new, "opened", finding.kind))
            if finding.ended_at_us is not None:
                changes.append(Change(new, "closed", finding.kind))
    for key, (id_, _) in open_ones.items():
        if key not in holding and key[0] in settled:
            _close(connection, id_, now_us)
            changes.append(Change(id_, "closed", key[0]))
    return changes


def _close(connection: sqlite3.Connection, incident_id: int, at_us: int) -> None:
    connection.execute("UPDATE incident SET ended_at_us = ? WHERE id = ?", (at_us, incident_id))


def _insert(connection: sqlite3.Connection, finding: Finding, evidence: str, now_us: int, rule: str) -> int | None:
    """The id of the incident when it is new or open again, None when it is known as it is."""
    place = finding.place
    row = connection.execute(
        "INSERT INTO incident (kind, subject, building_id, premises_id, point_id, meter_id, dev_eui, gateway_eui,"
        " severity, started_at_us, ended_at_us, seen_at_us, evidence, rule, acknowledged_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '') ON CONFLICT (kind, subject, started_at_us)"
        " DO UPDATE SET ended_at_us = NULL, seen_at_us = excluded.seen_at_us"
        " WHERE excluded.ended_at_us IS NULL AND incident.ended_at_us IS NOT NULL RETURNING id",
        (
            finding.kind,
            finding.key[1],
            place.building_id,
            place.premises_id,
            place.point_id,
            place.meter_id,
            place.dev_eui,
            place.gateway_eui,
            KINDS[finding.kind].severity,
            finding.started_at_us,
            finding.ended_at_us,
            now_us,
            evidence,
            rule,
        ),
    ).fetchone()
    return None if row is None else int(row[0])


# --------------------------------------------------------------------------------------------------- what people say


def acknowledge(db: Database, incident_id: int, author: str, now_us: int) -> None:
    """Somebody takes notice. The first one stays. Raises RegistryError ``not_found``."""
    with db.transaction() as connection:
        _require(connection, incident_id)
        connection.execute(
            "UPDATE incident SET acknowledged_at_us = ?, acknowledged_by = ? WHERE id = ? AND acknowledged_at_us IS NULL",
            (now_us, author, incident_id),
        )


def comment(db: Database, incident_id: int, author: str, text: str, now_us: int) -> None:
    """Say something of an incident. Raises RegistryError ``not_found`` or ``invalid``."""
    text = text.strip()
    if not text or len(text) > MAX_COMMENT:
        raise RegistryError("invalid", "text", f"text: must have 1 to {MAX_COMMENT} characters.")
    with db.transaction() as connection:
        _require(connection, incident_id)
        connection.execute(
            "INSERT INTO incident_comment (incident_id, at_us, author, text) VALUES (?, ?, ?, ?)",
            (incident_id, now_us, author, text),
        )


def _require(connection: sqlite3.Connection, incident_id: int) -> None:
    if connection.execute("SELECT 1 FROM incident WHERE id = ?", (incident_id,)).fetchone() is None:
        raise RegistryError("not_found", "id", f"There is no incident {incident_id}.")


# ------------------------------------------------------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class Comment:
    """Something said of an incident."""

    at_us: int
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident as lists show it."""

    id: int
    kind: str
    severity: str
    building_id: int | None
    address: str
    premises: str
    point_id: int | None
    resource: str
    meter_id: int | None
    serial: str
    dev_eui: str
    gateway_eui: str
    started_at_us: int
    ended_at_us: int | None
    seen_at_us: int
    evidence: dict[str, Any]
    rule: str
    acknowledged_at_us: int | None
    acknowledged_by: str
    timezone: str
    """Of the building; empty when it belongs to none."""
    comments: tuple[Comment, ...] = ()

    @property
    def layer(self) -> str:
        return KINDS[self.kind].layer


@dataclass(frozen=True, slots=True)
class Filter:
    """Which incidents; what is empty does not filter."""

    kinds: tuple[str, ...] = ()
    layer: str = ""
    severity: str = ""
    """The least."""
    state: str = ""
    """``open``, ``closed`` or ``new`` (open and not acknowledged)."""
    building_id: int | None = None
    meter_id: int | None = None
    dev_eui: str = ""
    gateway_eui: str = ""
    q: str = ""
    """A part of the address or the meter's number."""
    since_us: int | None = None
    until_us: int | None = None
    only: str = ""
    """A condition of ours over :data:`PLACE`, never text from outside."""

    def where(self) -> tuple[str, list[Any]]:
        """The condition with its parameters."""
        parts: list[str] = [self.only or "true"]
        values: list[Any] = []
        kinds = [k.name for k in KINDS.values() if (not self.kinds or k.name in self.kinds)]
        kinds = [name for name in kinds if not self.layer or KINDS[name].layer == self.layer]
        if self.severity:
            least = SEVERITIES.index(self.severity)
            kinds = [name for name in kinds if SEVERITIES.index(KINDS[name].severity) >= least]
        parts.append(f"i.kind IN ({', '.join('?' * len(kinds))})")
        values += kinds
        if self.state:
            parts.append(_STATES[self.state])
        for column, value in (
            ("building_id", self.building_id),
            ("meter_id", self.meter_id),
            ("dev_eui", self.dev_eui),
            ("gateway_eui", self.gateway_eui),
        ):
            if value not in (None, ""):
                parts.append(f"i.{column} = ?")
                values.append(value)
        if self.q:
            parts.append(
                "(fold(b.address) LIKE ? ESCAPE '\\' OR fold(m.serial) LIKE ? ESCAPE '\\' OR i.dev_eui LIKE ? ESCAPE '\\'"
                " OR i.gateway_eui LIKE ? ESCAPE '\\')"
            )
            values += [contains(self.q)] * 4
        if self.since_us is not None:
            parts.append("coalesce(i.ended_at_us, 1 << 62) >= ?")
            values.append(self.since_us)
        if self.until_us is not None:
            parts.append("i.started_at_us < ?")
            values.append(self.until_us)
        return " AND ".join(parts), values


PLACE = ("i.building_id", "i.premises_id", "coalesce(p.resource, m.resource, '')")
"""Columns of an incident's place in the queries here."""
_STATES = {
    "open": "i.ended_at_us IS NULL",
    "closed": "i.ended_at_us IS NOT NULL",
    "new": "i.ended_at_us IS NULL AND i.acknowledged_at_us IS NULL",
}
_FROM = (
    " FROM incident i LEFT JOIN building b ON b.id = i.building_id LEFT JOIN premises pr ON pr.id = i.premises_id"
    " LEFT JOIN point p ON p.id = i.point_id LEFT JOIN meter m ON m.id = i.meter_id"
)
_COLUMNS = (
    "i.id, i.kind, i.severity, i.building_id, coalesce(b.address, ''), coalesce(pr.number, ''), i.point_id,"
    " coalesce(p.resource, ''), i.meter_id, coalesce(m.serial, ''), i.dev_eui, i.gateway_eui, i.started_at_us,"
    " i.ended_at_us, i.seen_at_us, i.evidence, i.rule, i.acknowledged_at_us, i.acknowledged_by,"
    " coalesce(b.timezone, '')"
)


def _row(row: tuple[Any, ...], comments: Iterable[Comment] = ()) -> IncidentRow:
    return IncidentRow(*row[:15], msgspec.json.decode(row[15]), *row[16:], tuple(comments))


def incidents(
    db: Database, wanted: Filter, limit: int = 100, before: tuple[int, int] | None = None
) -> list[IncidentRow]:
    """Incidents, the newest start first; ``before`` is start and id of the last one of the page before."""
    where, values = wanted.where()
    if before is not None:
        where += " AND (i.started_at_us, i.id) < (?, ?)"
        values += before
    sql = f"SELECT {_COLUMNS}{_FROM} WHERE {where} ORDER BY i.started_at_us DESC, i.id DESC LIMIT ?"
    rows = db.rows(sql, [*values, limit])
    said: dict[int, list[Comment]] = {}
    for incident_id, at_us, author, text in db.rows(
        "SELECT incident_id, at_us, author, text FROM incident_comment"
        " WHERE incident_id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (str([row[0] for row in rows]),),
    ):
        said.setdefault(incident_id, []).append(Comment(at_us, author, text))
    return [_row(row, said.get(row[0], ())) for row in rows]


def get_incident(db: Database, incident_id: int) -> IncidentRow:
    """One incident. Raises RegistryError ``not_found``."""
    rows = db.rows(f"SELECT {_COLUMNS}{_FROM} WHERE i.id = ?", (incident_id,))
    if not rows:
        raise RegistryError("not_found", "id", f"There is no incident {incident_id}.")
    said = db.rows("SELECT at_us, author, text FROM incident_comment WHERE incident_id = ? ORDER BY id", (incident_id,))
    return _row(rows[0], [Comment(*row) for row in said])


def counts(db: Database, wanted: Filter | None = None) -> dict[str, int]:
    """Open incidents by kind; kinds without any are left out."""
    where, values = (wanted or Filter(state="open")).where()
    rows = db.rows(f"SELECT i.kind, count(*){_FROM} WHERE {where} GROUP BY i.kind", values)
    found = dict(rows)
    return {name: found[name] for name in KINDS if name in found}
