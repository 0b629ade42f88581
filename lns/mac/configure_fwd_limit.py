"""ConfigureFwdLimitReq: how much a relay forwards in an hour (TS011-1.0.1 §10.6)."""

from __future__ import annotations

from lns.mac.relay import applied, desired_of
from lns.mac.setting import Setting
from lorawan.commands import ConfigureFwdLimitAns, ConfigureFwdLimitReq

SETTING = Setting(ConfigureFwdLimitReq, ConfigureFwdLimitAns, desired_of(ConfigureFwdLimitReq), applied)
