"""Pages of what comes beside the radio and of where events go."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.integrations.outbox import enqueue_own
from appserver.sources import intake
from tests.support.console import Answer, Console
from tests.support.house import make_house
from tests.support.pages import DEVICE, fill

AT = "2026-10-07T00:00:00+03:00"
SOURCE = {
    "kind": "mqtt",
    "name": "Городской брокер",
    "url": "mqtts://broker.example.org",
    "username": "m",
    "password": "s3cret",
    "topics": "water/+/reading",
    "origin": "gprs",
    "enabled": "1",
    "map_serial": "topic.1",
    "map_time": "t",
    "map_kind": "archive",
    "map_factor": "0.001",
    "values": "value = v\nvolume_reverse = back",
}


async def page(console: Console, path: str, language: str = "en") -> Answer:
    return await console.ask("GET", path, headers={"Accept-Language": language})


async def send(console: Console, path: str, fields: dict[str, Any], language: str = "en") -> Answer:
    pairs = [("_csrf", await console.csrf())]
    for name, value in fields.items():
        pairs += [(name, each) for each in (value if isinstance(value, list) else [value])]
    return await console.ask("POST", path, data=pairs, headers={"Accept-Language": language})


async def refuse(console: Console) -> None:
    house = make_house(console.services.database)
    readings = [
        {"serial": "<b>nobody</b>", "measured_at": AT, "value": "1"},
        {"meter_id": house.meters["1"], "measured_at": AT, "value": "100.9"},
    ]
    assert (await console.api("POST", "/readings/batch", json={"readings": readings})).status == 200


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Источники показаний", "Не принятые показания", "Нет прибора", "Последние поступления")),
        ("en", ("Sources of readings", "Refused readings", "There is no meter", "Last deliveries")),
    ],
)
async def test_fr_20_the_page_in_both_languages(console: Console, language: str, words: tuple[str, ...]) -> None:
    await refuse(console)
    await console.sign_in()
    shown = await page(console, "/sources", language=language)
    for word in words:
        assert word in shown.text, word
    assert "&lt;b&gt;nobody" in shown.text and "<b>nobody" not in shown.text


async def test_fr_20_refused_readings_are_tried_again_and_put_aside(console: Console) -> None:
    await refuse(console)
    db = console.services.database
    await console.sign_in()
    (entry,) = intake.refused(db)
    await send(console, "/sources/refused", {"all": "1"})
    assert intake.refused(db)[0].attempts == 2
    await send(console, "/sources/refused", {"id": str(entry.id), "action": "drop"})
    assert intake.refused(db) == []
    assert "nobody" in (await page(console, "/sources?state=dropped")).text


async def test_a_broker_is_added_changed_and_removed(console: Console) -> None:
    await console.sign_in()
    assert "topic.2" in (await page(console, "/admin/sources/new")).text
    wrong = await send(console, "/admin/sources/new", SOURCE | {"url": "http://x"})
    assert wrong.status == 422 and "mqtt://" in wrong.text and "s3cret" not in wrong.text
    for change in ({"values": "nothing"}, {"values": ""}, {"topics": ""}, {"map_serial": ""}, {"map_factor": "x"}):
        assert (await send(console, "/admin/sources/new", SOURCE | change)).status == 422, change
    made = await send(console, "/admin/sources/new", SOURCE)
    assert made.status == 303, made.text
    path = made.headers["Location"]
    shown = (await page(console, path)).text
    assert "volume_reverse = back" in shown and "0.001" in shown and "s3cret" not in shown
    saved = await send(console, path, SOURCE | {"password": "", "topics": "gas/#"})
    assert saved.status == 303, saved.text
    rows = console.services.database.rows("SELECT password, topics FROM source")
    assert rows == [("s3cret", "gas/#")], "an empty password keeps the old one"
    assert "gas/#" in (await page(console, "/sources")).text
    assert (await send(console, f"{path}/delete", {})).status == 303
    assert console.services.database.rows("SELECT * FROM source") == []


async def test_an_http_form_is_added(console: Console) -> None:
    await console.sign_in()
    assert (await page(console, "/admin/sources/new?kind=http")).status == 200
    values = {
        "kind": "http",
        "name": "модем",
        "origin": "gprs",
        "enabled": "1",
        "map_serial": "sn",
        "values": "value=p1",
    }
    made = await send(console, "/admin/sources/new", values)
    assert made.status == 303, made.text
    assert "/push" in (await page(console, made.headers["Location"])).text


async def test_integrations_are_added_changed_and_replayed(console: Console) -> None:
    await console.sign_in()
    db = console.services.database
    hook = {
        "kind": "webhook",
        "name": "биллинг",
        "url": "https://example.org/h",
        "enabled": "1",
        "events": ["up", "reading"],
    }
    assert (await page(console, "/admin/integrations/new")).status == 200
    assert (await send(console, "/admin/integrations/new", hook | {"url": "ftp://x"})).status == 422
    made = await send(console, "/admin/integrations/new", hook | {"header": "X-Key", "header_value": "s3cret"})
    assert made.status == 303, made.text
    path = made.headers["Location"]
    broker = {"kind": "mqtt", "name": "брокер", "url": "mqtt://broker.example.org", "password": "pw", "commands": "1",
              "enabled": "1", "events": ["up"]}  # fmt: skip
    assert (await page(console, "/admin/integrations/new?kind=mqtt")).status == 200
    assert (await send(console, "/admin/integrations/new", broker)).status == 303
    assert db.rows("SELECT kind, password, commands, events FROM sink WHERE kind = 'mqtt'") == [("mqtt", "pw", 1, "up")]
    with db.transaction() as connection:
        enqueue_own(connection, 1, "reading", console.clock.us - 1, {"topic": "x"})
        connection.execute(
            "INSERT INTO delivery (sink_id, outbox_id, dev_eui, state, attempts, next_attempt_at_us, error)"
            " VALUES (1, 1, 'reading:1', 'dead', 7, 0, 'answered 410')"
        )
    shown = (await page(console, path)).text
    assert "answered 410" in shown and "s3cret" not in shown and "X-Key" in shown
    assert (await send(console, f"{path}/retry", {"all": "1"})).status == 303
    assert db.rows("SELECT state FROM delivery") == [("pending",)]
    assert (await send(console, f"{path}/replay", {"hours": "24"})).status == 303
    assert (await send(console, f"{path}/replay", {"hours": "25"})).status == 422
    saved = await send(console, path, hook | {"events": ["incident"]})
    assert saved.status == 303 and db.rows("SELECT events, headers FROM sink WHERE id = 1") == [
        ("incident", '{"X-Key": "s3cret"}')
    ]
    assert "брокер" in (await page(console, "/admin/integrations")).text
    assert (await send(console, f"{path}/delete", {})).status == 303


async def test_fr_02_the_clock_on_the_device_page(console: Console) -> None:
    await fill(console)
    await console.sign_in()
    assert "Часы" in (await page(console, f"/devices/{DEVICE}", language="ru")).text
    refused = await send(console, f"/devices/{DEVICE}/clock", {}, "ru")
    assert refused.status == 409 and "неизвестен" in refused.text
    with console.services.database.transaction() as connection:
        connection.execute(
            "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, flags, clock_offset_us, clock_seen_at_us)"
            " VALUES (?, '', 0, '', -700000000, ?)",
            (DEVICE, console.clock.us),
        )
        connection.execute(
            "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state,"
            " reason) VALUES (1, 1, ?, 1, 77, 5, x'00', ?, 'karat@2', 'decoded', '')",
            (DEVICE, console.clock.us),
        )
    assert (await send(console, f"/devices/{DEVICE}/clock", {})).status == 303
    shown = (await page(console, f"/devices/{DEVICE}", language="ru")).text
    assert "+700" in shown and "-700" in shown.replace("−", "-")
