"""The book of the registry: out, in with a trial run that names every wrong row, applied; over the API and by its page."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import aiohttp
import openpyxl
import pytest

from appserver import registry
from tests.support.console import Answer, Console
from tests.support.house import make_house

BOOK = "/registry-book"


def form(data: bytes, name: str = "книга.xlsx", **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False)
    for field, value in fields.items():
        made.add_field(field, value)
    made.add_field("file", data, filename=name, content_type="application/octet-stream")
    return made


async def finished(console: Console, answer: Answer, kind: str = "imports") -> dict[str, Any]:
    assert answer.status == 202, answer.text
    job = answer.json
    async with asyncio.timeout(20):
        while job["state"] in ("queued", "running"):
            await asyncio.sleep(0.02)
            job = (await console.api("GET", f"{BOOK}/{kind}/{job['id']}")).json
    return job


async def taken_out(console: Console, **body: str) -> bytes:
    job = await finished(console, await console.api("POST", f"{BOOK}/exports", json=body), "exports")
    assert (job["state"], job["error"]) == ("done", "")
    file = await console.api("GET", f"{BOOK}/exports/{job['id']}/file")
    assert len(file.body) == job["bytes"]
    return file.body


def changed(book: bytes, sheet: str, row: int, column: str, value: str) -> bytes:
    opened = openpyxl.load_workbook(io.BytesIO(book))
    head = [cell.value for cell in opened[sheet][1]]
    opened[sheet].cell(row, head.index(column) + 1).value = value
    buffer = io.BytesIO()
    opened.save(buffer)
    return buffer.getvalue()


async def test_the_book_goes_out_is_tried_and_applied(console: Console) -> None:
    db = console.services.database
    make_house(db)
    book = await taken_out(console)
    same = await finished(console, await console.api("POST", f"{BOOK}/imports", data=form(book, dry_run="true")))
    assert same["result"]["errors"] == []
    assert {t["table"]: (t["created"], t["changed"], t["unchanged"]) for t in same["result"]["tables"]} == {
        "organisations": (0, 0, 1), "buildings": (0, 0, 1), "premises": (0, 0, 2), "accounts": (0, 0, 2),
        "points": (0, 0, 3), "meters": (0, 0, 3), "verifications": (0, 0, 3), "installations": (0, 0, 3),
    }  # fmt: skip
    mended = changed(book, "premises", 2, "residents", "3")
    trial = await finished(console, await console.api("POST", f"{BOOK}/imports", data=form(mended, dry_run="true")))
    assert (trial["dry_run"], trial["result"]["applied"], trial["filename"]) == (True, False, "книга.xlsx")
    flat = registry.page(db, "premises").items[0]
    assert flat.residents is None
    done = await finished(console, await console.api("POST", f"{BOOK}/imports/{trial['id']}/apply"))
    assert done["result"]["applied"]
    assert {"table": "premises", "created": 0, "changed": 1, "unchanged": 1} in done["result"]["tables"]
    assert registry.get(db, "premises", flat.id).residents == 3
    line = registry.events(db, "premises", flat.id)[0]
    assert (line.actor, line.field, line.after, line.remark) == ("token:admin", "residents", "3", "import: книга.xlsx")
    audit = (await console.api("GET", "/audit")).text
    assert "registry-book.import" in audit
    assert "registry-book.export" in audit
    assert (await console.api("POST", f"{BOOK}/imports/{done['id']}/apply")).status == 409
    assert len((await console.api("GET", f"{BOOK}/imports")).json["items"]) == 3


async def test_every_wrong_row_is_named_and_nothing_is_done(console: Console) -> None:
    db = console.services.database
    make_house(db)
    wrong = changed(await taken_out(console), "premises", 2, "residents", "трое")
    wrong = changed(wrong, "buildings", 2, "timezone", "Марс")
    wrong = changed(wrong, "organisations", 2, "inn", "7417012345")
    job = await finished(console, await console.api("POST", f"{BOOK}/imports", data=form(wrong)))
    assert (job["result"]["applied"], job["result"]["faults"]) == (False, 2)
    assert [(e["table"], e["row"], e["column"]) for e in job["result"]["errors"]] == [
        ("buildings", 2, "timezone"), ("premises", 2, "residents"),
    ]  # fmt: skip
    assert registry.page(db, "organisation").items[0].inn == ""
    assert (await console.api("POST", f"{BOOK}/imports/{job['id']}/apply")).status == 409


async def test_one_table_as_csv_and_what_is_no_table(console: Console) -> None:
    make_house(console.services.database)
    table = await taken_out(console, format="csv", table="meters")
    assert table.startswith(b"\xef\xbb\xbfserial;")
    same = await finished(
        console, await console.api("POST", f"{BOOK}/imports", data=form(table, "meters.csv", table="meters"))
    )
    assert same["result"]["tables"] == [{"table": "meters", "created": 0, "changed": 0, "unchanged": 3}]
    for data in (b"", b"PK\x03\x04 broken", b"a;b\r\n1;2\r\n", b"serial\r\n"):
        job = await finished(console, await console.api("POST", f"{BOOK}/imports", data=form(data, table="meters")))
        assert job["state"] == "failed", data
        assert job["error"]
    for body in ({"format": "csv"}, {"table": "meters"}, {"format": "pdf"}, {"format": "csv", "table": "users"}):
        assert (await console.api("POST", f"{BOOK}/exports", json=body)).status == 422, body
    for fields in ({"table": "users"}, {"other": "1"}, {"dry_run": "perhaps"}):
        assert (await console.api("POST", f"{BOOK}/imports", data=form(table, **fields))).status == 422, fields
    assert (await console.api("POST", f"{BOOK}/imports", role="dispatcher", data=form(table))).status == 403
    assert (await console.api("POST", f"{BOOK}/exports", role="dispatcher", json={})).status == 403


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Книга реестра", "2 ошибки", "Помещения", "Что сделает импорт", "Файл готов")),
        ("en", ("Registry as a book", "2 faults", "Premises", "What the import would do", "The file is ready")),
    ],
)
async def test_the_page_of_the_book(console: Console, language: str, words: tuple[str, ...]) -> None:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    db = console.services.database
    make_house(db)

    async def shown(answer: Answer) -> str:
        assert answer.status == 303, answer.text
        async with asyncio.timeout(20):
            while "hx-trigger" in (text := (await console.ask("GET", answer.headers["Location"])).text):
                await asyncio.sleep(0.02)
        return text

    text = await shown(await console.post(f"{BOOK}/export", format="xlsx"))
    found = re.search(r'href="(/registry-book/export/[0-9a-f]{16}/file)"', text)
    assert found
    assert words[4] in text
    book = (await console.ask("GET", found[1])).body
    csrf = await console.csrf()
    wrong = changed(changed(book, "premises", 2, "residents", "<i>"), "premises", 3, "area_m2", "-")
    text = await shown(await console.ask("POST", BOOK, data=form(wrong, _csrf=csrf)))
    assert "residents" in text
    assert "<i>" not in text
    assert "/apply" not in text
    for word in words[:2]:
        assert word in text, word
    text = await shown(
        await console.ask("POST", BOOK, data=form(changed(book, "premises", 2, "floor", "4"), _csrf=csrf))
    )
    for word in words[2:4]:
        assert word in text, word
    (address,) = re.findall(r'action="([^"]+/apply)"', text)
    await shown(await console.post(address))
    assert registry.page(db, "premises").items[0].floor == 4
    page = await console.ask("GET", BOOK)
    assert words[0] in page.text
    assert "%(" not in page.text
    assert (await console.ask("POST", BOOK, data=form(book))).status == 403
    assert (await console.ask("POST", BOOK, data=form(book, _csrf=csrf, table="users"))).status == 422
    assert (await console.post(f"{BOOK}/export", format="csv")).status == 422
    assert (await console.ask("GET", f"{BOOK}/0123456789abcdef")).status == 404
