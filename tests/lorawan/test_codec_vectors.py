"""Rows of vectors/wire_codec.json that speak of the wire; each names the public test it comes from."""

from __future__ import annotations

import re

import pytest

from lorawan import class_b, commands, counters, crypto, frames, hot, relay
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.vectors import Row, load, params

CODEC: dict[str, list[Row]] = load("wire_codec.json")["codec"]
unhex = bytes.fromhex


@pytest.mark.parametrize("row", params(CODEC["join_request"], "hex"))
def test_join_request(row: Row) -> None:
    request = frames.JoinRequest(EUI64.parse(row["join_eui"]), EUI64.parse(row["dev_eui"]), row["dev_nonce"])
    request.mic = crypto.join_request_mic(unhex(row["app_key"]), request.encode_without_mic())
    assert request.encode() == unhex(row["hex"])
    assert frames.parse(unhex(row["hex"])) == request


@pytest.mark.parametrize("row", params(CODEC["join_accept"], "hex"))
def test_join_accept(row: Row) -> None:
    key = unhex(row.get("enc_key") or row["app_key"])
    fields, mic = crypto.decrypt_join_accept(key, unhex(row["hex"]))
    assert mic.hex() == row["mic"]
    accept = frames.JoinAccept.parse(fields)
    if "clear" in row:
        assert fields == unhex(row["clear"])
    else:
        assert accept.join_nonce == row["join_nonce"]
        assert accept.net_id == NetID.parse(row["net_id"])
        assert accept.dev_addr == DevAddr.parse(row["dev_addr"])
        assert accept.dl_settings == int(row["dl_settings"], 16)
        assert accept.rx_delay == row["rx_delay"]
        assert accept.opt_neg == row["opt_neg"]
    if accept.opt_neg:
        expected = crypto.join_accept_mic_1_1(
            unhex(row["mic_key"]), fields, EUI64.parse(row["join_eui"]), row["dev_nonce"]
        )
    else:
        expected = crypto.join_accept_mic(key, fields)
    assert mic == expected
    assert crypto.encrypt_join_accept(key, accept.encode(), mic) == unhex(row["hex"])


@pytest.mark.parametrize("row", params(CODEC["rejoin_request"], "type"))
def test_rejoin_request(row: Row) -> None:
    dev_eui = EUI64.parse(row["dev_eui"])
    request: frames.RejoinRequest0_2 | frames.RejoinRequest1
    if row["type"] == 1:
        request = frames.RejoinRequest1(EUI64.parse(row["join_eui"]), dev_eui, row["rj_count1"])
    else:
        request = frames.RejoinRequest0_2(row["type"], NetID.parse(row["net_id"]), dev_eui, row["rj_count0"])
    request.mic = crypto.rejoin_request_mic(unhex(row["key"]), request.encode_without_mic())
    assert request.encode() == unhex(row["hex"])
    assert frames.parse(unhex(row["hex"])) == request


@pytest.mark.parametrize("row", params(CODEC["session_keys"], "key_name"))
def test_session_keys(row: Row) -> None:
    root = unhex(row["root_key"])
    if row["key_name"].startswith("root_wor_s_key"):
        assert crypto.derive_root_wor_s_key(root).hex() == row["hex"]
        return
    old = crypto.derive_session_keys_1_0(root, row["join_nonce"], NetID.parse(row["net_id"]), row["dev_nonce"])
    new = crypto.derive_session_keys_1_1(root, root, row["join_nonce"], EUI64.parse(row["join_eui"]), row["dev_nonce"])
    derived = {
        "nwk_s_key(1.0)": old.nwk_s_key,
        "app_s_key(1.0)": old.app_s_key,
        "app_s_key(1.1)": new.app_s_key,
        "f_nwk_s_int_key": new.f_nwk_s_int_key,
        "s_nwk_s_int_key": new.s_nwk_s_int_key,
        "nwk_s_enc_key": new.nwk_s_enc_key,
    }[row["key_name"]]
    assert derived.hex() == row["hex"]


def keys_of(row: Row) -> crypto.SessionKeys:
    app = unhex(row.get("app_s_key", "00" * 16))
    if row.get("version") != "1.1":
        return crypto.SessionKeys.for_1_0(unhex(row["nwk_s_key"]), app)
    unused = "00" * 16
    return crypto.SessionKeys(
        unhex(row.get("f_nwk_s_int_key", unused)),
        unhex(row["s_nwk_s_int_key"]),
        unhex(row.get("nwk_s_enc_key", unused)),
        app,
        lorawan_1_1=True,
    )


@pytest.mark.parametrize("row", params(CODEC["data_frame"], "hex"))
def test_data_frame(row: Row) -> None:
    phy = unhex(row["hex"])
    frame = frames.parse(phy)
    assert isinstance(frame, frames.DataFrame)
    assert frame.uplink == (row["dir"] == "up")
    keys = keys_of(row)
    cipher = crypto.SessionCipher(keys, frame.dev_addr)
    f_cnt = row.get("f_cnt", frame.f_cnt)
    if frame.uplink:
        # The rows of 1.1 say it in their note: TxDr 2, TxCh 3, ConfFCnt 1 where ACK is set.
        radio = (frame.ack and 1, 2, 3) if keys.lorawan_1_1 else (0, 0, 0)
        assert cipher.uplink_mic(phy[:-4], f_cnt, *radio) == frame.mic
    else:
        assert cipher.downlink_mic(phy[:-4], f_cnt) == frame.mic
    if "clear" in row:
        assert frame.f_port == row["f_port"]
        assert cipher.payload(frame.f_port, frame.frm_payload, f_cnt, frame.uplink) == unhex(row["clear"])
    if "fctrl" in row:
        assert phy[5] == int(row["fctrl"], 16)
        assert frame.adr
    if keys.lorawan_1_1 and frame.f_opts:
        a_f_cnt = not frame.uplink and bool(frame.f_port)
        [check] = commands.parse_commands(cipher.f_opts(frame.f_opts, f_cnt, frame.uplink, a_f_cnt), frame.uplink, True)
        assert check == commands.LinkCheckAns(margin=7, gw_cnt=1)
    elif row.get("fopts") == "DevStatusAns battery=115 margin=7":
        assert commands.parse_commands(frame.f_opts, True) == [commands.DevStatusAns(115, 7)]
    elif "fopts" in row:
        assert frame.f_opts.hex() == row["fopts"]
    assert frame.encode() == phy


