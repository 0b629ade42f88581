"""FR-09: who is told, when, and in how many messages; over a real SMTP server and a real webhook."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appserver import registry
from appserver.db import Database, open_database
from appserver.incidents import notices
from appserver.incidents.facts import Finding, Place
from appserver.incidents.letters import MAX_LINES, Letter
from appserver.incidents.notices import NotSent, deliver, send_due
from appserver.incidents.store import apply
from appserver.incidents.subscriptions import add_subscription, enqueue_notices, subscriptions
from appserver.integrations.addresses import AllowList
from appserver.models import User
from appserver.settings import NotificationSettings

MINUTE = 60_000_000
NOW = 1_793_473_200_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "application.db")
    for name in ("first", "second"):
        organisation = registry.create(database, "organisation", {"name": f"УК {name}"})
        registry.create(database, "building", {"organisation_id": organisation.id, "address": f"ул. {name}, 1"})
    yield database
    database.close()


def happen(db: Database, *findings: Finding, at: int = NOW, settled: tuple[str, ...] = ()) -> int:
    """A round that found this; returns how many notices it made."""
    with db.transaction() as connection:
        kinds = settled or tuple({finding.kind for finding in findings})
        changes = apply(connection, list(findings), kinds, at, "r")
        return enqueue_notices(connection, subscriptions(db), changes, at)


def silent(number: int, building: int = 1, end: int | None = None) -> Finding:
    return Finding("silent_meter", Place(building, meter_id=number), NOW - MINUTE, {"hours": 25}, end)


def leak(number: int = 1, building: int = 1) -> Finding:
    return Finding("leak", Place(building, meter_id=number), NOW, {"per_hour": "0.5"})


class Post:
    """Where letters go in a test."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.broken: dict[str, NotSent] = {}

    async def __call__(self, letter: Letter) -> None:
        if letter.target in self.broken:
            raise self.broken[letter.target]
        self.letters.append(letter)

    async def go(self, db: Database, now: int) -> list[Letter]:
        """Letters of one turn."""
        self.letters = []
        await send_due(db, self, now, "Europe/Moscow", "https://meters.example.org")
        return self.letters


@pytest.fixture
def post() -> Post:
    return Post()


async def test_fr_09_five_hundred_silent_meters_are_one_letter_and_a_digest(db: Database, post: Post) -> None:
    add_subscription(db, {"channel": "email", "target": "duty@example.org", "language": "ru"}, 0)
    assert happen(db, *[silent(n, 1 + n % 2) for n in range(300)]) == 300
    (letter,) = await post.go(db, NOW)
    assert letter.subject == "MeterWAN: 300 нештатных ситуаций"
    assert letter.text.startswith("Прибор молчит: 300 (ул. first, 1 — 150; ул. second, 1 — 150)")
    assert letter.text.count("Начало:") == MAX_LINES and letter.text.endswith(f"+{300 - MAX_LINES}")
    for minute in range(1, 10):  # the rest of the outage trickles in
        happen(db, *[silent(n, 1 + n % 2) for n in range(300 + 20 * minute)], at=NOW + minute * MINUTE)
        assert await post.go(db, NOW + minute * MINUTE) == []
    (digest,) = await post.go(db, NOW + 10 * MINUTE)
    assert digest.subject == "MeterWAN: 180 нештатных ситуаций"
    assert await post.go(db, NOW + 30 * MINUTE) == []
    assert db.rows("SELECT state, count(*) FROM notice GROUP BY 1") == [("sent", 480)]


