"""FR-25: signing in by account and a one-time code, the flat, readings by hand with a photo, requests, announcements."""

from __future__ import annotations

import io
import re
import struct
import zlib
from datetime import date
from typing import Any

import aiohttp
import pytest
from PIL import Image

from appserver import registry
from appserver.auth.throttle import ADDRESS_FAILURES, EVERYWHERE_FAILURES
from appserver.errors import RegistryError
from appserver.incidents.letters import Letter
from appserver.metering.resident import Stay
from appserver.residents import codes, photos
from appserver.web import pages_cabinet
from tests.support.console import Answer, Console
from tests.support.house import House, make_house

ACCOUNT = "74011"


def shot(size: tuple[int, int] = (2400, 1200), kind: str = "JPEG") -> bytes:
    """A photo as a phone makes it: with its place and its camera in EXIF."""
    picture = Image.new("RGB", size, (200, 40, 40))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "TelltalePhone", 6  # the maker; to be turned by a quarter
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    picture.save(out, kind, exif=exif)
    return out.getvalue()


async def slip_of(console: Console, premises_id: int = 1, **body: str) -> dict[str, Any]:
    answer = await console.api("POST", f"/premises/{premises_id}/codes", role="dispatcher", json=body)
    assert answer.status == 201, answer.text
    return dict(answer.json[0])


async def sign_in(console: Console, account: str, code: str) -> Answer:
    return await console.ask("POST", "/resident", data={"account": account, "code": code})


@pytest.fixture
def house(console: Console) -> House:
    return make_house(console.services.database)


async def cabinet(console: Console) -> str:
    answer = await console.ask("GET", "/cabinet?month=2026-10-01")
    assert answer.status == 200, answer.text
    return answer.text


async def test_fr_25_signing_in_by_account_and_code_once(console: Console, house: House) -> None:
    slip = await slip_of(console)
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", slip["code"]) and slip["account_number"] == ACCOUNT
    stored = console.services.database.rows("SELECT code_hash FROM resident_code")[0][0]
    assert stored.startswith("$argon2id$") and slip["code"] not in stored
    answer = await sign_in(console, ACCOUNT, slip["code"].lower().replace("-", " "))
    assert (answer.status, answer.headers["Location"]) == (303, "/cabinet")
    page = await cabinet(console)
    assert "0.750" in page and "№ 11" in page and "№ 12" not in page, "the own meter, not the neighbour's"
    assert ACCOUNT not in page
    console.http.cookie_jar.clear()
    again = await sign_in(console, ACCOUNT, slip["code"])
    assert again.status == 401 and "used already" in again.text
    assert (await console.ask("GET", "/cabinet")).status == 303
    audit = (await console.api("GET", "/audit?action=resident")).json["items"]
    assert [one["action"] for one in audit] == ["resident.sign_in.failed", "resident.sign_in", "resident.code"]
    assert ACCOUNT not in str(audit)


async def test_fr_25_a_new_code_ends_the_one_before_and_all_end(console: Console, house: House) -> None:
    first, second = await slip_of(console), await slip_of(console)
    assert first["user_id"] == second["user_id"], "the same resident"
    assert (await sign_in(console, ACCOUNT, first["code"])).status == 401
    console.clock.forward(codes.PAPER_US / 1_000_000 - 1)
    assert (await sign_in(console, ACCOUNT, second["code"])).status == 303
    third = await slip_of(console)
    console.http.cookie_jar.clear()
    console.clock.forward(codes.PAPER_US / 1_000_000)
    assert (await sign_in(console, ACCOUNT, third["code"])).status == 401


