"""The balance of a simulated house, day by day, equals what its meters really did: to the last tenth of a litre."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from lorasim import runner, scenario
from lorasim.house import RESOURCES, SimulatedHouse, start_of

from tests.support.server import Server, running, wait_until

SCENARIO = """
name = "balance"
preset = "864"
seed = 5

[clock]
days = 4
speed = 24000
lead_in_s = 8
zone = "Asia/Yekaterinburg"

[radio]
half_duplex = false

[[gateways]]
eui = "0016c001ff1e5a01"
name = "roof"

[[gateways]]
eui = "0016c001ff1e5a02"
name = "district"
forwarder = "1301"

[house]
organisation = "УК «Проверка»"
address = "г. Сатка, ул. Проверочная, д. 2"
flats = 5
entrances = 1
confirmed_devices = 0
join_spread_s = 8
common_period_h = 24
loss_percent = { cold_water = 5.0, hot_water = 0.0 }
leak_l_per_h = { hot_water = 2.5 }
"""


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000


def used(house: SimulatedHouse, resource: str, common: bool, start_us: int, end_us: int) -> Decimal:
    """Cubic metres that meters showed, the common one or those of the flats together."""
    modules = [m for m in house.modules if m.meter.resource == resource and bool(m.meter.flat) != common]
    return Decimal(sum(house.shown_units(m, end_us) - house.shown_units(m, start_us) for m in modules)).scaleb(-4)


def balance(server: Server, building: int, resource: str, first: date, days: int) -> dict:
    last = first + timedelta(days=days)
    return server.ask("GET", f"/buildings/{building}/balance?resource={resource}&step=day&from={first}&to={last}")


@pytest.mark.slow
def test_the_balance_is_the_truth(tmp_path: Path) -> None:
    plan = scenario.parse(SCENARIO)
    assert plan.house is not None
    house = SimulatedHouse(plan.house, plan.seed, start_of(plan, runner.now_us()))
    first, days = house.start.date(), plan.clock.days
    with running(tmp_path / "server") as server:
        server.add_gateways(plan)
        server.import_house(plan)
        summary = asyncio.run(runner.run(plan, server.udp))
        assert summary.joined == 12 and summary.readings_acknowledged == summary.readings
        [building] = server.every("/buildings")
        wait_until(
            lambda: all(
                period["measured"] == plan.house.flats
                for resource in RESOURCES
                for period in balance(server, building["id"], resource, first, days)["periods"]
            ),
            20,
            "every flat is measured on every day",
        )
        balances = {resource: balance(server, building["id"], resource, first, days) for resource in RESOURCES}
    for resource, told in balances.items():
        assert len(told["periods"]) == days
        for period in told["periods"]:
            span = us(period["start"]), us(period["end"])
            assert Decimal(period["house"]) == used(house, resource, True, *span)
            assert Decimal(period["individual"]) == used(house, resource, False, *span)
            assert Decimal(period["imbalance"]) == Decimal(period["house"]) - Decimal(period["individual"])
    leaked = Decimal(balances["hot_water"]["total"]["imbalance"])
    assert leaked == pytest.approx(Decimal("0.0025") * 24 * days, abs=Decimal("0.02"))  # a pulse is 10 litres
