"""Every row of vectors/crypto.json, by category. Each row names the public implementation it comes from."""

from __future__ import annotations

import datetime as dt

import pytest

from lorawan import class_b, crypto, frames, gps
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.vectors import Row, load, params

ROWS: list[Row] = load("crypto.json")["vectors"]
UNUSED = bytes(16)
unhex = bytes.fromhex


def rows(*categories: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", params([r for r in ROWS if r["category"] in categories], "id"))


def message(inputs: Row) -> bytes:
    return unhex(inputs["msg"]) if "msg" in inputs else unhex(inputs["phy_payload"])[:-4]


def dev_addr_of(data: bytes) -> DevAddr:
    return DevAddr.from_wire(data[1:5])


@rows("join_request_mic")
def test_join_request_mic(row: Row) -> None:
    phy = unhex(row["inputs"]["phy_payload"])
    request = frames.parse(phy)
    assert isinstance(request, frames.JoinRequest)
    assert crypto.join_request_mic(unhex(row["inputs"]["key"]), request.encode_without_mic()).hex() == row["expected"]
    assert request.mic.hex() == row["expected"]


@rows("rejoin_request_mic")
def test_rejoin_request_mic(row: Row) -> None:
    phy = unhex(row["inputs"]["phy_payload"])
    request = frames.parse(phy)
    assert isinstance(request, frames.RejoinRequest0_2 | frames.RejoinRequest1)
    assert request.rejoin_type == phy[1]
    assert crypto.rejoin_request_mic(unhex(row["inputs"]["key"]), request.encode_without_mic()).hex() == row["expected"]
    assert request.encode() == phy


@rows("join_accept_1.0")
def test_join_accept_1_0(row: Row) -> None:
    key, plain = unhex(row["inputs"]["key"]), unhex(row["inputs"]["plain_without_mic"])
    fields = frames.JoinAccept.parse(plain[1:]).encode()
    assert fields == plain[1:]
    mic = crypto.join_accept_mic(key, fields)
    assert mic.hex() == row["inputs"]["mic"]
    phy = crypto.encrypt_join_accept(key, fields, mic)
    assert phy.hex() == row["expected"]
    assert crypto.decrypt_join_accept(key, phy) == (fields, mic)


@rows("join_accept_1.0_mic")
def test_join_accept_1_0_mic(row: Row) -> None:
    plain = unhex(row["inputs"]["plain_with_mic"])
    assert crypto.join_accept_mic(unhex(row["inputs"]["key"]), plain[1:-4]).hex() == row["expected"]


def mic_1_1(inputs: Row) -> bytes:
    return crypto.join_accept_mic_1_1(
        unhex(inputs["JSIntKey"]),
        unhex(inputs["plain_without_mic"])[1:],
        EUI64.parse(inputs["JoinEUI_be"]),
        int(inputs["DevNonce_be"], 16),
        int(inputs["JoinReqType"], 16),
    )


@rows("join_accept_1.1_mic")
def test_join_accept_1_1_mic(row: Row) -> None:
    assert mic_1_1(row["inputs"]).hex() == row["expected"]


@rows("join_accept_1.1_encrypted")
def test_join_accept_1_1_encrypted(row: Row) -> None:
    mic = mic_1_1(row["inputs"])
    assert mic.hex() == row["inputs"]["mic"]
    fields = unhex(row["inputs"]["plain_without_mic"])[1:]
    assert frames.JoinAccept.parse(fields).opt_neg
    assert crypto.encrypt_join_accept(unhex(row["inputs"]["NwkKey"]), fields, mic).hex() == row["expected"]


@rows("key_derivation_1.0")
def test_session_keys_1_0(row: Row) -> None:
    i = row["inputs"]
    keys = crypto.derive_session_keys_1_0(
        unhex(i["root_key"]), int(i["JoinNonce_be"], 16), NetID.parse(i["NetID_be"]), int(i["DevNonce_be"], 16)
    )
    assert {"01": keys.nwk_s_key, "02": keys.app_s_key}[i["type"]].hex() == row["expected"]
    assert keys.f_nwk_s_int_key == keys.s_nwk_s_int_key == keys.nwk_s_enc_key


@rows("key_derivation_1.1")
def test_session_keys_1_1(row: Row) -> None:
    i = row["inputs"]
    root = unhex(i["root_key"])
    keys = crypto.derive_session_keys_1_1(
        root, root, int(i["JoinNonce_be"], 16), EUI64.parse(i["JoinEUI_be"]), int(i["DevNonce_be"], 16)
    )
    by_type = {
        "01": keys.f_nwk_s_int_key,
        "02": keys.app_s_key,
        "03": keys.s_nwk_s_int_key,
        "04": keys.nwk_s_enc_key,
    }
    assert by_type[i["type"]].hex() == row["expected"]
    assert keys.lorawan_1_1


@rows("key_derivation_js")
def test_join_server_keys(row: Row) -> None:
    i = row["inputs"]
    derive = {"05": crypto.derive_js_enc_key, "06": crypto.derive_js_int_key}[i["type"]]
    assert derive(unhex(i["NwkKey"]), EUI64.parse(i["DevEUI_be"])).hex() == row["expected"]


@rows("relay_RootWorSKey")
def test_root_wor_s_key(row: Row) -> None:
    assert crypto.derive_root_wor_s_key(unhex(row["inputs"]["NwkSEncKey_or_NwkSKey"])).hex() == row["expected"]


@rows("relay_session_keys")
def test_wor_session_keys(row: Row) -> None:
    i = row["inputs"]
    integrity, encryption = crypto.derive_wor_session_keys(unhex(i["RootWorSKey"]), DevAddr.parse(i["DevAddr_be"]))
    assert {"relay-WorSIntKey": integrity, "relay-WorSEncKey": encryption}[row["id"]].hex() == row["expected"]


@rows("data_mic_1.0")
def test_data_mic_1_0(row: Row) -> None:
    i = row["inputs"]
    data = message(i)
    cipher = crypto.SessionCipher(crypto.SessionKeys.for_1_0(unhex(i["NwkSKey"]), UNUSED), dev_addr_of(data))
    mic = (cipher.downlink_mic if i["dir"] else cipher.uplink_mic)(data, i["fcnt32"])
    assert mic.hex() == row["expected"]


@rows("data_mic_1.1_up")
def test_data_mic_1_1_up(row: Row) -> None:
    i = row["inputs"]
    data = message(i)
    keys = crypto.SessionKeys(unhex(i["FNwkSIntKey"]), unhex(i["SNwkSIntKey"]), UNUSED, UNUSED, lorawan_1_1=True)
    f_cnt = int.from_bytes(data[6:8], "little")
    mic = crypto.SessionCipher(keys, dev_addr_of(data)).uplink_mic(data, f_cnt, i["ConfFCnt"], i["TxDr"], i["TxCh"])
    assert mic.hex() == row["expected"]


@rows("data_mic_1.1_down")
def test_data_mic_1_1_down(row: Row) -> None:
    i = row["inputs"]
    data = message(i)
    keys = crypto.SessionKeys(UNUSED, unhex(i["SNwkSIntKey"]), UNUSED, UNUSED, lorawan_1_1=True)
    f_cnt = int.from_bytes(data[6:8], "little")
    assert (
        crypto.SessionCipher(keys, dev_addr_of(data)).downlink_mic(data, f_cnt, i["ConfFCnt"]).hex() == row["expected"]
    )


@rows("frm_payload")
def test_frm_payload(row: Row) -> None:
    i = row["inputs"]
    key, plain, uplink = unhex(i["key"]), unhex(i["plain"]), not i["dir"]
    address = DevAddr.parse(i["DevAddr_be"])
    on_port_1 = crypto.SessionCipher(crypto.SessionKeys.for_1_0(UNUSED, key), address)
    assert on_port_1.payload(1, plain, i["fcnt32"], uplink).hex() == row["expected"]
    assert on_port_1.payload(1, unhex(row["expected"]), i["fcnt32"], uplink) == plain
    on_port_0 = crypto.SessionCipher(crypto.SessionKeys(UNUSED, UNUSED, key, UNUSED, lorawan_1_1=True), address)
    assert on_port_0.payload(0, plain, i["fcnt32"], uplink).hex() == row["expected"]


@rows("fopts_encryption")
def test_f_opts(row: Row) -> None:
    i = row["inputs"]
    keys = crypto.SessionKeys(UNUSED, UNUSED, unhex(i["NwkSEncKey"]), UNUSED, lorawan_1_1=True)
    cipher = crypto.SessionCipher(keys, DevAddr.parse(i["DevAddr_be"]))
    a_f_cnt = {"00000001": False, "00000002": True}[i["A_bytes1_4"]]
    assert cipher.f_opts(unhex(i["plain"]), i["fcnt32"], not i["dir"], a_f_cnt).hex() == row["expected"]


@rows("multicast_keys")
def test_multicast_keys(row: Row) -> None:
    i = row["inputs"]
    if row["id"] == "mc-key-encrypted":
        assert crypto.encrypt_mc_key(unhex(i["McKEKey"]), unhex(i["McKey"])).hex() == row["expected"]
        return
    key, address = unhex(i["key"]), int.from_bytes(unhex(i["block"])[1:5], "little")
    derived = {
        "mc-root-1.0(GenAppKey)": crypto.derive_mc_root_key_1_0,
        "mc-root-1.1(AppKey)": crypto.derive_mc_root_key_1_1,
        "mc-KEKey": crypto.derive_mc_ke_key,
        "McAppSKey": lambda k: crypto.derive_mc_session_keys(k, address).app_s_key,
        "McNetSKey": lambda k: crypto.derive_mc_session_keys(k, address).nwk_s_key,
    }[row["id"]](key)
    assert derived.hex() == row["expected"]


@rows("aes_key_wrap_rfc3394")
def test_key_wrap(row: Row) -> None:
    kek, key = unhex(row["inputs"]["kek"]), unhex(row["inputs"]["key"])
    wrapped = crypto.wrap_key(kek, key)
    assert wrapped.hex() == row["expected"]
    assert crypto.unwrap_key(kek, wrapped) == key


@rows("ping_offset")
def test_ping_offset(row: Row) -> None:
    i = row["inputs"]
    assert (
        crypto.ping_offset(i["beacon_time"], DevAddr.parse(i["DevAddr_be"]), i["ping_period_slots"]) == row["expected"]
    )


@rows("next_ping_slot")
def test_next_ping_slot(row: Row) -> None:
    i = row["inputs"]
    periodicity = 7 - (i["pings_per_beacon"].bit_length() - 1)
    assert class_b.ping_period_slots(periodicity) == i["ping_period_slots"]
    slot_us = class_b.next_ping_slot_us(i["after_gps_s"] * 1_000_000, DevAddr.parse(i["DevAddr_be"]), periodicity)
    assert slot_us == round(row["expected"] * 1_000_000)


@rows("beacon_crc16")
def test_beacon_crc(row: Row) -> None:
    assert f"{class_b.crc16(unhex(row['inputs']['bytes'])):04x}" == row["expected"]


@rows("utc_to_gps_seconds")
def test_gps_seconds(row: Row) -> None:
    utc_us = int(dt.datetime(*row["inputs"]["utc"], tzinfo=dt.UTC).timestamp()) * gps.SECOND_US
    assert gps.utc_to_gps_us(utc_us) == row["expected"] * gps.SECOND_US
    assert gps.gps_to_utc_us(row["expected"] * gps.SECOND_US) == utc_us


def test_every_row_is_used() -> None:
    used = {mark.args[1][n].values[0]["id"] for mark in _marks() for n in range(len(mark.args[1]))}
    assert used == {row["id"] for row in ROWS}
    assert len(ROWS) == 105


def _marks() -> list[pytest.Mark]:
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    return [mark for test in tests for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
