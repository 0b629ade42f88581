from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lorasim import class_b as oracle
from lorasim.crypto import SessionKeys

from internalapi import messages as m
from lns.api.errors import Refused
from lns.gateways.basicstation.credentials import Token, token_hash, token_text
from lns.gateways.basicstation.front import BasicStationFront
from lns.gateways.basicstation.link import Peer
from lns.gateways.frames import AfterUplink, AtGpsTime, Immediately, RxFrame, TxFrame
from lns.keys import KeyRing
from lorawan.errors import FrameError
from lorawan.gps import utc_to_gps_us
from tests.support.fake_gateway import FakeGateway
from tests.support.gps_lab import BEACON_PERIOD_US, PERIODICITY, Air, class_b_node
from tests.support.lab import KEK, Lab
from tests.support.lab_station import PING_US, SILENT_US, LabStation, front_of
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice

SECOND_US = 1_000_000
EUI = "70b3d50000000001"


@pytest.fixture
def front(lab: Lab) -> BasicStationFront:
    return front_of(lab)


@pytest.fixture
def station(lab: Lab, front: BasicStationFront) -> LabStation:
    station = new_station(lab, front)
    station.connect()
    return station


def new_station(lab: Lab, front: BasicStationFront, eui: str = EUI, **fields: Any) -> LabStation:
    lab.call("gateway_put", gateway_eui=eui)
    return LabStation(lab, front, eui, **fields)


def outcome(lab: Lab) -> str:
    return str(
        lab.rows("SELECT outcome FROM frame WHERE kind IN ('down', 'join_accept') ORDER BY id DESC LIMIT 1")[0][0]
    )


def test_a_station_is_told_its_radio_and_its_frames_arrive(lab: Lab, station: LabStation) -> None:
    radio = station.state.radio
    assert radio is not None and radio.region == "AU915" and radio.power_dbm == 16
    node = lab.abp()
    station.uplink(node.up(b"\x01\x02"))
    assert lab.ups() == [(0, b"\x01\x02")]
    reception = lab.events("up")[0].receptions[0]
    assert (reception.gateway_eui, reception.rssi_dbm, reception.snr_db) == (EUI, -77, 8.25)
    assert lab.events("up")[0].datr == "SF7BW125" and lab.events("up")[0].frequency_hz == 868_900_000
    record = lab.call("gateway", key=EUI)
    assert record.online and record.uplinks == 1


def test_frames_before_the_configuration_are_counted_not_taken(lab: Lab, front: BasicStationFront) -> None:
    station = new_station(lab, front)
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None
    station.link = front.connected(gateway, Peer("a:1", "x", ""), station, lab.now)
    station.hear(lab.abp().up(b"\x01"))
    station.run(SECOND_US)
    assert lab.ups() == [] and lab.counters["bad_frames"] == 1 and gateway.front is None


def test_a_join_is_answered_five_seconds_later(lab: Lab, station: LabStation) -> None:
    device = OtaaDevice()
    lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    aired = station.uplink(device.join_request(1), 7 * SECOND_US)
    assert [(one.window, one.message["RxDelay"], one.message["priority"]) for one in aired] == [("RX1", 5, 250)]
    accept = device.accept(aired[0].phy, 1)
    node = Node(accept.dev_addr, SessionKeys.of_1_0(accept.keys["NwkSKey"], accept.keys["AppSKey"]))
    station.uplink(node.up(b"\x07"))
    assert lab.ups() == [(0, b"\x07")] and len(lab.events("join")) == 1


