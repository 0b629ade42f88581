"""MAC commands: round trips, unknown and cut blocks, words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorawan import commands as m
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import DevAddr
from tests.support.wire_strategies import classes, command_blocks, commands_of

DIRECTIONS = pytest.mark.parametrize("uplink", [True, False], ids=["up", "down"])
VERSIONS = pytest.mark.parametrize("v1_1", [False, True], ids=["1.0.x", "1.1"])
PER_CLASS = settings(max_examples=30)  # there are fifty classes
EVERY_CLASS = [(kind, up) for up in (True, False) for kind in classes(up)]


@pytest.mark.parametrize(("kind", "uplink"), EVERY_CLASS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_command_makes_a_round_trip(kind: type[m.Command], uplink: bool) -> None:
    @PER_CLASS
    @given(commands_of(kind))
    def check(command: m.Command) -> None:
        data = command.encode()
        assert data[0] == command.cid
        assert m.parse_commands(data, uplink, lorawan_1_1=True) == [command]
        assert kind.parse(data[1:]) == command

    check()


@DIRECTIONS
@VERSIONS
def test_blocks_make_a_round_trip(uplink: bool, v1_1: bool) -> None:
    @given(command_blocks(uplink, v1_1))
    def check(block: list[m.Command]) -> None:
        assert m.parse_commands(m.encode_commands(block), uplink, v1_1) == block

    check()


@DIRECTIONS
@VERSIONS
def test_no_byte_is_lost(uplink: bool, v1_1: bool) -> None:
    @given(st.binary(max_size=60))
    def check(data: bytes) -> None:
        parsed = m.parse_commands(data, uplink, v1_1)
        sizes = [len(command.encode()) for command in parsed]
        assert sum(sizes) == len(data)
        assert all(not isinstance(command, m.UnknownCommand) for command in parsed[:-1])
        for command in parsed:
            assert m.describe(command)
        # RFU bits are the only ones that may change.
        again = m.encode_commands(parsed)
        assert m.parse_commands(again, uplink, v1_1) == parsed

    check()


@given(command_blocks(uplink=True), st.binary(min_size=1, max_size=10))
def test_what_follows_an_unknown_command_is_kept(block: list[m.Command], tail: bytes) -> None:
    unknown = b"\x80" + tail
    parsed = m.parse_commands(m.encode_commands(block) + unknown, uplink=True, lorawan_1_1=True)
    assert parsed == [*block, m.UnknownCommand(unknown)]
    assert parsed[-1].cid == 0x80
    assert parsed[-1].encode() == unknown


@pytest.mark.parametrize(("kind", "uplink"), EVERY_CLASS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_cut_command_is_kept_as_unknown(kind: type[m.Command], uplink: bool) -> None:
    @PER_CLASS
    @given(commands_of(kind))
    def check(command: m.Command) -> None:
        data = command.encode()
        for length in range(1, len(data)):
            assert m.parse_commands(data[:length], uplink, True) == [m.UnknownCommand(data[:length])]

    check()


@pytest.mark.parametrize(("kind", "uplink"), EVERY_CLASS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_payload_of_another_length_is_refused(kind: type[m.Command], uplink: bool) -> None:
    longer = bytes(kind.layout.length + 20)
    with pytest.raises(FrameError) as caught:
        kind.parse(longer)
    assert kind.__name__ in str(caught.value)


@pytest.mark.parametrize("row", [row for row in m.COMMANDS if row.only_1_1], ids=lambda row: hex(row.cid))
@DIRECTIONS
def test_1_1_commands_are_unknown_in_1_0(row: m.Row, uplink: bool) -> None:
    data = bytes((row.cid, 0, 0))
    assert m.parse_commands(data, uplink) == [m.UnknownCommand(data)]


def test_a_filter_longer_than_two_euis_is_kept_as_unknown() -> None:
    too_long = bytes((0x42, 17, 0)) + bytes(17)
    assert m.parse_commands(too_long, uplink=False) == [m.UnknownCommand(too_long)]
    with pytest.raises(StateError, match="at most 16"):
        m.FilterListReq(0, 1, bytes(17)).encode()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (m.LinkADRReq(16, 0, 0), "LinkADRReq.dr = 16 does not fit into its 4 bits"),
        (m.LinkADRReq(0, -1, 0), "LinkADRReq.tx_power = -1"),
        (m.DevStatusAns(1, 32), "DevStatusAns.margin = 32"),
        (m.DevStatusAns(1, -33), "DevStatusAns.margin = -33"),
        (m.BeaconFreqReq(868_100_050), "BeaconFreqReq.frequency_hz = 868100050"),
        (m.BeaconFreqReq(1_200_000_000), "BeaconFreqReq.frequency_hz = 1200000000"),
        (m.BeaconFreqReq(5_000_000_000), "BeaconFreqReq.frequency_hz = 5000000000"),
        (m.NotifyNewEndDeviceReq(DevAddr(1), -143, 0), "wor_rssi_dbm = -143"),
        (m.NotifyNewEndDeviceReq(DevAddr(1), -20, 12), "wor_snr_db = 12"),
        (m.UpdateUplinkListReq(0, 0, 0, DevAddr(1), 0, bytes(15)), "root_wor_s_key"),
    ],
)
def test_a_value_that_does_not_fit_is_our_error(command: m.Command, words: str) -> None:
    with pytest.raises(StateError, match=words):
        command.encode()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (m.LinkADRReq(5, 0, 0x007F), "set DR 5, power index 0, 1 transmission(s), channels 0-6 (control 0)"),
        (
            m.LinkADRReq(0, 15, 0x8105, 6, 3),
            "set DR 0, power index 15, 3 transmission(s), channels 0, 2, 8, 15 (control 6)",
        ),
        (m.LinkADRReq(0, 0, 0), "set DR 0, power index 0, 1 transmission(s), channels - (control 0)"),
        (m.LinkADRAns(True, True, True), "accepted"),
        (m.LinkADRAns(True, False, False), "refused: data rate, power"),
        (m.DevStatusAns(0, -3), "battery external, margin -3 dB"),
        (m.DevStatusAns(255, 3), "battery unknown, margin 3 dB"),
        (m.DevStatusAns(254, 3), "battery 100 %, margin 3 dB"),
        (m.RXTimingSetupReq(0), "open RX1 1 s after the uplink"),
        (m.DeviceModeInd(2), "works in class C"),
        (m.DeviceModeInd(1), "works in class ?"),
        (m.ForceRejoinReq(0, 2, 0, 5), "rejoin (type 0) at DR 5, up to 2 repetition(s), 32 s apart"),
        (m.UnknownCommand(b"\x99\x01"), "unknown or cut short: 9901"),
    ],
)
def test_words(command: m.Command, words: str) -> None:
    assert m.describe(command) == f"{type(command).__name__}: {words}"


@pytest.mark.parametrize(("kind", "uplink"), EVERY_CLASS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_command_can_be_described(kind: type[m.Command], uplink: bool) -> None:
    @PER_CLASS
    @given(commands_of(kind))
    def check(command: m.Command) -> None:
        message, values = m.phrase(command)
        assert message
        assert "{" not in message.format(**values)

    check()


def test_battery_percent() -> None:
    assert m.DevStatusAns(1, 0).battery_percent == 0.0
    assert m.DevStatusAns(254, 0).battery_percent == 100.0
    assert m.DevStatusAns(0, 0).battery_percent is None
    assert m.DevStatusAns(255, 0).battery_percent is None


def test_a_relay_key_is_not_shown() -> None:
    key = bytes.fromhex("00112233445566778899aabbccddeeff")
    command = m.UpdateUplinkListReq(1, 2, 3, DevAddr(0x01020304), 5, key)
    shown = repr(command) + m.describe(command)
    assert key.hex() not in shown
    assert repr(key)[2:-1] not in shown
    assert "01020304" in shown


def test_commands_are_values() -> None:
    assert m.DevStatusReq() == m.DevStatusReq()
    assert len({m.LinkCheckAns(1, 2), m.LinkCheckAns(1, 2), m.LinkCheckAns(1, 3)}) == 2
    assert not hasattr(m.LinkADRReq(0, 0, 0), "__dict__")
