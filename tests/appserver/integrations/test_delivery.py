"""INV-22: at least once, in the order of each device, with patience; what is not taken stays visible."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from chirpstack_api.integration import integration_pb2 as pb
from google.protobuf.json_format import ParseDict

from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.ingest import Ingest
from appserver.integrations import (
    create_sink,
    dead_letters,
    delete_sink,
    deliver,
    pending_count,
    replay,
    retry,
    sinks,
    update_sink,
)
from appserver.integrations.addresses import AllowList, CheckedResolver
from appserver.integrations.delivery import BACK_OFF_S, DOWN_AFTER, GIVE_UP_US, Courier, targets
from internalapi.messages import Event

LOCAL = AllowList(["127.0.0.1"])
START_US = 1_793_473_200_000_000


class Receiver:
    """A web server that answers as the test says and remembers what came."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict, dict]] = []
        self.answer: Callable[[str], int] = lambda dev_eui: 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        document = json.loads(await request.read())
        dev_eui = document["deviceInfo"]["devEui"]
        status = self.answer(dev_eui)
        if status == 200:
            self.got.append((request.query["event"], dev_eui, document, dict(request.headers)))
        headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    @property
    def order(self) -> list[tuple[str, int]]:
        return [(dev_eui[-1], document["fCnt"]) for _, dev_eui, document, _ in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?key=v"
    yield made
    await runner.cleanup()


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(LOCAL))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=2)) as made:
        yield made


class Clock:
    def __init__(self) -> None:
        self.us = START_US

    def __call__(self) -> int:
        return self.us


def take(db: Database, *frames: tuple[int, int]) -> None:
    """Uplinks through the ingest: (device, counter)."""
    start = Ingest(db).cursor()
    events = [
        Event(id=start + n, type="up", time_us=START_US + n, dev_eui=f"70b3d5e75e00000{device}", f_cnt=f_cnt, f_port=2, data=b"\x01")
        for n, (device, f_cnt) in enumerate(frames, 1)
    ]  # fmt: skip
    Ingest(db).take(events)


async def rounds(courier: Courier, db: Database, limit: int = 20) -> int:
    """Rounds until there is nothing to do at once."""
    for number in range(1, limit + 1):
        if not await courier.round(targets(db)[0]):
            return number
    return limit


async def test_bodies_arrive_in_order_with_event_and_headers(db: Database, receiver: Receiver, session) -> None:
    sink = create_sink(db, {"name": "billing", "url": receiver.url, "headers": {"X-Key": "s3"}}, START_US, LOCAL)
    take(db, (1, 1), (2, 1), (1, 2), (2, 2), (1, 3))
    await rounds(Courier(db, session, LOCAL, Clock()), db)
    assert receiver.order == [("1", 1), ("2", 1), ("1", 2), ("2", 2), ("1", 3)]
    kind, _, document, headers = receiver.got[0]
    assert (kind, headers["X-Key"], headers["Content-Type"]) == ("up", "s3", "application/json")
    ParseDict(document, pb.UplinkEvent(), ignore_unknown_fields=False)
    (kept,) = sinks(db)
    assert (kept.delivered, kept.error, pending_count(db, sink.id)) == (5, "", 0)


async def test_without_a_sink_nothing_is_kept(db: Database) -> None:
    take(db, (1, 1))
    assert db.rows("SELECT * FROM outbox") == []


async def test_inv_22_server_that_is_down_gets_everything_later_and_in_order(
    db: Database, receiver: Receiver, session
) -> None:
    clock = Clock()
    sink = create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    courier = Courier(db, session, LOCAL, clock)
    receiver.answer = lambda _: 503
    take(db, *[(device, n) for n in range(1, 6) for device in (1, 2, 3, 4)])
    for _ in range(12):
        await rounds(courier, db)
        clock.us += BACK_OFF_S[-1] * 1_000_000
    assert receiver.got == [] and courier.failures >= DOWN_AFTER
    assert pending_count(db, sink.id) >= 17, "a server that is down is probed, not flooded"
    assert courier.pause_s() == BACK_OFF_S[-1]
    assert "answered 503" in sinks(db)[0].error
    receiver.answer = lambda _: 200
    for _ in range(12):
        await rounds(courier, db)
        clock.us += BACK_OFF_S[-1] * 1_000_000
    for device in "1234":
        assert [n for d, n in receiver.order if d == device] == [1, 2, 3, 4, 5]
    assert (pending_count(db, sink.id), dead_letters(db)) == (0, [])


async def test_one_device_that_fails_holds_up_no_other(db: Database, receiver: Receiver, session) -> None:
    clock = Clock()
    create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    courier = Courier(db, session, LOCAL, clock)
    receiver.answer = lambda dev_eui: 500 if dev_eui.endswith("1") else 200
    take(db, *[(device, n) for n in range(1, 4) for device in (1, 2, 3)])
    for _ in range(8):
        await rounds(courier, db)
        clock.us += 1_000_000
    assert [x for x in receiver.order if x[0] != "1"] == [("2", 1), ("3", 1), ("2", 2), ("3", 2), ("2", 3), ("3", 3)]
    receiver.answer = lambda _: 200
    for _ in range(8):
        await rounds(courier, db)
        clock.us += BACK_OFF_S[-1] * 1_000_000
    assert [x for x in receiver.order if x[0] == "1"] == [("1", 1), ("1", 2), ("1", 3)]


