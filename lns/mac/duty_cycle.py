"""DutyCycleReq: a limit on all of a device's transmissions together (TS001-1.0.4 §5.3). For congestion only."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import DutyCycleAns, DutyCycleReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[DutyCycleReq]:
    if radio.max_duty_cycle == wanted.max_duty_cycle:
        return []
    return [DutyCycleReq(wanted.max_duty_cycle)]


def applied(radio: RadioParameters, request: DutyCycleReq, plan: Plan) -> RadioParameters:
    return radio._replace(max_duty_cycle=request.max_duty_cycle)


SETTING = Setting(DutyCycleReq, DutyCycleAns, desired, applied)
