"""Pages of the registry: passport, seals, verifications, what a house consists of, the address register."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from appserver import registry
from tests.support import gar_sample as sample
from tests.support.console import Console
from tests.support.house import House, make_house


async def a_house(console: Console, language: str = "ru") -> House:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    return make_house(console.services.database)


async def shown(console: Console, path: str) -> str:
    answer = await console.ask("GET", path)
    assert answer.status == 200, answer.text
    assert "%(" not in answer.text
    return unescape(answer.text)


def row(console: Console, kind: str, id_: int) -> Any:
    return registry.get(console.services.database, kind, id_)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Паспорт прибора учёта", "Межповерочный интервал", "Пломбы", "Журнал", "установлен", "Акт")),
        ("en", ("Passport of the meter", "Interval between verifications", "Seals", "Journal", "installed", "Act")),
    ],
)
async def test_fr_07_the_passport_in_both_languages(console: Console, language: str, words: tuple[str, ...]) -> None:
    house = await a_house(console, language)
    text = await shown(console, f"/meters/{house.meters['1']}/passport")
    for word in words:
        assert word in text
    assert f"/meters/{house.meters['1']}/passport" in await shown(console, f"/meters/{house.meters['1']}")


async def test_fr_07_forms_of_the_passport(console: Console) -> None:
    house = await a_house(console)
    db, meter = console.services.database, house.meters["1"]
    page = f"/meters/{meter}/passport"

    async def send(form: str, **fields: str) -> int:
        return (await console.post(page, form=form, **fields)).status

    passport = {
        "serial": "18270260",
        "model": "<b>СВК",
        "digits": "5",
        "q3": "1,6",
        "made_year": "2024",
        "verification_months": "72",
    }
    assert await send("passport", **passport) == 303
    assert (row(console, "meter", meter).q3, row(console, "meter", meter).made_year) == (Decimal("1.6"), 2024)
    assert await send("passport", serial="18270260", model="", digits="5") == 303
    assert (row(console, "meter", meter).q3, row(console, "meter", meter).model) == (None, "")
    assert await send("passport", **passport) == 303
    assert await send("verification", verified_on="2026-05-10", result="fit", arshin_number="С-ГЭШ/1") == 303
    assert row(console, "meter", meter).verification_until.isoformat() == "2032-05-09"
    assert await send("seal", number="0012", place="гайка", set_on="2026-10-02", set_act="акт 16") == 303
    (seal,) = registry.page(db, "seal", meter_id=meter).items
    assert await send("unseal", of=str(seal.id), removed_on="2026-10-04", removed_by="Петров") == 303
    (hung,) = registry.page(db, "installation", meter_id=meter).items
    assert await send("acts", of=str(hung.id), install_act="акт 15", commissioned_on="2026-10-03") == 303
    assert await send("state", state="failed", document="акт 30", effective_on="2026-10-05") == 303
    assert await send("note", remark="стекло треснуло") == 303
    assert (
        await send("remove", of=str(hung.id), removed_on="2026-10-20", end_value="101,5", removal_act="акт 31") == 303
    )
    assert row(console, "installation", hung.id).end_value == Decimal("101.5")
    text = await shown(console, page)
    for word in ("С-ГЭШ/1", "0012", "акт 15", "акт 31", "стекло треснуло", "неисправен", "10 мая 2026"):
        assert word in text
    assert "<b>СВК" not in (await console.ask("GET", page)).text


async def test_what_is_wrong_is_said_and_the_form_keeps_what_was_typed(console: Console) -> None:
    house = await a_house(console)
    page = f"/meters/{house.meters['1']}/passport"
    for fields, words in (
        ({"form": "seal", "number": "77", "set_on": ""}, ("Установлена", "77")),
        ({"form": "passport", "serial": "x", "digits": "много"}, ("Разряд", "много")),
        ({"form": "state", "state": "in_stock"}, ("state",)),
        ({"form": "remove", "of": "1", "removed_on": "2026-10-20", "end_value": ""}, ("Показание при снятии",)),
    ):
        answer = await console.post(page, **fields)
        assert answer.status in (409, 422), fields
        for word in words:
            assert word in unescape(answer.text), (fields, word)
    assert (await console.post(page, form="nothing")).status == 422
    assert (await console.post(page, form="unseal", of="4711", removed_on="2026-01-01")).status == 404
    assert (await console.ask("GET", "/meters/4711/passport")).status == 404


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_what_a_house_consists_of(console: Console, language: str) -> None:
    house = await a_house(console, language)
    db, page = console.services.database, f"/houses/{house.building_id}/registry"

    async def send(path: str = page, **fields: str) -> None:
        answer = await console.post(path, **fields)
        assert answer.status == 303, unescape(answer.text)

    await send(form="entrance", number="1", floors="5", door_code="42К")
    (entrance,) = registry.page(db, "entrance", building_id=house.building_id).items
    await send(
        form="new_premises",
        number="3",
        kind="flat",
        account_number="74013",
        area_m2="45,5",
        entrance_id=str(entrance.id),
    )
    flat = registry.page(db, "premises", building_id=house.building_id, q="74013").items[0]
    assert (flat.entrance_id, flat.area_m2) == (entrance.id, Decimal("45.5"))
    opened = f"{page}?premises={flat.id}"
    told = {"residents": "3", "effective_on": "2026-09-01", "document": "справка 12"}
    await send(opened, form="premises", of=str(flat.id), kind="flat", entrance_id="", area_m2="45,5", **told)
    assert (row(console, "premises", flat.id).residents, row(console, "premises", flat.id).entrance_id) == (3, None)
    await send(opened, form="account", of=str(flat.id), number="74014", holder="Иванов И. И.")
    account = registry.page(db, "account", premises_id=flat.id, number="74014").items[0]
    await send(opened, form="close_account", of=str(account.id), closed_on="2026-09-30")
    point = registry.create(db, "point", {"building_id": house.building_id, "premises_id": flat.id, "resource": "gas"})
    registry.create(db, "meter", {"serial": "G-1", "resource": "gas"})
    await send(opened, form="install", of=str(point.id), serial="G-1", installed_on="2026-09-02", start_value="0,5")
    address = row(console, "building", house.building_id).address
    about = {"address": address, "kind": "school", "timezone": "Asia/Yekaterinburg", "floors": "5"}
    await send(form="building", **about)
    await send(form="building_state", state="closed", document="приказ 1")
    await send(form="note", remark="обход подвала")
    text = await shown(console, opened)
    for word in ("42К", "74013", "74014", "Иванов И. И.", "G-1", "справка 12", "приказ 1", "обход подвала"):
        assert word in text
    wrong = await console.post(
        opened, form="install", of=str(point.id), serial="нет", installed_on="2026-09-02", start_value="0"
    )
    assert wrong.status == 422
    assert (await console.ask("GET", "/houses/4711/registry")).status == 404


async def test_dispatchers_write_notes_and_change_nothing_else(console: Console) -> None:
    house = make_house(console.services.database)
    await console.sign_in(role="dispatcher")
    page = f"/meters/{house.meters['1']}/passport"
    assert (await console.post(page, form="note", remark="осмотр")).status == 303
    assert (await console.post(page, form="state", state="failed")).status == 403
    assert (await console.post(f"/houses/{house.building_id}/gar", guid=sample.guid(1000))).status == 403


# --------------------------------------------------------------------------------------------------------------- ГАР


async def with_register(console: Console) -> None:
    """Regions are put into the folder, and loaded by the page."""
    folder: Path = console.services.settings.data_dir / "gar"
    folder.mkdir()
    sample.write_zip(folder / "gar_xml.zip")
    answer = await console.post("/gar", archive="gar_xml.zip", regions="74", history="1")
    assert answer.status == 303, unescape(answer.text)
    while any(job.running for job in console.services.jobs.of_kind("gar")):
        await asyncio.sleep(0.02)
    (job,) = console.services.jobs.of_kind("gar")
    assert (job.state, job.error) == ("done", "")


@pytest.mark.parametrize(("language", "word"), [("ru", "Реестр адресов"), ("en", "Address register")])
async def test_fr_24_the_register_is_loaded_searched_and_bound(console: Console, language: str, word: str) -> None:
    house = await a_house(console, language)
    assert "meterwan gar import" in await shown(console, "/gar")
    await with_register(console)
    text = await shown(console, "/gar")
    assert word in text
    assert "Челябинская обл." in text
    assert "ул. Бакальская, д. 12" in text  # the house of the registry is found by its address
    assert "ул. Бакальская, д. 12А" in await shown(console, "/gar?q=" + quote("Сатка бакальская 12"))
    page = f"/houses/{house.building_id}/registry"
    assert sample.guid(1002) in await shown(console, f"{page}?gar={quote('Бакальская 12а')}")
    assert (await console.post(f"/houses/{house.building_id}/gar", guid=sample.guid(1005))).status == 303
    assert row(console, "building", house.building_id).fias_guid == sample.guid(1002)
    for wrong in (sample.guid(1006), sample.guid(300), sample.guid(4711), "x"):
        assert (await console.post(f"/houses/{house.building_id}/gar", guid=wrong)).status == 422, wrong
    registry.update(console.services.database, "building", house.building_id, {"fias_guid": sample.guid(7777)})
    assert sample.guid(1000) in await shown(console, page)
    assert (await console.post("/gar", bind="1")).status == 303
    assert row(console, "building", house.building_id).fias_guid == sample.guid(1000)
    assert "74:18:0803101:45" in await shown(console, page)


async def test_loading_that_cannot_be_is_refused(console: Console) -> None:
    await a_house(console)
    await with_register(console)
    for archive, regions in (("gar_xml.zip", "747"), ("gar_xml.zip", ""), ("../gar.db", "74"), ("other.zip", "74")):
        assert (await console.post("/gar", archive=archive, regions=regions)).status == 422, (archive, regions)
    assert (await console.post("/gar", archive="gar_xml.zip", regions="77")).status == 303
    job = console.services.jobs.of_kind("gar")[0]
    while job.running:
        await asyncio.sleep(0.02)
    assert "no region 77" in job.error