async def test_fr_09_what_is_critical_does_not_wait_and_takes_along_what_does(db: Database, post: Post) -> None:
    add_subscription(db, {"channel": "email", "target": "duty@example.org", "language": "en"}, 0)
    happen(db, silent(1))
    assert [one.subject for one in await post.go(db, NOW)] == ["Silent meter — ул. first, 1"]
    happen(db, silent(1), silent(2), at=NOW + MINUTE)
    assert await post.go(db, NOW + MINUTE) == []
    happen(db, leak(), at=NOW + 2 * MINUTE)
    (letter,) = await post.go(db, NOW + 2 * MINUTE)
    assert letter.subject == "MeterWAN: 2 incidents"
    assert letter.text.index("Leak") < letter.text.index("Silent meter"), "the gravest first"


async def test_fr_09_what_came_and_went_meanwhile_is_told_once(db: Database, post: Post) -> None:
    add_subscription(db, {"channel": "email", "target": "duty@example.org", "language": "en"}, 0)
    happen(db, silent(1))
    await post.go(db, NOW)
    happen(db, silent(1), silent(2), at=NOW + MINUTE)
    happen(db, silent(1), at=NOW + 2 * MINUTE)
    (letter,) = await post.go(db, NOW + 10 * MINUTE)
    assert letter.subject == "Over: Silent meter — ул. first, 1"
    assert "End:" in letter.text


async def test_fr_09_a_role_is_told_at_its_peoples_addresses_by_their_buildings(db: Database, post: Post) -> None:
    people = (
        ("dispatcher", "all@example.org", None, False),
        ("engineer", "second@example.org", 2, False),
        ("viewer", "viewer@example.org", None, False),
        ("admin", "gone@example.org", None, True),
        ("admin", "", None, False),
    )
    with db.writing() as session:
        for number, (role, email, organisation, disabled) in enumerate(people):
            session.add(
                User(login=f"u{number}", password_hash="x", role=role, email=email, organisation_id=organisation,
                     disabled=disabled, created_at_us=0)
            )  # fmt: skip
    add_subscription(db, {"channel": "email", "role": "dispatcher", "language": "en"}, 0)
    happen(db, leak(1, 1), leak(2, 2))
    letters = {letter.target: letter for letter in await post.go(db, NOW)}
    assert set(letters) == {"all@example.org", "second@example.org"}
    assert "2 incidents" in letters["all@example.org"].subject
    assert letters["second@example.org"].subject == "Leak — ул. second, 1"
    post.broken = {"all@example.org": NotSent("mailbox full")}
    happen(db, leak(3, 1), leak(4, 2), at=NOW + 20 * MINUTE)
    assert [letter.target for letter in await post.go(db, NOW + 20 * MINUTE)] == ["second@example.org"]
    assert await post.go(db, NOW + 60 * MINUTE) == [], "those who have it are not told again for the sake of another"
    assert ("sent", "mailbox full") in db.rows("SELECT DISTINCT state, error FROM notice")


async def test_fr_09_a_role_without_addresses_waits_for_one(db: Database, post: Post) -> None:
    add_subscription(db, {"channel": "email", "role": "admin"}, 0)
    happen(db, leak())
    assert await post.go(db, NOW) == []
    assert db.rows("SELECT state, error FROM notice") == [("pending", "nobody with the role admin has a mail address")]
    with db.writing() as session:
        session.add(User(login="a", password_hash="x", role="admin", email="a@example.org", created_at_us=0))
    assert [letter.target for letter in await post.go(db, NOW + MINUTE)] == ["a@example.org"]


async def test_fr_09_a_server_that_is_down_is_asked_with_patience(db: Database, post: Post) -> None:
    add_subscription(db, {"channel": "email", "target": "duty@example.org"}, 0)
    post.broken = {"duty@example.org": NotSent("no connection")}
    tries = 0
    for minute in range(120):
        happen(db, *[silent(n) for n in range(minute + 1)], at=NOW + minute * MINUTE)
        before = db.rows("SELECT sum(attempts) FROM notice")[0][0]
        await post.go(db, NOW + minute * MINUTE)
        tries += db.rows("SELECT sum(attempts) FROM notice")[0][0] != before
    assert 4 <= tries <= 8, "every new incident is no reason to knock again"
    post.broken = {}
    (letter,) = await post.go(db, NOW + 5 * 60 * MINUTE)
    assert "120" in letter.subject


