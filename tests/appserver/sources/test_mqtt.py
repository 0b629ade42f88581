"""Readings over a real Mosquitto: acknowledged after the commit, given again after a crash, back after a break."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appserver.db import Database
from appserver.integrations.addresses import AllowList
from appserver.sources import mqtt
from appserver.sources.intake import refused
from appserver.sources.store import create_source, find_source, update_source
from tests.appserver.sources.conftest import NOW_US
from tests.support.house import House
from tests.support.mosquitto import Broker, mosquitto

MAPPING = {"serial": "topic.1", "time": "t", "values": {"value": "v"}, "kind": "archive"}
LOCAL = AllowList(["127.0.0.1"])
AT_S = 1_791_410_400


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(db: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(mqtt.watch(db, stop, ["127.0.0.1"], lambda: NOW_US))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


class Meter:
    """Somebody who publishes with QoS 1."""

    def __init__(self, broker: Broker) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="somebody")
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def say(self, topic: str, payload: Any) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, data, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "LOOK_S", 0.1)


@pytest.fixture
def broker(tmp_path: Path):
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def meter(broker: Broker):
    made = Meter(broker)
    yield made
    made.close()


def make(db: Database, broker: Broker, allow: AllowList = LOCAL, **fields: Any) -> int:
    values = {"kind": "mqtt", "name": "town", "url": broker.url, "topics": "water/+/reading", "mapping": MAPPING}
    id_ = create_source(db, values | fields, NOW_US, allow).id
    assert id_ is not None
    return id_


def values(db: Database) -> list[int]:
    return [value // 1000 for (value,) in db.rows("SELECT value_micro FROM reading WHERE source = 'gprs' ORDER BY 1")]


async def test_fr_20_messages_become_readings_and_what_is_wrong_is_listed(
    db: Database, house: House, broker: Broker, meter: Meter
) -> None:
    source = make(db, broker)
    serial = f"{house.building_id}1"
    async with watching(db):
        await until(lambda: find_source(db, source).connected)
        for hour in range(5):
            meter.say(f"water/{serial}/reading", {"t": AT_S + hour * 3600, "v": 101 + hour})
        meter.say(f"water/{serial}/reading", b"not a message")
        meter.say("water/nobody/reading", {"t": AT_S, "v": 1})
        meter.say(f"other/{serial}/reading", {"t": AT_S, "v": 1})
        await until(lambda: len(values(db)) == 5 and len(refused(db)) == 2)
        update_source(
            db, source, {"mapping": MAPPING | {"serial": f"={serial}", "time": "", "values": {"value": "=7"}}}, LOCAL
        )
    assert db.rows("SELECT DISTINCT author, quality FROM reading WHERE source = 'gprs'") == [("mqtt:town", "archive")]
    assert {entry.reason for entry in refused(db)} == {
        f"water/{serial}/reading: there is no t: 't' is missing",
        "There is no meter 'nobody'.",
    }
    assert mqtt.tidy(db, NOW_US + 1) == 1, "the message is read with the new mapping; the stranger stays one"
    shown = find_source(db, source)
    assert (shown.taken, shown.refused, shown.seen_at_us) == (5, 2, NOW_US)


async def test_fr_20_what_is_not_committed_is_not_acknowledged(
    db: Database, house: House, broker: Broker, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the commit: the broker gives the message again to the next process."""
    source = make(db, broker)
    topic = f"water/{house.building_id}1/reading"
    real, seen = mqtt.take, []

    def broken(*_: Any) -> Any:
        seen.append(1)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(mqtt, "take", broken)
    async with watching(db):
        await until(lambda: find_source(db, source).connected)
        meter.say(topic, {"t": AT_S, "v": 101})
        await until(lambda: bool(seen))
    assert values(db) == []
    meter.say(topic, {"t": AT_S + 3600, "v": 102})  # nobody listens, the broker keeps it
    monkeypatch.setattr(mqtt, "take", real)
    async with watching(db):
        await until(lambda: len(values(db)) == 2)
    assert values(db) == [101_000, 102_000]
    async with watching(db):
        await until(lambda: find_source(db, source).connected)
        meter.say(topic, {"t": AT_S + 7200, "v": 103})
        await until(lambda: len(values(db)) == 3)
    assert find_source(db, source).taken == 3, "nothing was given again after it was acknowledged"


async def test_fr_20_a_broker_that_goes_and_comes_back(db: Database, house: House, broker: Broker) -> None:
    source = make(db, broker)
    topic = f"water/{house.building_id}1/reading"
    async with watching(db):
        await until(lambda: find_source(db, source).connected)
        broker.stop()
        await until(lambda: not find_source(db, source).connected)
        assert find_source(db, source).error
        broker.start()
        meter = Meter(broker)
        await until(lambda: find_source(db, source).connected)
        meter.say(topic, {"t": AT_S, "v": 101})
        await until(lambda: values(db) == [101_000])
        meter.close()


async def test_a_source_that_is_switched_off_or_may_not_be_called(db: Database, house: House, broker: Broker) -> None:
    source = make(db, broker)
    elsewhere = {"name": "inside", "url": f"mqtt://127.0.0.2:{broker.port}"}
    forbidden = make(db, broker, AllowList(["127.0.0.2"]), **elsewhere)  # it was allowed when it was entered
    async with watching(db):
        await until(lambda: find_source(db, source).connected)
        await until(lambda: "may be called" in find_source(db, forbidden).error)
        update_source(db, source, {"enabled": False}, LOCAL)
        await until(lambda: not find_source(db, source).connected)
