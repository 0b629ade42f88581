"""Readings out of MQTT brokers: subscribed with QoS 1, acknowledged when they are committed.

The session at the broker stays while we are away, so that it keeps what comes meanwhile. A message that is given twice
changes nothing, and one that cannot be read is listed and acknowledged: the broker would give it for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage

from appserver.db import ERRORS, Database
from appserver.integrations.addresses import AllowList
from appserver.metering.timebase import HOUR_US
from appserver.models import Source
from appserver.mqtt import Broker, BrokerClient
from appserver.sources import intake, store
from appserver.sources.intake import Delivery, Receipt
from appserver.sources.messages import readers, rows_of

log = structlog.get_logger("sources")

BATCH = 200
RETRY_S = 2.0
LOOK_S = 5.0
TRY_AGAIN_US = HOUR_US
"""How often refused readings are tried again by themselves: their meter may be registered by now."""
TRIED_AT_ONCE = 1000


def take(db: Database, source: Source, messages: Sequence[tuple[str, bytes]], now_us: int) -> Receipt:
    """Take messages (topic, payload) in one transaction."""
    rows = [
        row
        for number, (topic, payload) in enumerate(messages)
        for row in rows_of(source, payload, topic, now_us, first=number)
    ]
    topics = list(dict.fromkeys(topic for topic, _ in messages))
    name = topics[0] if len(topics) == 1 else f"{topics[0]} … ({len(messages)})"
    delivery = Delivery("mqtt", f"mqtt:{source.name}", rows, source.origin, name, source.id)
    return intake.deliver(db, delivery, now_us)


class Subscriber:
    """One source's connection; made and used in the event loop, paho works in its own thread."""

    def __init__(self, db: Database, source: Source, allow: AllowList, clock: Callable[[], int]) -> None:
        """Raises ssl.SSLError for a certificate authority that is none."""
        assert source.id is not None
        self._db, self._source, self._clock = db, source, clock
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[tuple[int, MQTTMessage]] = asyncio.Queue()
        self._ended = False
        self._notes: set[asyncio.Future[None]] = set()
        self._standing = (False, "")
        """Whether it is connected, and what is wrong when not."""
        self._connection = 0
        """Counts connections: what came over an earlier one is given again, and must not be acknowledged on this."""
        broker = Broker(source.url, source.username, source.password, source.ca)
        self._client = BrokerClient(broker, allow, client_id_of(db, source), clean_session=False, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def run(self) -> None:
        """Take what comes until cancelled."""
        self._client.loop_start()
        try:
            while True:
                batch = [await self._messages.get()]
                while len(batch) < BATCH and not self._messages.empty():
                    batch.append(self._messages.get_nowait())
                await self._take([pair for pair in batch if pair[0] == self._connection])
        finally:
            self._ended = True
            self._client.disconnect()
            await asyncio.shield(self._loop.run_in_executor(None, self._client.loop_stop))
            if self._notes:
                await asyncio.wait(self._notes)

    async def _take(self, batch: list[tuple[int, MQTTMessage]]) -> None:
        messages = [(message.topic, bytes(message.payload)) for _, message in batch]
        while batch:
            try:
                await self._db.run(take, self._db, self._source, messages, self._clock())
            except ERRORS as error:
                log.warning("messages cannot be taken; trying again", source=self._source.name, error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            for connection, message in batch:
                if message.qos and connection == self._connection:
                    self._client.ack(message.mid, message.qos)
            return

    # -------------------------------------------------------------------------------------------- in paho's thread

    def _to_loop(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(self, client: Client, userdata: Any, flags: ConnectFlags, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._to_loop(self._state, False, f"the broker refuses: {reason}")
            return
        client.subscribe([(topic, 1) for topic in self._source.topics.split()])
        self._to_loop(self._state, True, "")

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._to_loop(self._state, False, self._client.refusal or "the broker cannot be reached")

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._to_loop(self._lost, str(reason) if reason.is_failure else "")

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._to_loop(self._receive, message)

    # ------------------------------------------------------------------------------------------------- in the loop

    def _receive(self, message: MQTTMessage) -> None:
        self._messages.put_nowait((self._connection, message))

    def _lost(self, why: str) -> None:
        self._connection += 1
        self._state(False, why or "the connection is closed")

    def _state(self, connected: bool, error: str) -> None:
        if self._ended:
            return
        self._standing = (connected, error)
        note = asyncio.ensure_future(self._db.run(self._note))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    def _note(self) -> None:
        """Write down how it stands by now: notes of two changes may pass each other on their way."""
        with contextlib.suppress(*ERRORS):
            store.note_state(self._db, self._source.id or 0, *self._standing)


def client_id_of(db: Database, source: Source) -> str:
    """The same for the same source of the same installation, so that the broker knows its session again."""
    mark = hashlib.sha256(f"{db.path.resolve()}\n{source.id}\n{source.created_at_us}".encode()).hexdigest()
    return f"meterwan-{mark[:14]}"


def _settings(source: Source) -> tuple[object, ...]:
    """What a running connection depends on."""
    return (
        source.url, source.username, source.password, source.ca, source.topics, source.name, source.origin,
        repr(source.mapping),
    )  # fmt: skip


async def watch(
    db: Database,
    stop: asyncio.Event,
    allow: Sequence[str] = (),
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> None:
    """Keep a connection for every enabled source until ``stop``, and try refused readings again from time to time."""
    allowed = AllowList(allow)
    running: dict[int, tuple[tuple[object, ...], asyncio.Task[None]]] = {}
    next_try_us = 0
    try:
        with contextlib.suppress(*ERRORS):
            await db.run(store.nobody_is_connected, db)  # whoever was when we were killed
        while not stop.is_set():
            with contextlib.suppress(*ERRORS):
                await _keep(db, running, allowed, clock)
                if clock() >= next_try_us:
                    next_try_us = clock() + TRY_AGAIN_US
                    await db.run(tidy, db, clock())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
    finally:
        for _, task in running.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in running.values()), return_exceptions=True)


async def _keep(
    db: Database,
    running: dict[int, tuple[tuple[object, ...], asyncio.Task[None]]],
    allow: AllowList,
    clock: Callable[[], int],
) -> None:
    wanted = {s.id: s for s in await db.run(store.sources, db) if s.enabled and s.kind == "mqtt" and s.id is not None}
    for id_, (settings, task) in list(running.items()):
        if id_ not in wanted or settings != _settings(wanted[id_]) or task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del running[id_]
    for id_, source in wanted.items():
        if id_ not in running:
            try:
                subscriber = Subscriber(db, source, allow, clock)
            except ssl.SSLError as error:
                await db.run(store.note_state, db, id_, False, f"the certificate authority cannot be read: {error}")
                continue
            running[id_] = (_settings(source), asyncio.create_task(subscriber.run(), name=f"source {id_}"))


def tidy(db: Database, now_us: int) -> int:
    """Try open refused readings again and forget old notes. Returns how many readings were taken."""
    ids = [entry.id for entry in intake.refused(db, limit=TRIED_AT_ONCE)]
    taken, _ = intake.try_again(db, ids, now_us, readers(db))
    intake.prune(db, now_us)
    return taken