# ------------------------------------------------------------------------------------------------------- real servers


class Mailbox(threading.Thread):
    """An SMTP server by the words of RFC 5321; ``busy`` letters are refused for the moment."""

    def __init__(self, busy: int = 0) -> None:
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.mails: list[tuple[list[str], Message]] = []
        self.busy = busy

    def run(self) -> None:
        while True:
            peer, _ = self.server.accept()
            with peer, peer.makefile("rb") as lines:
                self._talk(peer, lines)

    def _talk(self, peer: socket.socket, lines: Any) -> None:
        peer.sendall(b"220 box\r\n")
        to: list[str] = []
        for line in lines:
            word = line[:4].upper()
            if word == b"MAIL" and self.busy:
                self.busy -= 1
                peer.sendall(b"451 later\r\n")
                continue
            if word == b"RCPT":
                to.append(line.decode().partition("<")[2].partition(">")[0])
            elif word == b"DATA":
                peer.sendall(b"354 go\r\n")
                data = b""
                for text in lines:
                    if text == b".\r\n":
                        break
                    data += text
                self.mails.append((to, message_from_bytes(data)))
            elif word == b"QUIT":
                peer.sendall(b"221 bye\r\n")
                return
            peer.sendall(b"250 ok\r\n")


class Telegram:
    """A server that takes ``sendMessage``."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.got.append(await request.json())
        return web.json_response({"ok": status == 200}, status=status)


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    made = Telegram()
    app = web.Application()
    app.router.add_post("/botTOKEN/sendMessage", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/botTOKEN/sendMessage"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def delivering(db: Database, port: int, clock: Any) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = NotificationSettings(smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", smtp_sender="m@x.org")
    task = asyncio.create_task(deliver(db, settings, stop, ["127.0.0.1"], clock, "Europe/Moscow"))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_fr_09_mail_and_webhook_go_out_with_retries(
    db: Database, telegram: Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "IDLE_S", 0.02)
    box = Mailbox(busy=2)
    box.start()
    telegram.answers = [429, 500]
    add_subscription(db, {"channel": "email", "target": "duty@example.org", "language": "ru"}, 0)
    values = {"channel": "telegram", "target": telegram.url, "chat": "-1001", "language": "en"}
    add_subscription(db, values, 0, AllowList(["127.0.0.1"]))
    add_subscription(db, {"channel": "page", "role": "viewer"}, 0)
    assert happen(db, leak()) == 2, "a page needs no carrying"
    now = [NOW]

    def clock() -> int:
        now[0] += 10 * MINUTE
        return now[0]

    async with delivering(db, box.port, clock), asyncio.timeout(30):
        while not (box.mails and telegram.got):
            await asyncio.sleep(0.02)
    ((to, mail),) = box.mails
    assert to == ["duty@example.org"]
    assert str(make_header(decode_header(mail["Subject"]))) == "Утечка — ул. first, 1"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Message-ID"]
    (sent,) = telegram.got
    assert (sent["chat_id"], sent["text"].splitlines()[0]) == ("-1001", "Leak — ул. first, 1")
    assert db.rows("SELECT state, attempts FROM notice") == [("sent", 2)] * 2


async def test_fr_09_a_webhook_that_is_gone_is_given_up(db: Database, telegram: Telegram) -> None:
    telegram.answers = [404] * 9
    values = {"channel": "telegram", "target": telegram.url, "chat": "1"}
    add_subscription(db, values, 0, AllowList(["127.0.0.1"]))
    happen(db, leak())
    async with delivering(db, 1, lambda: NOW), asyncio.timeout(20):
        while db.rows("SELECT state FROM notice") != [("dead",)]:
            await asyncio.sleep(0.02)
    assert db.rows("SELECT error FROM notice") == [("answered 404",)]
