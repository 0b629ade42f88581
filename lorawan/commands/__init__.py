"""MAC commands of both directions: values by their names in the specification, one table, one parser."""

from lorawan.commands.base import Command, StatusAnswer, UnknownCommand
from lorawan.commands.class_b import (
    BeaconFreqAns,
    BeaconFreqReq,
    BeaconTimingAns,
    BeaconTimingReq,
    PingSlotChannelAns,
    PingSlotChannelReq,
    PingSlotInfoAns,
    PingSlotInfoReq,
)
from lorawan.commands.link import (
    ADRParamSetupAns,
    ADRParamSetupReq,
    DevStatusAns,
    DevStatusReq,
    DutyCycleAns,
    DutyCycleReq,
    LinkADRAns,
    LinkADRReq,
    LinkCheckAns,
    LinkCheckReq,
)
from lorawan.commands.radio import (
    MAX_EIRP_DBM,
    DlChannelAns,
    DlChannelReq,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
    TxParamSetupAns,
    TxParamSetupReq,
)
from lorawan.commands.relay import (
    ConfigureFwdLimitAns,
    ConfigureFwdLimitReq,
    CtrlUplinkListAns,
    CtrlUplinkListReq,
    EndDeviceConfAns,
    EndDeviceConfReq,
    FilterListAns,
    FilterListReq,
    NotifyNewEndDeviceReq,
    RelayConfAns,
    RelayConfReq,
    UpdateUplinkListAns,
    UpdateUplinkListReq,
)
from lorawan.commands.session import (
    DeviceModeConf,
    DeviceModeInd,
    DeviceTimeAns,
    DeviceTimeReq,
    ForceRejoinReq,
    RejoinParamSetupAns,
    RejoinParamSetupReq,
    RekeyConf,
    RekeyInd,
    ResetConf,
    ResetInd,
)
from lorawan.commands.table import COMMANDS, Initiator, Row, describe, encode_commands, parse_commands, phrase

__all__ = [
    "COMMANDS", "MAX_EIRP_DBM",
    "ADRParamSetupAns", "ADRParamSetupReq", "BeaconFreqAns", "BeaconFreqReq", "BeaconTimingAns", "BeaconTimingReq",
    "Command", "ConfigureFwdLimitAns", "ConfigureFwdLimitReq", "CtrlUplinkListAns", "CtrlUplinkListReq",
    "DevStatusAns", "DevStatusReq", "DeviceModeConf", "DeviceModeInd", "DeviceTimeAns", "DeviceTimeReq",
    "DlChannelAns", "DlChannelReq", "DutyCycleAns", "DutyCycleReq", "EndDeviceConfAns", "EndDeviceConfReq",
    "FilterListAns", "FilterListReq", "ForceRejoinReq", "Initiator", "LinkADRAns", "LinkADRReq", "LinkCheckAns",
    "LinkCheckReq", "NewChannelAns", "NewChannelReq", "NotifyNewEndDeviceReq", "PingSlotChannelAns",
    "PingSlotChannelReq", "PingSlotInfoAns", "PingSlotInfoReq", "RXParamSetupAns", "RXParamSetupReq",
    "RXTimingSetupAns", "RXTimingSetupReq", "RejoinParamSetupAns", "RejoinParamSetupReq", "RekeyConf", "RekeyInd",
    "RelayConfAns", "RelayConfReq", "ResetConf", "ResetInd", "Row", "StatusAnswer", "TxParamSetupAns",
    "TxParamSetupReq", "UnknownCommand", "UpdateUplinkListAns", "UpdateUplinkListReq", "describe", "encode_commands",
    "parse_commands", "phrase",
]  # fmt: skip
