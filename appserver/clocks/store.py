"""Offsets and corrections in application.db."""

from __future__ import annotations

import json
from dataclasses import dataclass

from appserver.clocks.plan import Clock, family, outcome, step_s
from appserver.codecs import CommandError, encode
from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.metering.timebase import HOUR_US
from appserver.rules.kinds import ClockCorrection

OPEN = "('planned', 'queued')"
SILENT_US = 3 * 24 * HOUR_US
"""A class A device that says nothing hears nothing; an offset that old is no measure either."""


@dataclass(frozen=True, slots=True)
class Step:
    """A correction as it goes out."""

    id: int
    dev_eui: str
    f_port: int
    data: bytes
    expires_at_us: int
    state: str
    queue_item_id: str


def _clock(connection: Connection, dev_eui: str, offset_us: int) -> Clock:
    row = connection.execute(
        "SELECT codec FROM uplink WHERE dev_eui = ? AND state <> 'undecoded' ORDER BY received_at_us DESC LIMIT 1",
        (dev_eui,),
    ).fetchone()
    earlier = connection.execute(
        "SELECT planned_at_us, state FROM clock_correction WHERE dev_eui = ? ORDER BY planned_at_us DESC, id DESC LIMIT 20",
        (dev_eui,),
    ).fetchall()
    in_vain = 0
    for _, state in earlier:
        if state not in ("unchanged", "failed"):
            break
        in_vain += 1
    codec = row[0].partition("@")[0] if row else ""
    return Clock(codec, offset_us, earlier[0][0] if earlier else None, in_vain)


def plan(db: Database, now_us: int, rule: ClockCorrection, version: str = "") -> int:
    """Write down the steps that clocks need now. Returns how many are new."""
    with db.transaction() as connection:
        under_way = {
            eui for (eui,) in connection.execute(f"SELECT dev_eui FROM clock_correction WHERE state IN {OPEN}")
        }
        room = rule.in_flight - len(under_way)
        new = 0
        for dev_eui, offset_us in connection.execute(
            "SELECT dev_eui, clock_offset_us FROM device_state WHERE clock_offset_us IS NOT NULL"
            " AND (clock_offset_us > ?1 OR clock_offset_us < -?1) AND clock_seen_at_us >= ?2"
            " ORDER BY abs(clock_offset_us) DESC, dev_eui",
            (rule.limit_s * 1_000_000, now_us - SILENT_US),
        ).fetchall():
            if new >= room:
                break
            if dev_eui not in under_way:
                new += _plan_one(connection, dev_eui, offset_us, now_us, rule, version)
        return new


def _plan_one(
    connection: Connection,
    dev_eui: str,
    offset_us: int,
    now_us: int,
    rule: ClockCorrection,
    version: str,
    author: str = "system",
) -> bool:
    clock = _clock(connection, dev_eui, offset_us)
    delta_s, _ = step_s(clock, now_us, rule)
    if not delta_s:
        return False
    try:
        f_port, data = encode(clock.codec, {"command": "clock_correction", "delta_s": delta_s})
    except CommandError:
        return False
    if family(clock.codec) == "karat":
        row = connection.execute(  # the port of a KARAT module is a setting of its own
            "SELECT f_port FROM uplink WHERE dev_eui = ? AND f_port IS NOT NULL ORDER BY received_at_us DESC LIMIT 1",
            (dev_eui,),
        ).fetchone()
        f_port = row[0] if row else f_port
    id_ = connection.execute(
        "INSERT INTO clock_correction (dev_eui, offset_us, delta_s, f_port, data, state, reason, author, rule,"
        " planned_at_us, expires_at_us, queue_item_id) VALUES (?, ?, ?, ?, ?, 'planned', '', ?, ?, ?, ?, '') RETURNING id",
        (dev_eui, offset_us, delta_s, f_port, data, author, version, now_us, now_us + rule.expires_hours * HOUR_US),
    ).fetchone()[0]
    _journal(
        connection, now_us, "clock.correct", dev_eui, author, {"id": id_, "offset_us": offset_us, "delta_s": delta_s}
    )
    return True


def _journal(
    connection: Connection, now_us: int, action: str, dev_eui: str, actor: str, detail: dict[str, object]
) -> None:
    connection.execute(
        "INSERT INTO audit (at_us, actor, action, object_kind, object_id, detail, address)"
        " VALUES (?, ?, ?, 'device', ?, ?, '')",
        (now_us, actor, action, dev_eui, json.dumps(detail)),
    )


def ask(db: Database, dev_eui: str, now_us: int, rule: ClockCorrection, author: str, version: str = "") -> None:
    """Plan a correction because somebody asks for it; the limits of the rule hold for people too.

    Raises RegistryError ``conflict`` with the reason why there is none.
    """
    with db.transaction() as connection:
        row = connection.execute(
            "SELECT clock_offset_us, clock_seen_at_us FROM device_state WHERE dev_eui = ?", (dev_eui,)
        ).fetchone()
        if row is None or row[0] is None or row[1] is None or now_us - row[1] > SILENT_US:
            raise RegistryError(
                "conflict", "dev_eui", "The offset of this clock is not known; wait for a frame with a time."
            )
        if connection.execute(
            f"SELECT 1 FROM clock_correction WHERE dev_eui = ? AND state IN {OPEN}", (dev_eui,)
        ).fetchone():
            raise RegistryError("conflict", "dev_eui", "A correction of this clock is under way.")
        if not _plan_one(connection, dev_eui, row[0], now_us, rule, version, author):
            why = step_s(_clock(connection, dev_eui, row[0]), now_us, rule)[1]
            raise RegistryError("conflict", "dev_eui", REFUSALS[why])


