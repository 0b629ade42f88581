"""The running application: a file and a message come in, events and a command go through, all by its own tasks."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appserver.integrations import create_sink
from appserver.integrations.addresses import AllowList
from appserver.integrations.chirpstack import DEFAULT
from appserver.main import application
from appserver.settings import ApplicationSettings, HttpSettings
from appserver.sources import files, mqtt
from appserver.sources.store import create_source
from internalapi.messages import DeviceWrite
from tests.support.house import make_house
from tests.support.memory_network import MemoryNetwork
from tests.support.mosquitto import mosquitto

EUI = "4b41524154000001"
LOCAL = AllowList(["127.0.0.1"])
MAPPING = {"serial": "topic.1", "time": "t", "values": {"value": "v"}, "kind": "archive"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.05)


async def test_fr_20_in_by_file_and_broker_out_by_broker_and_down_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "EVERY_S", 0.2)
    monkeypatch.setattr(mqtt, "LOOK_S", 0.2)
    network = MemoryNetwork()
    await network.devices_put(items=[DeviceWrite(dev_eui=EUI, name="x", profile="karat-926lw", app_key="0" * 31 + "1")])
    settings = ApplicationSettings(
        data_dir=tmp_path / "data",
        http=HttpSettings(listen="127.0.0.1:0"),
        password_memory_kib=64,
        webhook_allow=["127.0.0.1"],
    )
    folder = tmp_path / "data" / "drop"
    folder.mkdir(parents=True)
    got: list[str] = []
    with mosquitto(tmp_path / "broker") as broker:
        somebody = Client(CallbackAPIVersion.VERSION2, client_id="somebody")
        somebody.on_connect = lambda client, *_: client.subscribe("metering/#", 1)
        somebody.on_message = lambda client, userdata, message: got.append(message.topic)
        somebody.connect("127.0.0.1", broker.port)
        somebody.loop_start()
        async with application(settings, network, lambda: time.time_ns() // 1000) as (services, _):  # type: ignore[arg-type]
            db = services.database
            house = make_house(db)
            source = {"kind": "mqtt", "name": "s", "url": broker.url, "topics": "water/+", "mapping": MAPPING}
            create_source(db, source, 0, LOCAL)
            sink = {"kind": "mqtt", "name": "b", "url": broker.url, "events": "reading", "commands": True}
            create_sink(db, sink, 0, LOCAL)
            (folder / "a.csv").write_text(f"serial;date;value\n{house.building_id}1;2026-10-08;103,5\n")
            os.utime(folder / "a.csv", (1, 1))
            await until(lambda: bool(db.rows("SELECT 1 FROM source WHERE connected")))
            message = {"t": "2026-10-09T00:00:00+03:00", "v": 104.25}
            somebody.publish(f"water/{house.building_id}1", json.dumps(message), qos=1)
            topic = f"application/{DEFAULT.id}/device/{EUI}/command/down"
            command = json.dumps({"id": "c", "fPort": 5, "data": "FgDb/w=="})
            async with asyncio.timeout(40):
                while not (await network.queue(key=EUI)).items:
                    somebody.publish(topic, command, qos=1)  # until it has subscribed
                    await asyncio.sleep(0.2)
            await until(lambda: len(got) == 2)
            assert (folder / "done" / "a.csv").exists()
            authors = db.rows("SELECT author FROM reading WHERE source = 'gprs' ORDER BY measured_at_us")
            assert authors == [("file:a.csv",), ("mqtt:s",)]
            assert all(running() for running in services.tasks.values())
        somebody.disconnect()
        somebody.loop_stop()
    assert got == [f"metering/{house.building_id}/reading"] * 2
