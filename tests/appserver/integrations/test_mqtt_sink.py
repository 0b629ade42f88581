"""MQTT sinks against a real Mosquitto: ChirpStack's topics and bodies, nothing lost over kills, TLS, commands."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from chirpstack_api.integration import integration_pb2 as pb
from google.protobuf.json_format import ParseDict
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.ingest import Ingest
from appserver.integrations import create_sink, dead_letters, deliver, pending_count, sinks, update_sink
from appserver.integrations import delivery as delivery_room
from appserver.integrations.addresses import AllowList
from appserver.integrations.carriers import Publisher, Refused, Unavailable
from appserver.integrations.chirpstack import DEFAULT
from appserver.integrations.commands import Wrong, carry_out, listen
from appserver.integrations.delivery import Courier, targets
from appserver.integrations.metering import tell_balances
from appserver.metering.incoming import Item
from appserver.metering.incoming import take as take_readings
from appserver.mqtt import Broker as Address
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import Event, Problem, QueueItem
from tests.support.certificates import Authority
from tests.support.house import FIRST_DAY, make_house
from tests.support.mosquitto import Broker, mosquitto

LOCAL = AllowList(["127.0.0.1"])
START_US = 1_793_473_200_000_000
EUI = "70b3d5e75e000001"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


class Listener:
    """Somebody who takes all events with QoS 1 and a session that stays."""

    def __init__(self, broker: Broker, topic: str = "#") -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.qos: set[int] = set()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.on_message = self._message
        ready = []
        self._client.on_subscribe = lambda *_: ready.append(1)
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        until = time.monotonic() + 10
        while not ready:
            assert time.monotonic() < until, "the broker takes no subscription"
            time.sleep(0.01)

    def _message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self.qos.add(message.qos)
        self.got.append((message.topic, json.loads(message.payload)))

    def say(self, topic: str, payload: Any) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, data, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    made = Listener(broker)
    yield made
    made.close()


def feed(db: Database, *frames: tuple[int, int]) -> None:
    """Uplinks through the ingest: (device, counter)."""
    start = Ingest(db).cursor()
    events = [
        Event(id=start + n, type="up", time_us=START_US + start + n, dev_eui=f"70b3d5e75e00000{device}", f_cnt=f_cnt,
              f_port=2, data=b"\x01")
        for n, (device, f_cnt) in enumerate(frames, 1)
    ]  # fmt: skip
    Ingest(db).take(events)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def delivering(db: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(deliver(db, stop, ["127.0.0.1"]))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_room, "IDLE_S", 0.05)
    monkeypatch.setattr(delivery_room, "BACK_OFF_S", (0.05, 0.1, 0.2, 0.2, 0.2, 0.2))


def once(listener: Listener) -> dict[str, list[int]]:
    """Counters by device in the order of their first arrival."""
    seen: dict[str, list[int]] = {}
    for topic, body in list(listener.got):
        counters = seen.setdefault(topic.split("/")[3], [])
        if body["fCnt"] not in counters:
            counters.append(body["fCnt"])
    return seen


async def test_events_are_chirpstacks_to_the_letter(db: Database, broker: Broker, listener: Listener) -> None:
    sink = create_sink(db, {"kind": "mqtt", "name": "billing", "url": broker.url}, START_US, LOCAL)
    feed(db, (1, 1), (2, 1), (1, 2))
    async with delivering(db):
        await until(lambda: len(listener.got) == 3 and pending_count(db, sink.id) == 0)
    assert [topic for topic, _ in listener.got] == [
        f"application/{DEFAULT.id}/device/70b3d5e75e00000{device}/event/up" for device in (1, 2, 1)
    ]
    for _, body in listener.got:
        ParseDict(body, pb.UplinkEvent(), ignore_unknown_fields=False)
    assert listener.qos == {1}
    assert (sinks(db)[0].delivered, sinks(db)[0].error) == (3, "")


async def test_inv_22_a_broker_that_is_away_gets_everything_later_and_in_order(
    db: Database, broker: Broker, listener: Listener
) -> None:
    sink = create_sink(db, {"kind": "mqtt", "name": "billing", "url": broker.url}, START_US, LOCAL)
    async with delivering(db):
        feed(db, *[(device, n) for n in range(1, 11) for device in (1, 2, 3)])
        await until(lambda: len(listener.got) > 3)
        await asyncio.to_thread(broker.stop)
        feed(db, *[(device, n) for n in range(11, 21) for device in (1, 2, 3)])
        await until(lambda: bool(sinks(db)[0].error))
        await asyncio.to_thread(broker.start)
        await until(lambda: all(len(counters) == 20 for counters in once(listener).values()))
        await until(lambda: pending_count(db, sink.id) == 0)
    assert list(once(listener).values()) == [list(range(1, 21))] * 3
    assert dead_letters(db) == []


async def test_inv_22_no_event_is_lost_over_kills(db: Database, broker: Broker, listener: Listener) -> None:
    """kill -9 at any moment; after it the same events may come again, and in the order of each device."""
    create_sink(db, {"kind": "mqtt", "name": "billing", "url": broker.url}, START_US, LOCAL)
    feed(db, *[(device, n) for n in range(1, 31) for device in (1, 2, 3)])
    rng, starts = random.Random(5), 0
    while sum(map(len, once(listener).values())) < 90:
        child = subprocess.Popen([sys.executable, "-m", "tests.support.deliver_child", str(db.path)])
        starts += 1
        before = len(listener.got)
        goal = rng.randint(20, 40)
        async with asyncio.timeout(60):
            while len(listener.got) < before + goal and sum(map(len, once(listener).values())) < 90:
                await asyncio.sleep(0.005)
        child.kill()
        child.wait()
    assert starts >= 3
    assert list(once(listener).values()) == [list(range(1, 31))] * 3


async def test_tls_and_credentials(db: Database, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "ca", "Another CA")
    pem = authority.issue("broker.test")
    good = authority.certificate.read_text()
    with mosquitto(tmp_path / "broker", (pem.certificate, pem.private_key), ("meterwan", "s3cret")) as broker:
        for address, said in (
            (Address(broker.url, "meterwan", "s3cret", stranger.certificate.read_text()), "certificate"),
            (Address(broker.url, "meterwan", "s3cret"), "certificate"),
            (Address(broker.url, "meterwan", "wrong", good), "refuses"),
            (Address(broker.url, ca=good), "refuses"),
        ):
            publisher = Publisher(address, LOCAL)
            with pytest.raises(Unavailable) as caught:
                await publisher.publish("a", b"1")
            assert said in str(caught.value).lower()
            await publisher.close()
        publisher = Publisher(Address(broker.url, "meterwan", "s3cret", good), LOCAL)
        await publisher.publish("a", b"1")
        await publisher.close()


async def test_a_broker_that_may_not_be_called_makes_dead_letters(db: Database, broker: Broker) -> None:
    create_sink(db, {"kind": "mqtt", "name": "billing", "url": broker.url}, START_US, LOCAL)
    feed(db, (1, 1))
    async with aiohttp.ClientSession() as session:
        courier = Courier(db, session, AllowList(), lambda: START_US)
        await courier.round(targets(db)[0])
        await courier.close()
    assert "not a public address" in dead_letters(db)[0].error
    with pytest.raises(Refused, match="must start"):
        Publisher(Address("http://example.org"), AllowList())


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "https://example.org"}, "url"),
        ({"url": "mqtt://u:p@example.org"}, "url"),
        ({"url": "mqtt://example.org/topic"}, "url"),
        ({"url": "mqtt://192.168.0.1"}, "url"),
        ({"url": "mqtts://example.org", "ca": "no certificate"}, "url"),
        ({"url": "mqtt://example.org", "headers": {"a": "b"}}, "headers"),
        ({"kind": "webhook", "url": "https://example.org", "password": "p"}, "password"),
    ],
)
def test_brokers_that_are_refused(db: Database, values: dict[str, Any], field: str) -> None:
    with pytest.raises(RegistryError) as caught:
        create_sink(db, {"kind": "mqtt", "name": "a"} | values, START_US)
    assert caught.value.field == field
    made = create_sink(db, {"kind": "mqtt", "name": "a", "url": "mqtt://example.org"}, START_US)
    with pytest.raises(RegistryError, match="cannot change"):
        update_sink(db, made.id, {"kind": "webhook"})
    assert update_sink(db, made.id, {"password": "new"}).password == "new"


# ------------------------------------------------------------------------------------------------- metering's own events


async def test_readings_and_balances_come_on_the_buildings_topics(
    db: Database, broker: Broker, listener: Listener
) -> None:
    house = make_house(db)
    values = {"kind": "mqtt", "name": "billing", "url": broker.url, "events": "reading balance"}
    create_sink(db, values, START_US, LOCAL)
    now_us = int((FIRST_DAY + timedelta(days=6, hours=2)).timestamp()) * 1_000_000
    item = Item(FIRST_DAY + timedelta(days=6), Decimal("100.9"), account="74011", resource="cold_water")
    take_readings(db, [item], "gprs", now_us)
    take_readings(db, [item], "gprs", now_us + 1)
    assert tell_balances(db, now_us) == 2
    assert tell_balances(db, now_us + 1) == 0, "nothing has changed"
    late = Item(FIRST_DAY + timedelta(days=4), Decimal("100.7"), meter_id=house.meters["1"])
    take_readings(db, [late], "manual", now_us + 2)
    async with delivering(db):
        await until(lambda: len(listener.got) == 4)
    topics = [topic for topic, _ in listener.got]
    prefix = f"metering/{house.building_id}"
    assert sorted(topics) == [f"{prefix}/balance"] * 2 + [f"{prefix}/reading"] * 2
    reading = next(body for topic, body in listener.got if topic.endswith("reading"))["reading"]
    assert (reading["value"], reading["unit"], reading["account"], reading["source"]) == (
        "100.900",
        "m³",
        "74011",
        "gprs",
    )
    days = {
        body["balance"]["day"]: body["balance"]["imbalance"]
        for topic, body in listener.got
        if topic.endswith("balance")
    }
    assert days == {"2026-10-04": "0.100", "2026-10-05": "0.100"}


# ------------------------------------------------------------------------------------------------------------- commands


class Network:
    """The network's queue."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.away = False

    async def device(self, *, key: str) -> SimpleNamespace:
        return SimpleNamespace(dev_eui=key, codec="karat")

    async def queue_put(self, **fields: Any) -> QueueItem:
        if self.away:
            raise NetworkUnavailable("away")
        if fields["dev_eui"] != EUI:
            raise ApiError(404, Problem("not_found", "There is no such device."))
        self.items.setdefault(fields["idempotency_key"], fields)
        return QueueItem("q1", EUI, fields["f_port"], fields["data"], False, "queued", "", 0, None, None)


