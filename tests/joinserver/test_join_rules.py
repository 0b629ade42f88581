"""Join-requests of 1.0.x and 1.1: what is accepted, with which keys, and what every refusal says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joinserver.core import (
    JOIN_NONCES,
    Granted,
    decide,
    first_join_nonce,
    parse_mac_version,
    parse_session_key_id,
    session_key_id,
    skip_ahead,
)
from joinserver.nonces import NonceSet
from joinserver.values import JoinRecord
from lorawan.backend import JoinAns, ResultCode
from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.joins import NOW_US, NWK_KEY, ask_for
from tests.support.otaa_device import OtaaDevice

CFLIST = bytes.fromhex("e8d983b8e18388e98358f18328f98300")


def record_of(device: OtaaDevice, **changes: Any) -> JoinRecord:
    values = {"app_key": device.app_key, "nwk_key": device.nwk_key} | changes
    return JoinRecord(EUI64(device.dev_eui), EUI64(device.join_eui), **values)


def granted(
    record: JoinRecord, device: OtaaDevice, dev_nonce: int, mac_version: str = "1.0.4", **changes: Any
) -> Granted:
    decision = decide(record, ask_for(device, device.join_request(dev_nonce), mac_version, **changes), NOW_US)
    assert isinstance(decision, Granted), decision
    return decision


def refused(
    record: JoinRecord | None, device: OtaaDevice, dev_nonce: int, mac_version: str = "1.0.4", **changes: Any
) -> JoinAns:
    request = ask_for(device, changes.pop("phy", device.join_request(dev_nonce)), mac_version, **changes)
    decision = decide(record, request, NOW_US)
    assert isinstance(decision, JoinAns)
    assert (decision.phy_payload, decision.session_keys) == (b"", None)
    return decision


@pytest.mark.parametrize("mac_version", ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4"])
@pytest.mark.parametrize("cflist", [b"", CFLIST])
def test_a_1_0_device_reads_its_accept(mac_version: str, cflist: bytes) -> None:
    device = OtaaDevice()
    grant = granted(record_of(device), device, 7, mac_version, cflist=cflist, rx_delay=5)
    accepted = device.accept(grant.answer.phy_payload, 7)
    assert (accepted.join_nonce, accepted.net_id, accepted.dev_addr) == (1, 0x000013, 0x26012345)
    assert (accepted.dl_settings, accepted.rx_delay, accepted.cflist) == (0x12, 5, cflist)
    keys = grant.answer.session_keys
    assert keys is not None and not keys.lorawan_1_1
    assert (keys.nwk_s_key, keys.app_s_key) == (accepted.keys["NwkSKey"], accepted.keys["AppSKey"])
    assert (grant.answer.result, grant.answer.join_nonce, grant.answer.dev_nonce) == (ResultCode.SUCCESS, 1, 7)


@pytest.mark.parametrize("mac_version", ["1.1", "1.1.0"])
def test_a_1_1_device_reads_its_accept(mac_version: str) -> None:
    device = OtaaDevice(nwk_key=NWK_KEY)
    grant = granted(record_of(device), device, 0, mac_version)
    accepted = device.accept(grant.answer.phy_payload, 0)
    keys = grant.answer.session_keys
    assert keys is not None and keys.lorawan_1_1
    assert {
        "FNwkSIntKey": keys.f_nwk_s_int_key,
        "SNwkSIntKey": keys.s_nwk_s_int_key,
        "NwkSEncKey": keys.nwk_s_enc_key,
        "AppSKey": keys.app_s_key,
    } == accepted.keys


@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4", "1.1"])
def test_a_1_1_device_on_a_1_0_network_gets_1_0_keys_from_its_nwk_key(mac_version: str) -> None:
    """LoRaWAN 1.1 §6.1.1.3: without OptNeg the NwkKey takes the AppKey's place."""
    device = OtaaDevice(nwk_key=NWK_KEY)
    grant = granted(record_of(device), device, 3, mac_version, dl_settings=0x03)
    accepted = device.accept(grant.answer.phy_payload, 3)
    keys = grant.answer.session_keys
    assert keys is not None and not keys.lorawan_1_1
    assert (keys.nwk_s_key, keys.app_s_key) == (accepted.keys["NwkSKey"], accepted.keys["AppSKey"])