def test_a_confirmed_frame_is_answered_in_rx1_to_the_microsecond(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    station.run(SECOND_US)
    heard_us = station.us
    (aired,) = station.uplink(node.up(b"\x01", confirmed=True))
    assert aired.window == "RX1" and aired.start_us == heard_us + SECOND_US
    assert (aired.dr, aired.frequency_hz) == (5, 868_900_000)
    assert {"RX2DR": 0, "RX2Freq": 869_100_000}.items() <= aired.message.items()
    assert aired.message["DevEui"] == "00-00-00-00-00-A0-00-01"
    assert node.read(aired.phy).ack
    assert outcome(lab) == "sent" and lab.call("gateway", key=EUI).tx_outcomes == {"NONE": 1}


def test_rx2_when_rx1_is_taken_and_the_server_knows_which_it_was(lab: Lab, station: LabStation) -> None:
    node, id = lab.abp(), ""
    id = lab.queue(node.dev_eui, b"\x05")
    station.hear(node.up(b"\x01"))
    radio = station.state.radio
    assert radio is not None
    blocker = {"DevEui": "1", "dC": 2, "diid": -1, "pdu": "00", "RxDelay": 1, "RX2DR": 5, "RX2Freq": 869_100_000}
    station.run(100_000)
    radio.take(blocker, station.us + 840_000, station.state.session)  # a beacon, or another server's frame
    station.run(3 * SECOND_US)
    aired = station.air[-1]
    assert aired.window == "RX2" and aired.dr == 0 and node.read(aired.phy).data == b"\x05"
    assert lab.item(id).state == "sent" and "RX2" in lab.item(id).reason
    assert lab.rows("SELECT frequency_hz, datr FROM frame WHERE kind = 'down'") == [(869_100_000, "SF12BW125")]


def test_windows_that_look_the_same_are_told_apart_by_their_time(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    station.hear(node.up(b"\x01", confirmed=True), DR=0, Freq=869_100_000)
    station.run(100_000)
    radio = station.state.radio
    assert radio is not None
    radio.take(
        {"DevEui": "1", "dC": 2, "diid": -1, "pdu": "00", "RxDelay": 1, "RX2DR": 5, "RX2Freq": 869_100_000},
        station.us + 840_000,
        station.state.session,
    )
    station.run(6 * SECOND_US)
    aired = station.air[-1]
    assert aired.window == "RX2" and aired.message["RX1Freq"] == aired.message["RX2Freq"]
    assert "RX2" in str(lab.rows("SELECT detail FROM frame WHERE kind = 'down'")) or outcome(lab) == "sent"
    booked = lab.state.gateways.get(int(EUI, 16))
    assert booked is not None and not booked.schedule.is_free(lab.mono_us - (station.us - aired.start_us), 1000)


def test_a_frame_that_is_not_placed_is_reported_by_nothing_and_stays_unknown(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x05")
    station.reports = False
    station.uplink(node.up(b"\x01"), 12 * SECOND_US)
    assert outcome(lab).startswith("unknown") and lab.item(id).state in ("unknown", "queued")
    assert lab.call("gateway", key=EUI).tx_outcomes == {"SILENT": 1}


def test_the_name_ru864_and_the_eu_duty_cycle_cost_the_downlinks_that_au915_does_not(tmp_path: Path) -> None:
    """Three frames one after another, as measured with Station 2.0.6: RU864 none, EU868 one, AU915 all three."""
    sent = {}
    for region in ("RU864", "EU868", ""):
        folder = tmp_path / (region or "default")
        folder.mkdir()
        lab = Lab(folder)
        station = new_station(lab, front_of(lab, region=region))
        station.connect()
        node = lab.abp()
        for _ in range(3):
            station.uplink(node.up(b"\x01", confirmed=True), 4 * SECOND_US, Freq=868_900_000)
        sent[region] = len(station.air)
        lab.close()
    assert sent == {"RU864": 0, "EU868": 1, "": 3}


def test_the_region_and_power_of_one_gateway_are_its_own(lab: Lab, front: BasicStationFront) -> None:
    station = new_station(lab, front)
    lab.call("station_setup_put", gateway_eui=EUI, region="EU868", max_eirp_dbm=10, concentrator="sx1302")
    lab.call("gateway_put", gateway_eui=EUI, name="renamed")
    station.connect()
    assert station.state.radio is not None
    assert station.state.radio.config["region"] == "EU868" and station.state.radio.config["max_eirp"] == 10


def test_class_c_goes_at_once(lab: Lab, station: LabStation) -> None:
    profile = lab.profile(device_class="C")
    node = lab.abp(profile=profile)
    station.uplink(node.up(b"\x01"), 4 * SECOND_US)
    at_us = station.us
    id = lab.queue(node.dev_eui, b"\x09")
    station.run(3 * SECOND_US)
    (aired,) = station.air
    assert aired.window == "class C" and aired.message["dC"] == 2 and aired.start_us - at_us < 2 * SECOND_US
    assert aired.frequency_hz == 869_100_000 and node.read(aired.phy).data == b"\x09"
    assert lab.item(id).state == "sent"


def test_class_b_goes_at_its_gps_time_and_not_from_a_station_without_gps(lab: Lab, front: BasicStationFront) -> None:
    station = new_station(lab, front)
    station.connect()
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None and station.state.radio is not None
    offset_us = utc_to_gps_us(lab.wall_us) - station.us
    station.state.radio.gps_offset_us = offset_us
    start_us = station.us + 5 * SECOND_US
    frame = TxFrame(b"\x60" + bytes(11), 868_900_000, "SF9BW125", 14, AtGpsTime(start_us + offset_us))
    assert front.transmit(gateway, [frame], object(), lab.now)
    station.run(SECOND_US)
    (aired,) = station.air
    assert (aired.window, aired.start_us, aired.dr, aired.frequency_hz) == ("ping slot", start_us, 3, 868_900_000)
    assert aired.message["DevEui"] != "00-00-00-00-00-00-00-00", "the station reports nothing for that"
    assert aired.message["gpstime"] == start_us + offset_us and aired.message["dC"] == 1
    assert station.link is not None
    station.link.features = ("rmtsh",)
    assert not front.transmit(gateway, [frame], object(), lab.now)


def test_gps_time_of_an_uplink_is_taken(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    gps_us = utc_to_gps_us(lab.wall_us) - 12_345
    station.hear(node.up(b"\x01"), upinfo={"gpstime": gps_us})
    station.run(SECOND_US)
    told = lab.events("up")[0].receptions[0].gateway_time_us
    assert told is not None and utc_to_gps_us(told) == gps_us


def test_timesync_is_answered_with_gps_time(lab: Lab, station: LabStation) -> None:
    station.delay_us = 0
    station.say(msgtype="timesync", txtime=123_456_789)
    wall_us = lab.wall_us
    station.run(1000)
    (answer,) = station.state.time_answers[-1:]
    assert answer["txtime"] == 123_456_789 and answer["gpstime"] == utc_to_gps_us(wall_us)
    assert answer["gpstime"] - (wall_us - 315_964_800 * SECOND_US) == 18 * SECOND_US
    assert station.link is not None and station.link.timesync_us == wall_us


def test_inv_35_a_station_is_told_the_time_of_receivers_and_not_of_a_stepped_clock(
    lab: Lab, station: LabStation
) -> None:
    station.delay_us = 0
    true_us, forwarder = utc_to_gps_us(lab.wall_us), lab.gateway(7)
    forwarder.hear(b"\x40" + bytes(12), tmms=true_us // 1000)
    lab.wall_us += 3600 * SECOND_US
    station.say(msgtype="timesync", txtime=1)
    station.run(1000)
    (answer,) = station.state.time_answers[-1:]
    assert abs(answer["gpstime"] - true_us) < SECOND_US


def test_the_round_trip_is_measured_by_pings_and_by_ref_time_over_clock_steps(
    lab: Lab, front: BasicStationFront
) -> None:
    station = new_station(lab, front, delay_us=150_000)
    station.connect()
    node, gateway = lab.abp(), lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None and station.link is not None
    station.uplink(node.up(b"\x01"), SECOND_US)
    assert gateway.rtt_us == pytest.approx(300_000, abs=5_000)
    lab.wall_us -= 3600 * SECOND_US
    station.uplink(node.up(b"\x01"), SECOND_US)
    assert gateway.rtt_us == pytest.approx(300_000, abs=5_000)
    front.ping(station.link, lab.now)
    station.run(SECOND_US)
    assert gateway.rtt_us == pytest.approx(300_000, abs=5_000) and len(station.pings) == 1


def test_inv_23_xtime_wraps_like_a_counter_of_32_bits_and_downlinks_keep_all_of_it(
    lab: Lab, station: LabStation
) -> None:
    node = lab.abp()
    station.boot_us = lab.mono_us - ((1 << 32) - 500_000)  # RX1 lies behind the wrap of the lower half
    (aired,) = station.uplink(node.up(b"\x01", confirmed=True))
    assert aired.window == "RX1" and aired.start_us > 1 << 32
    station.run(7200 * SECOND_US)
    assert station.uplink(node.up(b"\x01", confirmed=True))[0].window == "RX1"


@pytest.mark.parametrize("when", ["before the decision", "after"])
def test_inv_26_a_new_concentrator_session_drops_what_was_for_the_old_one(
    lab: Lab, station: LabStation, when: str
) -> None:
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x05")
    station.hear(node.up(b"\x01"))
    station.run(100_000 if when == "before the decision" else 400_000)
    station.restart(session=0x42)
    station.connect()
    station.run(12 * SECOND_US)
    assert not [one for one in station.air if one.message["xtime"] >> 48 == 0x42], "an old time in a new session"
    assert station.state.radio is not None and not station.air
    if when == "before the decision":
        assert not station.state.radio.dropped, "nothing for the old session was even handed over"
    assert lab.item(id).state in ("queued", "unknown")
    (aired,) = station.uplink(node.up(b"\x02", confirmed=True))
    assert aired.window == "RX1" and node.read(aired.phy).ack


def test_inv_26_a_restart_of_the_concentrator_within_a_connection_is_seen(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    station.uplink(node.up(b"\x01"), SECOND_US)
    station.hear(node.up(b"\x02", confirmed=True))
    station.run(50_000)
    station.state.session = 0x55
    station.hear(lab.abp(2).up(b"\x03"))
    station.run(5 * SECOND_US)
    assert station.state.radio is not None and not station.air and not station.state.radio.dropped
    assert outcome(lab).startswith("failed") and "no path" in outcome(lab)


def test_inv_26_class_c_is_planned_anew_after_a_reconnect(lab: Lab, station: LabStation) -> None:
    node = lab.abp(profile=lab.profile(device_class="C"))
    station.uplink(node.up(b"\x01"), 4 * SECOND_US)
    assert station.link is not None
    station.front.disconnected(station.link, lab.now)
    id = lab.queue(node.dev_eui, b"\x09")
    station.run(5 * SECOND_US)
    assert not station.air and lab.item(id).state == "queued"
    station.restart(session=0x42)
    station.connect()
    station.run(60 * SECOND_US)
    assert [node.read(one.phy).data for one in station.air] == [b"\x09"] and lab.item(id).state == "sent"


def test_inv_26_a_thousand_restarts(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    answered = 0
    for n in range(1000):
        station.restart(session=n % 127 + 1)
        station.connect()
        if n % 20 == 0:
            answered += len(
                [a for a in station.uplink(node.up(b"\x01", confirmed=True), 2 * SECOND_US) if a.window == "RX1"]
            )
    assert answered == 50 and len(station.front.links) == 1
    assert len(lab.ups()) == 50 and lab.counters["internal_errors"] == 0
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None and gateway.link is station.link


def test_a_report_of_an_unknown_downlink_changes_nothing(lab: Lab, station: LabStation) -> None:
    for diid in (0, -5, 1 << 62):
        station.say(msgtype="dntxed", diid=diid, DR=5, Freq=868_900_000, xtime=1)
    station.run(SECOND_US)
    assert lab.counters["stray_tx_ack"] == 3 and lab.call("gateway", key=EUI).tx_outcomes == {}


def test_garbage_is_counted_and_the_connection_goes_on(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    assert station.link is not None
    for text in ("", "{", "[]", '{"msgtype":"nonsense"}', "\x00", '{"msgtype":"updf"}', "é" * 100, b"\xff\xfe"):
        station.front.receive(station.link, text, lab.now)
    assert lab.counters["bad_messages"] == 8
    for fields in ({"DR": 16}, {"DR": -1}, {"DR": 9}, {"Freq": 0}, {"Freq": 1 << 40}, {"upinfo": {"xtime": -1}}):
        station.hear(node.up(b"\x01", f_cnt=0), **fields)
    station.run(SECOND_US)
    assert lab.counters["bad_frames"] == 6
    station.uplink(node.up(b"\x01"))
    assert lab.ups() == [(0, b"\x01")]


def test_a_frame_without_a_time_is_taken_and_not_answered(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    assert not station.uplink(node.up(b"\x01", confirmed=True), upinfo={"xtime": 0})
    assert lab.ups() == [(0, b"\x01")]


def test_a_silent_connection_is_asked_and_then_closed(lab: Lab, station: LabStation) -> None:
    for _ in range(20):
        station.run(10 * SECOND_US)
        station.front.tick(lab.now, PING_US, SILENT_US)
    assert len(station.pings) >= 6 and not station.closed
    station.answers_pings = False
    for _ in range(9):
        station.run(10 * SECOND_US)
        station.front.tick(lab.now, PING_US, SILENT_US)
    assert station.closed and not station.front.links and lab.counters["station_silent"] == 1
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None and gateway.front is None and gateway.link is None


def test_the_newest_connection_wins_only_with_the_same_credentials(lab: Lab, station: LabStation) -> None:
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None and station.link is not None
    other = Peer("198.51.100.7:1", "certificate ab", "TLSv1.3")
    assert not station.front.may_connect(gateway, other, lab.now, SILENT_US)
    assert len(station.pings) == 1, "the old one is asked whether it lives"
    station.answers_pings = False
    station.run(SILENT_US + SECOND_US)
    assert station.front.may_connect(gateway, other, lab.now, SILENT_US)
    first = station.link
    station.connect("token 1")
    assert station.closed == ["another connection of this station took its place"]
    station.front.disconnected(first, lab.now)  # its end comes later and harms nobody
    assert station.front.links[gateway.eui] is station.link and gateway.front is station.front


def test_two_stations_and_a_forwarder_hear_one_frame(lab: Lab, station: LabStation) -> None:
    far = new_station(lab, station.front, "70b3d50000000002")
    far.connect()
    forwarder = lab.gateway(3)
    node = lab.abp()
    phy = node.up(b"\x01", confirmed=True)
    forwarder.hear(phy, rssi=-120, lsnr=-7.0)
    far.hear(phy, upinfo={"snr": -3.0, "rssi": -110})
    station.hear(phy)
    far.run(20_000)
    station.run(4 * SECOND_US)
    assert len(lab.events("up")[0].receptions) == 3
    assert len(station.air) == 1 and not far.air and not lab.air, "one frame, from the one that heard it best"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def test_settings_tokens_and_updates_outlive_a_kill_and_a_change_of_the_key_encryption_key(lab: Lab) -> None:
    lab.call("gateway_put", gateway_eui=EUI)
    lab.call("station_setup_put", gateway_eui=EUI, region="EU868", concentrator="sx1302")
    lab.call("gateway_put", gateway_eui=EUI, name="renamed")
    update = {"name": "one", "package": "2", "file": "one.bin", "size": 1, "sha512": "ab" * 64, "gateways": [EUI]}
    lab.call("firmware_put", **update)
    secret = bytes(range(32))
    sealed = lab.state.keys.seal_secret(secret)
    token = Token(token_hash(token_text(secret)), int(EUI, 16), "lns", sealed, 5)
    lab.state.station_tokens.add(token)
    lab.state.batch.operations.append(("station_token_add", token.row))
    lab.pump()
    lab.kill()
    assert lab.call("gateway", key=EUI).station_setup == m.StationSetup("EU868", None, "sx1302")
    assert lab.state.station_tokens.find(token_text(secret), "lns") == token
    assert lab.state.station_tokens.find(token_text(secret), "cups") is None
    (kept,) = lab.call("firmware").items
    assert (kept.name, kept.gateways, kept.sha512) == ("one", [EUI], "ab" * 64)
    other = bytes(range(32, 64))
    assert lab.journal.rekey(KEK, other) == 1
    ((resealed,),) = lab.rows("SELECT sealed FROM station_token")
    assert KeyRing(other).unseal_secret(resealed) == secret
    with pytest.raises(FrameError):
        KeyRing(KEK).unseal_secret(resealed)
    lab.call("gateway_delete", key=EUI)
    assert lab.rows("SELECT * FROM station_token") == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"package": ""},
        {"file": "../one"},
        {"file": ""},
        {"sha512": "ab"},
        {"signature": "xy"},
        {"key_crc": -1},
        {"gateways": ["nonsense"]},
    ],
)
def test_an_update_that_cannot_be_is_refused(lab: Lab, change: dict[str, Any]) -> None:
    update = {"name": "one", "package": "2", "file": "one.bin", "size": 1, "sha512": "ab" * 64}
    with pytest.raises(Refused):
        lab.call("firmware_put", **update | change)
    assert not lab.state.firmware


def test_inv_21_a_frame_that_was_read_and_written_survives_a_kill(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x05")
    station.hear(node.up(b"\x01", confirmed=True))
    station.run(20_000)
    assert lab.ups() == [] and lab.rows("SELECT count(*) FROM frame WHERE kind = 'up'") == [(1,)]
    lab.kill()
    assert lab.ups() == [(0, b"\x01")]
    assert not lab.rows("SELECT * FROM frame WHERE kind = 'down'"), "its windows and its connection are gone"
    assert lab.item(id).state == "queued"


@pytest.mark.parametrize("step", ["committed", "sent"])
def test_inv_01_a_kill_around_the_answer_reuses_no_counter(lab: Lab, station: LabStation, step: str) -> None:
    node = lab.abp()
    station.hear(node.up(b"\x01", confirmed=True))
    station.run(20_000)
    with lab.dying(step):
        station.run(300_000)
    front = front_of(lab)
    again = LabStation(lab, front, EUI)
    again.connect()
    again.uplink(node.up(b"\x02", confirmed=True))
    sent = [node.read(one.phy).f_cnt for one in [*station.air, *again.air]]
    assert again.air and len(sent) == len(set(sent))
    assert node.read(again.air[0].phy).f_cnt == 1


def test_inv_19_a_mirror_frame_of_a_station_and_another_gateway_is_one_frame(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    other = new_station(lab, station.front, "70b3d50000000002")
    other.connect()
    phy = node.up(b"\x01", confirmed=True)
    other.hear(phy, Freq=869_100_000, upinfo={"snr": -10.0, "rssi": -115})
    station.hear(phy)
    other.run(50_000)
    station.run(4 * SECOND_US)
    assert len(lab.ups()) == 1
    assert [one.frequency_hz for one in station.air] == [868_900_000] and not other.air


def test_rx2_alone_and_the_longest_delay(lab: Lab, station: LabStation) -> None:
    """What the server may choose: RX2 without RX1, and RX2 sixteen seconds after the uplink."""
    node, gateway = lab.abp(), lab.state.gateways.get(int(EUI, 16))
    heard: list[RxFrame] = []
    station.hear(node.up(b"\x01"))
    station.front._host = _Listening(lab.engine, heard)  # type: ignore[assignment]
    station.run(50_000)
    (rx,) = heard
    start_us = station.us
    assert gateway is not None
    for delay_s, window in ((2, "RX1"), (16, "RX2")):
        frame = TxFrame(b"\x60" + bytes(11), 869_100_000, "SF12BW125", 14, AfterUplink(rx, delay_s * SECOND_US))
        assert station.front.transmit(gateway, [frame], object(), lab.now)
        station.run(40_000)
        aired = station.air[-1]
        assert aired.window == window and start_us - 100_000 < aired.start_us - delay_s * SECOND_US < start_us
        assert (aired.dr, aired.frequency_hz) == (0, 869_100_000)


class _Listening:
    """The engine, and a note of each frame heard."""

    def __init__(self, engine: Any, heard: list[RxFrame]) -> None:
        self._engine = engine
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def uplink(self, rx: RxFrame, now: Any) -> None:
        self._heard.append(rx)


def test_a_frame_at_a_data_rate_that_the_station_lacks_is_not_handed_over(lab: Lab, station: LabStation) -> None:
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None
    frame = TxFrame(b"\x60" + bytes(11), 869_100_000, "SF6BW125", 14, Immediately())
    assert not station.front.transmit(gateway, [frame], object(), lab.now)
    frame = TxFrame(b"\x60" + bytes(11), 869_100_000, "SF9BW125", 14, Immediately())
    assert station.front.transmit(gateway, [frame], object(), lab.now)
    unknown = lab.state.gateways.add(5)
    assert not station.front.transmit(unknown, [frame], object(), lab.now)


def test_sec_07_nobody_takes_a_stations_downlinks_over_udp(lab: Lab, station: LabStation) -> None:
    node = lab.abp()
    thief = FakeGateway(lab, EUI, 30_000)
    lab.gateways["thief"] = thief
    station.uplink(node.up(b"\x01"), SECOND_US)
    thief.pull()
    station.uplink(node.up(b"\x02", confirmed=True))
    assert len(station.air) == 1 and not lab.air
    assert station.link is not None
    station.front.disconnected(station.link, lab.now)
    thief.pull()
    thief.hear(node.up(b"\x03", confirmed=True))
    lab.advance(5 * SECOND_US)
    assert not lab.air and not thief.pull_acks, "not while the station is away either"
    assert len(lab.ups()) == 3, "a frame proves itself by its MIC, whoever brings it"
    lab.call("station_credentials_delete", key=EUI)
    lab.advance(3600 * SECOND_US)
    thief.pull()
    assert thief.pull_acks, "the operator took the credentials away: it is a gateway of the other protocol again"


def test_inv_35_a_device_of_class_b_is_reached_in_its_ping_slot_by_a_station_with_gps(
    lab: Lab, front: BasicStationFront
) -> None:
    air = Air(lab, 0)  # sets the time to half a minute behind a beacon
    station = new_station(lab, front, has_gps=True)
    lab.call("gateway_put", gateway_eui=EUI, class_b="gateway")
    station.connect()
    assert station.state.radio is not None
    assert station.state.radio.config["bcning"] == {"DR": 3, "layout": [2, 8, 17], "freqs": [869_100_000]}
    station.state.radio.gps_offset_us = air.gps_us - station.us
    node = class_b_node(lab)
    station.uplink(node.up(b"hello", class_b=True), 20 * SECOND_US)
    before, asked_us = len(station.air), air.gps_us
    item = lab.queue(node.dev_eui, b"open")
    station.run(30 * SECOND_US)
    (aired,) = station.air[before:]
    gps_us = aired.message["gpstime"]
    begin_us = gps_us - gps_us % BEACON_PERIOD_US
    assert gps_us in oracle.slots(begin_us, node.dev_addr, PERIODICITY) and gps_us > asked_us
    assert (aired.window, aired.dr, aired.frequency_hz) == ("ping slot", 3, 868_900_000)
    assert node.read(aired.phy).data == b"open" and lab.item(item).state == "sent"
