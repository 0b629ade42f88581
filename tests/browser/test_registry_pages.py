"""The registry's pages in a browser: no wider than a phone, nothing to complain of."""

from __future__ import annotations

import pytest

from appserver import registry
from tests.support.browsing import Visit
from tests.support.console import Console
from tests.support.house import make_house


@pytest.mark.parametrize("language", ["ru-RU", "en-US"])
async def test_pages_of_the_registry_fit_a_phone(console: Console, visit: Visit, language: str) -> None:
    db = console.services.database
    house = make_house(db, address="Челябинская область, город Сатка, улица Бакальская, дом 12")
    meter = house.meters["1"]
    registry.create(
        db, "seal", {"meter_id": meter, "number": "00123456", "set_on": "2026-10-02", "place": "накидная гайка"}
    )
    registry.create(db, "verification", {"meter_id": meter, "verified_on": "2026-05-10", "valid_until": "2032-05-09"})
    flat = registry.page(db, "premises", building_id=house.building_id).items[0]
    watched = await visit(phone=True, language=language)
    volumes = f"/volumes?building_id={house.building_id}&since=2026-10-01T00:00&until=2026-10-06T00:00&step=day"
    for path in (
        f"/meters/{meter}/passport",
        f"/houses/{house.building_id}/registry?premises={flat.id}",
        "/gar",
        "/registry-book",
        "/silent",
        volumes,
    ):
        await watched.go(path)
        assert not await watched.is_wider_than_the_screen(), path
        for summary in await watched.page.locator("details.fold > summary").all():
            await summary.click()
        assert not await watched.is_wider_than_the_screen(), path
    watched.assert_quiet()
