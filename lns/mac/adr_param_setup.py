"""ADRParamSetupReq: after how many unanswered uplinks a device asks, and then slows down (LoRaWAN 1.1 §5.11)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import ADRParamSetupAns, ADRParamSetupReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[ADRParamSetupReq]:
    target = (wanted.adr_ack_limit_exp, wanted.adr_ack_delay_exp)
    return [ADRParamSetupReq(*target)] if (radio.adr_ack_limit_exp, radio.adr_ack_delay_exp) != target else []


def applied(radio: RadioParameters, request: ADRParamSetupReq, plan: Plan) -> RadioParameters:
    return radio._replace(adr_ack_limit_exp=request.limit_exp, adr_ack_delay_exp=request.delay_exp)


SETTING = Setting(ADRParamSetupReq, ADRParamSetupAns, desired, applied)
