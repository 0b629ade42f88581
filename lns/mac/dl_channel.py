"""DlChannelReq: another RX1 frequency for an uplink channel, in dynamic plans (TS001-1.0.4 §5.9)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters, defined_channels
from lorawan.commands import DlChannelAns, DlChannelReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[DlChannelReq]:
    """For channels that the device has already; those it lacks come first."""
    if plan.is_fixed or radio.dl_channels == wanted.dl_channels:
        return []
    has, shall = dict(radio.dl_channels), dict(wanted.dl_channels)
    return [
        DlChannelReq(index, shall.get(index) or _uplink_hz(plan, radio, index))
        for index in sorted(defined_channels(plan, radio))
        if has.get(index) != shall.get(index)
    ]


def _uplink_hz(plan: Plan, radio: RadioParameters, index: int) -> int:
    first = len(plan.default_channels)
    return plan.default_channels[index].frequency_hz if index < first else radio.channels[index - first].frequency_hz


def applied(radio: RadioParameters, request: DlChannelReq, plan: Plan) -> RadioParameters:
    if request.ch_index not in defined_channels(plan, radio):
        return radio
    others = [pair for pair in radio.dl_channels if pair[0] != request.ch_index]
    if request.frequency_hz != _uplink_hz(plan, radio, request.ch_index):
        others.append((request.ch_index, request.frequency_hz))
    return radio._replace(dl_channels=tuple(sorted(others)))


SETTING = Setting(DlChannelReq, DlChannelAns, desired, applied, sticky=True, moves_windows=True)
