"""The window has closed: what an uplink's hand-over says and does."""

from __future__ import annotations

import pytest

from tests.support.lab import SECOND_US, WINDOW_US, Lab


def test_frame_and_event_name_each_other(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(b"\x01", port=3, confirmed=True))
    (event,) = lab.events("up")
    (row,) = lab.rows("SELECT id, kind, f_cnt, f_port, confirmed, session_id, dev_addr FROM frame WHERE kind = 'up'")
    assert row == (event.frame_id, "up", 0, 3, 1, event.session_id, node.dev_addr)


@pytest.mark.parametrize(
    ("port", "data", "expected"),
    [(5, b"", b""), (None, b"", b""), (0, b"\x02", b""), (223, b"x" * 200, b"x" * 200)],
    ids=["port only", "no port", "MAC commands", "long"],
)
def test_payload_of_each_kind(lab: Lab, port: int | None, data: bytes, expected: bytes) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(data, port=port))
    (event,) = lab.events("up")
    assert (event.f_port, event.data) == (port, expected)


def test_flags_and_time(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    at_us = lab.wall_us
    lab.uplink(node.up(confirmed=True, adr=True))
    (event,) = lab.events("up")
    assert (event.confirmed, event.adr, event.time_us) == (True, True, at_us)


def test_join_event_comes_with_the_first_uplink_only(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for _ in range(3):
        lab.uplink(node.up())
    assert [event.type for event in lab.events()] == ["up", "up", "up"]


def test_event_ids_rise_without_gaps(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 4)]
    for _ in range(3):
        for node in nodes:
            lab.uplink(node.up(confirmed=True))
        lab.kill()
    ids = [event.id for event in lab.events()]
    assert ids == list(range(1, len(ids) + 1))


def test_gateways_own_time_is_a_hint(lab: Lab) -> None:
    """INV-24: whatever it is, the event has the server's time."""
    lab.gateway()
    node = lab.abp()
    for when in ("2012-01-01T00:00:00.000000Z", "", "yesterday", "9999-12-31T23:59:59Z", None, "2026-01-01T00:00:00"):
        at_us = lab.wall_us
        lab.uplink(node.up(), time=when)
        assert lab.events("up")[-1].time_us == at_us
        lab.advance(SECOND_US)
    assert lab.events("up")[0].receptions[0].gateway_time_us == 1_325_376_000_000_000
    assert [event.receptions[0].gateway_time_us for event in lab.events("up")[1:3]] == [None, None]


def test_inv_09_confirmed_frame_repeated_by_the_device_is_answered_anew(lab: Lab) -> None:
    """INV-09: one event, an ACK each time, each under its own FCntDown."""
    gateways = [lab.gateway(1), lab.gateway(2)]
    node = lab.abp(f_cnt_down=40)
    phy = node.up(b"\x01", confirmed=True)
    for _ in range(3):
        lab.uplink(phy, *gateways)
        lab.advance(3 * SECOND_US)
    assert lab.ups() == [(0, b"\x01")]
    read = [node.read(sent.phy) for sent in lab.air]
    assert [(down.ack, down.f_cnt) for down in read] == [(True, 40), (True, 41), (True, 42)]


def test_a_repetition_is_not_answered_in_the_place_of_a_newer_frame(lab: Lab) -> None:
    """Somebody, or a slow backhaul, repeats the last frame at the moment of the next: the next one is acknowledged."""
    first, second = lab.gateway(1), lab.gateway(2)
    node = lab.abp(f_cnt_down=40)
    old = node.up(b"\x01", confirmed=True)
    lab.uplink(old, first, second)
    lab.advance(10 * SECOND_US)
    before = len(lab.air)
    second.hear(old)
    lab.advance(2000)
    first.hear(node.up(b"\x02", confirmed=True))
    lab.advance(WINDOW_US)
    (sent,) = lab.air[before:]
    assert sent.gateway == first.eui
    assert node.read(sent.phy).f_cnt == 41
    assert lab.ups() == [(0, b"\x01"), (1, b"\x02")]


def test_repetition_is_answered_when_only_another_gateway_hears_it(lab: Lab) -> None:
    first, second = lab.gateway(1), lab.gateway(2)
    node, other = lab.abp(1), lab.abp(2)
    lab.uplink(other.up(), first, second)  # the clocks of both gateways are known
    phy = node.up(confirmed=True)
    lab.uplink(phy, first)
    lab.advance(3 * SECOND_US)
    (sent,) = lab.uplink(phy, second)
    assert node.read(sent.phy).ack
    assert len(lab.events("up")) == 2


def test_repetition_is_answered_after_a_kill(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    phy = node.up(confirmed=True)
    (first,) = lab.uplink(phy)
    lab.kill()
    lab.advance(3 * SECOND_US)
    (second,) = lab.uplink(phy)
    assert node.read(second.phy).f_cnt == node.read(first.phy).f_cnt + 1
    assert len(lab.events("up")) == 1


def test_repetition_is_answered_after_a_kill_inside_the_window(lab: Lab) -> None:
    """The frame was accepted and never answered; the device repeats it to the new process."""
    gateway, node = lab.gateway(), lab.abp()
    phy = node.up(confirmed=True)
    gateway.hear(phy)
    lab.kill()
    assert lab.air == [] and len(lab.events("up")) == 1
    lab.advance(3 * SECOND_US)
    (sent,) = lab.uplink(phy)
    assert node.read(sent.phy).ack
    assert len(lab.events("up")) == 1


def test_repetition_on_another_channel_of_a_1_1_device(lab: Lab) -> None:
    """Its MIC differs, for the channel is in it (LoRaWAN 1.1 §4.4): still the same frame."""
    lab.gateway()
    node = lab.abp(mac_version="1.1.0")
    (first,) = lab.uplink(node.up(b"\x01", confirmed=True, f_cnt=4, tx_ch=0), freq=868.9)
    lab.advance(3 * SECOND_US)
    (second,) = lab.uplink(node.up(b"\x01", confirmed=True, f_cnt=4, tx_ch=1), freq=869.1)
    assert [node.read(sent.phy, conf_f_cnt=4).f_cnt for sent in (first, second)] == [0, 1]
    assert [event.type for event in lab.events()] == ["up"]


def test_unconfirmed_repetition_needs_nothing(lab: Lab) -> None:
    """NbTrans: the same frame two and three times."""
    lab.gateway()
    node = lab.abp()
    phy = node.up()
    for _ in range(3):
        assert lab.uplink(phy) == []
        lab.advance(3 * SECOND_US)
    assert len(lab.events()) == 1


def test_error_in_one_frame_does_not_lose_the_frames_behind_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that close in one go: one of them meets an error of ours."""
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 4)]
    for number, node in enumerate(nodes):
        gateway.hear(node.up(bytes((number,))))
    victim = lab.session(nodes[0])
    cipher = lab.state.cipher

    def broken(session: object) -> object:
        if session is victim:
            raise ZeroDivisionError
        return cipher(session)  # type: ignore[arg-type]

    monkeypatch.setattr(type(lab.state), "cipher", lambda self, session: broken(session))
    with pytest.raises(ZeroDivisionError):
        lab.advance(WINDOW_US)
    lab.advance(1)
    assert sorted(event.data for event in lab.events("up")) == [b"\x01", b"\x02"]


@pytest.mark.parametrize("step_s", [-3600, 3600, -86_400 * 365])
def test_inv_25_wall_clock_is_moved(lab: Lab, step_s: int) -> None:
    """INV-25: an operator or NTP sets the clock in the middle of a window; the radio knows nothing of it."""
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up(confirmed=True))
    lab.advance(5 * SECOND_US)
    heard = gateway.tmst()
    gateway.hear(node.up(b"\x01", confirmed=True))
    lab.wall_us += step_s * SECOND_US
    lab.advance(WINDOW_US)
    assert [sent.txpk["tmst"] for sent in lab.air[1:]] == [heard + SECOND_US]
    assert lab.ups()[-1] == (1, b"\x01")


def test_device_deleted_in_the_window(lab: Lab) -> None:
    """Its frame was acknowledged: it is handed over, and nothing else happens."""
    gateway, node = lab.gateway(), lab.abp()
    lab.queue(node.dev_eui)
    gateway.hear(node.up(b"\x01", confirmed=True))
    lab.call("device_delete", key=node.dev_eui)
    lab.advance(WINDOW_US)
    assert lab.ups() == [(0, b"\x01")] and lab.air == []


def test_device_deleted_while_its_downlink_waits_for_the_gateway(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.queue(node.dev_eui)
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up())
    lab.call("device_delete", key=node.dev_eui)
    gateway.answer(sent.token)
    lab.pump()
    lab.kill()
    assert lab.rows("SELECT count(*) FROM queue_item") == [(0,)]


def test_ciphers_are_bounded_and_made_anew(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 6)]
    lab.state.ciphers._limit = 2
    for _ in range(2):
        for node in nodes:
            lab.uplink(node.up(b"\x05"))
    assert [data for _, data in lab.ups()] == [b"\x05"] * 10
    assert len(lab.state.ciphers._ciphers) == 2
