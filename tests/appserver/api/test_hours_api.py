"""Hours of a house over the API, as files and as a page."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape

import pytest

from appserver.metering.hours import settle
from appserver.metering.readings import NewReading, store
from tests.support.console import Console
from tests.support.house import FIRST_DAY, House, make_house

HOUR_US = 3_600_000_000
SPAN = "from=2026-10-01&to=2026-10-03"


def hourly(console: Console, address: str = "г. Сатка, ул. Бакальская, 12") -> House:
    """A day of hours: the house 20 litres each, flat 1 six, flat 2 ten of which some are missing."""
    db = console.services.database
    house = make_house(db, address)
    start_us = int(FIRST_DAY.timestamp()) * 1_000_000
    readings = [
        NewReading(house.meters[name], "volume", at_us, 100_000_000 + hour * litres * 1000, "archive", "lorawan", at_us)
        for name, litres in (("house", 20), ("1", 6), ("2", 10))
        for hour in range(1, 24)
        for at_us in [start_us + hour * HOUR_US]
        if name != "2" or not 3 <= hour <= 9
    ]
    with db.transaction() as connection:
        store(connection, readings, start_us + 30 * 24 * HOUR_US)
    settle(db)
    return house


async def test_hours_of_a_house(console: Console) -> None:
    house = hourly(console)
    path = f"/buildings/{house.building_id}/hours?{SPAN}"
    found = (await console.api("GET", path)).json
    assert (found["from"], found["to"], found["start"]) == ("2026-10-01", "2026-10-03", "2026-10-01T00:00:00+03:00")
    assert (found["points"], found["timezone"], found["unit"]) == (2, "Europe/Moscow", "m³")
    assert found["house_micro"][:23] == [20_000] * 23 and found["house_micro"][25] is None
    assert found["individual_micro"][:11] == [16_000] * 2 + [6_000] * 8 + [16_000]
    assert (found["known"][1:11], found["estimated"], found["closed_periods"]) == ([2] + [1] * 8 + [2], [0] * 48, [])
    assert {len(found[name]) for name in ("house_micro", "individual_micro", "known", "estimated")} == {48}
    for wrong, status in (
        (path.replace("2026-10-03", "2028-10-03"), 422),
        (path.replace("2026-10-03", "2026-10-01"), 422),
        (path + "&resource=steam", 422),
        (path.replace(f"/{house.building_id}/", "/4711/"), 404),
    ):
        assert (await console.api("GET", wrong)).status == status, wrong


async def test_hours_as_files(console: Console) -> None:
    house = hourly(console)
    path = f"/buildings/{house.building_id}/hours/file?{SPAN}&language=en"

    async def rows(more: str) -> list[dict[str, str]]:
        answer = await console.api("GET", path + more)
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig")), delimiter=";"))

    of_house = await rows("")
    assert len(of_house) == 48
    assert list(of_house[0].values()) == ["2026-10-01 00:00+0300", "0.020", "0.016", "0.004", "2", "0"]
    assert list(of_house[5].values()) == ["2026-10-01 05:00+0300", "0.020", "0.006", "0.014", "1", "0"]
    assert list(of_house[40].values()) == ["2026-10-02 16:00+0300", "", "0.000", "", "0", "0"]
    of_points = await rows("&of=points")
    names = list(of_points[0])[1:]
    assert [name.partition(" ")[0] for name in names] == ["common", "1", "2"]
    assert [of_points[5][name] for name in names] == ["0.020", "0.006", ""]
    russian = (await console.api("GET", path.replace("=en", "=ru"))).body.decode("utf-8-sig")
    assert russian.splitlines()[0].startswith("Начало часа;ОДПУ, м³;") and ";0,020;0,016;" in russian


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("По часам", "Наибольший час квартир", "0,032", "Год")),
        ("en", ("Hours", "Largest hour", "0.032", "Year")),
    ],
)
async def test_the_page_of_hours(console: Console, language: str, words: tuple[str, ...]) -> None:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    house = hourly(console, "<i>дом")
    page = await console.ask("GET", f"/houses/{house.building_id}/hours?length=week&until=2026-10-03")
    assert page.status == 200
    for word in words:
        assert word in page.text, word
    assert "<i>дом" not in page.text and "%(" not in page.text
    chart = json.loads(unescape(re.search(r'data-chart="([^"]*)"', page.text)[1]))  # type: ignore[index]
    at = chart["x"].index(1790812800)  # midnight of 1 October by the wall clock
    assert chart["series"][0]["values"][at : at + 2] == [0.02, 0.02]
    assert [values["values"][at + 30] for values in chart["series"]] == [None, None]
    year = await console.ask("GET", f"/houses/{house.building_id}/hours")
    assert year.status == 200 and '"dense": true' in unescape(year.text)
    assert f"/houses/{house.building_id}/hours?" in (await console.ask("GET", f"/houses/{house.building_id}")).text
    csv_file = await console.ask("GET", f"/houses/{house.building_id}/hours/download?length=week&until=2026-10-03")
    assert csv_file.status == 200 and len(csv_file.text.splitlines()) == 1 + 7 * 24
    assert (await console.ask("GET", "/houses/4711/hours")).status == 404
