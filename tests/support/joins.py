"""Requests and registrations that the tests of joining share."""

from __future__ import annotations

from typing import Any

from joinserver.values import DeviceKeys
from lorawan.backend import JoinReq
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.otaa_device import OtaaDevice

KEK = bytes.fromhex("6d1f0e2c9b3a48577c6d5e4f30211203a4b5c6d7e8f90a1b2c3d4e5f60718293")
NOW_US = 1_790_000_000_000_000
NWK_KEY = bytes.fromhex("51c7e09a2d6b38f41e8d07b3a49f6c25")
NET_ID = NetID(0x000013)


def ask_for(device: OtaaDevice, phy: bytes, mac_version: str = "1.0.4", **changes: Any) -> JoinReq:
    """A network server's request about a frame of this device; OptNeg is set for 1.1."""
    values: dict[str, Any] = {
        "phy_payload": phy,
        "mac_version": mac_version,
        "dev_eui": EUI64(device.dev_eui),
        "net_id": NET_ID,
        "dev_addr": DevAddr(0x26012345),
        "dl_settings": 0x12 | mac_version.startswith("1.1") << 7,
        "rx_delay": 1,
        "rejoin_type": phy[1] if phy[:1] == b"\xc0" else None,
    }
    return JoinReq(**(values | changes))


def keys_of(device: OtaaDevice, **more: Any) -> DeviceKeys:
    """The device as an operator registers it."""
    return DeviceKeys(EUI64(device.dev_eui), EUI64(device.join_eui), device.app_key, device.nwk_key, **more)
