"""Joins through the whole server, against a device that shares no code with it (TS001-1.0.4 §6.2)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from lorasim.crypto import SessionKeys

from lns.store.embedded.packer import pack_settled
from lorawan.backend import JoinAns, JoinReq, ResultCode
from tests.support.fake_gateway import FakeGateway
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.node import Node
from tests.support.otaa_device import Accepted, OtaaDevice


@pytest.fixture
def device() -> OtaaDevice:
    return OtaaDevice()


def register(lab: Lab, device: OtaaDevice, mac_version: str = "1.0.2", **fields: object) -> str:
    keys = {"app_key": device.app_key.hex()} | ({"nwk_key": device.nwk_key.hex()} if device.nwk_key else {})
    return lab.device(device.dev_eui, mac_version, join_eui=f"{device.join_eui:016x}", **keys, **fields)


def node_of(device: OtaaDevice, accept: Accepted) -> Node:
    keys = SessionKeys.of_1_0(accept.keys["NwkSKey"], accept.keys["AppSKey"])
    return Node(accept.dev_addr, keys, 0, f"{device.dev_eui:016x}")


def join(lab: Lab, device: OtaaDevice, dev_nonce: int, *gateways: FakeGateway) -> Node:
    (sent,) = lab.uplink(device.join_request(dev_nonce), *gateways)
    return node_of(device, device.accept(sent.phy, dev_nonce))


@pytest.mark.parametrize("mac_version", ["1.0.2", "1.0.3", "1.0.4"])
def test_join_and_first_uplink(lab: Lab, device: OtaaDevice, mac_version: str) -> None:
    gateway = lab.gateway()
    register(lab, device, mac_version)
    heard = gateway.tmst()
    (sent,) = lab.uplink(device.join_request(1))
    assert (sent.txpk["tmst"], sent.txpk["freq"], sent.txpk["datr"]) == (heard + 5 * SECOND_US, 868.9, "SF9BW125")
    accept = device.accept(sent.phy, 1)
    assert (accept.net_id, accept.dl_settings, accept.rx_delay, accept.cflist) == (0, 0, 1, b"")
    assert accept.dev_addr >> 25 == 0, "NetID 000000 has the prefix of seven zero bits"
    assert lab.events() == [], "the join is told when the device uses it"
    node = node_of(device, accept)
    lab.uplink(node.up(b"\x01"))
    assert [event.type for event in lab.events()] == ["join", "up"]
    assert {event.dev_addr for event in lab.events()} == {f"{accept.dev_addr:08x}"}
    assert lab.call("session", key=node.dev_eui).confirmed_by_uplink


@pytest.mark.parametrize(
    ("channels", "frequencies"),
    [
        ("864", [864_100_000, 864_300_000, 864_500_000, 864_700_000, 864_900_000]),
        ("866", [866_100_000, 866_300_000, 866_500_000, 866_700_000, 866_900_000]),
    ],
)
def test_channel_preset_in_the_cflist(
    tmp_path: Path, device: OtaaDevice, channels: str, frequencies: list[int]
) -> None:
    lab = Lab(tmp_path, channels=channels)
    gateway = lab.gateway()
    register(lab, device)
    (sent,) = lab.uplink(device.join_request(1))
    accept = device.accept(sent.phy, 1)
    assert len(sent.phy) == 33 and accept.cflist[15] == 0
    assert [int.from_bytes(accept.cflist[i : i + 3], "little") * 100 for i in range(0, 15, 3)] == frequencies
    lab.uplink(node_of(device, accept).up(b"\x01"), freq=frequencies[2] / 1e6)
    assert lab.ups() == [(0, b"\x01")]
    session = lab.call("session", key=f"{device.dev_eui:016x}")
    assert session.channels_hz == [868_900_000, 869_100_000, *frequencies]
    assert gateway.push_acks


@pytest.mark.parametrize(("delay", "setting", "profile"), [(3, 3, 1), (5, 1, 5), (15, 1, 15)])
def test_rx_delay_of_the_accept_is_kept(
    tmp_path: Path, device: OtaaDevice, delay: int, setting: int, profile: int
) -> None:
    lab = Lab(tmp_path, rx1_delay_s=setting)
    gateway = lab.gateway()
    register(lab, device, profile=lab.profile("1.0.3", rx1_delay_s=profile))
    (sent,) = lab.uplink(device.join_request(1))
    accept = device.accept(sent.phy, 1)
    assert accept.rx_delay == delay
    lab.advance(10 * SECOND_US)
    gateway.outcomes.append("COLLISION_PACKET")
    heard = gateway.tmst()
    first, second = lab.uplink(node_of(device, accept).up(confirmed=True))
    assert [one.txpk["tmst"] - heard for one in (first, second)] == [delay * SECOND_US, (delay + 1) * SECOND_US]


def test_accept_in_rx2_at_six_seconds(lab: Lab, device: OtaaDevice) -> None:
    gateway = lab.gateway()
    register(lab, device)
    gateway.outcomes.append("COLLISION_PACKET")
    heard = gateway.tmst()
    first, second = lab.uplink(device.join_request(1), freq=868.9, datr="SF7BW125")
    assert first.phy == second.phy
    assert (second.txpk["tmst"], second.txpk["freq"], second.txpk["datr"]) == (
        heard + 6 * SECOND_US,
        869.1,
        "SF12BW125",
    )


def test_copies_make_one_session(lab: Lab, device: OtaaDevice) -> None:
    """INV-14: eight gateways, some of them slow."""
    gateways = [lab.gateway(number) for number in range(1, 9)]
    register(lab, device)
    phy, heard_us = device.join_request(1), lab.mono_us
    for number, gateway in enumerate(gateways[:5]):
        gateway.hear(phy, lsnr=float(number))
        lab.advance(20_000)
    lab.advance(WINDOW_US)
    for delay_s, gateway in zip((1, 3, 6), gateways[5:], strict=True):
        lab.advance(heard_us + delay_s * SECOND_US - lab.mono_us)
        gateway.hear(phy, at_us=heard_us)
        lab.advance(WINDOW_US)
    (sent,) = lab.air
    assert sent.gateway == gateways[4].eui
    assert lab.rows("SELECT count(*) FROM session") == [(1,)]
    assert lab.events("log") == [], "a slow copy is no replay to tell of"
    lab.uplink(node_of(device, device.accept(sent.phy, 1)).up(b"\x01"))
    assert lab.ups() == [(0, b"\x01")]


def test_old_session_lives_until_the_new_one_is_used(lab: Lab, device: OtaaDevice) -> None:
    """INV-15, over a kill."""
    lab.gateway()
    register(lab, device)
    old = join(lab, device, 1)
    lab.uplink(old.up(b"old 0"))
    new = join(lab, device, 2)
    lab.kill()
    lab.uplink(old.up(b"old 1"))
    lab.uplink(new.up(b"new 0"))
    lab.uplink(old.up(b"old 2"))
    lab.uplink(new.up(b"new 1"))
    assert [data for _, data in lab.ups()] == [b"old 0", b"old 1", b"new 0", b"new 1"]
    assert [event.type for event in lab.events()].count("join") == 2


@pytest.mark.parametrize("killed", [False, True])
def test_inv_15_any_unused_session_may_be_the_one(lab: Lab, device: OtaaDevice, killed: bool) -> None:
    """A request that was held up, or repeated by somebody, takes away neither the old session nor the awaited one."""
    lab.gateway()
    register(lab, device)
    used = join(lab, device, 1)
    lab.uplink(used.up(b"used"))
    heard, stray = join(lab, device, 3), join(lab, device, 4)
    if killed:
        lab.kill()
    lab.uplink(used.up(b"still"))
    lab.uplink(heard.up(b"heard"))
    lab.uplink(stray.up(b"stray"))
    lab.uplink(used.up(b"gone"))
    lab.uplink(heard.up(b"gone as well"))
    assert [data for _, data in lab.ups()] == [b"used", b"still", b"heard", b"stray"]
    assert len(lab.state.sessions) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_inv_15_a_held_up_first_frame_ends_no_later_session(lab: Lab, device: OtaaDevice, killed: bool) -> None:
    """A device joins, sends, restarts and joins again before its first frame has come through a slow backhaul."""
    lab.gateway()
    register(lab, device)
    before, now = join(lab, device, 1), join(lab, device, 2)
    lab.uplink(before.up(b"held up"))
    if killed:
        lab.kill()
    assert len(lab.state.sessions) == 2
    lab.uplink(now.up(b"first", confirmed=True))
    lab.uplink(before.up(b"of a session that has ended"))
    assert [data for _, data in lab.ups()] == [b"held up", b"first"]
    assert [event.dev_addr for event in lab.events() if event.type == "join"] == [
        f"{before.dev_addr:08x}",
        f"{now.dev_addr:08x}",
    ]
    assert len(lab.state.sessions) == 1


def test_inv_16_unused_sessions_are_bounded(lab: Lab, device: OtaaDevice) -> None:
    """Whoever has many captured requests gets no more of them than four, and ends no session in use."""
    lab.gateway()
    register(lab, device)
    used = join(lab, device, 1)
    lab.uplink(used.up(b"used"))
    unused = []
    for nonce in range(2, 12):
        lab.advance(20 * SECOND_US)
        unused.append(join(lab, device, nonce))
    assert len(lab.state.sessions) == 5
    lab.uplink(used.up(b"still"))
    lab.uplink(unused[0].up(b"too old"))
    lab.uplink(unused[6].up(b"kept"))
    assert [data for _, data in lab.ups()] == [b"used", b"still", b"kept"]
    assert len(lab.state.sessions) == 1 + 3, "those after it may still be the one"
    for nonce in range(12, 16):
        lab.advance(20 * SECOND_US)
        unused.append(join(lab, device, nonce))
    assert len(lab.state.sessions) == 5
    lab.uplink(unused[-1].up(b"the last"))
    assert len(lab.state.sessions) == 1


def test_replayed_request_is_refused(lab: Lab, device: OtaaDevice) -> None:
    """INV-11, INV-16: no accept, no new session, the queue and the session as they were; also after a kill."""
    lab.gateway()
    register(lab, device)
    requests = [device.join_request(nonce) for nonce in (1, 2)]
    for number, phy in enumerate(requests, 1):
        (sent,) = lab.uplink(phy)
        node = node_of(device, device.accept(sent.phy, number))
        lab.uplink(node.up())
    item = lab.queue(node.dev_eui)
    for _ in range(2):
        for phy in requests:
            assert lab.uplink(phy) == []
            lab.advance(SECOND_US)
        lab.kill()
    assert {entry.code for entry in lab.events("log")} == {"OTAA"}
    assert lab.item(item).state == "queued"
    lab.uplink(node.up(b"\x07"))
    assert lab.ups()[-1] == (1, b"\x07")


def test_mic_before_nonce(lab: Lab, device: OtaaDevice) -> None:
    """INV-12: a forged request spends nothing."""
    lab.gateway()
    register(lab, device)
    for nonce in range(50):
        good = device.join_request(nonce)
        assert lab.uplink(good[:-1] + bytes((good[-1] ^ 1,))) == []
    join(lab, device, 0)
    assert {entry.code for entry in lab.events("log")} == {"UPLINK_MIC"}
    assert lab.rows("SELECT count(*) FROM session") == [(1,)]


def test_requests_that_reach_no_join_server(lab: Lab, device: OtaaDevice) -> None:
    gateway = lab.gateway()
    dev_eui = register(lab, device, disabled=True)

    def nobody(requests: Sequence[JoinReq]) -> list[JoinAns]:
        raise AssertionError("asked")

    lab.answer_joins = nobody
    stranger = OtaaDevice(dev_eui=77)
    abp = OtaaDevice(dev_eui=0xA00001)
    lab.abp(1)
    for phy in (device.join_request(1), stranger.join_request(1), abp.join_request(1), device.join_request(1)[:-2]):
        assert gateway.acknowledged(gateway.hear(phy))
        lab.advance(WINDOW_US)
    assert lab.air == [] and lab.events() == []
    told = {one.dev_eui: one.outcome for one in lab.call("frames", type="join").items}
    assert set(told) == {dev_eui, "", f"{abp.dev_eui:016x}"}
    assert told[dev_eui] == "refused: the device is disabled" and "no device has" in told[""]
    assert "entered as ABP" in told[f"{abp.dev_eui:016x}"]


def test_a_join_that_no_gateway_can_answer_says_so(lab: Lab, device: OtaaDevice) -> None:
    lab.gateway()
    dev_eui = register(lab, device)
    assert lab.uplink(device.join_request(1), tmst=None) == []
    (request,) = lab.call("frames", dev_eui=dev_eui).items
    assert request.type == "join_request"
    assert request.outcome == "accepted: but no join-accept was sent, for no gateway that heard the request can send"


def test_join_server_that_fails_is_told_and_the_next_request_works(lab: Lab, device: OtaaDevice) -> None:
    lab.gateway()
    register(lab, device)
    real = lab.answer_joins
    lab.answer_joins = lambda requests: [JoinAns(ResultCode.OTHER, "join.db: disk full") for _ in requests]
    assert lab.uplink(device.join_request(1)) == []
    (entry,) = lab.events("log")
    assert (entry.code, entry.text) == ("OTAA", "join.db: disk full")
    lab.answer_joins = real
    join(lab, device, 2)


def test_many_joins_in_one_window(lab: Lab) -> None:
    gateway = lab.gateway()
    devices = [OtaaDevice(dev_eui=0xB00000 + number) for number in range(20)]
    for one in devices:
        register(lab, one)
    for one in devices:
        gateway.hear(one.join_request(1), datr="SF7BW125")
    lab.advance(WINDOW_US)
    assert lab.rows("SELECT count(*) FROM session") == [(20,)]
    addresses = {address for (address,) in lab.rows("SELECT dev_addr FROM session")}
    assert len(addresses) == 20
    assert len(lab.air) >= 2  # as many as the transmitter has time for in RX1 and RX2


@pytest.mark.parametrize("step", ["ask", "answered", "commit", "committed", "acked", "sent"])
def test_killed_during_a_join(lab: Lab, device: OtaaDevice, step: str) -> None:
    """Whatever was written where: the device tries again with its next nonce and is in, JoinNonces only rise."""
    lab.gateway()
    register(lab, device, "1.0.4")
    before = join(lab, device, 1)
    lab.uplink(before.up(b"before"))
    with lab.dying(step):
        lab.uplink(device.join_request(2))
    if step == "sent":
        device.accept(lab.air[-1].phy, 2)
    else:
        assert len(lab.air) == 1
    lab.advance(10 * SECOND_US)
    lab.uplink(before.up(b"still"))
    after = join(lab, device, 3)
    lab.uplink(after.up(b"after"))
    assert [data for _, data in lab.ups()] == [b"before", b"still", b"after"]
    nonces = [accept.join_nonce for accept in device.accepted]
    assert nonces == sorted(set(nonces))


def test_silent_gateway_and_join(lab: Lab, device: OtaaDevice) -> None:
    gateway = lab.gateway()
    register(lab, device)
    gateway.outcomes.append(None)
    node = join(lab, device, 1)
    lab.advance(10 * SECOND_US)
    assert len(lab.air) == 1
    ((outcome,),) = lab.rows("SELECT outcome FROM frame WHERE kind = 'join_accept'")
    assert outcome.startswith("unknown")
    lab.uplink(node.up(b"\x01"))
    assert lab.ups() == [(0, b"\x01")]


def test_join_in_the_frame_log(lab: Lab, device: OtaaDevice) -> None:
    lab.gateway()
    dev_eui = register(lab, device)
    node = join(lab, device, 1)
    lab.uplink(device.join_request(1)[:-1] + b"\0")
    page = lab.call("frames", dev_eui=dev_eui, type="join").items
    assert [(one.type, one.outcome.partition(":")[0]) for one in page] == [
        ("join_request", "refused"),
        ("join_accept", "sent"),
        ("join_request", "accepted"),
    ]
    assert page[1].reply_to == page[2].id and page[1].dev_addr == f"{node.dev_addr:08x}"
    assert [step for step, _ in page[1].timeline][-1] == "TX_ACK NONE"


@pytest.mark.parametrize("packed", [False, True])
def test_who_heard_a_join_request_and_when(lab: Lab, device: OtaaDevice, packed: bool) -> None:
    gateways = [lab.gateway(number) for number in (1, 2, 3)]
    register(lab, device)
    phy = device.join_request(1)
    for gateway, snr_db, after_us in zip(gateways, (-3.0, 7.5, 2.0), (0, 30_000, 60_000), strict=True):
        lab.advance(after_us)
        gateway.hear(phy, lsnr=snr_db)
    lab.advance(10 * SECOND_US)
    if packed:
        lab.uplink(device.join_request(1)[:-1] + b"\0")  # the newest frame stays in the journal
        with contextlib.closing(lab.journal.reader()) as reader:
            assert pack_settled(reader, lab.frame_log, lab.state.handed_over_id, lab.wall_us + 2 * 86_400 * SECOND_US)
    for gateway in gateways:
        found = [one for one in lab.call("frames", gateway_eui=gateway.eui).items if one.outcome == "accepted"]
        (request,) = found
        assert [(one.gateway_eui, one.snr_db) for one in request.receptions] == [
            (gateways[1].eui, 7.5), (gateways[2].eui, 2.0), (gateways[0].eui, -3.0),
        ]  # fmt: skip
        assert request.timeline == tuple(
            (f"heard by {one.eui}", us) for one, us in zip(gateways, (0, 30_000, 90_000), strict=True)
        )


def test_addresses_are_of_our_net_id(tmp_path: Path) -> None:
    lab = Lab(tmp_path, net_id="000013")
    lab.gateway()
    for number in range(30):
        device = OtaaDevice(dev_eui=0xC00000 + number)
        register(lab, device)
        assert join(lab, device, 1).dev_addr >> 25 == 0x13
        lab.advance(10 * SECOND_US)