async def test_fr_25_an_unknown_account_looks_like_a_wrong_code(
    console: Console, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await slip_of(console)
    checked: list[int] = []
    verify = console.services.passwords.verify

    async def counting(stored: str | None, password: str) -> bool:
        checked.append(1)
        return await verify(stored, password)

    monkeypatch.setattr(console.services.passwords, "verify", counting)
    answers = [await sign_in(console, account, "AAAA-AAAA") for account in (ACCOUNT, "nobody")]
    assert len(checked) == 2 * codes.CANDIDATES, "the same work for both"
    told = [answer.text.replace(ACCOUNT, "").replace("nobody", "") for answer in answers]
    assert told[0] == told[1] and [answer.status for answer in answers] == [401, 401]


async def test_fr_25_guessing_is_bounded_for_an_account_and_for_an_address(console: Console, house: House) -> None:
    throttle, slip, now = console.services.throttle, await slip_of(console), console.clock()
    key = pages_cabinet._key(ACCOUNT)
    for number in range(EVERYWHERE_FAILURES):
        throttle.failed(key, f"10.0.0.{number}", now)
        throttle.failed_everywhere(key, now)
    answer = await sign_in(console, ACCOUNT, slip["code"])
    assert answer.status == 429 and answer.headers["Retry-After"] == "900", "a right code waits too"
    console.clock.forward(901)
    for number in range(ADDRESS_FAILURES):
        throttle.failed(f"account {number}", "127.0.0.1", console.clock())
    assert (await sign_in(console, ACCOUNT, slip["code"])).status == 429
    assert (await console.ask("POST", "/resident/code", data={"account": ACCOUNT})).status == 429
    console.clock.forward(901)
    assert (await sign_in(console, ACCOUNT, slip["code"])).status == 303


async def test_fr_25_codes_by_mail(console: Console, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    letters: list[Letter] = []
    monkeypatch.setattr(pages_cabinet, "send_mail", lambda settings, letter: letters.append(letter))
    monkeypatch.setattr(console.services.settings.notifications, "smtp_host", "mail.example")
    await slip_of(console, email="flat@example.org")
    known = await console.ask("POST", "/resident/code", data={"account": ACCOUNT})
    unknown = await console.ask("POST", "/resident/code", data={"account": "nobody"})
    assert known.text.replace(ACCOUNT, "") == unknown.text.replace("nobody", "")
    for task in list(pages_cabinet._letters):
        await task
    assert [letter.target for letter in letters] == ["flat@example.org"]
    code = re.search(r"[2-9A-Z]{4}-[2-9A-Z]{4}", letters[0].text)
    assert code is not None and ACCOUNT not in letters[0].text
    console.clock.forward(codes.MAIL_US / 1_000_000)
    assert (await sign_in(console, ACCOUNT, code[0])).status == 401
    await console.ask("POST", "/resident/code", data={"account": ACCOUNT})
    for task in list(pages_cabinet._letters):
        await task
    code = re.search(r"[2-9A-Z]{4}-[2-9A-Z]{4}", letters[1].text)
    assert code is not None and (await sign_in(console, ACCOUNT, code[0])).status == 303


async def send(console: Console, meter: int, value: str, photo: bytes = b"", csrf: str = "") -> Answer:
    form = aiohttp.FormData()
    for name, text in (("_csrf", csrf or await console.csrf()), ("meter_id", str(meter)), ("value", value)):
        form.add_field(name, text)
    form.add_field("file", photo, filename="m.jpg", content_type="image/jpeg")
    return await console.ask("POST", "/cabinet/readings", data=form)


async def test_fr_25_a_reading_by_hand_with_a_photo_when_the_radio_is_silent(console: Console, house: House) -> None:
    meter, db = house.meters["1"], console.services.database
    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    assert "is not heard by radio" in await cabinet(console), "the last was received three weeks ago"
    for value, says in (("100", "less than the last"), ("9999", "cannot have run through"), ("x", "")):
        refused = await send(console, meter, value, shot())
        assert refused.status in (409, 422) and says in refused.text, value
    assert (await send(console, meter, "101.2", b"<svg onload=alert(1)>")).status == 422
    assert (await send(console, meter, "101.2", shot(), csrf="0" * 43)).status == 403
    assert (await send(console, house.meters["2"], "110", shot())).status == 404
    assert db.rows("SELECT count(*) FROM photo") == [(0,)], "nothing refused leaves anything"
    assert (await send(console, meter, "101,25", shot())).headers["Location"] == "/cabinet?done=reading"
    value, source, author, at = db.rows(
        "SELECT value_micro, source, author, measured_at_us FROM reading WHERE meter_id = ? AND source = 'manual'",
        (meter,),
    )[0]
    assert (value, source, author[:9], at) == (101_250_000, "manual", "resident-", console.clock())
    photo_id, width, height, data = db.rows("SELECT id, width, height, data FROM photo")[0]
    assert (width, height) == (800, 1600), "turned upright, made smaller"
    assert b"Telltale" not in data and not Image.open(io.BytesIO(data)).getexif()
    answer = await console.ask("GET", f"/photos/{photo_id}")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", bytes(data))
    assert (await console.api("DELETE", f"/photos/{photo_id}")).status == 409, "it stays with its reading"


async def test_fr_25_a_meter_that_is_heard_takes_no_reading_by_hand(console: Console, house: House) -> None:
    from appserver.metering.readings import NewReading, store

    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    now = console.clock()
    with console.services.database.transaction() as connection:
        store(connection, [NewReading(house.meters["1"], "volume", now, 101_000_000, "archive", "lorawan", now)], now)
    assert "is not heard by radio" not in await cabinet(console)
    assert (await send(console, house.meters["1"], "101.2")).status == 409


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0" + b"\0" * 50, b"<html>", shot((40, 40))[:200]])
def test_fr_25_only_pictures_are_kept(data: bytes) -> None:
    with pytest.raises(RegistryError, match="not a photo"):
        photos.drawn_anew(data)


def test_fr_25_a_bomb_of_pixels_is_refused_by_its_heading() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    heading = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 2_500, 8, 2, 0, 0, 0))
    for bomb in (heading, heading.replace(struct.pack(">I", 2_500), struct.pack(">I", 30_000))):
        with pytest.raises(RegistryError):
            photos.drawn_anew(b"\x89PNG\r\n\x1a\n" + bomb + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


async def test_fr_25_requests_with_their_state_are_seen_by_author_and_staff_only(
    console: Console, house: House
) -> None:
    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    sent = {"premises_id": "1", "kind": "fault", "subject": "Течёт кран", "text": "С <b>утра</b>"}
    made = await console.post("/cabinet/tickets", **sent)
    assert made.headers["Location"] == "/cabinet/tickets/1"
    page = (await console.ask("GET", "/cabinet/tickets/1")).text
    assert "Течёт кран" in page and "&lt;b&gt;утра" in page
    assert (await console.post("/cabinet/tickets", **(sent | {"premises_id": "2"}))).status == 403, "not their flat"
    assert (await console.ask("GET", "/tickets")).status == 403
    answer = await console.api(
        "POST", "/tickets/1/messages", role="dispatcher", json={"text": "Слесарь едет", "state": "in_work"}
    )
    assert answer.json["state"] == "in_work" and len(answer.json["lines"]) == 2
    page = (await console.ask("GET", "/cabinet/tickets/1")).text
    assert "Слесарь едет" in page and "in work" in page and "token:dispatcher" not in page
    await console.api("POST", "/tickets/1/messages", role="dispatcher", json={"state": "done"})
    await console.post("/cabinet/tickets/1", text="Опять течёт")
    assert (await console.api("GET", "/tickets?state=open")).json["items"][0]["state"] == "new", "opened again"
    # the neighbour, and whoever moves in later, see none of it
    console.http.cookie_jar.clear()
    await sign_in(console, "74012", (await slip_of(console, 2))["code"])
    assert (await console.ask("GET", "/cabinet/tickets/1")).status == 404
    assert "кран" not in (await console.ask("GET", "/cabinet/tickets")).text
    assert (await console.post("/cabinet/tickets/1", text="х")).status == 404


async def test_fr_25_announcements_reach_the_houses_they_are_for(console: Console, house: House) -> None:
    other = make_house(console.services.database, "г. Сатка, ул. Солнечная, 3")
    for title, building, first, last in (
        ("Отключат воду", house.building_id, "2026-10-20", "2026-10-30"),
        ("Другим", other.building_id, "2026-10-20", None),
        ("Всем", None, "2026-10-26", None),
        ("Прошло", house.building_id, "2026-10-01", "2026-10-25"),
        ("Рано", house.building_id, "2026-10-27", None),
    ):
        body = {"building_id": building, "title": title, "text": "…", "first_day": first, "last_day": last}
        assert (await console.api("POST", "/announcements", role="dispatcher", json=body)).status == 201
    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    page = await cabinet(console)
    seen = [title for title in ("Отключат воду", "Другим", "Всем", "Прошло", "Рано") if title in page]
    assert seen == ["Отключат воду", "Всем"]


async def test_fr_25_who_moves_out_keeps_the_own_days_and_who_moves_in_starts_anew(
    console: Console, house: House
) -> None:
    db = console.services.database
    old = await slip_of(console)
    await sign_in(console, ACCOUNT, old["code"])
    account = next(one for one in registry.page(db, "account").items if one.number == ACCOUNT)
    registry.update(db, "account", account.id, {"closed_on": date(2026, 10, 3)})
    registry.create(db, "account", {"premises_id": 1, "number": "74099", "opened_on": date(2026, 10, 4)})
    page = await cabinet(console)
    assert "0.450" in page and "100.450" not in page.replace("100.300", ""), "three days of 0.150 each"
    assert "yours until" in page and "is not heard by radio" not in page
    assert (await send(console, house.meters["1"], "101.2")).status == 404
    assert (await console.post("/cabinet/tickets", premises_id="1", kind="fault", subject="х")).status == 403
    console.http.cookie_jar.clear()
    new = await slip_of(console)
    assert (new["account_number"], new["user_id"] == old["user_id"]) == ("74099", False)
    await sign_in(console, "74099", new["code"])
    page = await cabinet(console)
    assert "0.300" in page and "0.450" not in page, "two days of 0.150 each"
    assert (await console.ask("GET", "/cabinet?month=2026-09-01")).text.count("Nothing of this month") == 1


async def test_fr_25_the_pages_need_no_script_and_are_small(console: Console, house: House) -> None:
    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    for path in ("/cabinet", "/cabinet/tickets"):
        page = (await console.ask("GET", path)).text
        assert len(page) < 16_000 and "onclick" not in page
        for form in re.findall(r"<form[^>]*>", page):
            assert 'method="post"' in form and "hx-" not in form and "data-confirm" not in form, form
        assert ACCOUNT not in "".join(re.findall(r'(?:href|action)="[^"]*"', page))


async def test_fr_25_the_same_over_the_api(console: Console, house: House) -> None:
    await sign_in(console, ACCOUNT, (await slip_of(console))["code"])
    headers = {"X-CSRF-Token": await console.csrf()}
    [home] = (await console.ask("GET", "/api/v1/cabinet?month=2026-10-01")).json
    assert (home["number"], home["meters"][0]["volume"], home["meters"][0]["enter"]) == ("1", "0.750", True)
    made = await console.ask(
        "POST", "/api/v1/cabinet/tickets", json={"premises_id": 1, "subject": "Счёт", "kind": "charge"}, headers=headers
    )
    assert made.status == 201 and made.json["state"] == "new"
    more = await console.ask("POST", "/api/v1/cabinet/tickets/1/messages", json={"text": "ещё"}, headers=headers)
    assert [line["text"] for line in more.json["lines"]] == ["", "ещё"]
    assert [one["id"] for one in (await console.ask("GET", "/api/v1/cabinet/tickets")).json["items"]] == [1]
    assert (await console.api("GET", "/cabinet")).status == 404, "the staff has no flat"


async def test_fr_25_slips_of_a_whole_house_to_print(console: Console, house: House) -> None:
    await console.sign_in("disp", role="dispatcher")
    page = (await console.post(f"/houses/{house.building_id}/codes", premises_id="all")).text
    assert len(re.findall(r"[2-9A-Z]{4}-[2-9A-Z]{4}</b>", page)) == 2 and "/resident" in page
    assert (await console.ask("GET", f"/houses/{house.building_id}/codes")).text.count("</b>") < 3, "shown once"


def test_fr_25_days_of_a_stay() -> None:
    october, november = date(2026, 10, 1), date(2026, 11, 1)
    assert Stay().part(october, november) == (october, november)
    assert Stay(since=date(2026, 10, 10)).part(october, november) == (date(2026, 10, 10), november)
    since, until = Stay(until=october).part(october, november)
    assert since >= until, "no day of it"
