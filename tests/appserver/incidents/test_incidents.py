"""Incidents in application.db: rounds, people, notices."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from appserver.auth.roles import Role
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.incidents import Filter, acknowledge, comment, counts, get_incident, incidents
from appserver.incidents.facts import Finding, Place
from appserver.incidents.notices import Letter, NotSent, send_due, send_mail
from appserver.incidents.runner import run
from appserver.incidents.store import apply
from appserver.incidents.subscriptions import add_subscription, enqueue_notices, pointed_out, subscriptions
from appserver.ingest import Ingest
from appserver.integrations import create_sink
from appserver.rules import load
from appserver.settings import NotificationSettings
from internalapi.messages import Event
from tests.support import satka

BOOK = load()
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Path:
    house = satka.build(tmp_path_factory.mktemp("satka") / "application.db")
    house.db.close()
    return house.db.path


@pytest.fixture
def house(built: Path, tmp_path: Path, copy_database: Callable[[Path, Path], Database]) -> Iterator[satka.Satka]:
    db = copy_database(built, tmp_path / "application.db")
    yield replace(template(), db=db)
    db.close()


def template() -> satka.Satka:
    return satka.Satka(
        db=None,  # type: ignore[arg-type]
        organisation_id=1,
        building_id=1,
        first_day=date(2026, 10, 1),
        last_day=date(2026, 11, 1),
        now_us=0,
    )


def now_of(house: satka.Satka) -> int:
    return int(house.db.rows("SELECT max(received_at_us) FROM uplink")[0][0]) + HOUR


def everything(house: satka.Satka) -> list[tuple[object, ...]]:
    return house.db.rows("SELECT * FROM incident ORDER BY id")


def test_fr_09_a_round_finds_what_was_put_into_the_house(house: satka.Satka) -> None:
    run(house.db, now_of(house), BOOK)
    found = {(i.kind, i.premises) for i in incidents(house.db, Filter(), limit=1000)}
    assert ("magnet", str(satka.MAGNET)) in found
    assert ("silent_meter", str(satka.SILENT)) in found
    assert all(i.rule.startswith("incident_limits@2000-01-01#") for i in incidents(house.db, Filter()))


def test_fr_09_a_round_again_changes_nothing(house: satka.Satka) -> None:
    now = now_of(house)
    assert run(house.db, now, BOOK)
    before = everything(house)
    assert run(house.db, now, BOOK) == []
    assert run(house.db, now, BOOK, slow=False) == []
    assert everything(house) == before


def finding(start: int = 5, end: int | None = None, kind: str = "leak", meter: int = 1) -> Finding:
    return Finding(kind, Place(1, None, None, meter), start, {"x": start}, end)


def rounds(house: satka.Satka, *each: list[Finding], settled: tuple[str, ...] = ("leak",)) -> list[list[str]]:
    told = []
    for now, found in enumerate(each, 100):
        with house.db.transaction() as connection:
            told.append([change.change for change in apply(connection, found, settled, now, "r")])
    return told


def test_fr_09_an_incident_opens_once_and_closes_once(house: satka.Satka) -> None:
    assert rounds(house, [finding()], [finding()], [], [], [finding(50)]) == [
        ["opened"],
        [],
        ["closed"],
        [],
        ["opened"],
    ]
    rows = house.db.rows("SELECT started_at_us, ended_at_us, seen_at_us FROM incident ORDER BY id")
    assert rows == [(5, 102, 101), (50, None, 104)]


def test_fr_09_what_began_and_ended_between_two_rounds_is_kept(house: satka.Satka) -> None:
    assert rounds(house, [finding(5, 9)], [finding(5, 9)]) == [["opened", "closed"], []]
    assert rounds(house, [finding(20)], [finding(20, 30)]) == [["opened"], ["closed"]]
    assert house.db.rows("SELECT started_at_us, ended_at_us FROM incident ORDER BY id") == [(5, 9), (20, 30)]


def test_fr_09_a_kind_that_was_not_looked_for_does_not_end(house: satka.Satka) -> None:
    assert rounds(house, [finding()], [], settled=()) == [["opened"], []]


def test_fr_09_two_detectors_of_one_thing_are_one_incident(house: satka.Satka) -> None:
    assert rounds(house, [finding(7), finding(5), finding(6, 8)]) == [["opened"]]
    assert house.db.rows("SELECT started_at_us FROM incident") == [(5,)]


def test_fr_09_acknowledgement_and_comments(house: satka.Satka) -> None:
    rounds(house, [finding()])
    (one,) = incidents(house.db, Filter(state="new"))
    acknowledge(house.db, one.id, "anna", 200)
    acknowledge(house.db, one.id, "boris", 300)
    comment(house.db, one.id, "anna", " Слесарь выехал ", 210)
    seen = get_incident(house.db, one.id)
    assert (seen.acknowledged_by, seen.acknowledged_at_us) == ("anna", 200)
    assert [(c.author, c.text) for c in seen.comments] == [("anna", "Слесарь выехал")]
    assert incidents(house.db, Filter(state="new")) == []
    assert counts(house.db) == {"leak": 1}
    with pytest.raises(RegistryError, match="no incident 99"):
        acknowledge(house.db, 99, "anna", 1)
    with pytest.raises(RegistryError, match="1 to 4000"):
        comment(house.db, one.id, "anna", "  ", 1)


def test_fr_09_filters(house: satka.Satka) -> None:
    run(house.db, now_of(house), BOOK)
    every = incidents(house.db, Filter(), limit=1000)
    for wanted, passes in (
        (Filter(kinds=("magnet",)), lambda i: i.kind == "magnet"),
        (Filter(layer="network"), lambda i: i.layer == "network"),
        (Filter(severity="critical"), lambda i: i.severity == "critical"),
        (Filter(state="closed"), lambda i: i.ended_at_us is not None),
        (Filter(meter_id=every[0].meter_id), lambda i: i.meter_id == every[0].meter_id),
        (Filter(building_id=2), lambda i: False),
        (Filter(q="БАКАЛЬСКАЯ"), lambda i: "Бакальская" in i.address),
    ):
        assert {i.id for i in incidents(house.db, wanted, limit=1000)} == {i.id for i in every if passes(i)}, wanted
    page = incidents(house.db, Filter(), limit=2)
    rest = incidents(house.db, Filter(), limit=1000, before=(page[-1].started_at_us, page[-1].id))
    assert [i.id for i in page + rest] == [i.id for i in every]


def gateway_event(id_: int, code: str, at_us: int) -> Event:
    return Event(id_, "gateway", at_us, "", gateway_eui="0016c001ff10a235", level="ERROR", code=code, text="not heard")


def test_fr_09_gateway_events_of_the_network_become_a_silent_gateway(house: satka.Satka) -> None:
    now = now_of(house)
    down, up = gateway_event(900_001, "GATEWAY_OFFLINE", now - 2 * HOUR), gateway_event(900_002, "GATEWAY_ONLINE", now)
    Ingest(house.db, lambda: now).take([down])
    run(house.db, now, BOOK, slow=False)
    (silent,) = incidents(house.db, Filter(kinds=("silent_gateway",)))
    assert (silent.gateway_eui, silent.started_at_us, silent.ended_at_us) == ("0016c001ff10a235", now - 2 * HOUR, None)
    Ingest(house.db, lambda: now).take([up])
    run(house.db, now + 1, BOOK, slow=False)
    assert get_incident(house.db, silent.id).ended_at_us == now


def test_fr_08_overdue_verification(house: satka.Satka) -> None:
    now = now_of(house)
    meter = house.db.rows("SELECT meter_id FROM installation WHERE removed_at_us IS NULL LIMIT 1")[0][0]
    with house.db.transaction() as connection:
        connection.execute("UPDATE meter SET verification_until = NULL")
        connection.execute("UPDATE meter SET verification_until = '2026-09-30' WHERE id = ?", (meter,))
    run(house.db, now, BOOK, slow=False)
    (overdue,) = incidents(house.db, Filter(kinds=("verification",)))
    assert (overdue.meter_id, overdue.evidence) == (meter, {"until": "2026-09-30", "readings_count": False})
    with house.db.transaction() as connection:
        connection.execute("UPDATE meter SET verification_until = '2032-09-30' WHERE id = ?", (meter,))
    run(house.db, now + 1, BOOK, slow=False)
    assert get_incident(house.db, overdue.id).ended_at_us == now + 1


def test_fr_26_theft_out_of_the_houses_days(house: satka.Satka) -> None:
    """The readings of one flat fall from a day on, the common meter's do not; other flats have gaps."""
    last = house.db.rows("SELECT max(day) FROM boundary")[0][0]
    point = house.db.rows(
        "SELECT p.id FROM point p JOIN boundary b ON b.point_id = p.id WHERE p.role = 'individual'"
        " AND p.resource = 'cold_water' AND b.day BETWEEN ? AND ? GROUP BY p.id HAVING count(*) = 15"
        " ORDER BY max(b.total_micro) - min(b.total_micro) DESC LIMIT 1",
        (last - 14, last),
    )[0][0]
    marks = dict(house.db.rows("SELECT day, total_micro FROM boundary WHERE point_id = ?", (point,)))
    with house.db.transaction() as connection:
        for day in range(last - 6, last + 1):
            slowed = marks[last - 7] + (marks[day] - marks[last - 7]) // 50
            connection.execute(
                "UPDATE boundary SET total_micro = ? WHERE point_id = ? AND day = ?", (slowed, point, day)
            )
    run(house.db, (last * 86_400 - 5 * 3600 + 3600) * 1_000_000, BOOK)
    assert [i.point_id for i in incidents(house.db, Filter(kinds=("theft",)))] == [point]


