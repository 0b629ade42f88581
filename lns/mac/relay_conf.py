"""RelayConfReq: start a relay and set its wake-on-radio channels (TS011-1.0.1 §10.1)."""

from __future__ import annotations

from lns.mac.relay import applied, desired_of
from lns.mac.setting import Setting
from lorawan.commands import RelayConfAns, RelayConfReq

SETTING = Setting(RelayConfReq, RelayConfAns, desired_of(RelayConfReq), applied)
