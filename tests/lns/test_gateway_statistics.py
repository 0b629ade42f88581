"""Statistics by the hour over restarts and steps of the clock; events about gateways; location."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from internalapi import messages as m
from lns.api.errors import Refused
from lns.gateways.keeper import GRACE_US
from lns.gateways.statistics import HOUR_US
from tests.support.fake_gateway import FakeGateway
from tests.support.lab import SECOND_US, Lab
from tests.support.live_network import registered, rxpk, server

MINUTE_US = 60 * SECOND_US


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    lab = Lab(tmp_path)
    monkeypatch.setattr("lns.api.gateways.system_now", lambda: lab.now)
    lab.wall_us -= lab.wall_us % HOUR_US  # the hour begins
    yield lab
    lab.close()


def tend(lab: Lab, minutes: int = 1, *gateways: FakeGateway) -> None:
    """Time goes by as the running server sees it: looked at every half a minute."""
    for _ in range(2 * minutes):
        lab.advance(30 * SECOND_US)
        for gateway in gateways:
            gateway.pull()
        lab.engine.keeper.tend(lab.now)
        lab.pump()


def hours(lab: Lab, gateway: FakeGateway) -> list[m.GatewayHour]:
    lab.engine.keeper.record(lab.now)
    items: list[m.GatewayHour] = lab.call(
        "gateway_statistics", key=gateway.eui, from_us=lab.wall_us - 24 * HOUR_US, to_us=lab.wall_us + HOUR_US
    ).items
    return items


def test_hour_has_all_that_happened(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    tend(lab, 1, gateway)
    gateway.outcomes.extend(["TOO_LATE", "", None, ""])
    for _ in range(3):
        lab.uplink(node.up(confirmed=True))
        tend(lab, 1, gateway)
    gateway.hear(node.up(), stat=-1)
    for ackr in (100.0, 50.5, "no number", 1e9, -1):
        gateway.push({"stat": {"ackr": ackr, "rxnb": 1}})
    (hour,) = hours(lab, gateway)
    assert (hour.hour_us, hour.uplinks, hour.bad_crc) == (lab.wall_us - lab.wall_us % HOUR_US, 4, 1)
    assert hour.outcomes == {"TOO_LATE": 1, "NONE": 2, "SILENT": 1}
    assert hour.ackr_percent == 75.25
    assert hour.airtime_ms == {"868700000": pytest.approx(sum((991.232, 144.384, 144.384)))}
    assert (hour.rtt_least_ms, hour.rtt_mean_ms, hour.rtt_most_ms) == (0, 0, 0)
    assert 3 * 60 <= hour.online_s <= 4 * 60
    assert hours(lab, gateway) == [hour], "looking changes nothing"


@pytest.mark.parametrize("seed", range(2))
def test_sums_survive_kills_up_to_the_last_look(lab: Lab, seed: int) -> None:
    """Hours add up to what happened, less at most what a killed process had not written."""
    rng = random.Random(seed)
    gateway, node = lab.gateway(), lab.abp()
    heard = lost = unwritten = 0
    for _ in range(70):
        tend(lab, rng.choice((1, 1, 2, 9)), gateway)
        unwritten = 0
        for _ in range(rng.randrange(4)):
            lab.uplink(node.up())
            unwritten += 1
            heard += 1
        if rng.random() < 0.1:
            lab.kill()
            lost += unwritten
    found = hours(lab, gateway)
    assert heard - lost == sum(hour.uplinks for hour in found) and lost > 0
    assert len(found) >= 3 and len({hour.hour_us for hour in found}) == len(found)
    assert all(hour.online_s <= 3600 for hour in found)


def test_clock_set_back_adds_to_hours_that_are_there(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up())
    tend(lab, 65, gateway)
    lab.uplink(node.up())
    tend(lab, 2, gateway)
    lab.wall_us -= HOUR_US
    lab.uplink(node.up())
    tend(lab, 2, gateway)
    found = {hour.hour_us - lab.wall_us + lab.wall_us % HOUR_US: hour.uplinks for hour in hours(lab, gateway)}
    assert found == {0: 2, HOUR_US: 1}


def test_statistics_are_kept_for_thirty_days(lab: Lab) -> None:
    gateway = lab.gateway()
    for _ in range(3):
        gateway.push({"stat": {"ackr": 100.0}})
        tend(lab, 2, gateway)
        lab.advance(15 * 24 * HOUR_US)
    tend(lab, 2)
    (rows,) = lab.rows("SELECT count(*) FROM gateway_hour")
    assert rows == (2,), "the first is older than thirty days"
    with pytest.raises(Refused, match="at most 31 days"):
        lab.call("gateway_statistics", key=gateway.eui, from_us=0, to_us=lab.wall_us)
    with pytest.raises(Refused):
        lab.call("gateway_statistics", key="00" * 8, from_us=0, to_us=1)


async def test_statistics_of_a_running_server_survive_its_stop(tmp_path: Path) -> None:
    async with server(tmp_path) as (network, client, forwarder):
        node = await registered(client)
        token = forwarder.send(2)
        assert await forwarder.answer() == b"\x02" + token + b"\x04"
        for _ in range(3):
            forwarder.send(0, rxpk(node.up()))
            await forwarder.answer()
    async with server(tmp_path) as (network, client, _):
        now_us = network.started_us
        found = await client.gateway_statistics(
            key="70b3d50000000001", from_us=now_us - HOUR_US, to_us=now_us + HOUR_US
        )
        assert sum(hour.uplinks for hour in found.items) == 3


# ------------------------------------------------------------------------------------------------------------- events


def codes(lab: Lab) -> list[str]:
    return [event.code for event in lab.events("gateway")]


def test_a_gateway_that_goes_silent_and_comes_back_is_told_once_each(lab: Lab) -> None:
    gateway, other = lab.gateway(1), lab.gateway(2)
    tend(lab, 5, gateway, other)
    assert codes(lab) == []
    tend(lab, 30, other)
    assert codes(lab) == ["GATEWAY_OFFLINE"]
    (event,) = lab.events("gateway")
    assert (event.gateway_eui, event.dev_eui, event.level) == (gateway.eui, "", "ERROR")
    tend(lab, 5, gateway, other)
    assert codes(lab) == ["GATEWAY_OFFLINE", "GATEWAY_ONLINE"]
    assert lab.events("gateway")[1].level == "INFO"


def test_after_a_start_silence_is_no_news_at_once(lab: Lab) -> None:
    gateway = lab.gateway()
    tend(lab, 2, gateway)
    lab.kill()
    known: Any = lab.engine.registry.get(int(gateway.eui, 16))
    known.last_seen_mono_us = known.last_seen_us = None  # it did not come back with its PULL_DATA
    tend(lab, GRACE_US // MINUTE_US - 1)
    assert codes(lab) == []
    tend(lab, 2)
    assert codes(lab) == ["GATEWAY_OFFLINE"]
    assert "since the server's start" in lab.events("gateway")[0].text


def test_a_gateway_registered_anew_begins_anew(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up())
    tend(lab, 2, gateway)
    lab.call("gateway_delete", key=gateway.eui)
    lab.call("gateway_put", gateway_eui=gateway.eui)
    lab.uplink(node.up())
    tend(lab, 2, gateway)
    assert sum(hour.uplinks for hour in hours(lab, gateway)) == 2


# ----------------------------------------------------------------------------------------------------------- location


def test_operators_place_counts_and_gps_fills_in(lab: Lab) -> None:
    gateway = lab.gateway()

    def place() -> tuple[Any, ...]:
        record = lab.call("gateway", key=gateway.eui)
        return record.latitude, record.longitude, record.altitude_m, record.location_source

    assert place() == (None, None, None, "")
    for nonsense in (
        {"lati": 0, "long": 0},
        {"lati": 91, "long": 5},
        {"lati": "55", "long": 59},
        {"lati": True, "long": 1},
    ):
        gateway.push({"stat": nonsense})
    assert place() == (None, None, None, "")
    gateway.push({"stat": {"lati": 55.25, "long": 59.5, "alti": 321}})
    assert place() == (55.25, 59.5, 321.0, "gps")
    lab.call("gateway_put", gateway_eui=gateway.eui, latitude=55.0, longitude=59.0)
    gateway.push({"stat": {"lati": 55.26, "long": 59.5, "alti": 321}})
    assert place() == (55.0, 59.0, None, "operator")
    lab.kill()
    assert place() == (55.0, 59.0, None, "operator")
    lab.call("gateway_put", gateway_eui=gateway.eui)
    gateway.push({"stat": {"lati": 55.26, "long": 59.5}})
    assert place() == (55.26, 59.5, None, "gps")


async def test_metrics_of_each_gateway(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with server(tmp_path, http={"listen": f"127.0.0.1:{port}"}) as (_, client, forwarder):
        node = await registered(client)
        forwarder.send(2)
        await forwarder.answer()
        forwarder.send(0, rxpk(node.up(confirmed=True)))
        while (await forwarder.answer())[3] != 3:
            pass
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as response:
            lines = (await response.text()).splitlines()
    label = '{gateway="70b3d50000000001"'
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if label in line}
    assert values[f"meterwan_gateway_online{label}}}"] == values[f"meterwan_gateway_uplinks_total{label}}}"] == 1
    assert values[f"meterwan_gateway_airtime_seconds{label}}}"] == pytest.approx(0.144384)
    assert values[f'meterwan_gateway_duty_share{label},min_hz="868700000"}}'] == pytest.approx(0.144384 / 360)
    assert values[f"meterwan_gateway_disputed_total{label}}}"] == 0
