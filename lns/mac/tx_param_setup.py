"""TxParamSetupReq: dwell times and the largest EIRP, in regions that know the command (TS001-1.0.4 §5.8)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import MAX_EIRP_DBM, TxParamSetupAns, TxParamSetupReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[TxParamSetupReq]:
    """Nothing where the region does not know the command: a device there would be silent about it."""
    if not plan.tx_param_setup or _of(radio, plan) == _of(wanted, plan):
        return []
    return [TxParamSetupReq(*_of(wanted, plan))]


def _of(radio: RadioParameters, plan: Plan) -> tuple[bool, bool, int]:
    eirp_dbm = plan.max_eirp_dbm if radio.max_eirp_dbm is None else radio.max_eirp_dbm
    code = max((code for code, dbm in enumerate(MAX_EIRP_DBM) if dbm <= eirp_dbm), default=0)
    return radio.downlink_dwell, radio.uplink_dwell, code


def applied(radio: RadioParameters, request: TxParamSetupReq, plan: Plan) -> RadioParameters:
    return radio._replace(
        downlink_dwell=request.downlink_dwell, uplink_dwell=request.uplink_dwell, max_eirp_dbm=request.max_eirp_dbm
    )


SETTING = Setting(TxParamSetupReq, TxParamSetupAns, desired, applied, sticky=True, moves_windows=True)