def test_a_1_0_device_joins_when_somebody_also_stored_a_nwk_key() -> None:
    device = OtaaDevice()
    granted(record_of(device, nwk_key=NWK_KEY), device, 3, "1.0.3")


# (MACVersion, used before, DevNonce, accepted): TS001-1.0.4 §6.2.2 and LoRaWAN 1.1 §6.2.2 count; 1.0.3 §6.2.4 remembers.
DEV_NONCES = [
    ("1.0.2", (), 0, True),
    ("1.0.3", (500, 60_000), 499, True),
    ("1.0.3", (500, 60_000), 500, False),
    ("1.0.3", (500, 60_000), 60_000, False),
    ("1.0.3", range(4096), 4095, False),
    ("1.0.3", range(4096), 4096, True),
    ("1.0.4", (), 0, True),
    ("1.0.4", (0,), 0, False),
    ("1.0.4", (0,), 1, True),
    ("1.0.4", (500, 60_000), 499, False),
    ("1.0.4", (500, 60_000), 60_001, True),
    ("1.1", (41,), 41, False),
    ("1.1", (41,), 40, False),
    ("1.1", (41,), 65_535, True),
]


@pytest.mark.parametrize(("mac_version", "used", "dev_nonce", "accepted"), DEV_NONCES)
def test_inv_11_dev_nonce(mac_version: str, used: tuple[int, ...], dev_nonce: int, accepted: bool) -> None:
    device = OtaaDevice(nwk_key=NWK_KEY if mac_version == "1.1" else None)
    record = record_of(device, used_dev_nonces=NonceSet.of(used))
    if accepted:
        grant = granted(record, device, dev_nonce, mac_version)
        assert grant.record.used_dev_nonces == NonceSet.of({*used, dev_nonce})
        return
    answer = refused(record, device, dev_nonce, mac_version)
    assert answer.result is ResultCode.FRAME_REPLAYED
    assert f"DevNonce {dev_nonce} has already been used" in answer.detail and "forget" in answer.detail


def test_inv_11_a_change_of_version_keeps_the_highest() -> None:
    device = OtaaDevice()
    record = granted(record_of(device), device, 60_000, "1.0.3").record
    assert refused(record, device, 59_999, "1.0.4").result is ResultCode.FRAME_REPLAYED
    record = granted(record, device, 60_001, "1.0.4").record
    assert refused(record, device, 60_000, "1.0.3").result is ResultCode.FRAME_REPLAYED
    granted(record, device, 5, "1.0.3")


@pytest.mark.parametrize(
    ("mac_version", "used", "dev_nonce"), [("1.0.3", range(59_999), 65_000), ("1.0.4", (3,), 59_999)]
)
def test_inv_11_an_alarm_before_dev_nonces_run_out(mac_version: str, used: range, dev_nonce: int) -> None:
    device = OtaaDevice()
    answer = granted(record_of(device, used_dev_nonces=NonceSet.of(used)), device, dev_nonce, mac_version).answer
    assert answer.result is ResultCode.SUCCESS and "5536 of 65536 DevNonces left" in answer.detail


def test_inv_14_a_copy_makes_no_second_accept() -> None:
    device = OtaaDevice()
    record = granted(record_of(device), device, 7, "1.0.3").record
    request = ask_for(device, device.join_request(7), "1.0.3", dev_addr=DevAddr(0x26000001))
    answer = decide(record, request, NOW_US + 4_250_000)
    assert isinstance(answer, JoinAns) and answer.result is ResultCode.FRAME_REPLAYED
    assert "answered 4.250 s before" in answer.detail


