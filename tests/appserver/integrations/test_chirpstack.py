"""Event bodies against the official protobufs (PyPI chirpstack-api): an unknown field is an error."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from chirpstack_api.integration import integration_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from appserver.integrations.chirpstack import EVENT_TYPES, body, modulation, topic
from internalapi.messages import Event, Reception

MESSAGES = {
    "up": pb.UplinkEvent,
    "join": pb.JoinEvent,
    "ack": pb.AckEvent,
    "txack": pb.TxAckEvent,
    "status": pb.StatusEvent,
    "log": pb.LogEvent,
}
TIME_US = 1_793_473_200_123_456


def event(type_: str, **changes: object) -> Event:
    fields = {
        "id": 77, "type": type_, "time_us": TIME_US, "dev_eui": "70b3d5e75e000001", "device_name": "кв. 1", "profile": "karat-926lw",
        "dev_addr": "00180001", "frame_id": 4711, "f_port": 5, "f_cnt": 0, "data": b"\x01\x02", "dr": 5,
        "frequency_hz": 868_900_000, "datr": "SF7BW125",
        "receptions": (
            Reception("0016c001ff1e5a01", TIME_US + 1, rssi_dbm=-92.4, snr_db=6.5, tmst=0, channel=0, rf_chain=1),
            Reception("0016c001ff1e5a02", TIME_US + 2, rssi_dbm=-110.0, snr_db=0.0, tmst=4_000_000_000, channel=2, gateway_time_us=TIME_US),
        ),
        "queue_item_id": "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de", "acknowledged": True, "f_cnt_down": 3, "gateway_eui": "0016c001ff1e5a01",
        "downlink_id": 2**33 + 5, "battery": 200, "margin_db": 10, "level": "ERROR", "code": "UPLINK_MIC", "text": "MIC is wrong",
        "context": {"deduplication_id": "x"},
    }  # fmt: skip
    return Event(**(fields | changes))  # type: ignore[arg-type]


def test_all_types_have_a_message() -> None:
    assert set(EVENT_TYPES) == set(MESSAGES)


@pytest.mark.parametrize("type_", MESSAGES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "receptions": (),
            "f_port": None,
            "data": b"",
            "device_name": "",
            "profile": "",
            "frequency_hz": 0,
            "datr": "",
            "context": {},
        },
        {"datr": "50000", "battery": 0, "level": "whatever", "code": "NEW_CODE", "acknowledged": False},
        {"datr": "M0CW137", "battery": 255, "confirmed": True, "adr": True, "f_cnt": 2**32 - 1},
        {"battery": None, "margin_db": -32},
    ],
)
def test_strictly_parsed(type_: str, changes: dict) -> None:
    made = body(event(type_, **changes), {"volume_m3": "1.5", "flags": ["leak"], "x": None})
    message = ParseDict(made, MESSAGES[type_](), ignore_unknown_fields=False)
    assert message.device_info.dev_eui == "70b3d5e75e000001"
    assert message.time.ToDatetime(UTC) == datetime.fromtimestamp(TIME_US / 1e6, UTC).replace(microsecond=123456)


def test_uplink_says_what_the_event_says() -> None:
    made = body(event("up"), {"volume_m3": "1.5"})
    message = ParseDict(made, pb.UplinkEvent())
    assert (message.dev_addr, message.f_port, message.dr, message.data) == ("00180001", 5, 5, b"\x01\x02")
    assert (made["fCnt"], made["adr"], made["confirmed"]) == (0, False, False), (
        "zeros of integration messages are there"
    )
    assert MessageToDict(message.object) == {"volume_m3": "1.5"}
    first, second = message.rx_info
    assert (first.gateway_id, first.rssi, first.snr, first.rf_chain) == ("0016c001ff1e5a01", -92, 6.5, 1)
    assert "channel" not in made["rxInfo"][0] and "snr" not in made["rxInfo"][1], "zeros of nested messages are not"
    assert base64.b64decode(made["rxInfo"][1]["context"]) == (4_000_000_000).to_bytes(4, "big")
    assert second.gw_time.ToMicroseconds() == TIME_US
    assert message.tx_info.frequency == 868_900_000
    assert (message.tx_info.modulation.lora.bandwidth, message.tx_info.modulation.lora.spreading_factor) == (125_000, 7)


def test_integration_scalars_are_complete() -> None:
    """Every scalar of the integration.* messages is present, also when it is zero, as ChirpStack emits them."""
    for type_, message in MESSAGES.items():
        made = body(
            event(type_, f_port=None, data=b"", receptions=(), f_cnt_down=0, acknowledged=False, margin_db=0, text="")
        )
        for name in (f.json_name for f in message.DESCRIPTOR.fields if f.message_type is None and not f.is_repeated):
            assert name in made, f"{type_}.{name}"
        for field in pb.DeviceInfo.DESCRIPTOR.fields:
            assert field.json_name in made["deviceInfo"]


def test_identifiers_are_stable_and_differ_by_event() -> None:
    """INV-22: the same event has the same id in every repetition."""
    assert body(event("up"))["deduplicationId"] == body(event("up"))["deduplicationId"]
    assert body(event("up"))["deduplicationId"] != body(event("up", id=78))["deduplicationId"]
    assert topic("up", "70b3d5e75e000001").endswith("/device/70b3d5e75e000001/event/up")


@pytest.mark.parametrize(
    ("battery", "level", "external", "unavailable"),
    [
        (0, 0.0, True, False),
        (254, 100.0, False, False),
        (127, 50.0, False, False),
        (255, 0.0, False, True),
        (None, 0.0, False, True),
    ],
)
def test_battery(battery: int | None, level: float, external: bool, unavailable: bool) -> None:
    made = body(event("status", battery=battery))
    assert (made["batteryLevel"], made["externalPowerSource"], made["batteryLevelUnavailable"]) == (
        level,
        external,
        unavailable,
    )


def test_modulations() -> None:
    assert modulation("SF12BW500")["lora"] == {"bandwidth": 500_000, "spreadingFactor": 12, "codeRate": "CR_4_5"}
    assert modulation("nonsense") == {}


def test_unknown_type_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no body"):
        body(event("coffee"))