# ------------------------------------------------------------------------------------------------------- being told


def test_fr_09_subscriptions_choose_by_building_kind_and_severity(house: satka.Satka) -> None:
    now = now_of(house)
    add_subscription(house.db, {"channel": "email", "target": "duty@example.org"}, now)
    add_subscription(house.db, {"channel": "email", "target": "far@example.org", "building_id": 77}, now)
    add_subscription(house.db, {"channel": "email", "target": "tamper@example.org", "kinds": "magnet opened"}, now)
    with house.db.transaction() as connection:
        connection.execute("DELETE FROM device_flag")
        connection.execute(
            "INSERT INTO device_flag (dev_eui, flag, raised_at_us, note) SELECT dev_eui, 'magnetic_tamper', ?, ''"
            " FROM module_channel LIMIT 1",
            (now - HOUR,),
        )
    letters: list[Letter] = []

    async def carry(letter: Letter) -> None:
        letters.append(letter)

    run(house.db, now, BOOK)
    asyncio.run(send_due(house.db, carry, now, "Asia/Yekaterinburg", "https://meters.example.org"))
    told = {letter.target: letter for letter in letters}
    assert "far@example.org" not in told
    assert told["tamper@example.org"].subject.startswith("Магнит — Челябинская область")
    assert "https://meters.example.org/incidents?building_id=1" in told["tamper@example.org"].text
    letters.clear()
    asyncio.run(send_due(house.db, carry, now + HOUR, "UTC"))
    run(house.db, now + 1, BOOK)
    asyncio.run(send_due(house.db, carry, now + HOUR, "UTC"))
    assert letters == [], "nobody is told twice"