def test_inv_13_join_nonce_rises_by_one_and_names_the_session() -> None:
    device = OtaaDevice()
    record = record_of(device)
    for n in range(1, 6):
        grant = granted(record, device, n)
        record = grant.record
        assert device.accept(grant.answer.phy_payload, n).join_nonce == n
        assert parse_session_key_id(grant.answer.session_key_id) == (record.dev_eui, record.join_eui, n)


@pytest.mark.parametrize(("epochs", "expected"), [(0, 10), (1, 1034), (2, 2058), (64, 65_546), (1000, 65_546)])
def test_inv_13_skip_ahead(epochs: int, expected: int) -> None:
    assert skip_ahead(10, epochs) == expected


def test_inv_13_a_device_the_file_does_not_know_begins_apart_from_lost_ones() -> None:
    begins = [first_join_nonce(epoch) for epoch in range(4096)]
    assert begins[:3] == [1, 1025, 2049] and len(set(begins)) == 4096 and max(begins) < JOIN_NONCES // 4


def test_inv_13_the_last_join_nonce_is_used_once_and_then_no_more() -> None:
    device = OtaaDevice()
    assert skip_ahead(JOIN_NONCES - 5, 1) == JOIN_NONCES
    record = granted(record_of(device, next_join_nonce=JOIN_NONCES - 1), device, 1).record
    assert (
        device.accept(
            granted(record_of(device, next_join_nonce=JOIN_NONCES - 1), device, 1).answer.phy_payload, 1
        ).join_nonce
        == 0xFFFFFF
    )
    answer = refused(record, device, 2)
    assert answer.result is ResultCode.JOIN_REQ_FAILED and "JoinNonces" in answer.detail


def test_inv_12_mic_before_nonce() -> None:
    """A used DevNonce with a wrong MIC is a forgery, not a replay: nothing about nonces is told."""
    device = OtaaDevice()
    record = record_of(device, used_dev_nonces=NonceSet.of([7]))
    forged = device.join_request(7)[:-1] + bytes([device.join_request(7)[-1] ^ 1])
    answer = refused(record, device, 7, phy=forged)
    assert answer.result is ResultCode.MIC_FAILED and "AppKey" in answer.detail


JOIN = OtaaDevice().join_request(1)
REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], ResultCode, str]] = [
    ("other JoinEUI", {"join_eui": EUI64(9)}, {}, ResultCode.UNKNOWN_DEV_EUI, "registered with 0000000000000009"),
    ("foreign network", {"home_net_id": NetID(5)}, {}, ResultCode.ACTIVATION_DISALLOWED, "belongs to NetID 000005"),
    ("other DevEUI", {}, {"dev_eui": EUI64(1)}, ResultCode.MALFORMED_REQUEST, "differ in DevEUI"),
    ("short frame", {}, {"phy": JOIN[:-1]}, ResultCode.MALFORMED_REQUEST, "22 bytes"),
    ("no frame", {}, {"phy": b""}, ResultCode.MALFORMED_REQUEST, "empty"),
    ("data frame", {}, {"phy": b"\x40" + bytes(12)}, ResultCode.MALFORMED_REQUEST, "neither"),
    ("version", {}, {"mac_version": "2.0"}, ResultCode.MALFORMED_REQUEST, "MACVersion '2.0'"),
    ("rejoin type", {}, {"rejoin_type": 1}, ResultCode.MALFORMED_REQUEST, "rejoin type 1"),
    ("CFList", {}, {"cflist": bytes(15)}, ResultCode.MALFORMED_REQUEST, "CFList of 15 bytes"),
    ("RxDelay", {}, {"rx_delay": 16}, ResultCode.MALFORMED_REQUEST, "RxDelay 16"),
    ("DLSettings", {}, {"dl_settings": 256}, ResultCode.MALFORMED_REQUEST, "DLSettings 256"),
    ("OptNeg in 1.0", {}, {"dl_settings": 0x80}, ResultCode.MALFORMED_REQUEST, "OptNeg"),
    ("1.1 without NwkKey", {}, {"mac_version": "1.1"}, ResultCode.JOIN_REQ_FAILED, "NwkKey missing"),
    (
        "1.1 without AppKey",
        {"app_key": None, "nwk_key": NWK_KEY},
        {"mac_version": "1.1"},
        ResultCode.JOIN_REQ_FAILED,
        "AppKey missing",
    ),
]


