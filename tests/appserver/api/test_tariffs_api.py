"""FR-19 over the API: registers of the meter and zones of the day beside each other."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from tests.appserver.metering.test_zone_volumes import half_hours, meter, tell
from tests.support.console import Console


async def test_fr_19_tariffs_of_a_point(console: Console) -> None:
    db = console.services.database
    point, made = meter(db, "Europe/Moscow")
    moments = half_hours(date(2026, 10, 1), date(2026, 10, 3), ZoneInfo("Europe/Moscow"))
    tell(db, made, moments, [1000 * n for n in range(len(moments))])
    answer = await console.api("GET", f"/points/{point}/tariffs?from=2026-10-01&to=2026-10-03")
    assert answer.status == 200
    assert [(its["zone"], its["volume"]) for its in answer.json["zones"]] == [("day", "64.000"), ("night", "32.000")]
    assert (answer.json["total"], answer.json["unknown"], answer.json["registers"]) == ("96.000", "0.000", {})
    assert answer.json["rules"]
    assert (await console.api("GET", "/points/99/tariffs?from=2026-10-01&to=2026-10-03")).status == 404
    wrong = await console.api("GET", f"/points/{point}/tariffs?from=2026-10-01&to=2026-10-03&zones=nine")
    assert wrong.status == 422
