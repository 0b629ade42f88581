"""Rounds of clock corrections: look, plan, hand over. Killed between any two of them, the next one goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from appserver.clocks import store
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.timebase import moment
from appserver.rules import ClockCorrection, book_of
from internalapi.client import ApiError, NetworkUnavailable

log = structlog.get_logger("clocks")

PERIOD_S = 60.0
SENT = ("sent", "unknown", "acked", "nacked")
OVER = ("failed", "expired", "cancelled")


class Queue(Protocol):
    """The network's downlink queues."""

    async def queue_put(self, **fields: Any) -> Any:
        """Put an item behind the others; the same idempotency key is the same item."""
        ...

    async def queue(self, *, key: str) -> Any:
        """A device's items with their states."""
        ...


async def round_of(db: Database, network: Queue, now_us: int, rule: ClockCorrection, version: str = "") -> int:
    """One round. Returns how many corrections the network took."""
    taken = 0
    for step in await db.run(store.open_steps, db):
        if step.state == "queued":
            await _look(db, network, step, now_us)
    await db.run(store.settle, db, now_us, rule)
    await db.run(store.plan, db, now_us, rule, version)
    for step in await db.run(store.open_steps, db):
        if step.state != "planned":
            continue
        try:
            item = await network.queue_put(
                dev_eui=step.dev_eui,
                f_port=step.f_port,
                data=step.data,
                expires_at_us=step.expires_at_us,
                idempotency_key=f"clock-correction-{step.id}",
                at_most_once=True,  # a step made twice would be a wrong one
            )
        except NetworkUnavailable:
            break  # they stay planned
        except ApiError as error:
            await db.run(store.failed, db, step.id, str(error), now_us)
            continue
        await db.run(store.handed_over, db, step.id, item.id)
        taken += 1
    return taken


async def _look(db: Database, network: Queue, step: store.Step, now_us: int) -> None:
    """Whether the network has sent a step, or gave it up."""
    try:
        items = (await network.queue(key=step.dev_eui)).items
    except (NetworkUnavailable, ApiError):
        return
    item = next((item for item in items if item.id == step.queue_item_id), None)
    if item is None:
        return
    if item.state in SENT:
        await db.run(store.sent, db, step.id, now_us)
    elif item.state in OVER:
        await db.run(store.failed, db, step.id, item.reason, now_us, "expired" if item.state == "expired" else "failed")


async def watch(db: Database, network: Queue, data_dir: Path, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Do rounds until ``stop``."""
    while not stop.is_set():
        try:
            now_us = clock()
            rule, values = book_of(data_dir).get(ClockCorrection, moment(now_us).date())
            taken = await round_of(db, network, now_us, values, rule.version)
            if taken:
                log.info("clocks are corrected", devices=taken)
        except RegistryError as error:
            log.error("clocks cannot be corrected", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PERIOD_S)