@pytest.mark.parametrize(
    ("record_changes", "request_changes", "result", "text"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_refusals_say_why(
    record_changes: dict[str, Any], request_changes: dict[str, Any], result: ResultCode, text: str
) -> None:
    device = OtaaDevice()
    record = replace(record_of(device), **record_changes)
    answer = refused(record, device, 1, **({"mac_version": "1.0.4"} | request_changes))
    assert answer.result is result
    assert text in answer.detail and "DevEUI" in answer.detail


def test_an_unknown_device_is_refused() -> None:
    device = OtaaDevice()
    answer = refused(None, device, 1)
    assert answer.result is ResultCode.UNKNOWN_DEV_EUI and "0202030405060708 is not registered" in answer.detail


@pytest.mark.parametrize("text", ["", "1", "1.x", "0.9", "1.0.4.1", "٠.١", "1.0.4 or so"])
def test_other_mac_versions_are_refused(text: str) -> None:
    with pytest.raises(FrameError, match="MACVersion"):
        parse_mac_version(text)


def test_mac_versions_compare() -> None:
    versions = ["1.0", "1.0.1", "1.0.2B", "1.0.3", "1.0.4", "1.1", "1.1.1"]
    parsed = [parse_mac_version(v) for v in versions]
    assert parsed == sorted(set(parsed))


FRAMES = st.binary(max_size=40) | st.builds(
    lambda head, rest: head + rest,
    st.sampled_from([b"\x00", b"\xc0\x00", b"\xc0\x01", b"\xc0\x02"]),
    st.binary(min_size=13, max_size=25),
)


@given(
    phy=FRAMES,
    mac_version=st.sampled_from(["1.0.3", "1.0.4", "1.1"]) | st.text(max_size=6),
    dl_settings=st.integers(-1, 300),
    rx_delay=st.integers(-1, 17),
    cflist=st.binary(max_size=17),
    rejoin_type=st.none() | st.integers(-1, 4),
    same_device=st.booleans(),
)
def test_random_requests_are_refused_and_nothing_escapes(same_device: bool, **changes: Any) -> None:
    device = OtaaDevice(nwk_key=NWK_KEY)
    frame = changes["phy"]
    dev_eui = EUI64.from_wire(frame[9:17]) if same_device and len(frame) >= 17 else EUI64(device.dev_eui)
    record = replace(record_of(device), dev_eui=dev_eui)
    changes["phy_payload"] = changes.pop("phy")
    answer = decide(record, ask_for(device, b"", **(changes | {"dev_eui": dev_eui})), NOW_US)
    assert isinstance(answer, JoinAns) and answer.result is not ResultCode.SUCCESS
    assert str(dev_eui) in answer.detail


def test_a_session_key_id_of_somebody_else_is_refused() -> None:
    assert len(session_key_id(EUI64(1), EUI64(2), 3)) == 19
    with pytest.raises(FrameError, match="SessionKeyID"):
        parse_session_key_id(bytes(18))


def test_no_repr_tells_a_key() -> None:
    """SEC-26."""
    device = OtaaDevice(nwk_key=NWK_KEY)
    grant = granted(record_of(device), device, 0, "1.1")
    session_keys = device.accept(grant.answer.phy_payload, 0).keys
    for key in (device.app_key, NWK_KEY, *session_keys.values()):
        assert key.hex() not in repr(grant) and repr(key)[2:-1] not in repr(grant)
