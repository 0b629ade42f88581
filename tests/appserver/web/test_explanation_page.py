"""The explained imbalance on the page of a house and over the API."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support import faulty_house as faulty
from tests.support.console import Console


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Из чего складывается небаланс", "Подозрение на хищение", "кв. 5", "не прекращаются и ночью")),
        ("en", ("Where the imbalance comes from", "Suspected theft", "flat 5", "that do not stop at night")),
    ],
)
async def test_fr_12_the_page_says_where_the_imbalance_comes_from(
    console: Console, language: str, words: tuple[str, ...]
) -> None:
    house = faulty.build(console.services.database, address="<b>дом</b>")
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    answer = await console.ask("GET", f"/houses/{house.building_id}?period=2026-10")
    assert answer.status == 200
    for word in words:
        assert word in answer.text
    assert answer.text.count('<details class="cause') == 8
    assert "%(" not in answer.text
    assert "<b>дом</b>" not in answer.text
    by_hour = await console.ask("GET", f"/houses/{house.building_id}?step=hour&period=2026-10-02")
    assert 'class="cause' not in by_hour.text


async def test_fr_12_the_api_gives_causes_with_evidence(console: Console) -> None:
    house = faulty.build(console.services.database)
    path = f"/buildings/{house.building_id}/balance?resource=cold_water&from=2026-10-01&to=2026-11-01&step=month"
    balance = (await console.api("GET", path)).json
    told = balance["explanation"]
    assert Decimal(told["imbalance"]) == Decimal(balance["total"]["imbalance"])
    assert sum(Decimal(row["volume"]) for row in told["rows"]) == Decimal(told["imbalance"])
    theft = next(row for row in told["rows"] if row["cause"] == "theft")
    assert (theft["evidence"][0]["premises"], theft["evidence"][0]["since"]) == ("5", "2026-10-15")
    assert Decimal(balance["total"]["clock"]) > 0
    assert Decimal(balance["total"]["error"]) >= Decimal(balance["total"]["clock"])
    assert (await console.api("GET", path + "&explain=false")).json["explanation"] is None
