"""RejoinParamSetupReq: how often a device sends rejoin-requests by itself (LoRaWAN 1.1 §5.14)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import RejoinParamSetupAns, RejoinParamSetupReq
from regional import Plan

MOST = 15
"""The rarest that can be asked: what is not wished for is set to this beside what is."""


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[RejoinParamSetupReq]:
    """Nothing when nobody has an opinion: the device keeps what it was made with."""
    if wanted.rejoin_time_n is None and wanted.rejoin_count_n is None:
        return []
    target = (
        MOST if wanted.rejoin_time_n is None else wanted.rejoin_time_n,
        MOST if wanted.rejoin_count_n is None else wanted.rejoin_count_n,
    )
    return [RejoinParamSetupReq(*target)] if (radio.rejoin_time_n, radio.rejoin_count_n) != target else []


def applied(radio: RadioParameters, request: RejoinParamSetupReq, plan: Plan) -> RadioParameters:
    return radio._replace(rejoin_time_n=request.max_time_n, rejoin_count_n=request.max_count_n)


def partly(radio: RadioParameters, request: RejoinParamSetupReq, answer: RejoinParamSetupAns) -> RadioParameters:
    """A device without a clock counts its uplinks only."""
    return radio._replace(rejoin_count_n=request.max_count_n)


SETTING = Setting(RejoinParamSetupReq, RejoinParamSetupAns, desired, applied, partly=partly)