def test_fr_09_a_notice_that_cannot_be_sent_waits_and_is_given_up(house: satka.Satka) -> None:
    add_subscription(house.db, {"channel": "email", "target": "duty@example.org", "language": "en"}, 0)
    with house.db.transaction() as connection:
        changes = apply(connection, [finding(10)], ("leak",), 10, "r")
        assert enqueue_notices(connection, subscriptions(house.db), changes, 10) == 1

    async def fails(letter: Letter) -> None:
        raise NotSent("no connection")

    def states() -> list[tuple[object, ...]]:
        return house.db.rows("SELECT state, attempts, error FROM notice")

    asyncio.run(send_due(house.db, fails, 20, "UTC"))
    assert states() == [("pending", 1, "no connection")]
    asyncio.run(send_due(house.db, fails, 21, "UTC"))
    assert states() == [("pending", 1, "no connection")], "its pause is not over"
    asyncio.run(send_due(house.db, fails, 25 * HOUR, "UTC"))
    assert states() == [("dead", 2, "no connection")]


class Mailbox(threading.Thread):
    """An SMTP server for one letter, by the words of RFC 5321."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.data = b""

    def run(self) -> None:
        peer, _ = self.server.accept()
        with peer, peer.makefile("rb") as lines:
            peer.sendall(b"220 box\r\n")
            for line in lines:
                word = line[:4].upper()
                if word == b"DATA":
                    peer.sendall(b"354 go\r\n")
                    for text in lines:
                        if text == b".\r\n":
                            break
                        self.data += text
                elif word == b"QUIT":
                    peer.sendall(b"221 bye\r\n")
                    return
                peer.sendall(b"250 ok\r\n")


def test_fr_09_e_mail_goes_out_over_smtp() -> None:
    box = Mailbox()
    box.start()
    settings = NotificationSettings(
        smtp_host="127.0.0.1", smtp_port=box.port, smtp_security="none", smtp_sender="m@x.org"
    )
    send_mail(settings, Letter("email", "duty@example.org", "", "Утечка — ул. Бакальская", "Начало: 01.11.2026"))
    box.join(10)
    mail = message_from_bytes(box.data)
    assert str(make_header(decode_header(mail["Subject"]))) == "Утечка — ул. Бакальская"
    assert mail.get_payload(decode=True).decode().strip() == "Начало: 01.11.2026"
    with pytest.raises(NotSent, match="no mail server"):
        send_mail(NotificationSettings(), Letter("email", "a@b.org", "", "", ""))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "channel"),
        ({"channel": "pigeon"}, "channel"),
        ({"channel": "email", "target": "nobody"}, "target"),
        ({"channel": "email", "target": "a@b.org\r\nBcc: c@d.org"}, "target"),
        ({"channel": "telegram", "target": "http://127.0.0.1/x"}, "target"),
        ({"channel": "page", "kinds": "leak flood"}, "kinds"),
        ({"channel": "page", "role": "king"}, "role"),
        ({"channel": "page", "severity": "huge"}, "severity"),
    ],
)
def test_subscriptions_that_make_no_sense(house: satka.Satka, values: dict[str, str], field: str) -> None:
    with pytest.raises(RegistryError) as caught:
        add_subscription(house.db, values, 0)
    assert caught.value.field == field


def test_fr_09_the_page_points_out_by_role_and_building(house: satka.Satka) -> None:
    assert pointed_out([], Role.viewer, "leak", 1)
    add_subscription(house.db, {"channel": "page", "role": "engineer", "building_id": 1, "kinds": "leak"}, 0)
    found = subscriptions(house.db)
    assert pointed_out(found, Role.engineer, "leak", 1)
    assert not pointed_out(found, Role.viewer, "leak", 1)
    assert not pointed_out(found, Role.admin, "leak", 2)
    assert not pointed_out(found, Role.admin, "magnet", 1)


def test_fr_09_integrations_get_incidents_on_the_buildings_topic(house: satka.Satka) -> None:
    create_sink(house.db, {"name": "bus", "url": "https://bus.example.org", "events": "incident"}, 0)
    now = now_of(house)
    run(house.db, now, BOOK)
    bodies = [
        json.loads(body) for (body,) in house.db.rows("SELECT body FROM outbox WHERE type = 'incident' ORDER BY id")
    ]
    opened = [body for body in bodies if body["change"] == "opened"]
    assert len(opened) == len(incidents(house.db, Filter(), limit=1000))
    assert all(body["topic"] == "metering/1/incident" for body in opened)
    magnet = next(body for body in opened if body["incident"]["kind"] == "magnet")
    assert magnet["incident"]["premises"] == str(satka.MAGNET)
