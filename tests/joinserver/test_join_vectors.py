"""Joins with published answers: the bytes on the air and the session keys, to the letter."""

from __future__ import annotations

from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC

from joinserver.core import Granted, decide, parse_session_key_id
from joinserver.nonces import NonceSet
from joinserver.values import JoinRecord, Session
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.identifiers import EUI64, DevAddr, NetID

KEY = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
EXTRA_CHANNELS = bytes.fromhex("184f84e85684b85e84886684586e8400")


def otaa(**changes: Any) -> tuple[JoinRecord, JoinReq]:
    """chirpstack/src/test/otaa_test.rs :: test_lorawan_10: DevEUI 02…, JoinEUI 01…, DevNonce 258, next JoinNonce 0."""
    record = JoinRecord(
        EUI64.parse("0202030405060708"), EUI64.parse("0102030405060708"), app_key=KEY, next_join_nonce=0
    )
    request = JoinReq(
        phy_payload=bytes.fromhex("000807060504030201080706050403020202018d6a68cd"),
        mac_version="1.0.2",
        dev_eui=record.dev_eui,
        net_id=NetID(0),
        dev_addr=DevAddr.parse("01020304"),
        dl_settings=0,
        rx_delay=1,
        **changes,
    )
    return record, request


@pytest.mark.parametrize(
    ("cflist", "phy"),
    [
        (b"", "20983be4bfa5b2bc0660d35189de8db892"),
        (EXTRA_CHANNELS, "203ec472f09e47b6ff9a841cb737113a1e89e13078cf14b51bd6ff33cfe36e6086"),
    ],
    ids=["join-request accepted", "join-request accepted + cflist"],
)
def test_chirpstack_otaa_test_lorawan_10(cflist: bytes, phy: str) -> None:
    record, request = otaa(cflist=cflist)
    grant = decide(record, request, 0)
    assert isinstance(grant, Granted)
    assert grant.answer.phy_payload.hex() == phy
    keys = grant.answer.session_keys
    assert keys is not None
    assert keys.nwk_s_key.hex() == "802fa8293ed7d44f1353b7c92ba97dc8"
    assert keys.app_s_key.hex() == "05d3def03334170fda9bede4c625c875"
    assert grant.record.next_join_nonce == 1


def test_chirpstack_otaa_test_dev_nonce_already_used() -> None:
    record, request = otaa()
    used = JoinRecord(record.dev_eui, record.join_eui, app_key=KEY, used_dev_nonces=NonceSet.of([258]))
    answer = decide(used, request, 0)
    assert isinstance(answer, JoinAns) and answer.result is ResultCode.FRAME_REPLAYED
    assert "has already been used" in answer.detail


def test_brocaar_lorawan_example_lorawan_11_join_accept_send() -> None:
    """brocaar/lorawan a18a1037 phypayload_test.go: the clear fields of a join-accept with OptNeg, under NwkKey.

    Its MIC is made with a JSIntKey that belongs to no DevEUI; ours is checked by the device of ``test_join_rules``.
    """
    dev_eui, join_eui = EUI64.parse("0102030405060708"), EUI64.parse("0807060504030201")
    message = b"\x00" + join_eui.to_wire() + dev_eui.to_wire() + bytes.fromhex("0201")
    phy = message + CMAC.new(KEY, message, ciphermod=AES).digest()[:4]
    record = JoinRecord(dev_eui, join_eui, app_key=KEY, nwk_key=KEY, next_join_nonce=0x010101)
    request = JoinReq(phy, "1.1", dev_eui, NetID.parse("020202"), DevAddr.parse("01020304"), 0x80, 0)
    grant = decide(record, request, 0)
    assert isinstance(grant, Granted)
    plain = AES.new(KEY, AES.MODE_ECB).encrypt(grant.answer.phy_payload[1:])
    assert plain[:-4].hex() == "010101020202040302018000"
    assert grant.answer.dev_nonce == 0x0102


def test_chirpstack_network_server_rejoin_type_2() -> None:
    """chirpstack-network-server v3 internal/testsuite/rejoin_test.go :: TestRejoinType2 / valid rejoin-request."""
    dev_eui, join_eui = EUI64.parse("0102030405060708"), EUI64.parse("0807060504030201")
    session = Session(5, bytes(16), bytes.fromhex("01010101010101010101010101010101"), next_rj_count0=0)
    record = JoinRecord(dev_eui, join_eui, app_key=KEY, nwk_key=KEY, next_join_nonce=6, sessions=(session,))
    request = JoinReq(
        bytes.fromhex("c00201020308070605040302017b00a783da0d"),
        "1.1.0",
        dev_eui,
        NetID.parse("030201"),
        DevAddr.parse("01020304"),
        0x80,
        1,
        rejoin_type=2,
    )
    grant = decide(record, request, 0)
    assert isinstance(grant, Granted)
    assert grant.answer.dev_nonce == 0x7B
    assert len(grant.answer.phy_payload) == 17
    assert parse_session_key_id(grant.answer.session_key_id)[2] == 6
    assert grant.proven is not None and grant.proven.next_rj_count0 == 0x7C
