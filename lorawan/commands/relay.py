"""Relay commands (TS011-1.0.1 §10): to the relay itself, and EndDeviceConf to the device behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from lorawan.commands.base import Command, StatusAnswer
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import DevAddr
from lorawan.layout import Layout, address, flag, frequency, offset_uint, raw_bytes, rfu, uint


@dataclass(frozen=True, slots=True)
class RelayConfReq(Command):
    """Start or stop a relay and set its wake-on-radio channels (§10.1)."""

    start_stop: bool
    """True: relay."""
    cad_periodicity: int
    """How often it listens: 0..5 = 1000, 500, 250, 100, 50, 20 ms."""
    default_ch_idx: int
    second_ch_idx: int
    """0: none."""
    second_ch_dr: int
    second_ch_ack_offset: int
    """0..5 = 0, 200, 400, 800, 1600, 3200 kHz."""
    second_ch_frequency_hz: int

    cid = 0x40
    layout = Layout(
        uint("second_ch_ack_offset", 3),
        uint("second_ch_dr", 4),
        uint("second_ch_idx", 2),
        uint("default_ch_idx", 1),
        uint("cad_periodicity", 3),
        flag("start_stop"),
        rfu(2),
        frequency("second_ch_frequency_hz"),
    )
    words = "relay: {start_stop}, second channel {second_ch_frequency_hz} Hz, DR {second_ch_dr}"


@dataclass(frozen=True, slots=True)
class RelayConfAns(StatusAnswer):
    """What the relay accepted of RelayConfReq (§10.1)."""

    second_ch_frequency_ack: bool
    second_ch_ack_offset_ack: bool
    second_ch_dr_ack: bool
    second_ch_idx_ack: bool
    default_ch_idx_ack: bool
    cad_periodicity_ack: bool

    cid = 0x40
    layout = Layout(
        flag("second_ch_frequency_ack"),
        flag("second_ch_ack_offset_ack"),
        flag("second_ch_dr_ack"),
        flag("second_ch_idx_ack"),
        flag("default_ch_idx_ack"),
        flag("cad_periodicity_ack"),
        rfu(2),
    )


@dataclass(frozen=True, slots=True)
class EndDeviceConfReq(Command):
    """Tell a device how to use a relay (§10.2)."""

    relay_mode_activation: int
    """0 off, 1 on, 2 dynamic, 3 as the device decides."""
    smart_enable_level: int
    """Dynamic mode: relay after 8, 16, 32 or 64 uplinks without an answer (0..3)."""
    back_off: int
    """Uplinks through the relay without an answer before one goes directly; 0: always through the relay."""
    second_ch_idx: int
    second_ch_dr: int
    second_ch_ack_offset: int
    second_ch_frequency_hz: int

    cid = 0x41
    layout = Layout(
        uint("smart_enable_level", 2),
        uint("relay_mode_activation", 2),
        rfu(4),
        uint("second_ch_ack_offset", 3),
        uint("second_ch_dr", 4),
        uint("second_ch_idx", 2),
        uint("back_off", 6),
        rfu(1),
        frequency("second_ch_frequency_hz"),
    )
    words = "use a relay: mode {relay_mode_activation}, second channel {second_ch_frequency_hz} Hz, DR {second_ch_dr}"


@dataclass(frozen=True, slots=True)
class EndDeviceConfAns(StatusAnswer):
    """What the device accepted of EndDeviceConfReq (§10.2)."""

    second_ch_frequency_ack: bool
    second_ch_dr_ack: bool
    second_ch_idx_ack: bool
    second_ch_ack_offset_ack: bool
    """In TS011-1.0.0 this bit stood for BackOff."""

    cid = 0x41
    layout = Layout(
        flag("second_ch_frequency_ack"),
        flag("second_ch_dr_ack"),
        flag("second_ch_idx_ack"),
        flag("second_ch_ack_offset_ack"),
        rfu(4),
    )


_FILTER_HEADER = Layout(uint("length", 5), uint("action", 2), uint("index", 4), rfu(5))
_MAX_FILTER_EUI = 16


@dataclass(frozen=True, slots=True)
class FilterListReq(Command):
    """Set one rule of a relay's join-request filter (§10.3). Its length follows from its first byte."""

    index: int
    """0 is the rule for everything else."""
    action: int
    """0 no rule, 1 forward, 2 filter out."""
    eui: bytes
    """Up to 16 bytes: the beginning of JoinEUI | DevEUI as they travel."""

    cid = 0x42
    words = "filter {index}: action {action} for join-requests that begin with {eui}"

    @classmethod
    def wire_length(cls, data: bytes, offset: int) -> int:
        """Two header bytes and as many of the EUIs as the first says."""
        return 2 + (data[offset] & 0x1F) if offset < len(data) else 2

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the payload; FrameError on another length than its header says."""
        if len(payload) < 2 or len(payload) != cls.wire_length(payload, 0) or len(payload) > 2 + _MAX_FILTER_EUI:
            raise FrameError(f"FilterListReq with {len(payload)} payload bytes", len(payload))
        header = _FILTER_HEADER.parse(payload[:2])
        return cls(header["index"], header["action"], payload[2:])

    @property
    def length(self) -> int:
        """FilterListLen."""
        return len(self.eui)

    def encode(self) -> bytes:
        """CID and payload."""
        if len(self.eui) > _MAX_FILTER_EUI:
            raise StateError(f"FilterListReq with {len(self.eui)} bytes of EUIs; at most {_MAX_FILTER_EUI}")
        return bytes((self.cid,)) + _FILTER_HEADER.encode(self) + self.eui

    def values(self) -> dict[str, Any]:
        """With the EUIs as hexadecimal text."""
        return Command.values(self) | {"eui": self.eui.hex()}


@dataclass(frozen=True, slots=True)
class FilterListAns(StatusAnswer):
    """What the relay accepted of FilterListReq (§10.3)."""

    action_ack: bool
    length_ack: bool
    combined_rules_ack: bool

    cid = 0x42
    layout = Layout(flag("action_ack"), flag("length_ack"), flag("combined_rules_ack"), rfu(5))


@dataclass(frozen=True, slots=True, repr=False)
class UpdateUplinkListReq(Command):
    """Let a relay trust a device (§10.4): 26 bytes, so only on FPort 0."""

    index: int
    reload_rate: int
    """Uplinks per hour that are forwarded; 63: no limit."""
    bucket_size: int
    """0..3 = 1, 2, 4, 12 times the rate."""
    dev_addr: DevAddr
    w_f_cnt: int
    root_wor_s_key: bytes

    cid = 0x43
    layout = Layout(
        uint("index", 4),
        rfu(4),
        uint("reload_rate", 6),
        uint("bucket_size", 2),
        address(),
        uint("w_f_cnt", 32),
        raw_bytes("root_wor_s_key", 16),
    )
    words = "relay {dev_addr} (entry {index}, {reload_rate} uplinks per hour)"

    def __repr__(self) -> str:
        return f"<UpdateUplinkListReq of {self.dev_addr}, entry {self.index}>"  # carries a key


@dataclass(frozen=True, slots=True)
class UpdateUplinkListAns(Command):
    """The relay trusts the device (§10.4)."""

    cid = 0x43
    words = "trusted device stored"


@dataclass(frozen=True, slots=True)
class CtrlUplinkListReq(Command):
    """Ask for the wake-on-radio counter of a trusted device, or remove it (§10.5)."""

    index: int
    action: int
    """0 read, 1 remove."""

    cid = 0x44
    layout = Layout(uint("index", 4), uint("action", 1), rfu(3))
    words = "trusted device {index}: action {action}"


@dataclass(frozen=True, slots=True)
class CtrlUplinkListAns(Command):
    """The counter of a trusted device (§10.5)."""

    index_ack: bool
    w_f_cnt: int

    cid = 0x44
    layout = Layout(flag("index_ack"), rfu(7), uint("w_f_cnt", 32))
    words = "trusted device known: {index_ack}, counter {w_f_cnt}"


@dataclass(frozen=True, slots=True)
class ConfigureFwdLimitReq(Command):
    """Limit what a relay forwards (§10.6): frames per hour (127: no limit), buckets 0..3 of 1, 2, 4, 12 times that."""

    reset_limit_counter: int
    """0 clears the counters, 1 sets them to the rates, 2 to the buckets, 3 keeps them."""
    join_req_reload_rate: int
    notify_reload_rate: int
    global_uplink_reload_rate: int
    overall_reload_rate: int
    join_req_size: int
    notify_size: int
    global_uplink_size: int
    overall_size: int

    cid = 0x45
    layout = Layout(
        uint("overall_reload_rate", 7),
        uint("global_uplink_reload_rate", 7),
        uint("notify_reload_rate", 7),
        uint("join_req_reload_rate", 7),
        uint("reset_limit_counter", 2),
        rfu(2),
        uint("overall_size", 2),
        uint("global_uplink_size", 2),
        uint("notify_size", 2),
        uint("join_req_size", 2),
    )
    words = (
        "forward per hour: {join_req_reload_rate} joins, {notify_reload_rate} notices, "
        "{global_uplink_reload_rate} uplinks, {overall_reload_rate} in all"
    )


@dataclass(frozen=True, slots=True)
class ConfigureFwdLimitAns(Command):
    """The limits are set (§10.6)."""

    cid = 0x45
    words = "forwarding limits set"


@dataclass(frozen=True, slots=True)
class NotifyNewEndDeviceReq(Command):
    """A relay has heard a device that it does not know (§10.7)."""

    dev_addr: DevAddr
    wor_rssi_dbm: int
    """-142..-15."""
    wor_snr_db: int
    """-20..11."""

    cid = 0x46
    layout = Layout(
        address(),
        offset_uint("wor_snr_db", 5, lambda raw: raw - 20, lambda value: value + 20),
        offset_uint("wor_rssi_dbm", 7, lambda raw: -raw - 15, lambda value: -value - 15),
        rfu(4),
    )
    words = "hears an unknown device {dev_addr} at {wor_rssi_dbm} dBm, {wor_snr_db} dB"
