"""Every MAC command in one table, and the one parser that reads it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final, NamedTuple

from lorawan.commands import class_b, link, radio, relay, session
from lorawan.commands.base import Command, StatusAnswer, UnknownCommand


class Initiator(enum.Enum):
    """Who speaks first."""

    DEVICE = "device"
    NETWORK = "network"


class Row(NamedTuple):
    """What one CID means in each direction; None: nothing."""

    uplink: type[Command] | None
    downlink: type[Command] | None
    initiator: Initiator
    only_1_1: bool = False
    """True: LoRaWAN 1.0.x does not know this CID."""

    @property
    def cid(self) -> int:
        """Command identifier."""
        return (self.uplink or self.downlink).cid  # type: ignore[return-value, union-attr]


_D, _N = Initiator.DEVICE, Initiator.NETWORK

COMMANDS: Final = (
    Row(session.ResetInd, session.ResetConf, _D, only_1_1=True),
    Row(link.LinkCheckReq, link.LinkCheckAns, _D),
    Row(link.LinkADRAns, link.LinkADRReq, _N),
    Row(link.DutyCycleAns, link.DutyCycleReq, _N),
    Row(radio.RXParamSetupAns, radio.RXParamSetupReq, _N),
    Row(link.DevStatusAns, link.DevStatusReq, _N),
    Row(radio.NewChannelAns, radio.NewChannelReq, _N),
    Row(radio.RXTimingSetupAns, radio.RXTimingSetupReq, _N),
    Row(radio.TxParamSetupAns, radio.TxParamSetupReq, _N),
    Row(radio.DlChannelAns, radio.DlChannelReq, _N),
    Row(session.RekeyInd, session.RekeyConf, _D, only_1_1=True),
    Row(link.ADRParamSetupAns, link.ADRParamSetupReq, _N, only_1_1=True),
    Row(session.DeviceTimeReq, session.DeviceTimeAns, _D),
    Row(None, session.ForceRejoinReq, _N, only_1_1=True),
    Row(session.RejoinParamSetupAns, session.RejoinParamSetupReq, _N, only_1_1=True),
    Row(class_b.PingSlotInfoReq, class_b.PingSlotInfoAns, _D),
    Row(class_b.PingSlotChannelAns, class_b.PingSlotChannelReq, _N),
    Row(class_b.BeaconTimingReq, class_b.BeaconTimingAns, _D),
    Row(class_b.BeaconFreqAns, class_b.BeaconFreqReq, _N),
    Row(session.DeviceModeInd, session.DeviceModeConf, _D, only_1_1=True),
    Row(relay.RelayConfAns, relay.RelayConfReq, _N),
    Row(relay.EndDeviceConfAns, relay.EndDeviceConfReq, _N),
    Row(relay.FilterListAns, relay.FilterListReq, _N),
    Row(relay.UpdateUplinkListAns, relay.UpdateUplinkListReq, _N),
    Row(relay.CtrlUplinkListAns, relay.CtrlUplinkListReq, _N),
    Row(relay.ConfigureFwdLimitAns, relay.ConfigureFwdLimitReq, _N),
    Row(relay.NotifyNewEndDeviceReq, None, _D),
)
"""The commands of TS001-1.0.4, LoRaWAN 1.1 and TS011-1.0.1; 0x80 and above are proprietary."""


def _classes(uplink: bool, lorawan_1_1: bool) -> dict[int, type[Command]]:
    chosen = ((row.uplink if uplink else row.downlink, row) for row in COMMANDS if lorawan_1_1 or not row.only_1_1)
    return {row.cid: command for command, row in chosen if command}


_CLASSES = {(up, v11): _classes(up, v11) for up in (False, True) for v11 in (False, True)}


def parse_commands(data: bytes, uplink: bool, lorawan_1_1: bool = False) -> list[Command]:
    """Read the commands of FOpts, or of FRMPayload on FPort 0, already decrypted.

    Never raises on bytes and never loses any: from the first CID that this version and direction do not know, or
    whose payload is cut short, the rest is one :class:`UnknownCommand`.
    """
    known = _CLASSES[bool(uplink), bool(lorawan_1_1)]
    commands: list[Command] = []
    offset, end = 0, len(data)
    while offset < end:
        command = known.get(data[offset])
        length = command.wire_length(data, offset + 1) if command else 0
        after = offset + 1 + length
        if command is None or after > end or (length > 18 and command is relay.FilterListReq):
            commands.append(UnknownCommand(data[offset:]))
            break
        commands.append(command.parse(data[offset + 1 : after]))
        offset = after
    return commands


def encode_commands(commands: Iterable[Command]) -> bytes:
    """The bytes of a command block, in the order given."""
    return b"".join(command.encode() for command in commands)


def phrase(command: Command) -> tuple[str, dict[str, object]]:
    """A command as a message with names in braces and the values for them, so that the message can be translated."""
    if isinstance(command, UnknownCommand):
        return "unknown or cut short: {data}", {"data": command.data.hex()}
    if isinstance(command, StatusAnswer):
        if command.accepted:
            return "accepted", {}
        return "refused: {refused}", {"refused": ", ".join(part.replace("_", " ") for part in command.refused)}
    return command.words, command.values()


def describe(command: Command) -> str:
    """A command in words, such as ``LinkADRAns: refused: power``."""
    message, values = phrase(command)
    return f"{type(command).__name__}: {message.format(**values)}"
