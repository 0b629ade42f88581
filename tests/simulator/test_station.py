"""A simulated Basics Station: its protocol, its queue, its connection; and a house of stations against the real server."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from lorasim import scenario
from lorasim.class_b import GPS_EPOCH_UTC_S, LEAP_S, PERIOD_US, START_US, beacon_time_s
from lorasim.outbox import Message
from lorasim.radio import Downlink, Note, Reception
from lorasim.runner import Simulation, now_us
from lorasim.scenario import ScenarioError
from lorasim.station import Dial, Link, Station, StationConfig, Text
from lorasim.world import World

from tests.support import station as oracle
from tests.support.certificates import Authority
from tests.support.station_server import server, tls_settings

EUI = 0x0016C001FF1E5A11
WITHIN_S = 30
"""On a busy machine; an idle one needs a few seconds."""
T0 = 1_790_000_000_000_000
PHY = bytes.fromhex("40341200018203000a010baabbccdd11223344")
CONFIG = {
    "msgtype": "router_config",
    "NetID": None,
    "JoinEui": None,
    "region": "AU915",
    "hwspec": "sx1301/1",
    "freq_range": [864_000_000, 870_000_000],
    "DRs": [[12, 125, 0], [11, 125, 0], [10, 125, 0], [9, 125, 0], [8, 125, 0], [7, 125, 0], [7, 250, 0], [0, 0, 0]]
    + [[-1, 0, 0]] * 8,
    "max_eirp": 16.0,
    "MuxTime": 1_790_000_000.5,
    "sx1301_conf": [
        {
            "radio_0": {"enable": True, "freq": 864_500_000},
            "radio_1": {"enable": True, "freq": 869_000_000},
            "chan_multiSF_0": {"enable": True, "radio": 1, "if": -100_000},
            "chan_multiSF_1": {"enable": True, "radio": 1, "if": 100_000},
            "chan_multiSF_2": {"enable": False},
        }
    ],
}


def effects(one: Station) -> list[Any]:
    found = []
    while (effect := one.next_effect()) is not None:
        found.append(effect)
    return found


def texts(one: Station) -> list[dict[str, Any]]:
    return [json.loads(effect.data) for effect in effects(one) if isinstance(effect, Text)]


def running(router_config: dict[str, Any] | None = None, **config: Any) -> Station:
    one = Station(StationConfig(EUI, url="ws://lns:8887", **config), random.Random(1))
    one.start(T0)
    one.connected(T0)
    one.receive(b'{"router":"1","muxs":"2","uri":"ws://lns:8887/router"}', T0)
    one.connected(T0)
    one.receive(json.dumps(CONFIG | (router_config or {})).encode(), T0)
    effects(one)
    return one


def dnmsg(one: Station, **more: Any) -> bytes:
    message = {
        "msgtype": "dnmsg",
        "DevEui": "00-00-00-00-00-00-00-01",
        "dC": 0,
        "diid": 7,
        "pdu": PHY.hex(),
        "priority": 0,
        "RxDelay": 1,
        "RX1DR": 5,
        "RX1Freq": 868_900_000,
        "RX2DR": 0,
        "RX2Freq": 869_100_000,
        "xtime": one.xtime(T0),
        "rctx": 3,
    }
    return json.dumps(message | more).encode()


def radiated(one: Station, until_us: int) -> list[Downlink]:
    found = []
    while (due := one.timer()) is not None and due <= until_us:
        one.handle_timer(due)
        found += [effect for effect in effects(one) if isinstance(effect, Downlink)]
    return found


def test_it_discovers_connects_and_obeys_the_configuration() -> None:
    one = Station(StationConfig(EUI, url="wss://lns:8887"), random.Random(1))
    one.start(T0)
    assert effects(one) == [Dial("wss://lns:8887/router-info")] and one.link is Link.DISCOVERING
    assert not one.hears(868_900_000)
    one.connected(T0)
    assert texts(one) == [{"router": "00-16-C0-01-FF-1E-5A-11"}]
    one.receive(b'{"uri":"wss://lns:8887/router-1"}', T0)
    assert effects(one) == [Dial(""), Dial("wss://lns:8887/router-1")]
    one.connected(T0)
    [version] = texts(one)
    assert (version["msgtype"], version["protocol"], one.link) == ("version", 2, Link.CONFIGURING)
    one.receive(json.dumps(CONFIG).encode(), T0)
    assert one.link is Link.RUNNING
    assert [one.hears(hz) for hz in (868_900_000, 869_100_000, 864_500_000)] == [True, True, False]


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b'{"router":"1","error":"unknown router"}', "unknown router"), (b"{}", "no uri")],
)
def test_a_refused_discovery_is_tried_again_with_back_off(answer: bytes, why: str) -> None:
    one = Station(StationConfig(EUI, url="ws://lns:1", reconnect_s=10), random.Random(1))
    one.start(T0)
    now, pauses = T0, []
    for _ in range(6):
        one.connected(now)
        one.receive(answer, now)
        [note] = [effect for effect in effects(one) if isinstance(effect, Note)]
        assert why in note.fields["why"]
        due = one.timer()
        assert due is not None
        pauses.append((due - now) // 1_000_000)
        now = due
        one.handle_timer(now)
    assert pauses == [10, 20, 40, 80, 120, 120]


def test_frames_are_taken_apart_as_an_independent_station_does() -> None:
    """tests/support/station.py was written on its own, after the same source."""
    one = running()
    join = bytes.fromhex("000102030405060708a1a2a3a4a5a6a7a8010011223344")
    for phy in (PHY, join, b"\xe0" + bytes(5), PHY[:10] + PHY[-4:]):
        one.hear(Reception(phy, 868_900_000, "SF9BW125", -101.4, -3.1, T0, T0 + 100), T0 + 200)
        [said] = texts(one)
        expected = oracle.fields_of(phy)
        assert {name: said[name] for name in expected} == expected
        assert (said["DR"], said["Freq"], said["upinfo"]["rssi"], said["upinfo"]["snr"]) == (3, 868_900_000, -101, -3.0)
        assert said["upinfo"]["xtime"] == one.session << 48 | one.us(T0 + 100)
        assert said["RefTime"] == pytest.approx(CONFIG["MuxTime"] + 200e-6)


def test_what_it_cannot_forward_it_keeps_to_itself() -> None:
    one = running()
    one.hear(Reception(bytes([0x60]) + PHY[1:], 868_900_000, "SF9BW125", -90, 5, T0, T0), T0)
    assert texts(one) == []
    one.disconnected("gone", T0)
    one.hear(Reception(PHY, 868_900_000, "SF9BW125", -90, 5, T0, T0), T0)
    assert texts(one) == []


def test_a_downlink_goes_out_in_rx1_and_is_reported_when_it_is_over() -> None:
    one = running()
    one.receive(dnmsg(one), T0 + 50_000)
    [down] = radiated(one, T0 + 1_000_000)
    assert (down.start_us, down.frequency_hz, down.datr, down.phy) == (T0 + 1_000_000, 868_900_000, "SF7BW125", PHY)
    assert down.inverted and down.power_dbm == 16
    assert one.timer() == down.end_us
    one.handle_timer(down.end_us)
    [report] = texts(one)
    expected = {"msgtype": "dntxed", "diid": 7, "DR": 5, "Freq": 868_900_000, "rctx": 3, "xtime": one.xtime(T0 + 10**6)}
    assert {name: report[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("at_us", "message", "starts"),
    [
        (945_000, {}, [2_000_000]),  # too late for RX1 by 5 ms: 60 ms are wanted
        (940_000, {}, [1_000_000]),
        (1_941_000, {}, []),
        (0, {"RX1Freq": 915_000_000}, []),  # outside of freq_range
        (0, {"RX1DR": 9}, []),
        (0, {"xtime": 1}, []),  # another session
        (0, {"RxDelay": 5}, [5_000_000]),
        (0, {"RxDelay": 0}, [1_000_000]),
        (0, {"dC": 2, "xtime": 0}, [60_000]),
        (0, {"dC": 1, "gpstime": 5, "DR": 0, "Freq": 868_900_000}, []),  # no GPS
        (0, {"pdu": "xy"}, []),
    ],
)
def test_windows(at_us: int, message: dict[str, Any], starts: list[int]) -> None:
    one = running()
    one.receive(dnmsg(one, **message), T0 + at_us)
    assert [down.start_us - T0 for down in radiated(one, T0 + 10_000_000)] == starts


def test_a_region_that_it_does_not_know_drops_every_downlink() -> None:
    one = running({"region": "RU864"})
    one.receive(dnmsg(one), T0)
    assert radiated(one, T0 + 3_000_000) == []


def test_duty_cycle_of_its_own_in_eu868_and_nodc_in_development_builds() -> None:
    """869.1 MHz lies in a band of 0.1 %: after 51 ms of SF7 nothing for 51 s."""
    for dev_build, nodc, sent in ((False, False, 1), (False, True, 1), (True, True, 2)):
        one = running({"region": "EU868", "nodc": nodc}, dev_build=dev_build)
        one.receive(dnmsg(one), T0)
        radiated(one, T0 + 900_000)
        one.receive(dnmsg(one, diid=8, RxDelay=5), T0 + 10)
        assert len(radiated(one, T0 + 9_000_000)) == sent


def test_of_two_frames_at_one_time_the_one_with_priority_stays() -> None:
    one = running()
    one.receive(dnmsg(one, diid=1, priority=1), T0)
    one.receive(dnmsg(one, diid=2, priority=9), T0)
    assert [(down.token, down.start_us - T0) for down in radiated(one, T0 + 5_000_000)] == [
        (2, 1_000_000),
        (1, 2_000_000),
    ]
    one = running()
    for diid in (1, 2, 3):
        one.receive(dnmsg(one, diid=diid), T0)
    notes = [effect.fields for effect in effects(one) if isinstance(effect, Note)]
    assert ["dropped" in fields for fields in notes] == [False, False, True]


def test_a_multicast_schedule_is_sent_at_its_gps_time() -> None:
    one = running(gps=True)
    one._gps_offset_us = 1_000_000_000
    entry = {"diid": 4, "pdu": PHY.hex(), "DR": 3, "Freq": 869_100_000, "gpstime": one.us(T0 + 4_000_000) + 10**9}
    one.receive(json.dumps({"msgtype": "dnsched", "schedule": [entry]}).encode(), T0)
    assert [(down.token, down.start_us - T0) for down in radiated(one, T0 + 5_000_000)] == [(4, 4_000_000)]


def test_gps_time_from_a_pulse_and_the_servers_whole_second_and_beacons_from_it() -> None:
    bcning = {"DR": 3, "layout": [2, 8, 17], "freqs": [869_100_000]}
    one = running({"bcning": bcning}, gps=True)
    due = one.timer()
    assert due is not None
    one.handle_timer(due)
    [asked] = texts(one)
    gps_us = T0 - (GPS_EPOCH_UTC_S - LEAP_S) * 1_000_000
    # the answer is 180 ms off, the whole second is right
    answer = {"msgtype": "timesync", "txtime": asked["txtime"], "gpstime": gps_us + (due - T0) + 180_000}
    one.receive(json.dumps(answer).encode(), due)
    [note] = [effect for effect in effects(one) if isinstance(effect, Note)]
    assert note.fields["error_us"] == 0
    beacons = radiated(one, T0 + 2 * PERIOD_US)
    assert len(beacons) == 2
    for down in beacons:
        second_us = down.start_us - START_US - (GPS_EPOCH_UTC_S - LEAP_S) * 1_000_000
        assert second_us % PERIOD_US == 0
        assert down.implicit and not down.inverted and down.frequency_hz == 869_100_000
        assert beacon_time_s(down.phy, 9) == second_us // 1_000_000 & 0xFFFFFFFF
    one.hear(Reception(PHY, 868_900_000, "SF9BW125", -90, 5, T0, T0 + 7), T0 + 7)
    assert texts(one)[-1]["upinfo"]["gpstime"] == gps_us + 7


def test_after_a_restart_an_old_xtime_is_no_time() -> None:
    one = running()
    old, session = one.xtime(T0), one.session
    one.restart(T0 + 100)
    one.connected(T0 + 100)
    one.receive(b'{"uri":"ws://lns:8887/router"}', T0 + 100)
    one.connected(T0 + 100)
    one.receive(json.dumps(CONFIG).encode(), T0 + 100)
    effects(one)
    assert one.session != session
    one.receive(dnmsg(one, xtime=old), T0 + 200)
    assert radiated(one, T0 + 5_000_000) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('kind = "mesh"', "kind"),
        ('kind = "station"', "station.url"),
        ('kind = "station"\n[gateways.station]\nurl = "http://a"', "station.url"),
        ('kind = "station"\n[gateways.station]\nurl = "ws://a"\ncertificate = "a.crt"', "private_key"),
        ("[gateways.tx_ack_errors]\nTOO_HOT = 0.1", "TOO_HOT"),
        ("[gateways.tx_ack_errors]\nTOO_LATE = 2.0", "share"),
        ("[[gateways.outages]]\nat_s = 1\nfor_s = 0", "for_s"),
        ("restarts_s = [0.0]", "restarts_s"),
    ],
)
def test_impossible_gateways_are_named(line: str, why: str) -> None:
    with pytest.raises(ScenarioError, match=rf"gateways\.0\..*{why}"):
        scenario.parse(f'name = "x"\n[[gateways]]\neui = "{EUI:016x}"\n{line}\n')


SCENARIO = """
name = "stations"
preset = "864"
[radio]
snr_db = 9
spread_db = 0
fading_db = 0
[[gateways]]
eui = "{eui}"
kind = "station"
gps = true
[gateways.station]
url = "{url}"
token = "{token}"
trust = "{trust}"
certificate = "{certificate}"
private_key = "{key}"
reconnect_s = 0.2
[[devices]]
dev_eui = "0000000000a00009"
interval_s = 600
join_spread_s = 0.1
"""


async def test_a_house_behind_a_station(tmp_path: Path) -> None:
    """Over a real WebSocket (TLS with a client certificate; in the clear with a token): join, uplink, acknowledgement,
    a downlink of class A, and a connection that breaks and comes back."""
    folders = [(way, tmp_path / way) for way in ("token", "certificate")]
    for _, folder in folders:
        folder.mkdir()
    await asyncio.gather(*(_behind_a_station(folder, way) for way, folder in folders))


async def _behind_a_station(tmp_path: Path, way: str) -> None:
    authority = Authority(tmp_path)
    tls = tls_settings(authority, tmp_path) if way == "certificate" else {}
    async with server(tmp_path / "data", tls=bool(tls), **tls) as (_, client, base):
        eui = f"{EUI:016x}"
        await client.gateway_put(gateway_eui=eui)
        token, files = "", ("", "", "")
        if way == "token":
            token = (await client.station_credentials_put(gateway_eui=eui)).lns_token
        else:
            pem = authority.issue(eui)
            files = (str(authority.certificate), str(pem.certificate), str(pem.private_key))
        trust, certificate, key = files
        text = SCENARIO.format(eui=eui, url=base, token=token, trust=trust, certificate=certificate, key=key)
        plan = scenario.parse(text)
        world = World(plan, now_us())
        [dev_eui], [device] = list(world.devices), list(world.devices.values())
        await client.profile_put(name="plain", mac_version="1.0.3", dev_status_interval_s=0, adr="off")
        from internalapi import messages as m

        write = m.DeviceWrite(
            f"{dev_eui:016x}",
            join_eui=f"{device.config.join_eui:016x}",
            profile="plain",
            activation="OTAA",
            app_key=device.config.app_key.hex(),
        )
        await client.devices_put(items=[write])
        async with Simulation(world, ("127.0.0.1", 9)) as simulation:
            [station] = world.gateways.values()
            assert isinstance(station, Station)
            await simulation.until(lambda _: station.link is Link.RUNNING, WITHIN_S)
            await simulation.until(lambda _: device.joined, WITHIN_S)
            await client.queue_put(dev_eui=write.dev_eui, f_port=5, data=b"open")
            simulation.send(dev_eui, Message(2, b"hello", confirmed=True))
            await simulation.until(lambda w: w.snapshot().downlinks_heard == 2, WITHIN_S)
            assert station._gps_offset_us is not None and world.summary.downlinks_refused == 0
            simulation.act(station, station.restart)
            await simulation.until(lambda _: station.link is not Link.RUNNING, WITHIN_S)
            await simulation.until(lambda _: station.link is Link.RUNNING, WITHIN_S)
            simulation.send(dev_eui, Message(2, b"again", confirmed=True))
            await simulation.until(lambda w: w.snapshot().downlinks_heard == 3, WITHIN_S)
        assert not world.summary.faults
