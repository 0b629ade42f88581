"""JSON of Backend Interfaces and the key envelopes in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joinserver.backend.envelope import KeyEnvelope, seal, unseal
from joinserver.backend.messages import (
    Answer,
    AppSKeyRequestMessage,
    Header,
    HomeNSRequestMessage,
    JoinRequestMessage,
    Result,
    decode,
    encode,
    read_hex,
    result_text,
)
from lorawan.backend import ResultCode
from lorawan.errors import FrameError, StateError

KEYS = {"ns": bytes.fromhex("08070605040302010807060504030201")}
KEY = bytes.fromhex("01020304050607080102030405060708")

# Member names of TS002-1.0.0, as other implementations write them: brocaar/lorawan backend, chirpstack backend/src/lib.rs.
JOIN_ANS: dict[str, Any] = {
    "ProtocolVersion": "1.0",
    "SenderID": "0102030405060708",
    "ReceiverID": "010203",
    "TransactionID": 1234,
    "MessageType": "JoinAns",
    "SenderToken": "0A0B",
    "ReceiverToken": "0C0D",
    "Result": {"ResultCode": "Success", "Description": ""},
    "PHYPayload": "0x20983BE4BFA5B2BC0660D35189DE8DB892",
    "Lifetime": 0,
    "SNwkSIntKey": None,
    "NwkSKey": {"KEKLabel": "ns", "AESKey": "e3d5a47ba25cbe6e5da820846e0cb6a82b750c59d848ec7a"},
    "AppSKey": {"AESKey": "01020304050607080102030405060708"},
    "SessionKeyID": "0aff",
    "VSExtension": {"VendorID": "000000", "Object": {"any": [1, 2]}},
}


def test_a_join_answer_of_others_is_read() -> None:
    answer = decode(json.dumps(JOIN_ANS).encode(), Answer)
    assert answer.outcome() == (ResultCode.SUCCESS, "")
    assert read_hex(answer.phy_payload or "", "PHYPayload").hex() == "20983be4bfa5b2bc0660d35189de8db892"
    assert answer.nwk_s_key is not None and answer.app_s_key is not None
    assert unseal(answer.nwk_s_key, KEYS, "NwkSKey") == KEY
    assert unseal(answer.app_s_key, KEYS, "AppSKey") == KEY
    assert (answer.s_nwk_s_int_key, answer.receiver_token) == (None, "0C0D")
    assert "0102030405060708" not in repr(answer) and KEY.hex() not in repr(answer.app_s_key)


def test_a_join_request_is_written_with_the_specifications_names() -> None:
    message = JoinRequestMessage(
        protocol_version="1.0",
        sender_id="010203",
        receiver_id="0102030405060708",
        transaction_id=7,
        message_type="JoinReq",
        mac_version="1.0.3",
        phy_payload="00",
        dev_eui="02",
        dev_addr="03",
        dl_settings="04",
        rx_delay=5,
        cflist="06",
    )
    assert json.loads(encode(message)) == {
        "ProtocolVersion": "1.0",
        "SenderID": "010203",
        "ReceiverID": "0102030405060708",
        "TransactionID": 7,
        "MessageType": "JoinReq",
        "MACVersion": "1.0.3",
        "PHYPayload": "00",
        "DevEUI": "02",
        "DevAddr": "03",
        "DLSettings": "04",
        "RxDelay": 5,
        "CFList": "06",
    }


def test_an_answer_is_written_with_the_specifications_names() -> None:
    envelope = KeyEnvelope("00", "ns")
    answer = Answer(
        protocol_version="1.1",
        sender_id="a",
        receiver_id="b",
        transaction_id=0,
        message_type="HomeNSAns",
        sender_nsid="c",
        receiver_nsid="d",
        sender_token="e",
        receiver_token="f",
        result=Result("Success", "fine"),
        phy_payload="00",
        lifetime=0,
        nwk_s_key=envelope,
        f_nwk_s_int_key=envelope,
        s_nwk_s_int_key=envelope,
        nwk_s_enc_key=envelope,
        app_s_key=KeyEnvelope("11"),
        session_key_id="01",
        dev_eui="02",
        h_net_id="000013",
    )
    keys = {"FNwkSIntKey", "SNwkSIntKey", "NwkSEncKey", "NwkSKey"}
    assert json.loads(encode(answer)) == {
        "ProtocolVersion": "1.1",
        "SenderID": "a",
        "ReceiverID": "b",
        "TransactionID": 0,
        "MessageType": "HomeNSAns",
        "SenderNSID": "c",
        "ReceiverNSID": "d",
        "SenderToken": "e",
        "ReceiverToken": "f",
        "Result": {"ResultCode": "Success", "Description": "fine"},
        "PHYPayload": "00",
        "Lifetime": 0,
        **{key: {"AESKey": "00", "KEKLabel": "ns"} for key in keys},
        "AppSKey": {"AESKey": "11"},
        "SessionKeyID": "01",
        "DevEUI": "02",
        "HNetID": "000013",
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"ResultCode": "MICFailed", "Description": "no"}, (ResultCode.MIC_FAILED, "no")),
        ({"ResultCode": "micfailed"}, (ResultCode.MIC_FAILED, "")),
        ("JoinReqFailed", (ResultCode.JOIN_REQ_FAILED, "")),
        ({"ResultCode": "UnknownReceiver"}, (ResultCode.UNKNOWN_RECEIVER, "")),
        ({"ResultCode": "UnkownReceiver"}, (ResultCode.UNKNOWN_RECEIVER, "")),
        ({"ResultCode": "RoamingActDisallowedA"}, (ResultCode.ROAMING_ACT_DISALLOWED, "")),
        ({"ResultCode": "VendorSpecific", "Description": "x"}, (ResultCode.OTHER, "VendorSpecific x")),
        ({"ResultCode": "Success", "Description": None}, (ResultCode.SUCCESS, "")),
    ],
)
def test_results_of_others_are_understood(result: object, expected: tuple[ResultCode, str]) -> None:
    assert decode(json.dumps(JOIN_ANS | {"Result": result}).encode(), Answer).outcome() == expected


@pytest.mark.parametrize(
    ("code", "in_1_0", "in_1_1"),
    [
        (ResultCode.SUCCESS, "Success", "Success"),
        (ResultCode.FRAME_REPLAYED, "JoinReqFailed", "FrameReplayed"),
        (ResultCode.MALFORMED_REQUEST, "MalformedRequest", "MalformedMessage"),
        (ResultCode.UNKNOWN_RECEIVER, "UnkownReceiver", "UnkownReceiver"),
    ],
)
def test_a_protocol_version_gets_only_codes_that_it_knows(code: ResultCode, in_1_0: str, in_1_1: str) -> None:
    assert (result_text(code, "1.0"), result_text(code, "1.1")) == (in_1_0, in_1_1)


@given(
    st.binary(max_size=200),
    st.sampled_from([Header, Answer, JoinRequestMessage, AppSKeyRequestMessage, HomeNSRequestMessage]),
)
def test_random_bytes_are_frame_errors(body: bytes, message: type[Header]) -> None:
    with pytest.raises(FrameError, match="not a message"):
        decode(body, message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(JOIN_ANS)), JSON, max_size=6))
def test_random_members_are_frame_errors_or_values(changes: dict[str, object]) -> None:
    try:
        answer = decode(json.dumps(JOIN_ANS | changes).encode(), Answer)
    except FrameError:
        return
    answer.outcome()
    for envelope in (answer.nwk_s_key, answer.app_s_key):
        if envelope is not None:
            try:
                assert len(unseal(envelope, KEYS, "a key")) == 16
            except FrameError as error:
                assert str(error).startswith("a key")


def test_a_json_bomb_is_a_frame_error() -> None:
    with pytest.raises(FrameError):
        decode(b'{"ProtocolVersion":' + b"[" * 50_000, Answer)


@pytest.mark.parametrize("text", ["0", "0x0", "zz", "٠٠", "00 0"])
def test_other_text_is_no_hex(text: str) -> None:
    with pytest.raises(FrameError, match="PHYPayload"):
        read_hex(text, "PHYPayload")


def test_hex_of_another_length_is_refused() -> None:
    assert read_hex(" 0XAbCd ", "DevAddr", 2) == b"\xab\xcd"
    with pytest.raises(FrameError, match="DevAddr has 2 bytes, not 4"):
        read_hex("abcd", "DevAddr", 4)


def test_kw_7_key_wrap_of_chirpstack_backend_and_brocaar_lorawan() -> None:
    """crypto vector kw-7: chirpstack backend, brocaar/lorawan backend_test.go."""
    envelope = seal(KEY, "ns", KEYS)
    assert envelope == KeyEnvelope("e3d5a47ba25cbe6e5da820846e0cb6a82b750c59d848ec7a", "ns")
    assert unseal(envelope, KEYS, "AppSKey") == KEY
    assert seal(KEY, "", KEYS) == KeyEnvelope(KEY.hex())
    with pytest.raises(StateError, match="'other'"):
        seal(KEY, "other", KEYS)


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        (KeyEnvelope("e3d5", "other"), "NwkSKey is wrapped under KEK 'other'; add it"),
        (KeyEnvelope("e3d5a47ba25cbe6e5da820846e0cb6a82b750c59d848ec7b", "ns"), "does not open with KEK 'ns'"),
        (KeyEnvelope("e3d5", "ns"), "does not open"),
        (KeyEnvelope("e3d5"), "AESKey of 2 bytes"),
        (KeyEnvelope("hello"), "not hexadecimal"),
    ],
)
def test_an_envelope_that_does_not_open_says_why(envelope: KeyEnvelope, text: str) -> None:
    with pytest.raises(FrameError, match=text):
        unseal(envelope, KEYS, "NwkSKey")
