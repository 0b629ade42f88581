"""The simulator's own cryptography against published samples; each row names its source."""

from __future__ import annotations

from typing import Any

import pytest
from lorasim import crypto
from lorasim.crypto import SessionKeys
from lorasim.load import FrameBuilder, LoadSession

from tests.support import vectors

ROWS = vectors.load("crypto.json")["vectors"]


def of(category: str) -> Any:
    rows = [row for row in ROWS if row["category"] == category]
    assert rows, category
    return pytest.mark.parametrize("row", vectors.params(rows, "id"))


def data(row: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(row["inputs"][name])


def number(row: dict[str, Any], name: str) -> int:
    return int(row["inputs"][name], 16)


@of("join_request_mic")
def test_join_request(row: dict[str, Any]) -> None:
    assert crypto.join_request_mic(data(row, "key"), data(row, "phy_payload")[:-4]).hex() == row["expected"]


@of("rejoin_request_mic")
def test_rejoin_request(row: dict[str, Any]) -> None:
    assert crypto.rejoin_request_mic(data(row, "key"), data(row, "phy_payload")[:-4]).hex() == row["expected"]


@of("join_accept_1.0")
def test_join_accept(row: dict[str, Any]) -> None:
    key, plain, sealed = data(row, "key"), data(row, "plain_without_mic"), bytes.fromhex(row["expected"])
    assert crypto.open_join_accept(key, sealed) == plain + data(row, "mic")
    assert crypto.seal_join_accept(key, plain + data(row, "mic")) == sealed
    assert crypto.join_accept_mic_1_0(key, plain) == data(row, "mic")


@of("join_accept_1.1_encrypted")
def test_join_accept_1_1(row: dict[str, Any]) -> None:
    plain = data(row, "plain_without_mic")
    asked = (number(row, "JoinReqType"), number(row, "JoinEUI_be"), number(row, "DevNonce_be"))
    assert crypto.join_accept_mic_1_1(data(row, "JSIntKey"), *asked, plain) == data(row, "mic")
    assert crypto.open_join_accept(data(row, "NwkKey"), bytes.fromhex(row["expected"])) == plain + data(row, "mic")


@of("key_derivation_1.0")
def test_session_keys_1_0(row: dict[str, Any]) -> None:
    nonces = (number(row, "JoinNonce_be"), number(row, "NetID_be"), number(row, "DevNonce_be"))
    keys = crypto.session_keys_1_0(data(row, "root_key"), *nonces)
    key = {"01": keys.nwk_s_enc_key, "02": keys.app_s_key}[row["inputs"]["type"]]
    assert key.hex() == row["expected"]


@of("key_derivation_1.1")
def test_session_keys_1_1(row: dict[str, Any]) -> None:
    root = data(row, "root_key")
    nonces = (number(row, "JoinNonce_be"), number(row, "JoinEUI_be"), number(row, "DevNonce_be"))
    keys = crypto.session_keys_1_1(root, root, *nonces)
    by_type = {
        "01": keys.f_nwk_s_int_key,
        "02": keys.app_s_key,
        "03": keys.s_nwk_s_int_key,
        "04": keys.nwk_s_enc_key,
    }
    assert by_type[row["inputs"]["type"]].hex() == row["expected"]


@of("key_derivation_js")
def test_join_server_keys(row: dict[str, Any]) -> None:
    derive = {"05": crypto.js_enc_key, "06": crypto.js_int_key}[row["inputs"]["type"]]
    assert derive(data(row, "NwkKey"), number(row, "DevEUI_be")).hex() == row["expected"]


@of("data_mic_1.0")
def test_data_mic_1_0(row: dict[str, Any]) -> None:
    inputs = row["inputs"]
    message = bytes.fromhex(inputs["msg"]) if "msg" in inputs else data(row, "phy_payload")[:-4]
    keys = SessionKeys.of_1_0(data(row, "NwkSKey"), bytes(16))
    mic = crypto.downlink_mic if inputs["dir"] else crypto.uplink_mic
    assert mic(keys, int.from_bytes(message[1:5], "little"), inputs["fcnt32"], message).hex() == row["expected"]


def keys_1_1(row: dict[str, Any]) -> SessionKeys:
    inputs = row["inputs"]
    f_nwk = bytes.fromhex(inputs.get("FNwkSIntKey", "00" * 16))
    return SessionKeys(f_nwk, bytes.fromhex(inputs["SNwkSIntKey"]), bytes(16), bytes(16), True)


def message_1_1(row: dict[str, Any]) -> bytes:
    return data(row, "msg") if "msg" in row["inputs"] else data(row, "phy_payload")[:-4]


@of("data_mic_1.1_up")
def test_uplink_mic_1_1(row: dict[str, Any]) -> None:
    inputs, message = row["inputs"], message_1_1(row)
    dev_addr, f_cnt = int.from_bytes(message[1:5], "little"), int.from_bytes(message[6:8], "little")
    more = (inputs["ConfFCnt"], inputs["TxDr"], inputs["TxCh"])
    assert crypto.uplink_mic(keys_1_1(row), dev_addr, f_cnt, message, *more).hex() == row["expected"]


@of("data_mic_1.1_down")
def test_downlink_mic_1_1(row: dict[str, Any]) -> None:
    message = message_1_1(row)
    dev_addr, f_cnt = int.from_bytes(message[1:5], "little"), int.from_bytes(message[6:8], "little")
    assert (
        crypto.downlink_mic(keys_1_1(row), dev_addr, f_cnt, message, row["inputs"]["ConfFCnt"]).hex() == row["expected"]
    )


@of("frm_payload")
def test_payload(row: dict[str, Any]) -> None:
    about = (data(row, "key"), not row["inputs"]["dir"], number(row, "DevAddr_be"), row["inputs"]["fcnt32"])
    assert crypto.crypt_payload(*about, data(row, "plain")).hex() == row["expected"]
    assert crypto.crypt_payload(*about, bytes.fromhex(row["expected"])) == data(row, "plain")


@of("fopts_encryption")
def test_f_opts(row: dict[str, Any]) -> None:
    about = (data(row, "NwkSEncKey"), not row["inputs"]["dir"], number(row, "DevAddr_be"), row["inputs"]["fcnt32"])
    a_f_cnt = row["inputs"]["A_bytes1_4"] == "00000002"
    assert crypto.crypt_f_opts(*about, data(row, "plain"), a_f_cnt).hex() == row["expected"]


@pytest.mark.parametrize("length", [1, 7, 15, 16, 17, 33, 51])
def test_fast_frames_of_the_load_generator(length: int) -> None:
    """The shortcut with cached key schedules gives what the plain formulas give."""
    session = LoadSession("70b3d5fffd000000", "01a2b3c4", "11" * 16, "c0ffee" * 5 + "00")
    payload = bytes(range(length))
    phy = FrameBuilder(session).frame(0x1FFFE, 5, payload, confirmed=length % 2 == 0)
    keys = SessionKeys.of_1_0(bytes.fromhex(session.nwk_s_key), bytes.fromhex(session.app_s_key))
    assert crypto.uplink_mic(keys, 0x01A2B3C4, 0x1FFFE, phy[:-4]) == phy[-4:]
    assert crypto.crypt_payload(keys.app_s_key, True, 0x01A2B3C4, 0x1FFFE, phy[9:-4]) == payload