REFUSALS = {
    "right": "The clock is within its limit.",
    "no command": "No command is known that sets this device's clock.",
    "zone": "The clock is off by whole quarters of an hour: its zone is declared wrongly; change that.",
    "lately": "The clock was corrected lately; the rule says how often it may be.",
    "in vain": "Several corrections changed nothing; look at the device.",
    "": "The command cannot be encoded.",
}


def open_steps(db: Database) -> list[Step]:
    """Steps that are not settled, in the order they were planned."""
    return [
        Step(*row)
        for row in db.rows(
            f"SELECT id, dev_eui, f_port, data, expires_at_us, state, queue_item_id FROM clock_correction WHERE state IN {OPEN}"
            " ORDER BY id"
        )
    ]


def handed_over(db: Database, step_id: int, queue_item_id: str) -> None:
    """The network has it."""
    with db.transaction() as connection:
        connection.execute(
            "UPDATE clock_correction SET state = 'queued', queue_item_id = ? WHERE id = ? AND state = 'planned'",
            (queue_item_id, step_id),
        )


def sent(db: Database, step_id: int, at_us: int) -> None:
    """The network has sent it."""
    with db.transaction() as connection:
        connection.execute(
            "UPDATE clock_correction SET sent_at_us = ? WHERE id = ? AND sent_at_us IS NULL", (at_us, step_id)
        )


def failed(db: Database, step_id: int, reason: str, now_us: int, state: str = "failed") -> None:
    """It will not be carried out."""
    with db.transaction() as connection:
        _settle(connection, step_id, state, reason, now_us, None)


def _settle(connection: Connection, step_id: int, state: str, reason: str, now_us: int, after_us: int | None) -> None:
    row = connection.execute(
        f"UPDATE clock_correction SET state = ?, reason = ?, settled_at_us = ?, offset_after_us = ? WHERE id = ?"
        f" AND state IN {OPEN} RETURNING dev_eui",
        (state, reason[:500], now_us, after_us, step_id),
    ).fetchone()
    if row is not None:
        detail: dict[str, object] = {"id": step_id, "state": state, "reason": reason[:500], "offset_us": after_us}
        _journal(connection, now_us, "clock.settle", row[0], "system", detail)


def settle(db: Database, now_us: int, rule: ClockCorrection) -> int:
    """Close steps whose effect the next offset shows, and those whose time is over. Returns how many."""
    settled = 0
    with db.transaction() as connection:
        for id_, offset_us, delta_s, sent_us, expires_us, after_us, seen_us in connection.execute(
            "SELECT c.id, c.offset_us, c.delta_s, c.sent_at_us, c.expires_at_us, d.clock_offset_us, d.clock_seen_at_us"
            " FROM clock_correction c LEFT JOIN device_state d ON d.dev_eui = c.dev_eui"
            f" WHERE c.state IN {OPEN} ORDER BY c.id"
        ).fetchall():
            if sent_us is not None and after_us is not None and seen_us is not None and seen_us > sent_us:
                _settle(connection, id_, *outcome(offset_us, delta_s, after_us, rule), now_us, after_us)
            elif now_us > expires_us + (SILENT_US if sent_us is not None else 0):
                reason = "" if sent_us is None else "no frame with a time came after it"
                _settle(connection, id_, "expired", reason, now_us, None)
            else:
                continue
            settled += 1
    return settled


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A correction as lists show it."""

    id: int
    dev_eui: str
    offset_us: int
    delta_s: int
    state: str
    reason: str
    author: str
    rule: str
    planned_at_us: int
    sent_at_us: int | None
    settled_at_us: int | None
    offset_after_us: int | None


def of_device(db: Database, dev_eui: str, limit: int = 20) -> list[CorrectionRow]:
    """The last corrections of a device, newest first."""
    return [
        CorrectionRow(*row)
        for row in db.rows(
            "SELECT id, dev_eui, offset_us, delta_s, state, reason, author, rule, planned_at_us, sent_at_us, settled_at_us,"
            " offset_after_us FROM clock_correction WHERE dev_eui = ? ORDER BY planned_at_us DESC, id DESC LIMIT ?",
            (dev_eui, limit),
        )
    ]


def offset_of(db: Database, dev_eui: str) -> tuple[int | None, int | None]:
    """The last measured offset of a device's clock and when it was, microseconds."""
    rows = db.rows("SELECT clock_offset_us, clock_seen_at_us FROM device_state WHERE dev_eui = ?", (dev_eui,))
    return rows[0] if rows else (None, None)
