"""RXParamSetupReq: data rate offset of RX1, data rate and frequency of RX2 (TS001-1.0.4 §5.4)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import RXParamSetupAns, RXParamSetupReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[RXParamSetupReq]:
    target = (wanted.rx1_dr_offset, wanted.rx2_dr, wanted.rx2_frequency_hz)
    if (radio.rx1_dr_offset, radio.rx2_dr, radio.rx2_frequency_hz) == target:
        return []
    return [RXParamSetupReq(*target)]


def applied(radio: RadioParameters, request: RXParamSetupReq, plan: Plan) -> RadioParameters:
    return radio._replace(
        rx1_dr_offset=request.rx1_dr_offset, rx2_dr=request.rx2_dr, rx2_frequency_hz=request.frequency_hz
    )


SETTING = Setting(RXParamSetupReq, RXParamSetupAns, desired, applied, sticky=True, moves_windows=True)
