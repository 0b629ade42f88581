"""BeaconFreqReq: where a class B device looks for beacons (TS001-1.0.4 §12.2)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import BeaconFreqAns, BeaconFreqReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[BeaconFreqReq]:
    """Only of a device that speaks of class B, where the plan has beacons."""
    if radio.ping_periodicity is None or not plan.class_b.beacon_frequencies_hz:
        return []
    return (
        [BeaconFreqReq(wanted.beacon_frequency_hz)] if radio.beacon_frequency_hz != wanted.beacon_frequency_hz else []
    )


def applied(radio: RadioParameters, request: BeaconFreqReq, plan: Plan) -> RadioParameters:
    return radio._replace(beacon_frequency_hz=request.frequency_hz)


SETTING = Setting(BeaconFreqReq, BeaconFreqAns, desired, applied)
