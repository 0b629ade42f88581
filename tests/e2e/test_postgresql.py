"""``meterwan serve`` with its application on PostgreSQL: a reading that comes over UDP is in the console's numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from lorasim import runner, scenario
from lorasim.house import SimulatedHouse, start_of

from tests.support.postgres import PostgresServer
from tests.support.program import make_program
from tests.support.server import Server, wait_until

SCENARIO = """
name = "postgresql"
preset = "864"
seed = 7

[clock]
days = 1
speed = 24000
lead_in_s = 6
zone = "Asia/Yekaterinburg"

[radio]
half_duplex = false

[[gateways]]
eui = "0016c001ff1e5a01"
name = "roof"

[house]
organisation = "УК «Слон»"
address = "г. Сатка, ул. Слоновая, д. 3"
flats = 2
entrances = 1
confirmed_devices = 0
join_spread_s = 4
common_period_h = 24
loss_percent = { cold_water = 5.0, hot_water = 0.0 }
"""


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


def test_a_reading_over_udp_is_shown_and_outlives_a_restart(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.create("town")
    plan = scenario.parse(SCENARIO)
    assert plan.house is not None
    house = SimulatedHouse(plan.house, plan.seed, start_of(plan, runner.now_us()))
    program = make_program(tmp_path / "server")
    (program.folder / "meterwan.toml").write_text(f'[database]\nurl = "{url}"\n')
    server = Server(program)
    try:
        server.start()
        server.add_gateways(plan)
        server.import_house(plan)
        asyncio.run(runner.run(plan, server.udp))
        [building] = server.every("/buildings")
        first = house.start.date()
        path = f"/buildings/{building['id']}/balance?resource=cold_water&step=day&from={first}&to={first + timedelta(days=1)}"
        wait_until(lambda: server.ask("GET", path)["periods"][0]["measured"] == 2, 20, "both flats are measured")
        told = server.ask("GET", path)
        assert Decimal(told["periods"][0]["individual"]) > 0
        assert [row["quality"] for row in told["points"]] == ["measured"] * 3
        with psycopg.connect(url) as connection:
            count = connection.execute("SELECT count(*) FROM reading").fetchone()
            assert count is not None and count[0] > 10
        assert not (program.data / "application.db").exists()
        assert server.stop() == 0, program.output()
        assert program.run("verify", "--json").code == 0
        server.start()
        assert server.ask("GET", path) == told
        assert server.stop() == 0, program.output()
    finally:
        server.kill_supervisor()
    assert "Traceback" not in program.output(), program.output()


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path, postgres: PostgresServer) -> None:
    program = make_program(tmp_path / "server")
    url = postgres.url_of("nowhere").replace("meterwan@", "meterwan:geheim@")
    result = program.run("user", "list", "--set", f"database.url={url}")
    assert result.code == 1
    assert "meterwan:********@" in result.err and "does not exist" in result.err and "geheim" not in result.err


@pytest.mark.parametrize("url", ["mysql://a@b/c", "postgresql://host", "town"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    result = make_program(tmp_path / "server").run("check", "--set", f"database.url={url}")
    assert result.code == 1
    assert "database.url" in result.err and "postgresql://" in result.err
