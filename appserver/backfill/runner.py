"""Rounds of filling gaps: settle, plan, hand over. Killed between any two of them, the next one goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from appserver.backfill import store
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.timebase import moment
from appserver.rules import Backfill
from appserver.rules.entered import rule_book
from internalapi.client import ApiError, NetworkUnavailable

log = structlog.get_logger("backfill")

PERIOD_S = 300.0


class Queue(Protocol):
    """The network's downlink queue."""

    async def queue_put(self, **fields: Any) -> Any:
        """Put an item behind the others; the same idempotency key is the same item."""
        ...


async def round_of(db: Database, network: Queue, now_us: int, rule: Backfill) -> int:
    """One round. Returns how many queries the network took."""
    await db.run(store.settle, db, now_us)
    await db.run(store.plan, db, now_us, rule)
    taken = 0
    for query in await db.run(store.planned, db):
        try:
            item = await network.queue_put(
                dev_eui=query.dev_eui,
                f_port=query.f_port,
                data=query.data,
                expires_at_us=query.expires_at_us,
                idempotency_key=f"archive-query-{query.id}",
            )
        except NetworkUnavailable:
            break  # they stay planned
        except ApiError as error:
            await db.run(store.refused, db, query.id, str(error), now_us)
            continue
        await db.run(store.handed_over, db, query.id, item.id)
        taken += 1
    return taken


async def watch(db: Database, network: Queue, data_dir: Path, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Do rounds until ``stop``."""
    while not stop.is_set():
        try:
            now_us = clock()
            _, rule = rule_book(db).get(Backfill, moment(now_us).date())
            taken = await round_of(db, network, now_us, rule)
            if taken:
                log.info("devices are asked for missing values", queries=taken)
        except RegistryError as error:
            log.error("gaps cannot be filled", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PERIOD_S)
