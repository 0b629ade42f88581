"""RXTimingSetupReq: the delay of RX1 (TS001-1.0.4 §5.7)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import RXTimingSetupAns, RXTimingSetupReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[RXTimingSetupReq]:
    return [RXTimingSetupReq(wanted.rx1_delay_s)] if radio.rx1_delay_s != wanted.rx1_delay_s else []


def applied(radio: RadioParameters, request: RXTimingSetupReq, plan: Plan) -> RadioParameters:
    return radio._replace(rx1_delay_s=request.delay or 1)


SETTING = Setting(RXTimingSetupReq, RXTimingSetupAns, desired, applied, sticky=True, moves_windows=True)
