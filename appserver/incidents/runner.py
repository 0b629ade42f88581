"""A round: look, compare, write down, tell. It may be repeated at any time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.incidents import gather
from appserver.incidents.facts import Finding
from appserver.incidents.kinds import KINDS
from appserver.incidents.store import Change, apply, get_incident
from appserver.incidents.subscriptions import enqueue_notices, subscriptions
from appserver.integrations.metering import incident_body, tell_balances
from appserver.integrations.outbox import enqueue_own, wanted_types
from appserver.metering.timebase import moment
from appserver.rules import IncidentLimits, Rule, RuleBook
from appserver.rules.entered import rule_book

log = structlog.get_logger("incidents")

PERIOD_S = 60.0
SLOW_EVERY = 60
"""Rounds between two looks at the volumes of all houses."""
TOLD_FOR_US = 3 * 24 * 3_600_000_000
"""What began longer ago is written down when it is found, and nobody is woken for it."""


def run(db: Database, now_us: int, book: RuleBook, slow: bool = True) -> list[Change]:
    """One round. ``slow`` also looks at volumes, house by house. Returns what it changed."""
    rule, limits = book.get(IncidentLimits, moment(now_us).date())
    settled = {name for name, kind in KINDS.items() if not kind.slow or slow}
    findings: list[Finding] = []
    picture = gather.quick(db, now_us, limits, book)
    for kind in KINDS.values():
        findings += kind.find(picture)
    if slow:
        for building_id, address in db.rows("SELECT id, address FROM building ORDER BY id"):
            own = book.get(IncidentLimits, moment(now_us).date(), address)[1]
            view = gather.of_building(db, building_id, now_us, own)
            view = replace(view, graphs=gather.graphs_of(db, book, building_id, now_us))
            findings += [found for kind in KINDS.values() if kind.slow for found in kind.find(view)]
    return _write(db, findings, settled, now_us, rule)


def _write(db: Database, findings: list[Finding], settled: set[str], now_us: int, rule: Rule) -> list[Change]:
    listeners = subscriptions(db)
    with db.transaction() as connection:
        changes = apply(connection, findings, settled, now_us, rule.version)
        fresh = [change for change in changes if _is_news(connection, change, now_us)]
        enqueue_notices(connection, listeners, fresh, now_us)
        if changes and "incident" in wanted_types(connection):
            for change in changes:
                incident = get_incident(db, change.incident_id)  # on this thread's connection: it sees its own writes
                body = incident_body(incident, change.change, now_us)
                enqueue_own(connection, incident.id, "incident", now_us, body)
    return changes


def _is_news(connection: object, change: Change, now_us: int) -> bool:
    row = connection.execute(  # type: ignore[attr-defined]
        "SELECT started_at_us, ended_at_us FROM incident WHERE id = ?", (change.incident_id,)
    ).fetchone()
    at_us = row[0] if change.change == "opened" else row[1]
    return bool(at_us is not None and now_us - at_us <= TOLD_FOR_US)


async def watch(db: Database, data_dir: Path, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Do rounds until ``stop``: a quick one each minute, all of it each hour."""
    number = 0
    while not stop.is_set():
        try:
            book = rule_book(db)
            changes = await db.run(run, db, clock(), book, number % SLOW_EVERY == 0)
            if number % SLOW_EVERY == 0:
                await db.run(tell_balances, db, clock())
            number += 1
            if changes:
                log.info("incidents changed", opened=sum(c.change == "opened" for c in changes), changed=len(changes))
        except RegistryError as error:
            log.error("incidents cannot be looked for", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PERIOD_S)
