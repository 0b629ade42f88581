"""Carries the outbox to the sinks: at least once, in the order of each device, with patience.

A sink that does not answer is tried again with growing pauses, and holds up no other sink. An event that a sink refuses
for good, or does not take for a day, becomes a dead letter: it stays visible and can be sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence

import aiohttp
import structlog

from appserver.db import ERRORS, Connection, Database
from appserver.integrations.addresses import AllowList, CheckedResolver
from appserver.integrations.carriers import TIMEOUT_S, Item, Publisher, Refused, Target, Unavailable, post_webhook
from appserver.integrations.outbox import prune
from appserver.mqtt import Broker

log = structlog.get_logger("integrations")

BACK_OFF_S = (1, 2, 5, 15, 60, 300)
GIVE_UP_US = 24 * 3600 * 1_000_000
DOWN_AFTER = 3
"""After so many failures in a row a sink counts as down: it is probed with what waits, and given nothing new."""
PAGE = 200
IDLE_S = 1.0
KEEP_US = 7 * 24 * 3600 * 1_000_000


class Courier:
    """Delivers to one sink."""

    def __init__(
        self, db: Database, session: aiohttp.ClientSession, allow: AllowList, clock: Callable[[], int]
    ) -> None:
        self._db = db
        self._session = session
        self._allow = allow
        self._clock = clock
        self._publisher: Publisher | None = None
        self.failures = 0
        """In a row."""

    async def round(self, target: Target) -> bool:
        """Offer what is due. True when there may be more at once, False when it is time to wait."""
        items = await self._db.run(self._due, target.id)
        new = []
        if self.failures < DOWN_AFTER:
            new = await self._db.run(self._new, target)
        for item in (*items, *new):
            if item.type not in target.events:
                await self._db.run(self._settled, target.id, item, "", delivered=False)
                continue
            try:
                await self.post(target, item)
            except Refused as error:
                await self._db.run(self._failed, target.id, item, str(error), dead=True)
            except Unavailable as error:
                self.failures += 1
                dead = self._clock() - item.time_us > GIVE_UP_US and item.attempts + 1 >= len(BACK_OFF_S)
                await self._db.run(self._failed, target.id, item, str(error), dead=dead)
                return False
            else:
                self.failures = 0
                await self._db.run(self._settled, target.id, item, "", delivered=True)
        return bool(items or new)

    def pause_s(self) -> float:
        """How long to wait before the next round."""
        return BACK_OFF_S[min(self.failures, len(BACK_OFF_S)) - 1] if self.failures else IDLE_S

    async def post(self, target: Target, item: Item) -> None:
        """One attempt. Raises Refused or Unavailable."""
        if target.broker is None:
            await post_webhook(self._session, self._allow, target, item)
            return
        if self._publisher is None or self._publisher.broker != target.broker:
            await self.close()
            self._publisher = Publisher(target.broker, self._allow)
        try:
            await self._publisher.publish(item.topic, item.body.encode())
        except Unavailable:
            await self.close()  # with what it still holds: the outbox has it
            raise

    async def close(self) -> None:
        """Let go of a broker's connection."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    # ------------------------------------------------------------------------------------------------------- storage

    def _due(self, sink_id: int) -> list[Item]:
        """The oldest waiting event of each device whose pause is over; one of them only while the sink is down."""
        rows = self._db.rows(
            "SELECT o.id, o.dev_eui, o.type, o.time_us, o.body, d.id, d.attempts FROM delivery d"
            " JOIN outbox o ON o.id = d.outbox_id WHERE d.sink_id = ?1 AND d.state = 'pending'"
            " AND d.next_attempt_at_us <= ?2 AND d.outbox_id = (SELECT min(e.outbox_id) FROM delivery e"
            " WHERE e.sink_id = ?1 AND e.dev_eui = d.dev_eui AND e.state = 'pending') ORDER BY o.id LIMIT ?3",
            (sink_id, self._clock(), PAGE if self.failures < DOWN_AFTER else 1),
        )
        return [Item(*row) for row in rows]

    def _new(self, target: Target) -> list[Item]:
        """Events after the sink's cursor, up to the first whose device has something waiting: that one queues up."""
        cursor = target.cursor
        while True:
            rows = self._db.rows(
                "SELECT id, dev_eui, type, time_us, body FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (cursor, PAGE)
            )
            items = [Item(*row) for row in rows]
            waiting = self._waiting(target.id)
            free = []
            for item in items:
                if item.dev_eui in waiting:
                    break
                free.append(item)
            if free or not items:
                return free
            for item in items:
                if item.dev_eui not in waiting:
                    break
                self._park(target.id, item)
                cursor = item.outbox_id

    def _waiting(self, sink_id: int) -> set[str]:
        """Devices with an event that this sink did not take yet."""
        rows = self._db.rows(
            "SELECT DISTINCT dev_eui FROM delivery WHERE sink_id = ? AND state = 'pending'", (sink_id,)
        )
        return {dev_eui for (dev_eui,) in rows}

    def _park(self, sink_id: int, item: Item) -> None:
        with self._db.transaction() as connection:
            self._wait(connection, sink_id, item, attempts=0, next_attempt_at_us=0, error="", state="pending")

    def _wait(
        self,
        connection: Connection,
        sink_id: int,
        item: Item,
        attempts: int,
        next_attempt_at_us: int,
        error: str,
        state: str,
    ) -> None:
        connection.execute(
            "INSERT INTO delivery (sink_id, outbox_id, dev_eui, state, attempts, next_attempt_at_us, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sink_id, outbox_id) DO UPDATE SET state = excluded.state,"
            " attempts = excluded.attempts, next_attempt_at_us = excluded.next_attempt_at_us, error = excluded.error",
            (sink_id, item.outbox_id, item.dev_eui, state, attempts, next_attempt_at_us, error[:500]),
        )
        self._advance(connection, sink_id, item)

    @staticmethod
    def _advance(connection: Connection, sink_id: int, item: Item) -> None:
        connection.execute(
            "UPDATE sink SET cursor = max(cursor, ?) WHERE id = ?",
            (item.outbox_id if item.delivery_id is None else 0, sink_id),
        )

    def _failed(self, sink_id: int, item: Item, error: str, dead: bool) -> None:
        attempts = item.attempts + 1
        pause_us = BACK_OFF_S[min(attempts, len(BACK_OFF_S)) - 1] * 1_000_000
        with self._db.transaction() as connection:
            state = "dead" if dead else "pending"
            self._wait(connection, sink_id, item, attempts, self._clock() + pause_us, error, state)
            connection.execute("UPDATE sink SET error = ? WHERE id = ?", (error[:500], sink_id))
        log.warning("event not delivered", sink=sink_id, outbox=item.outbox_id, error=error, dead=dead)

    def _settled(self, sink_id: int, item: Item, error: str, delivered: bool) -> None:
        with self._db.transaction() as connection:
            if item.delivery_id is not None:
                connection.execute("DELETE FROM delivery WHERE id = ?", (item.delivery_id,))
            self._advance(connection, sink_id, item)
            if delivered:
                connection.execute(
                    "UPDATE sink SET delivered = delivered + 1, delivered_at_us = ?, error = ? WHERE id = ?",
                    (self._clock(), error, sink_id),
                )


