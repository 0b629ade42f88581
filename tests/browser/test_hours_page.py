"""The page of a house's hours as people see it: a chart of the hours, on a desktop and on a phone."""

from __future__ import annotations

import pytest

from appserver.metering.readings import NewReading, store
from tests.support.browsing import Visit
from tests.support.console import Console
from tests.support.house import FIRST_DAY, make_house

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(("phone", "language"), [(False, "ru-RU"), (True, "en-US")])
async def test_hours_of_a_house_are_drawn(console: Console, visit: Visit, phone: bool, language: str) -> None:
    db = console.services.database
    house = make_house(db)
    start_us = int(FIRST_DAY.timestamp()) * 1_000_000
    readings = [
        NewReading(
            meter, "volume", start_us + hour * HOUR_US, 100_000_000 + hour * step, "archive", "lorawan", start_us
        )
        for meter, step in ((house.meters["house"], 20_800), (house.meters["1"], 6_200), (house.meters["2"], 10_400))
        for hour in range(1, 5 * 24)
        if hour % 24
    ]
    with db.transaction() as connection:
        store(connection, readings, start_us + 30 * 24 * HOUR_US)
    watched = await visit(phone=phone, language=language)
    for length in ("week", "year"):
        await watched.go(f"/houses/{house.building_id}/hours?length={length}")
        await watched.page.wait_for_selector("#chart[data-drawn] canvas")
        assert not await watched.is_wider_than_the_screen()
    watched.assert_quiet()
