"""MAC commands against facts: the rows of wire_codec.json, and the table and byte vectors of mac_commands.json."""

from __future__ import annotations

import pytest

from lorawan import commands as m
from lorawan.identifiers import DevAddr
from tests.support.vectors import Row, load, params

CODEC: list[Row] = load("wire_codec.json")["codec"]["mac_commands"]
FACTS = load("mac_commands.json")
KEY = bytes.fromhex("01020304050607080102030405060708")

# What the words of each row of wire_codec.json mean as a value, in the order of the file.
MEANINGS: dict[str, m.Command] = {
    "ResetInd v1.1": m.ResetInd(1),
    "ResetConf v1.1": m.ResetConf(1),
    "LinkCheckReq": m.LinkCheckReq(),
    "LinkCheckAns margin=10 gw=15": m.LinkCheckAns(10, 15),
    "LinkADRReq dr=1 power=2 mask={2} ch_mask_cntl=4 nb_rep=5": m.LinkADRReq(1, 2, 1 << 2, 4, 5),
    "LinkADRAns ch_mask_ack": m.LinkADRAns(True, False, False),
    "LinkADRAns dr_ack": m.LinkADRAns(False, True, False),
    "LinkADRAns power_ack": m.LinkADRAns(False, False, True),
    "LinkADRAns all": m.LinkADRAns(True, True, True),
    "DutyCycleReq 13": m.DutyCycleReq(13),
    "DutyCycleAns": m.DutyCycleAns(),
    "RXParamSetupReq freq=26265700 rx2_dr=11 rx1_off=3": m.RXParamSetupReq(3, 11, 26_265_700),
    "RXParamSetupAns channel+rx1off": m.RXParamSetupAns(True, False, True),
    "DevStatusReq": m.DevStatusReq(),
    "DevStatusAns battery=0 margin=-30": m.DevStatusAns(0, -30),
    "DevStatusAns battery=255 margin=30": m.DevStatusAns(255, 30),
    "DevStatusAns battery=127 margin=-1": m.DevStatusAns(127, -1),
    "DevStatusAns battery=127 margin=0": m.DevStatusAns(127, 0),
    "NewChannelReq idx=3 freq=26265700 max_dr=5 min_dr=10": m.NewChannelReq(3, 26_265_700, 5, 10),
    "NewChannelReq idx=3 freq=2410000000 (200 Hz steps) max_dr=5 min_dr=0": m.NewChannelReq(3, 2_410_000_000, 5, 0),
    "NewChannelAns none": m.NewChannelAns(False, False),
    "NewChannelAns freq": m.NewChannelAns(True, False),
    "NewChannelAns dr": m.NewChannelAns(False, True),
    "NewChannelAns both": m.NewChannelAns(True, True),
    "RXTimingSetupReq 15": m.RXTimingSetupReq(15),
    "RXTimingSetupAns": m.RXTimingSetupAns(),
    "TXParamSetupReq no dwell eirp=15": m.TxParamSetupReq(False, False, 15),
    "TXParamSetupReq uplink dwell eirp=15": m.TxParamSetupReq(False, True, 15),
    "TXParamSetupReq downlink dwell eirp=15": m.TxParamSetupReq(True, False, 15),
    "TXParamSetupAns": m.TxParamSetupAns(),
    "DlChannelReq idx=0 868.1": m.DlChannelReq(0, 868_100_000),
    "DlChannelReq idx=1 868.2": m.DlChannelReq(1, 868_200_000),
    "DlChannelAns none": m.DlChannelAns(False, False),
    "DlChannelAns freq": m.DlChannelAns(True, False),
    "DlChannelAns uplink exists": m.DlChannelAns(False, True),
    "DlChannelAns both": m.DlChannelAns(True, True),
    "RekeyInd 1.1": m.RekeyInd(1),
    "RekeyConf 1.1": m.RekeyConf(1),
    "ADRParamSetupReq limit=10 delay=15": m.ADRParamSetupReq(10, 15),
    "ADRParamSetupAns": m.ADRParamSetupAns(),
    "DeviceTimeReq": m.DeviceTimeReq(),
    "DeviceTimeAns 1 s": m.DeviceTimeAns(1),
    "DeviceTimeAns 1 s + 2/256": m.DeviceTimeAns(1, 2),
    "ForceRejoinReq period=3 retries=4 type=2 dr=5": m.ForceRejoinReq(3, 4, 2, 5),
    "RejoinParamSetupReq time=14 count=15": m.RejoinParamSetupReq(14, 15),
    "RejoinParamSetupAns time_ok": m.RejoinParamSetupAns(True),
    "PingSlotInfoReq 3": m.PingSlotInfoReq(3),
    "PingSlotInfoAns": m.PingSlotInfoAns(),
    "PingSlotChannelReq 868.1 dr5": m.PingSlotChannelReq(868_100_000, 5),
    "PingSlotChannelAns freq": m.PingSlotChannelAns(True, False),
    "PingSlotChannelAns dr": m.PingSlotChannelAns(False, True),
    "PingSlotChannelAns both": m.PingSlotChannelAns(True, True),
    "BeaconFreqReq 868.1": m.BeaconFreqReq(868_100_000),
    "BeaconFreqAns ok": m.BeaconFreqAns(True),
    "DeviceModeInd A": m.DeviceModeInd(0),
    "DeviceModeInd C": m.DeviceModeInd(2),
    "DeviceModeConf A": m.DeviceModeConf(0),
    "DeviceModeConf C": m.DeviceModeConf(2),
    "RelayConfReq start=1 cad=3 default_idx=0 second_idx=1 dr=4 ack_off=5 868.1": m.RelayConfReq(
        True, 3, 0, 1, 4, 5, 868_100_000
    ),
    "RelayConfAns all": m.RelayConfAns(True, True, True, True, True, True),
    "RelayConfAns alternate": m.RelayConfAns(True, False, True, False, True, False),
    "EndDeviceConfReq": m.EndDeviceConfReq(2, 3, 63, 1, 4, 5, 868_100_000),
    "EndDeviceConfAns": m.EndDeviceConfAns(True, False, True, True),
    "FilterListReq idx=3 action=forward eui=16 bytes": m.FilterListReq(
        3, 1, bytes.fromhex("02020304050607080807060504030201")
    ),
    "FilterListAns len_ack": m.FilterListAns(False, True, False),
    "UpdateUplinkListReq idx=3 reload=60 bucket=2 devaddr=01020304 wfcnt=128 rootworskey=0102030405060708x2": (
        m.UpdateUplinkListReq(3, 60, 2, DevAddr.parse("01020304"), 128, KEY)
    ),
    "UpdateUplinkListAns": m.UpdateUplinkListAns(),
    "CtrlUplinkListReq idx=3 action=1": m.CtrlUplinkListReq(3, 1),
    "CtrlUplinkListAns": m.CtrlUplinkListAns(True, 128),
    "ConfigureFwdLimitReq": m.ConfigureFwdLimitReq(3, 70, 80, 90, 100, 3, 1, 2, 2),
    "ConfigureFwdLimitAns": m.ConfigureFwdLimitAns(),
    "NotifyNewEndDeviceReq devaddr=01020304 snr=-10 rssi=-120": m.NotifyNewEndDeviceReq(
        DevAddr.parse("01020304"), -120, -10
    ),
}


