"""Downlinks that other programs order over MQTT: ``application/{id}/device/{devEui}/command/down``, as ChirpStack takes them.

Subscribed with QoS 1 and acknowledged when the network's queue has the item, so that none is lost over a crash; a message
that is given twice is one item. What cannot be carried out is said in the log and on the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import structlog
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appserver.api.fields import Base64
from appserver.codecs import CommandError, encode
from appserver.db import ERRORS, Database
from appserver.integrations.addresses import AllowList
from appserver.integrations.carriers import Target
from appserver.integrations.chirpstack import DEFAULT
from appserver.integrations.delivery import targets
from appserver.metering.timebase import microseconds
from appserver.mqtt import BrokerClient
from internalapi.client import ApiError, NetworkUnavailable

log = structlog.get_logger("commands")

TOPIC = f"application/{DEFAULT.id}/device/+/command/down"
RETRY_S = 2.0
IDENTIFIERS = 200


class Network(Protocol):
    """Devices and their queues."""

    async def device(self, *, key: str) -> Any:
        """A device; ApiError when there is none."""
        ...

    async def queue_put(self, **fields: Any) -> Any:
        """Put an item behind the others; the same idempotency key is the same item."""
        ...


class Command(BaseModel):
    """``integration.DownlinkCommand``; fields that we do not know are left alone, as ChirpStack leaves them."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field("", max_length=IDENTIFIERS)
    dev_eui: str = Field("", alias="devEui")
    confirmed: bool = False
    f_port: int = Field(0, alias="fPort", ge=0, le=223)
    data: Base64 | None = Field(None, max_length=242)
    object: dict[str, Any] | None = None
    expires_at: datetime | None = Field(None, alias="expiresAt")


class Wrong(Exception):
    """A command that will never be carried out: why."""


def read_command(topic: str, payload: bytes) -> tuple[str, Command]:
    """The device and the command of a message. Raises Wrong."""
    dev_eui = topic.split("/")[3]
    try:
        command = Command.model_validate_json(payload)
    except (ValidationError, UnicodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise Wrong(f"{'.'.join(map(str, first['loc'])) or 'the message'}: {first['msg']}") from error
    if command.dev_eui and command.dev_eui.lower() != dev_eui:
        raise Wrong(f"devEui: is {command.dev_eui}, the topic's is {dev_eui}")
    if (command.data is None) == (command.object is None):
        raise Wrong("data: give either data or object")
    if command.data is not None and not command.f_port:
        raise Wrong("fPort: is required with data")
    if command.expires_at is not None and command.expires_at.tzinfo is None:
        raise Wrong("expiresAt: must have a zone")
    return dev_eui, command


async def carry_out(network: Network, sink_id: int, topic: str, payload: bytes, mid: int) -> str:
    """Put a command into the device's queue; returns the item's id. Raises Wrong, NetworkUnavailable."""
    dev_eui, command = read_command(topic, payload)
    # Without an id of its own, a message is known by its content and the number under which the broker gives it again.
    mark = command.id or f"{hashlib.sha256(topic.encode() + payload).hexdigest()[:32]}-{mid}"
    try:
        f_port, data = command.f_port, command.data
        if command.object is not None:
            device = await network.device(key=dev_eui)
            own_port, data = encode(device.codec, command.object)
            f_port = f_port or own_port
        item = await network.queue_put(
            dev_eui=dev_eui,
            f_port=f_port,
            data=data,
            confirmed=command.confirmed,
            expires_at_us=microseconds(command.expires_at) if command.expires_at else None,
            idempotency_key=f"mqtt-{sink_id}-{mark}",
        )
    except CommandError as error:
        raise Wrong(".".join(filter(None, ("object", error.key))) + f": {error.reason}") from error
    except ApiError as error:
        raise Wrong(str(error)) from error
    return str(item.id)


class Commands:
    """Takes commands from one sink's broker; made and used in the event loop."""

    def __init__(self, db: Database, network: Network, target: Target, allow: AllowList) -> None:
        """Raises ssl.SSLError for a certificate authority that is none."""
        assert target.broker is not None
        self._db, self._network, self._target = db, network, target
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[tuple[int, MQTTMessage]] = asyncio.Queue()
        self._connection = 0
        mark = hashlib.sha256(f"{db.path.resolve()}\ncommands\n{target.id}".encode()).hexdigest()
        self._client = BrokerClient(target.broker, allow, f"meterwan-{mark[:14]}", clean_session=False, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def run(self) -> None:
        """Take commands until cancelled."""
        self._client.loop_start()
        try:
            while True:
                connection, message = await self._messages.get()
                if connection == self._connection:
                    await self._take(message)
                if message.qos and connection == self._connection:
                    self._client.ack(message.mid, message.qos)
        finally:
            self._client.disconnect()
            await asyncio.shield(self._loop.run_in_executor(None, self._client.loop_stop))

    async def _take(self, message: MQTTMessage) -> None:
        while True:
            try:
                await carry_out(self._network, self._target.id, message.topic, bytes(message.payload), message.mid)
                return
            except Wrong as error:
                log.warning("command refused", topic=message.topic, reason=str(error))
                await self._db.run(self._note, f"{message.topic}: {error}")
                return
            except NetworkUnavailable:
                await asyncio.sleep(RETRY_S)

    def _note(self, what: str) -> None:
        with contextlib.suppress(*ERRORS), self._db.transaction() as connection:
            connection.execute("UPDATE sink SET error = ? WHERE id = ?", (what[:500], self._target.id))

    # -------------------------------------------------------------------------------------------- in paho's thread

    def _to_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(self, client: Client, userdata: Any, flags: ConnectFlags, reason: Any, properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(TOPIC, 1)

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._to_loop(self._lost)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._to_loop(self._receive, message)

    # ------------------------------------------------------------------------------------------------- in the loop

    def _receive(self, message: MQTTMessage) -> None:
        self._messages.put_nowait((self._connection, message))

    def _lost(self) -> None:
        self._connection += 1


async def listen(db: Database, network: Network, stop: asyncio.Event, allow: AllowList, look_s: float = 5.0) -> None:
    """Keep a listener for every enabled broker that commands are taken from, until ``stop``."""
    running: dict[int, tuple[Target, asyncio.Task[None]]] = {}
    try:
        while not stop.is_set():
            with contextlib.suppress(*ERRORS):
                wanted = {target.id: target for target in await db.run(commanding, db)}
                for id_, (target, task) in list(running.items()):
                    if id_ not in wanted or wanted[id_].broker != target.broker or task.done():
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                        del running[id_]
                for id_, target in wanted.items():
                    if id_ not in running:
                        with contextlib.suppress(ssl.SSLError):  # the courier says so
                            task = asyncio.create_task(
                                Commands(db, network, target, allow).run(), name=f"commands {id_}"
                            )
                            running[id_] = (target, task)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), look_s)
    finally:
        for _, task in running.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in running.values()), return_exceptions=True)


def commanding(db: Database) -> list[Target]:
    """Enabled brokers that commands are taken from."""
    wanted = {id_ for (id_,) in db.rows("SELECT id FROM sink WHERE enabled AND commands AND kind = 'mqtt'")}
    return [target for target in targets(db) if target.id in wanted]