@pytest.mark.parametrize("row", params(CODEC["relay"], "hex"))
def test_relay(row: Row) -> None:
    data = unhex(row["hex"])
    if row["what"].startswith("ForwardUplinkReq"):
        expected = relay.ForwardUplinkReq(5, 9, -110, 1, 868_100_000, unhex("e0010203"))
        assert row["what"] == (
            f"ForwardUplinkReq dr={expected.dr} snr={expected.snr_db} rssi={expected.rssi_dbm} "
            f"wor_channel={expected.wor_channel} freq={expected.frequency_hz} payload={expected.phy_payload.hex()}"
        )
        assert relay.ForwardUplinkReq.parse(data) == expected
        assert expected.encode() == data
    else:
        assert relay.ForwardDownlinkReq.parse(data).encode() == data
        assert row["what"] == f"ForwardDownlinkReq payload={data.hex()}"


@pytest.mark.parametrize("row", params(CODEC["cflist"], "what"))
def test_cflist_travels_in_the_join_accept(row: Row) -> None:
    cflist = unhex(row["hex"])
    accept = frames.JoinAccept(1, NetID(0), DevAddr(1), cflist=cflist)
    key = bytes(range(16))
    phy = crypto.encrypt_join_accept(key, accept.encode(), crypto.join_accept_mic(key, accept.encode()))
    assert len(phy) == 33
    assert frames.JoinAccept.parse(crypto.decrypt_join_accept(key, phy)[0]).cflist == cflist


@pytest.mark.parametrize("row", params(CODEC["netid_devaddr_prefix"], "net_id"))
def test_net_id_prefix(row: Row) -> None:
    net_id = NetID.parse(row["net_id"])
    assert net_id.type == row["type"]
    assert str(net_id.dev_addr_prefix()) == row["prefix"]
    lowest = net_id.make_dev_addr(0)
    assert str(lowest) == row["prefix"].split("/")[0]
    assert net_id.owns(lowest)
    assert lowest.net_id_type == row["type"]


@pytest.mark.parametrize("row", params(CODEC["full_fcnt"], "next_expected", "on_air_16bit"))
def test_full_f_cnt(row: Row) -> None:
    assert counters.full_f_cnt(row["on_air_16bit"], row["next_expected"]) == row["full"]


@pytest.mark.parametrize("row", params(CODEC["class_b_ping_slot"], "after_gps_s", "ping_nb"))
def test_class_b_ping_slot(row: Row) -> None:
    periodicity = 7 - (row["ping_nb"].bit_length() - 1)
    slot_us = class_b.next_ping_slot_us(row["after_gps_s"] * 1_000_000, DevAddr.parse(row["dev_addr"]), periodicity)
    assert slot_us == round(row["expected_gps_s"] * 1_000_000)


@pytest.mark.parametrize("row", params(CODEC["fctrl"], "hex", "bits"))
def test_f_ctrl(row: Row) -> None:
    f_ctrl = int(row["hex"], 16)
    words, f_opts_len = row["bits"].rsplit("fopts=", 1)
    named = set(re.split(r"[ ,/]+", words.strip(" ,")))
    everything = "all" in named
    f_opts = bytes(range(int(f_opts_len)))
    for m_hdr in (0x40, 0x60):
        phy = bytes((m_hdr, 1, 2, 3, 4, f_ctrl, 0, 0)) + f_opts + bytes(4)
        frame = frames.parse(phy)
        assert isinstance(frame, frames.DataFrame)
        assert hot.data_header(phy)[2] == f_ctrl
        assert frame.f_opts == f_opts
        assert frame.adr == ("adr" in named or everything)
        assert frame.ack == ("ack" in named or everything)
        assert frame.adr_ack_req == (frame.uplink and ("adr_ack_req" in named or everything))
        assert frame.class_b == (frame.uplink and ("class_b" in named or everything))
        assert frame.f_pending == (not frame.uplink and ("f_pending" in named or everything))
        rfu_bit_set = not frame.uplink and f_ctrl & 0x40
        if not rfu_bit_set:
            assert frame.encode() == phy


def test_every_part_of_the_file_is_used() -> None:
    """MAC commands are in test_command_vectors, ADR in tests/lns/test_adr_vectors."""
    elsewhere = {"mac_commands", "adr_steps", "adr_nbtrans"}
    here = {
        "join_request",
        "join_accept",
        "rejoin_request",
        "session_keys",
        "data_frame",
        "relay",
        "cflist",
        "netid_devaddr_prefix",
        "full_fcnt",
        "class_b_ping_slot",
        "fctrl",
    }
    assert set(CODEC) == here | elsewhere
