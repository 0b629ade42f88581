"""The MQTT messages against ``chirpstack-api``, the gateways' own schema."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from chirpstack_api import gw
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from lns.gateways.frames import AfterUplink, AtGpsTime, Immediately, RxFrame, Timing, TxFrame
from lns.gateways.gateway import Gateway
from lns.gateways.mqtt import codec
from lorawan.errors import FrameError

EUI = 0x0016C001FF1E5A01


def binary(message: Message) -> bytes:
    return message.SerializeToString()


def text(message: Message) -> bytes:
    return json_format.MessageToJson(message, always_print_fields_with_no_presence=True).encode()


both_forms = pytest.mark.parametrize("write", [binary, text])


def an_uplink() -> gw.UplinkFrame:
    frame = gw.UplinkFrame(phy_payload=b"\x40\x01\x02")
    frame.tx_info.frequency = 868_900_000
    lora = frame.tx_info.modulation.lora
    lora.bandwidth, lora.spreading_factor, lora.code_rate = 125_000, 9, gw.CR_4_5
    rx = frame.rx_info
    rx.gateway_id, rx.uplink_id, rx.rssi, rx.snr, rx.channel, rx.rf_chain = f"{EUI:016x}", 4242, -97, 5.5, 2, 1
    rx.board, rx.antenna, rx.context, rx.crc_status = 1, 2, b"\x00\x0f\x42\x40", gw.CRC_OK
    rx.gw_time.seconds, rx.gw_time.nanos = 1_790_000_000, 123_456_000
    rx.time_since_gps_epoch.seconds, rx.time_since_gps_epoch.nanos = 1_474_035_218, 5_000
    rx.location.latitude, rx.location.longitude, rx.location.altitude = 55.0436, 59.0064, 410.0
    rx.metadata["region_common_name"] = "RU864"
    return frame


@both_forms
def test_uplink(write: Callable[[Message], bytes]) -> None:
    assert codec.uplink(write(an_uplink())) == codec.Uplink(
        b"\x40\x01\x02", 868_900_000, "SF9BW125", "4/5", -97.0, 5.5, 2, 1, 1, 2, b"\x00\x0f\x42\x40",
        1_790_000_000_123_456, 1_474_035_218_000_005, False, (55.0436, 59.0064, 410.0),
    )  # fmt: skip


@both_forms
def test_modulations(write: Callable[[Message], bytes]) -> None:
    frame = an_uplink()
    frame.tx_info.modulation.fsk.datarate = 50_000
    assert codec.uplink(write(frame))[2:4] == (50_000, "")
    for code_rate, word in ((gw.CR_2_6, "1/3"), (gw.CR_4_6, "2/3")):
        fhss = frame.tx_info.modulation.lr_fhss
        fhss.operating_channel_width, fhss.code_rate = 137_000, code_rate
        assert codec.uplink(write(frame))[2:4] == ("M0CW137", word)
    lora = frame.tx_info.modulation.lora
    lora.spreading_factor, lora.bandwidth, lora.code_rate = 7, 812_000, gw.CR_LI_4_8
    assert codec.uplink(write(frame))[2:4] == ("SF7BW812", "4/8LI")


@both_forms
def test_a_bad_checksum_is_told(write: Callable[[Message], bytes]) -> None:
    frame = an_uplink()
    frame.rx_info.crc_status = gw.BAD_CRC
    assert codec.uplink(write(frame)).crc_failed


@both_forms
def test_stats_and_state(write: Callable[[Message], bytes]) -> None:
    said = gw.GatewayStats(
        gateway_id=f"{EUI:016x}",
        rx_packets_received=5,
        rx_packets_received_ok=4,
        tx_packets_received=2,
        tx_packets_emitted=1,
    )
    said.metadata["concentratord_version"] = "4.5.0"
    assert codec.stats(write(said)) == (
        {"rxnb": 5, "rxok": 4, "dwnb": 2, "txnb": 1, "concentratord_version": "4.5.0"}, None
    )  # fmt: skip
    said.location.latitude = 1.5
    assert codec.stats(write(said))[1] == (1.5, 0.0, 0.0)
    assert codec.is_online(write(gw.ConnState(gateway_id="aa", state=gw.ConnState.ONLINE)))
    assert not codec.is_online(write(gw.ConnState(gateway_id="aa", state=gw.ConnState.OFFLINE)))


@both_forms
@pytest.mark.parametrize(
    ("statuses", "chosen", "error"),
    [
        ([gw.OK, gw.IGNORED], 0, "OK"),
        ([gw.TOO_LATE, gw.OK], 1, "OK"),
        ([gw.TOO_LATE, gw.COLLISION_PACKET], None, "COLLISION_PACKET"),
        ([gw.DUTY_CYCLE_OVERFLOW], None, "DUTY_CYCLE_OVERFLOW"),
        ([], None, "UNKNOWN"),
    ],
)
def test_ack(write: Callable[[Message], bytes], statuses: list[int], chosen: int | None, error: str) -> None:
    message = gw.DownlinkTxAck(gateway_id=f"{EUI:016x}", downlink_id=77)
    for status in statuses:
        message.items.add(status=status)
    said = codec.ack(write(message))
    assert (said.downlink_id, said.chosen) == (77, chosen)
    if chosen is None:
        assert said.error == error


def test_a_status_that_is_not_known_yet_is_an_error_of_its_own() -> None:
    message = gw.DownlinkTxAck(downlink_id=1)
    message.items.add(status=99)
    assert codec.ack(binary(message)).error == "UNKNOWN_99"


RX = RxFrame(Gateway(EUI, ()), b"", 868_900_000, "SF9BW125", None, None, 1, 0, 0, context=b"\x01\x02\x03\x04")


@pytest.mark.parametrize("as_json", [False, True])
def test_downlink_as_the_gateway_reads_it(as_json: bool) -> None:
    frames = [
        TxFrame(b"\x60\x01", 868_900_000, "SF9BW125", 14.0, AfterUplink(RX, 1_000_000), 0, 1, 2),
        TxFrame(b"\x60\x01", 869_100_000, "SF12BW125", 16.0, AfterUplink(RX, 2_000_000)),
    ]
    payload = codec.downlink(f"{EUI:016x}", 9, frames, as_json)
    read = json_format.Parse(payload, gw.DownlinkFrame()) if as_json else gw.DownlinkFrame.FromString(payload)
    assert codec.is_json(payload) is as_json
    assert (read.downlink_id, read.gateway_id, len(read.items)) == (9, f"{EUI:016x}", 2)
    first, second = (item.tx_info for item in read.items)
    assert [item.phy_payload for item in read.items] == [b"\x60\x01"] * 2
    assert (first.frequency, first.power, first.board, first.antenna) == (868_900_000, 14, 2, 1)
    assert (first.modulation.lora.spreading_factor, first.modulation.lora.bandwidth) == (9, 125_000)
    assert first.modulation.lora.polarization_inversion and first.modulation.lora.code_rate == gw.CR_4_5
    assert first.context == second.context == b"\x01\x02\x03\x04"
    assert [info.timing.delay.delay.ToMicroseconds() for info in (first, second)] == [1_000_000, 2_000_000]
    assert (second.frequency, second.power) == (869_100_000, 16)


@pytest.mark.parametrize(
    ("timing", "which"), [(Immediately(), "immediately"), (AtGpsTime(1_474_035_218_000_005), "gps_epoch")]
)
def test_downlink_of_classes_b_and_c(timing: Timing, which: str) -> None:
    payload = codec.downlink("00", 1, [TxFrame(b"\x60", 869_100_000, 50_000, 16.0, timing)], False)
    (item,) = gw.DownlinkFrame.FromString(payload).items
    assert item.tx_info.timing.WhichOneof("parameters") == which
    assert (item.tx_info.modulation.fsk.datarate, item.tx_info.modulation.fsk.frequency_deviation) == (50_000, 25_000)
    if which == "gps_epoch":
        assert item.tx_info.timing.gps_epoch.time_since_gps_epoch.ToMicroseconds() == 1_474_035_218_000_005


@pytest.mark.parametrize(
    ("topic", "prefix", "found"),
    [
        (f"ru864/gateway/{EUI:016x}/event/up", "ru864/", codec.Topic(EUI, "event/up")),
        (f"gateway/{EUI:016X}/state/conn", "", codec.Topic(EUI, "state/conn")),
        (f"a/b/gateway/{EUI:016x}/event/ack", "a/b/", codec.Topic(EUI, "event/ack")),
    ],
)
def test_topics(topic: str, prefix: str, found: codec.Topic) -> None:
    assert codec.topic(topic, prefix) == found


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "gateway/xyz/event/up",
        f"eu868/gateway/{EUI:016x}/event/up",
        f"ru864/gateway/{EUI:016x}/event/mesh",
        "ru864/",
    ],
)
def test_foreign_topics(topic: str) -> None:
    with pytest.raises(FrameError):
        codec.topic(topic, "ru864/")


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"{" + tail))
def test_garbage_is_a_frame_error(payload: bytes) -> None:
    for read in (codec.uplink, codec.stats, codec.ack, codec.is_online):
        with contextlib.suppress(FrameError):
            read(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"{" * 5000,
        b'{"phyPayload": 5}',
        json.dumps({"rxInfo": {"gwTime": "tomorrow"}}).encode(),
        b"\x0a" * 70_000,
        b"{}",
    ],
)
def test_bombs_and_half_messages(payload: bytes) -> None:
    with pytest.raises(FrameError):
        codec.uplink(payload)
