"""The certification protocol of a device, command by command (identifiers and layouts: LoRaMac-node, LmhpCompliance.c)."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
from lorasim.certification import Certification, Wanted, obey
from lorasim.class_b import PERIOD_US, START_US, beacon_payload, gps_of, utc_of
from lorasim.crypto import SessionKeys
from lorasim.device import Device, DeviceConfig
from lorasim.dice import Dice
from lorasim.outbox import Message
from lorasim.radio import Downlink, Note, airtime_us

from regional import plan
from tests.simulator.conftest import Lab, MakeLab


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
        ("09", {"answer": bytes.fromhex("090100")}),
        ("20", {"link_check": True}),
        ("21", {"device_time": True}),
        ("2205", {"ping_slot_periodicity": 5}),
        ("7d0a0028da840e", {"tx_cw": (10, 870_660_000, 14)}),
        ("43", {}),
        ("42", {"answer": bytes.fromhex("430000")}),
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
    assert device.receive(224, b"\x09").answer == bytes.fromhex("090300")
    device.receive(224, b"\x0a")
    assert device.receive(224, b"\x09").answer == bytes.fromhex("090100")
    assert device.receive(5, b"\x00").answer == b""
    device.receive(224, b"\x7e")
    assert device.receive(224, b"\x00") == Wanted()


def test_a_device_answers_over_the_air(make_lab: MakeLab) -> None:
    lab = make_lab("certification = true")
    lab.run(30)
    lab.queue(f_port=224, data=b"\x08\x01\x02")
    lab.run(40)
    said = [line["data"] for line in lab.lines("uplink") if line["f_port"] == 224]
    assert said == ["080203"]


def commanded(make_lab: MakeLab, command: str, device: str = "", settle_s: float = 12.0, **more: Any) -> Lab:
    """A device in the air that has been told one command in RX1."""
    lab = make_lab("certification = true\n" + device, **more)
    lab.run(20)
    assert lab.device.joined
    lab.queue(f_port=224, data=bytes.fromhex(command))
    lab.run(settle_s)
    assert [line["data"] for line in lab.lines("downlink") if line["f_port"] == 224] == [command]
    return lab


def sent(lab: Lab, since: int) -> list[dict[str, Any]]:
    return [line for line in lab.lines("uplink") if line["t"] >= since and line["transmission"] == 1]


def test_dut_reset_is_a_restart_with_a_new_join_and_the_firmwares_settings(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "0702")
    for command in ("0400", "0302", "0501", "01"):
        lab.queue(f_port=224, data=bytes.fromhex(command))
    lab.run(60)
    [restart] = lab.lines("restart")
    assert (restart["kept"], len(lab.lines("joined"))) == (False, 2)
    device, certification = lab.device, lab.device.certification
    assert certification is not None and (certification.confirmed, certification.rx_app_cnt) == (None, 0)
    assert (device.config.adr, device.config.device_class, device.transmitter.duty.by_band) == (True, "A", False)
    assert not sent(lab, lab.lines("joined")[1]["t"])[-1]["confirmed"]


def test_dut_reset_of_a_device_with_a_given_session_keeps_it() -> None:
    device = abp()
    device.session.f_cnt_up = 7  # type: ignore[union-attr]
    tell(device, "01")
    device.handle_timer(T0)
    assert device.session is not None and device.session.f_cnt_up == 7 and "restart" in notes(device)


def test_dut_join_asks_for_a_new_session_and_leaves_the_rest(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "0702")
    lab.queue(f_port=224, data=b"\x02")
    lab.run(30)
    first, second = lab.lines("joined")
    assert first["dev_addr"] != second["dev_addr"] and not lab.lines("restart")
    after = sent(lab, second["t"])
    assert after and all(line["confirmed"] for line in after) and after[0]["f_cnt"] == 0


def test_switch_class(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "0302")
    assert lab.device.config.device_class == "C" and lab.device.class_c is not None and lab.device.listening
    for number, wanted_class in ((1, "B"), (0, "A")):
        lab.queue(f_port=224, data=bytes((3, number)))
        lab.run(12)
        assert lab.device.config.device_class == wanted_class
        assert (lab.device.class_b is not None, lab.device.class_c) == (wanted_class == "B", None)


def test_regional_duty_cycle_is_kept_or_not(make_lab: MakeLab) -> None:
    """864 to 865 MHz: 0.1 % of the time (RU864), so a frame of 1.5 s there is followed by 24 minutes of silence."""
    lab = commanded(make_lab, "0500", "duty_cycle = true\ndr = 0\nadr = false", 400)

    def there(seconds: float) -> int:
        since = lab.now
        lab.run(seconds)
        return sum(line["t"] >= since and line["frequency_hz"] < 865_000_000 for line in lab.lines("transmit"))

    assert there(600) >= 20
    lab.queue(f_port=224, data=bytes.fromhex("0501"))
    lab.run(30)
    assert there(600) <= 1


def test_tx_periodicity_replaces_the_applications(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "0603")
    lab.run(20)
    since = lab.now
    lab.run(100)
    times = [line["t"] for line in sent(lab, since)]
    assert len(times) == 5
    assert all(19.9 < (b - a) / 1e6 < 22.5 for a, b in pairwise(times))
    lab.queue(f_port=224, data=bytes.fromhex("0600"))
    lab.run(40)
    since = lab.now
    lab.run(100)
    assert len(sent(lab, since)) == 10, "every 10 s again, as the application has it"


def test_tx_frames_are_confirmed_or_not_from_then_on(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "0702")
    since = lab.now
    lab.run(30)
    assert {line["confirmed"] for line in sent(lab, since)} == {True}
    lab.queue(f_port=224, data=bytes.fromhex("0700"))
    lab.queue(f_port=224, data=bytes.fromhex("0809"))
    lab.run(30)
    assert [line["confirmed"] for line in sent(lab, since) if line["f_port"] == 224] == [True], "0 leaves it"
    lab.queue(f_port=224, data=bytes.fromhex("0701"))
    lab.run(15)
    since = lab.now
    lab.run(30)
    assert {line["confirmed"] for line in sent(lab, since)} == {False}


def test_tx_cw_is_noted_and_the_device_is_silent_and_deaf_meanwhile(make_lab: MakeLab) -> None:
    lab = commanded(make_lab, "7d3c0028da840e", "class_c = true")
    [carrier] = lab.lines("tx_cw")
    assert (carrier["seconds"], carrier["frequency_hz"], carrier["power_dbm"]) == (60, 870_660_000, 14)
    end = carrier["t"] + 60_000_000
    lab.run(40)
    assert lab.now < end
    beside = Downlink(1, 1, bytes(12), 869_100_000, "SF12BW125", True, 14, lab.now, 1_000_000)
    assert lab.device.detect(beside, lab.now) == "transmitting"
    lab.run(40)
    assert not [line for line in lab.lines("transmit") if carrier["t"] <= line["t"] < end]
    assert [line for line in lab.lines("transmit") if line["t"] >= end]


# ------------------------------------------------------------------------------------------- without an air

T0 = utc_of(1_474_000_000_000_000 - 1_474_000_000_000_000 % PERIOD_US + PERIOD_US) - 10_000_000
"""Ten seconds before a beacon."""


def abp(**config: Any) -> Device:
    device = Device(DeviceConfig(dev_eui=1, **config), plan("RU864"), Dice("certification"))
    device.activate(0x01020304, 0, SessionKeys.of_1_0(bytes(16), bytes(16)))
    device.certification = Certification()
    device.start(T0)
    return device


def tell(device: Device, command: str) -> None:
    assert device.certification is not None
    obey(device, device.certification.receive(224, bytes.fromhex(command)), T0)
    device.answer_when_idle(T0)


def effects(device: Device) -> list[Any]:
    return list(iter(device.next_effect, None))


def notes(device: Device) -> list[str]:
    return [effect.kind for effect in effects(device) if isinstance(effect, Note)]


def said(device: Device, until_us: int) -> list[str]:
    """What it sends on FPort 224 until then; windows pass unanswered."""
    found = []
    while (due := device.timer()) is not None and due <= until_us:
        device.handle_timer(due)
        while (effect := device.next_effect()) is not None:
            if isinstance(effect, Note) and effect.kind == "uplink" and effect.fields["f_port"] == 224:
                found.append(str(effect.fields["data"]))
    return found


def hear_beacon(device: Device, gps_us: int, snr_db: float) -> None:
    phy = beacon_payload(gps_us // 1_000_000, 9)
    long_us = airtime_us(len(phy), "SF9BW125", crc=False, implicit=True, preamble=10)
    start_us = utc_of(gps_us) + START_US
    beacon = Downlink(1, -1, phy, 869_100_000, "SF9BW125", False, 14, start_us, long_us, implicit=True)
    assert device.detect(beacon, start_us) is None
    device.receive(beacon, beacon.end_us, snr_db)


def test_beacon_rx_status_is_told_of_each_beacon_and_of_missed_ones() -> None:
    """BeaconRxStatusInd: status, BeaconCnt, Freq, DR, RSSI, SNR, Param, Time, GwSpecific."""
    device = abp(ping_periodicity=7)
    assert device.class_b is not None
    gps_us = gps_of(T0) + 10_000_000
    device.class_b.told(gps_of(T0) // 1_000_000, 0, T0)
    hear_beacon(device, gps_us, 5.0)
    assert said(device, utc_of(gps_us) + 10_000_000) == [], "nobody has asked for it"
    tell(device, "4001")
    second_us = gps_us + PERIOD_US
    hear_beacon(device, second_us, -7.0)
    time = (second_us // 1_000_000 & 0xFFFFFFFF).to_bytes(4, "little").hex()
    freq, dr, rssi, snr, param = (8_691_000).to_bytes(3, "little").hex(), "03", "84ff", "f9", "00"
    info = freq + dr + rssi + snr + param + time + "00" * 7
    assert said(device, utc_of(second_us) + 10_000_000) == ["410102" + "00" + info]
    missed = said(device, utc_of(second_us + PERIOD_US) + 10_000_000)
    assert missed == ["410102" + "00" + info], "missed: the count stays"
    tell(device, "42")
    assert said(device, device_time := utc_of(second_us + PERIOD_US) + 40_000_000) == ["430200"]
    tell(device, "44")
    tell(device, "42")
    assert "430000" in said(device, device_time + 40_000_000)
    later = said(device, utc_of(second_us) + 8_000_000_000)
    assert later[-1] == "41000000" + "00" * 19, "after two hours without a beacon it is lost"
    assert all(one[2:4] == "01" for one in later[:-1])
    tell(device, "4000")
    assert said(device, T0 + 20_000_000_000) == []


def test_ping_slot_info_changes_the_periodicity_of_a_class_b_device() -> None:
    device = abp(ping_periodicity=7)
    tell(device, "2202")
    assert device.class_b is not None and (device.class_b.periodicity, device.class_b.informed) == (2, False)
    other = abp()
    tell(other, "2202")
    tell(other, "0301")
    assert other.class_b is not None and other.class_b.periodicity == 2


def test_an_application_payload_becomes_the_periodic_one() -> None:
    device = abp()
    tell(device, "0601")
    device.send(Message(9, b"new"), T0)
    assert device.timer() == T0 + 5_000_000
    device.handle_timer(T0 + 5_000_000)
    [uplink] = [effect for effect in effects(device) if isinstance(effect, Note) and effect.kind == "uplink"]
    assert (uplink.fields["f_port"], uplink.fields["data"]) == (9, b"new".hex())