def targets(db: Database) -> list[Target]:
    """The enabled sinks."""
    rows = db.rows(
        "SELECT id, url, headers, events, cursor, kind, username, password, ca FROM sink WHERE enabled ORDER BY id"
    )
    return [
        Target(
            id_,
            url,
            json.loads(headers),
            frozenset(events.split()),
            cursor,
            Broker(url, username, password, ca) if kind == "mqtt" else None,
        )
        for id_, url, headers, events, cursor, kind, username, password, ca in rows
    ]


async def deliver(
    db: Database,
    stop: asyncio.Event,
    allow: Sequence[str] = (),
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> None:
    """Deliver until ``stop``. ``allow``: networks and hosts that may be called although they are not public."""
    allowed = AllowList(allow)
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(allowed), use_dns_cache=False, limit=32)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    workers: dict[int, asyncio.Task[None]] = {}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        try:
            while not stop.is_set():
                enabled = {target.id for target in await db.run(targets, db)}
                for sink_id in enabled - workers.keys():
                    courier = Courier(db, session, allowed, clock)
                    workers[sink_id] = asyncio.create_task(_serve(db, sink_id, courier), name=f"sink {sink_id}")
                for sink_id in [id_ for id_, task in workers.items() if id_ not in enabled or task.done()]:
                    workers.pop(sink_id).cancel()
                await db.run(_prune, db, clock() - KEEP_US)
                await _sleep(stop, 5.0)
        finally:
            for task in workers.values():
                task.cancel()
            await asyncio.gather(*workers.values(), return_exceptions=True)


async def _serve(db: Database, sink_id: int, courier: Courier) -> None:
    try:
        while True:
            target = next((t for t in await db.run(targets, db) if t.id == sink_id), None)
            if target is None:
                return
            try:
                more = await courier.round(target)
            except ERRORS as error:
                log.warning("the outbox cannot be read or written; trying again", sink=sink_id, error=str(error))
                more = False
            if not more:
                await asyncio.sleep(courier.pause_s())
    finally:
        await asyncio.shield(courier.close())


def _prune(db: Database, older_than_us: int) -> None:
    with contextlib.suppress(*ERRORS), db.transaction() as connection:
        prune(connection, older_than_us)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
