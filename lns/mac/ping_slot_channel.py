"""PingSlotChannelReq: frequency and data rate of a class B device's ping slots (TS001-1.0.4 §12.3)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import PingSlotChannelAns, PingSlotChannelReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[PingSlotChannelReq]:
    """Only of a device that has told its ping slots: others have none."""
    if radio.ping_periodicity is None or plan.class_b.ping_slot_dr is None:
        return []
    target = _of(wanted, plan)
    return [PingSlotChannelReq(*target)] if _of(radio, plan) != target else []


def _of(radio: RadioParameters, plan: Plan) -> tuple[int, int]:
    dr = plan.class_b.ping_slot_dr if radio.ping_slot_dr is None else radio.ping_slot_dr
    return radio.ping_slot_frequency_hz, dr or 0


def applied(radio: RadioParameters, request: PingSlotChannelReq, plan: Plan) -> RadioParameters:
    return radio._replace(ping_slot_frequency_hz=request.frequency_hz, ping_slot_dr=request.dr)


SETTING = Setting(PingSlotChannelReq, PingSlotChannelAns, desired, applied, sticky=True)
