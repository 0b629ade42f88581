"""RX1 or RX2, this gateway or that: by margin, budget and what the device has missed."""

from __future__ import annotations

import pytest

from regional import plan
from tests.support.lab import SECOND_US, WINDOW_US, Lab


@pytest.mark.parametrize(
    ("snr_db", "first"),
    [
        (5.0, 868.9),
        (-9.5, 868.9),  # 3 dB over the floor of SF9, -12.5 dB: just enough for a deafer device
        (-10.0, 869.1),
        (-12.0, 869.1),
    ],
)
def test_a_window_that_would_hardly_be_heard_comes_behind(lab: Lab, snr_db: float, first: float) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.extend(["TX_FREQ"] * 2)
    sent = lab.uplink(node.up(confirmed=True), lsnr=snr_db)
    assert [one.txpk["freq"] for one in sent] == [first, {868.9: 869.1, 869.1: 868.9}[first]]


def test_the_frame_log_says_why(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(confirmed=True), lsnr=-12.0)
    steps = [step for frame in lab.call("frames").items for step in frame.timeline]
    assert any("RX1" in str(step) and "dB too weak" in str(step) for step in steps)


def test_weak_everywhere_is_tried_all_the_same(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(confirmed=True), datr="SF12BW125", lsnr=-23.0)
    assert sent.txpk["freq"] == 868.9


def test_a_device_that_whispers_is_answered_aloud(lab: Lab) -> None:
    """TXPower 5 is 10 dB less than the gateway has: RX1 at the same data rate is heard well."""
    lab.gateway()
    node = lab.abp()
    lab.session(node).tx_power = 5
    (sent,) = lab.uplink(node.up(confirmed=True), lsnr=-12.0)
    assert sent.txpk["freq"] == 868.9


def test_without_an_snr_nothing_is_put_behind(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(confirmed=True), lsnr=None)
    assert sent.txpk["freq"] == 868.9


def test_long_answer_at_864_mhz_goes_in_rx2(lab: Lab) -> None:
    """51 bytes at SF12 are 2.8 s of the 3.6 s that 864–865 MHz has an hour (timing.md)."""
    lab.gateway()
    node = lab.abp()
    lab.queue(node.dev_eui, bytes(51))
    (sent,) = lab.uplink(node.up(), freq=864.1, datr="SF12BW125")
    assert sent.txpk["freq"] == 869.1
    lab.advance(10 * SECOND_US)
    lab.queue(node.dev_eui, bytes(4))
    (sent,) = lab.uplink(node.up(), freq=864.1, datr="SF9BW125")
    assert sent.txpk["freq"] == 864.1


def test_join_accept_at_864_mhz_leaves_the_hour_to_others(lab: Lab) -> None:
    from tests.support.otaa_device import OtaaDevice

    lab.gateway()
    device = OtaaDevice()
    lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    (sent,) = lab.uplink(device.join_request(1), freq=864.1, datr="SF12BW125")
    assert sent.txpk["freq"] == plan("RU864").rx2_frequency_hz / 1e6


def test_sec_05_a_rogue_gateway_that_swallows_answers_loses_them(lab: Lab) -> None:
    """Class A, confirmed uplinks: the device repeats each of them, until another gateway answers."""
    rogue, honest = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    senders = []
    for _ in range(5):
        phy = node.up(confirmed=True)
        for _ in range(2):
            rogue.hear(phy, lsnr=20.0, rssi=-10)
            honest.hear(phy, lsnr=2.0)
            lab.advance(WINDOW_US + 4 * SECOND_US)
            senders.append(lab.air[-1].gateway)
            if senders[-1] == honest.eui:
                break
    assert senders[:4] == [rogue.eui] * 4 and set(senders[5:]) == {honest.eui}
