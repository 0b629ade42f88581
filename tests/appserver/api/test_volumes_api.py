"""Volumes of a free period over the API, as files and as a page: each with its quality and its error."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import openpyxl
import pytest

from tests.support.console import Console
from tests.support.house import make_house


async def test_volumes_of_a_house_and_of_a_point(console: Console) -> None:
    house = make_house(console.services.database)
    path = f"/volumes?building_id={house.building_id}&from=2026-10-01&to=2026-10-06"
    found = (await console.api("GET", path)).json
    assert (found["timezone"], found["from"], found["step"]) == (
        "Europe/Moscow", "2026-10-01T00:00:00+03:00", "whole",
    )  # fmt: skip
    assert [(i["role"], i["premises"], i["volume"], i["quality"]) for i in found["items"]] == [
        ("house", "", "2.500", "measured"),
        ("individual", "1", "0.750", "measured"),
        ("individual", "2", "1.250", "measured"),
    ]
    # The act has no clock; nothing compared the other one: five minutes of five days.
    assert Decimal(found["items"][1]["error"]) == Decimal(found["items"][1]["clock"]) == Decimal("0.000521")
    one = f"/volumes?point_id={house.points['2']}&from=2026-10-01&to=2026-10-06"
    days = (await console.api("GET", one + "&step=day")).json["items"]
    assert [item["volume"] for item in days] == ["0.250"] * 5
    assert days[0]["period_end"] == days[1]["period_start"] == "2026-10-02T00:00:00+03:00"
    hours = (
        await console.api("GET", one.replace("2026-10-01", "2026-10-01T00:00:00%2B03:00") + "&resource=cold_water")
    ).json["items"]
    assert [item["volume"] for item in hours] == ["1.250"]
    beyond = (await console.api("GET", one.replace("2026-10-06", "2026-11-06"))).json["items"][0]
    assert (beyond["quality"], beyond["volume"], beyond["end_at"]) == (
        "partial", "1.250", "2026-10-06T00:00:00+03:00",
    )  # fmt: skip
    for wrong, status in (
        (path + "&point_id=1", 422),
        ("/volumes?from=2026-10-01&to=2026-10-06", 422),
        ("/volumes?point_id=4711&from=2026-10-01&to=2026-10-06", 404),
        (one + "&resource=gas", 422),
        (one.replace("2026-10-06", "2026-09-06"), 422),
        (one.replace("2026-10-06", "2038-10-06"), 422),
        (one + "&step=week", 422),
        (one.replace("to=2026-10-06", "to=soon"), 422),
    ):
        answer = await console.api("GET", wrong)
        assert answer.status == status, (wrong, answer.text)
    assert {error["field"] for error in answer.json["errors"]} == {"to"}


async def test_volumes_as_files_of_a_house_and_of_the_town(console: Console) -> None:
    db = console.services.database
    house = make_house(db)
    make_house(db, "г. Сатка, ул. Бакальская, 14")
    days = "from=2026-10-01&to=2026-10-06&format=csv&language=en"

    async def rows(query: str) -> list[dict[str, str]]:
        answer = await console.api("GET", f"/volumes/file?{query}")
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Disposition"] == 'attachment; filename="volumes-2026-10-01-2026-10-06.csv"'
        return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig")), delimiter=";"))

    of_house = await rows(f"building_id={house.building_id}&{days}")
    assert [(r["Point"], r["Volume"], r["Error, ±"], r["Method"]) for r in of_house] == [
        ("common", "2.500", "0.001737", "measured"),
        ("individual", "0.750", "0.000521", "measured"),
        ("individual", "1.250", "0.000869", "measured"),
    ]
    of_town = await rows(days)
    assert len(of_town) == 6
    assert [[row[name] for name in of_house[0]] for row in of_town[:3]] == [list(row.values()) for row in of_house]
    assert of_town[-1]["Address"] == "г. Сатка, ул. Бакальская, 14"
    assert await rows(f"organisation_id=4711&{days}") == []
    book = await console.api("GET", f"/volumes/file?from=2026-10-01&to=2026-10-06&building_id={house.building_id}")
    cells = [
        cell for row in openpyxl.load_workbook(io.BytesIO(book.body)).active.iter_rows(values_only=True) for cell in row
    ]
    assert "Погрешность, ±" in cells
    assert 0.75 in cells
    for wrong in ("step=day", "format=pdf", "from=2026-10-01T00:00:00Z"):
        query = "&".join(p for p in days.split("&") if p.split("=")[0] != wrong.split("=")[0])
        assert (await console.api("GET", f"/volumes/file?{query}&{wrong}")).status == 422, wrong


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Расход", "0,750", "0,001", "Погрешность, ±", "измерено")),
        ("en", ("Volumes", "0.750", "0.001", "Error, ±", "measured")),
    ],
)
async def test_the_page_of_volumes(console: Console, language: str, words: tuple[str, ...]) -> None:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    assert (await console.ask("GET", "/volumes")).status == 200
    house = make_house(console.services.database, "<i>дом")
    path = f"/volumes?building_id={house.building_id}&since=2026-10-01T00:00&until=2026-10-06T00:00"
    answer = await console.ask("GET", path)
    assert answer.status == 200
    for word in words:
        assert word in answer.text, word
    assert "<i>дом" not in answer.text
    assert "%(" not in answer.text
    by_day = (await console.ask("GET", f"{path}&step=day&point_id={house.points['1']}")).text
    assert by_day.count("<tr>") == 1 + 5
    refused = await console.ask("GET", path.replace("2026-10-06T00:00", "2026-09-06T07:30"))
    assert refused.status == 422
    for name, start in (("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK"), ("pdf", b"%PDF")):
        assert (await console.ask("GET", path.replace("?", "/download?") + f"&format={name}")).body.startswith(start)
    assert (await console.ask("GET", "/volumes/download?since=2026-10-01&until=2026-10-06")).body.startswith(b"PK")