TOPIC = f"application/{DEFAULT.id}/device/{EUI}/command/down"


async def test_commands_reach_the_queue_once(db: Database, broker: Broker, listener: Listener) -> None:
    network, stop = Network(), asyncio.Event()
    values = {"kind": "mqtt", "name": "billing", "url": broker.url, "commands": True}
    create_sink(db, values, START_US, LOCAL)
    task = asyncio.create_task(listen(db, network, stop, LOCAL, 0.1))
    command = {"id": "c1", "devEui": EUI, "confirmed": True, "fPort": 10, "data": "AQI=", "unknown": 1}
    async with asyncio.timeout(30):
        while not network.items:  # until it has subscribed
            listener.say(TOPIC, command)
            await asyncio.sleep(0.05)
    listener.say(TOPIC, command)
    network.away = True
    listener.say(TOPIC, {"devEui": EUI, "object": {"command": "clock_correction", "delta_s": -37}})
    await asyncio.sleep(0.2)
    network.away = False
    listener.say(TOPIC, {"devEui": "0" * 16, "fPort": 1, "data": "AQ=="})
    await until(lambda: len(network.items) == 2 and bool(sinks(db)[0].error))
    stop.set()
    await asyncio.wait_for(task, 10)
    first, second = network.items.values()
    assert (first["data"], first["f_port"], first["confirmed"]) == (b"\x01\x02", 10, True)
    assert (second["data"], second["f_port"]) == (bytes.fromhex("1600dbff"), 5)
    assert "the topic's is" in sinks(db)[0].error


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "the message"),
        (b"\xff", "the message"),
        (b"[]", "the message"),
        (b"{}", "either data or object"),
        (b'{"data": "AQ=="}', "fPort"),
        (b'{"data": "AQ==", "fPort": 224}', "fPort"),
        (b'{"data": "AQ==", "object": {}, "fPort": 1}', "either"),
        (b'{"data": "!", "fPort": 1}', "data"),
        (b'{"data": "AQ==", "fPort": 1, "expiresAt": "2026-11-01T00:00:00"}', "zone"),
        (b'{"object": {"command": "fly"}}', "object.command"),
        (b'{"data": "AQ==", "fPort": 1, "devEui": "0000000000000000"}', "devEui"),
    ],
)
async def test_commands_that_are_refused(payload: bytes, said: str) -> None:
    with pytest.raises(Wrong, match=said):
        await carry_out(Network(), 1, TOPIC, payload, 1)


async def test_a_command_for_a_device_that_is_not_there() -> None:
    with pytest.raises(Wrong, match="no such device"):
        await carry_out(Network(), 1, TOPIC.replace(EUI, "0" * 16), b'{"fPort": 1, "data": "AQ=="}', 1)


async def test_a_command_may_expire_and_a_message_given_again_is_one_item() -> None:
    network = Network()
    body = {"fPort": 1, "data": base64.b64encode(b"x").decode(), "expiresAt": "2026-11-01T00:00:00Z"}
    payload = json.dumps(body).encode()
    for mid in (7, 7, 8):
        await carry_out(network, 1, TOPIC, payload, mid)
    assert len(network.items) == 2
    expected = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert {item["expires_at_us"] for item in network.items.values()} == {expected}
