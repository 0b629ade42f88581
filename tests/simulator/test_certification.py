"""The certification protocol of a device, command by command (identifiers and layouts: LoRaMac-node, LmhpCompliance.c)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from lorasim.certification import Certification, Wanted

from tests.simulator.conftest import MakeLab


def wanted(**changed: Any) -> dict[str, Any]:
    return asdict(Wanted()) | changed


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("00", {"answer": bytes.fromhex("000601")}),
        ("01", {"reset": True}),
        ("02", {"join": True}),
        ("0302", {"device_class": "C"}),
        ("0303", {}),
        ("0401", {"adr": True}),
        ("0500", {"duty_cycle": False}),
        ("0601", {"period_s": 5}),
        ("060a", {"period_s": 480}),
        ("060b", {}),
        ("0702", {"confirmed": True}),
        ("0701", {"confirmed": False}),
        ("0700", {}),
        ("0800ff7f", {"answer": bytes.fromhex("08010080")}),
        ("09", {"answer": bytes.fromhex("090001")}),
        ("20", {"link_check": True}),
        ("21", {"device_time": True}),
        ("2205", {"ping_slot_periodicity": 5}),
        ("7d0a0028da840e", {"tx_cw": (10, 870_660_000, 14)}),
        ("7d0a00", {}),
        ("7f", {"answer": bytes.fromhex("7f010203040100040002010003")}),
        ("03", {}),
        ("55", {}),
        ("", {}),
    ],
)
def test_commands(command: str, asked: dict[str, Any]) -> None:
    device = Certification(firmware=(1, 2, 3, 4))
    assert asdict(device.receive(224, bytes.fromhex(command))) == wanted(**asked)


def test_downlinks_are_counted_and_the_port_can_be_closed() -> None:
    device = Certification()
    device.receive(5, b"data")
    device.receive(None, b"", ack=True)
    device.receive(0, b"\x06")
    device.receive(None, b"")
    assert device.receive(224, b"\x09").answer == bytes.fromhex("090003")
    device.receive(224, b"\x0a")
    assert device.receive(224, b"\x09").answer == bytes.fromhex("090001")
    assert device.receive(5, b"\x00").answer == b""
    device.receive(224, b"\x7e")
    assert device.receive(224, b"\x00") == Wanted()


def test_a_device_answers_over_the_air(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=10)
    lab.device.certification = Certification()
    lab.run(30)
    lab.queue(f_port=224, data=b"\x08\x01\x02")
    lab.run(40)
    said = [line["data"] for line in lab.lines("uplink") if line["f_port"] == 224]
    assert said == ["080203"]
