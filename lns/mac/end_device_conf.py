"""EndDeviceConfReq: how a device uses relays (TS011-1.0.1 §10.2)."""

from __future__ import annotations

from lns.mac.relay import applied, desired_of
from lns.mac.setting import Setting
from lorawan.commands import EndDeviceConfAns, EndDeviceConfReq

SETTING = Setting(EndDeviceConfReq, EndDeviceConfAns, desired_of(EndDeviceConfReq), applied)