@pytest.mark.parametrize("row", params(CODEC, "what"))
def test_codec_row(row: Row) -> None:
    value, data = MEANINGS[row["what"]], bytes.fromhex(row["hex"])
    assert value.encode() == data
    assert m.parse_commands(data, row["dir"] == "up", lorawan_1_1=True) == [value]


def test_every_codec_row_has_its_own_meaning() -> None:
    assert [row["what"] for row in CODEC] == list(MEANINGS)


def _lengths(fact: object) -> tuple[int, int] | None:
    """Shortest and longest payload: a number, a text such as "2..18", or None for no such command."""
    if fact is None:
        return None
    if isinstance(fact, str):
        low, high = fact.split("..")
        return int(low), int(high)
    assert isinstance(fact, int)
    return fact, fact


@pytest.mark.parametrize("fact", params([f for f in FACTS["commands"] if f["cid"] != "0x80"], "cid"))
def test_table_agrees_with_the_facts(fact: Row) -> None:
    [row] = [row for row in m.COMMANDS if row.cid == int(fact["cid"], 16)]
    assert row.initiator.value == {"device": "device", "server": "network"}[fact["initiator"]]
    assert row.only_1_1 == fact["versions"].startswith("1.1 only")
    for kind, name, length in (
        (row.uplink, fact["up_name"], fact["up_payload_len"]),
        (row.downlink, fact["down_name"], fact["down_payload_len"]),
    ):
        assert (kind.__name__ if kind else "-") == name
        expected = _lengths(length)
        if kind is None:
            assert expected is None
        elif kind is m.FilterListReq:
            shortest, longest = (len(m.FilterListReq(0, 0, bytes(n)).encode()) - 1 for n in (0, 16))
            assert expected == (shortest, longest)
        else:
            assert expected == (kind.layout.length, kind.layout.length)


def test_table_is_complete_and_proprietary_begins_at_0x80() -> None:
    assert len(m.COMMANDS) == len(FACTS["commands"]) - 1 == 27
    assert max(row.cid for row in m.COMMANDS) < 0x80
    assert m.parse_commands(b"\x02\x80\x01\x02", uplink=True) == [m.LinkCheckReq(), m.UnknownCommand(b"\x80\x01\x02")]


def test_max_eirp_codes() -> None:
    assert list(m.MAX_EIRP_DBM) == FACTS["max_eirp_codes_dbm"]


@pytest.mark.parametrize("row", params(FACTS["byte_vectors"], "name", "bytes_hex"))
def test_byte_vector(row: Row) -> None:
    data = bytes.fromhex(row["bytes_hex"])
    if row["name"].startswith("ForceRejoinReq"):
        f = row["fields"]
        command = m.ForceRejoinReq(f["period"], f["max_retries"], f["rejoin_type"], f["dr"])
        encode = command.encode_period_first if "LoRaMac-node" in row["name"] else command.encode
        assert encode() == data
        return
    [command] = m.parse_commands(data, row["dir"] == "up", lorawan_1_1=True)
    assert type(command).__name__ == row["name"].split()[0]
    assert command.encode() == data
    values = command.values()
    names = {
        "freq": "second_ch_frequency_hz" if isinstance(command, m.RelayConfReq) else "frequency_hz",
        "index": "ch_index",
        "gps_seconds": "seconds",
        "fraction_256": "fraction",
        "max_eirp_code": "max_eirp",
        "class": "device_class",
    }
    for name, value in row["fields"].items():
        if name == "ch_mask_bits":
            assert values["ch_mask"] == sum(1 << bit for bit in value)
        elif name == "status":
            assert data[1] == value
            assert command.accepted == (value == 7)
        elif isinstance(value, str) and value.startswith("0x"):
            assert values[name] == int(value, 16)
        else:
            assert values[names.get(name, name)] == value