@pytest.mark.parametrize("status", [400, 404, 410, 302])
async def test_inv_22_what_is_refused_is_a_dead_letter_and_can_be_sent_again(
    db: Database, receiver: Receiver, session, status: int
) -> None:
    create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    courier = Courier(db, session, LOCAL, Clock())
    receiver.answer = lambda dev_eui: status if dev_eui.endswith("1") else 200
    take(db, (1, 1), (2, 1))
    await rounds(courier, db)
    assert receiver.order == [("2", 1)]
    (letter,) = dead_letters(db)
    assert (letter.dev_eui, letter.attempts, letter.error) == ("70b3d5e75e000001", 1, f"answered {status}")
    receiver.answer = lambda _: 200
    retry(db, letter.id)
    await rounds(courier, db)
    assert receiver.order == [("2", 1), ("1", 1)] and dead_letters(db) == []
    with pytest.raises(RegistryError):
        retry(db, letter.id)


async def test_after_a_day_it_is_given_up(db: Database, receiver: Receiver, session) -> None:
    clock = Clock()
    create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    courier = Courier(db, session, LOCAL, clock)
    receiver.answer = lambda _: 500
    take(db, (1, 1))
    for _ in range(len(BACK_OFF_S) + 3):
        await rounds(courier, db)
        assert not dead_letters(db)
        clock.us += BACK_OFF_S[-1] * 1_000_000
    clock.us += GIVE_UP_US
    await rounds(courier, db)
    assert len(dead_letters(db)) == 1


async def test_address_that_became_private_is_refused_at_the_connection(db: Database, receiver: Receiver) -> None:
    """A name may resolve to something else than when it was entered."""
    port = receiver.url.split(":")[2].split("/")[0]
    create_sink(db, {"name": "billing", "url": f"http://localhost:{port}/hook"}, START_US)
    take(db, (1, 1))
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(AllowList()))
    async with aiohttp.ClientSession(connector=connector) as session:
        await rounds(Courier(db, session, AllowList(), Clock()), db)
    assert receiver.got == []
    assert "may be called" in dead_letters(db)[0].error


async def test_replay(db: Database, receiver: Receiver, session) -> None:
    sink = create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    take(db, (1, 1), (1, 2), (1, 3))
    courier = Courier(db, session, LOCAL, Clock())
    await rounds(courier, db)
    assert replay(db, sink.id, START_US + 2) == 2
    await rounds(courier, db)
    assert [n for _, n in receiver.order] == [1, 2, 3, 2, 3]
    ids = [document["deduplicationId"] for _, _, document, _ in receiver.got]
    assert ids[1:3] == ids[3:5], "receivers can tell a repetition"


async def test_service_delivers_to_all_sinks_until_it_is_stopped(db: Database, receiver: Receiver) -> None:
    create_sink(db, {"name": "broken", "url": "http://127.0.0.1:1/"}, START_US, LOCAL)
    create_sink(db, {"name": "billing", "url": receiver.url}, START_US, LOCAL)
    take(db, (1, 1), (2, 1))
    stop = asyncio.Event()
    task = asyncio.create_task(deliver(db, stop, ["127.0.0.1"]))
    async with asyncio.timeout(20):
        while len(receiver.got) < 2:
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "", "url": "https://example.org"}, "name"),
        ({"url": "https://example.org"}, "name"),
        ({"name": "a"}, "url"),
        ({"name": "a", "url": "http://10.0.0.1"}, "url"),
        ({"name": "a", "url": "https://example.org", "events": "up beer"}, "events"),
        ({"name": "a", "url": "https://example.org", "events": ""}, "events"),
        ({"name": "a", "url": "https://example.org", "kind": "fax"}, "kind"),
        ({"name": "a", "url": "https://example.org", "headers": {"Host": "x"}}, "headers"),
        ({"name": "a", "url": "https://example.org", "headers": {"X": "a\r\nb"}}, "headers"),
        ({"name": "a", "url": "https://example.org", "cursor": 5}, "cursor"),
    ],
)
def test_settings_that_are_refused(db: Database, values: dict, field: str) -> None:
    with pytest.raises(RegistryError) as caught:
        create_sink(db, values, START_US)
    assert caught.value.field == field


def test_sinks_are_managed(db: Database) -> None:
    sink = create_sink(db, {"name": "a", "url": "https://example.org", "events": "up join"}, START_US)
    with pytest.raises(RegistryError, match="already"):
        create_sink(db, {"name": "a", "url": "https://example.org"}, START_US)
    assert update_sink(db, sink.id, {"enabled": False}).enabled is False
    take(db, (1, 1))
    assert db.rows("SELECT * FROM outbox") == [], "nobody wants it"
    delete_sink(db, sink.id)
    with pytest.raises(RegistryError):
        delete_sink(db, sink.id)
    assert sinks(db) == []
