"""LoRaWAN 1.1: joins, rekeying, rejoins 0, 1 and 2, three counters, encrypted FOpts."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lorasim.crypto import SessionKeys

from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.node import Node
from tests.support.otaa_device import Accepted, OtaaDevice

NWK_KEY = bytes.fromhex("51c7e09a2d6b38f41e8d07b3a49f6c25")
REKEY_IND = b"\x0b\x01"


@pytest.fixture
def device(lab: Lab) -> OtaaDevice:
    device = OtaaDevice(nwk_key=NWK_KEY)
    lab.gateway()
    lab.device(
        device.dev_eui,
        "1.1.0",
        join_eui=f"{device.join_eui:016x}",
        app_key=device.app_key.hex(),
        nwk_key=NWK_KEY.hex(),
    )
    return device


def node_of(device: OtaaDevice, accept: Accepted) -> Node:
    names = ("FNwkSIntKey", "SNwkSIntKey", "NwkSEncKey", "AppSKey")
    keys = SessionKeys(*(accept.keys[name] for name in names), lorawan_1_1=True)
    return Node(accept.dev_addr, keys, 0, f"{device.dev_eui:016x}")


def joined(lab: Lab, device: OtaaDevice, dev_nonce: int) -> Node:
    (sent,) = lab.uplink(device.join_request(dev_nonce))
    accept = device.accept(sent.phy, dev_nonce)
    assert accept.dl_settings & 0x80, "OptNeg"
    return node_of(device, accept)


def used(lab: Lab, device: OtaaDevice, dev_nonce: int = 1) -> Node:
    """In a session that both sides have confirmed."""
    node = joined(lab, device, dev_nonce)
    (sent,) = lab.uplink(node.up(f_opts=REKEY_IND))
    assert node.read(sent.phy).f_opts == b"\x0b\x01"
    lab.advance(5 * SECOND_US)
    return node


def test_join_and_rekey(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    lab.uplink(node.up(b"\x05", port=3))
    assert lab.ups() == [(0, b""), (1, b"\x05")]
    assert lab.call("session", key=node.dev_eui).mac_version == "1.1"


def test_rekey_ind_is_answered_each_time(lab: Lab, device: OtaaDevice) -> None:
    """The device repeats it until it has heard RekeyConf (LoRaWAN 1.1 §5.10)."""
    node = joined(lab, device, 1)
    for n_f_cnt_down in range(3):
        (sent,) = lab.uplink(node.up(f_opts=REKEY_IND))
        assert (node.read(sent.phy).f_opts, node.read(sent.phy).f_cnt) == (b"\x0b\x01", n_f_cnt_down)
        lab.advance(5 * SECOND_US)


def test_three_counters(lab: Lab, device: OtaaDevice) -> None:
    """AFCntDown counts application downlinks, NFCntDown the others."""
    node = used(lab, device)
    lab.queue(node.dev_eui, b"app")
    (sent,) = lab.uplink(node.up(f_opts=b"\x02"))
    down = node.read(sent.phy)
    assert (down.f_cnt, down.f_port, down.data, down.f_opts[:1]) == (0, 10, b"app", b"\x02")
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(f_opts=b"\x02"))
    assert node.read(sent.phy).f_cnt == 1
    session = lab.call("session", key=node.dev_eui)
    assert (session.f_cnt_down, session.a_f_cnt_down) == (2, 1)


def test_acknowledgement_is_bound_to_the_uplink(lab: Lab, device: OtaaDevice) -> None:
    """ConfFCnt in the MIC of a downlink with ACK (LoRaWAN 1.1 §4.4)."""
    node = used(lab, device)
    (sent,) = lab.uplink(node.up(confirmed=True, f_cnt=9))
    assert node.read(sent.phy, conf_f_cnt=9).ack
    with pytest.raises(AssertionError, match="MIC"):
        node.read(sent.phy, conf_f_cnt=8)


def test_acknowledgement_of_the_device_is_bound_to_the_downlink(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    for data in (b"1", b"2", b"3"):
        lab.queue(node.dev_eui, data)
        lab.uplink(node.up())
        lab.advance(5 * SECOND_US)
    id = lab.queue(node.dev_eui, confirmed=True)
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).f_cnt == 3
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(b"wrong", ack=True, conf_f_cnt=2, f_cnt=20))
    assert lab.item(id).state == "sent" and lab.ups()[-1][0] != 20
    lab.uplink(node.up(b"right", ack=True, conf_f_cnt=3, f_cnt=20))
    assert lab.item(id).state == "acked"


def test_inv_10_late_frame_that_acknowledges_an_earlier_downlink(lab: Lab, device: OtaaDevice) -> None:
    """Its MIC is bound to a confirmed FCntDown that is not the last one any more."""
    gateway = lab.gateway()
    node = used(lab, device)
    for number in range(3):
        lab.queue(node.dev_eui, bytes((number,)), confirmed=True)
    conf_f_cnts: list[int] = []
    slow = b""
    for number in range(3):
        acks = {"ack": True, "conf_f_cnt": conf_f_cnts[-1]} if conf_f_cnts else {}
        (sent,) = lab.uplink(node.up(bytes((number,)), **acks))
        down = node.read(sent.phy)
        assert down.confirmed
        conf_f_cnts.append(down.f_cnt)
        slow = slow or node.up(b"slow", ack=True, conf_f_cnt=down.f_cnt)
        lab.advance(10 * SECOND_US)
    assert len(set(conf_f_cnts)) == 3
    gateway.hear(slow)
    gateway.hear(node.up(b"forged", ack=True, conf_f_cnt=conf_f_cnts[-1] + 7))
    lab.advance(WINDOW_US)
    assert [event.data for event in lab.events("up") if event.late] == [b"slow"]
    assert b"forged" not in [data for _, data in lab.ups()]


def test_acknowledgement_after_a_kill(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    lab.queue(node.dev_eui)
    lab.uplink(node.up())
    id = lab.queue(node.dev_eui, confirmed=True)
    lab.uplink(node.up())
    lab.kill()
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(ack=True, conf_f_cnt=1))
    assert lab.item(id).state == "acked"


@pytest.mark.parametrize("rejoin_type", [0, 2])
def test_rejoin_0_and_2(lab: Lab, device: OtaaDevice, rejoin_type: int) -> None:
    node = used(lab, device)
    lab.uplink(node.up(b"old"))
    request = device.rejoin_request(rejoin_type, 0, 0, node.keys.s_nwk_s_int_key)
    gateway = next(iter(lab.gateways.values()))
    heard = gateway.tmst()
    (sent,) = lab.uplink(request)
    assert sent.txpk["tmst"] == heard + 5 * SECOND_US
    fresh = node_of(device, device.accept(sent.phy, 0, rejoin_type))
    lab.advance(10 * SECOND_US)
    lab.uplink(node.up(b"still the old"))
    (sent,) = lab.uplink(fresh.up(b"new", f_opts=REKEY_IND))
    assert fresh.read(sent.phy).f_opts == b"\x0b\x01"
    lab.uplink(node.up(b"gone"))
    assert [data for _, data in lab.ups() if data] == [b"old", b"still the old", b"new"]
    assert lab.uplink(request) == [], "RJcount0 is used"


def test_rejoin_1(lab: Lab, device: OtaaDevice) -> None:
    """Signed with a lifetime key: works although the server has no session at all."""
    lab.call("session_delete", key=lab.state.devices[device.dev_eui].dev_eui_text)
    (sent,) = lab.uplink(device.rejoin_request(1, 7))
    fresh = node_of(device, device.accept(sent.phy, 7, 1))
    lab.uplink(fresh.up(b"\x01", f_opts=REKEY_IND))
    assert lab.ups() == [(0, b"\x01")]
    assert lab.uplink(device.rejoin_request(1, 6)) == []


def test_forged_or_foreign_rejoins(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    before = len(lab.air)
    lab.uplink(device.rejoin_request(0, 0, 0, bytes(16)))
    lab.uplink(device.rejoin_request(2, 0, 0x13, node.keys.s_nwk_s_int_key))
    forged = device.rejoin_request(1, 0)
    lab.uplink(forged[:-1] + bytes((forged[-1] ^ 1,)))
    assert len(lab.air) == before
    lab.uplink(node.up(b"\x01"))
    assert lab.ups()[-1] == (1, b"\x01")


def test_rejoin_in_the_frame_log(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    lab.uplink(device.rejoin_request(0, 0, 0, node.keys.s_nwk_s_int_key))
    types = [one.type for one in lab.call("frames", dev_eui=node.dev_eui, type="join").items]
    assert types == ["join_accept", "rejoin_request", "join_accept", "join_request"]


def test_commands_of_an_encrypted_frame_in_the_log(lab: Lab, device: OtaaDevice) -> None:
    node = used(lab, device)
    lab.uplink(node.up(b"", port=None, f_opts=b"\x02"))
    lab.advance(WINDOW_US)
    down, up = lab.call("frames", dev_eui=node.dev_eui, limit=2).items
    assert [len(one.mac_commands) for one in (down, up)] == [1, 1]
    assert "heard" in up.mac_commands[0] and "1 gateway" in down.mac_commands[0]


@pytest.mark.parametrize("waits", [False, True])
def test_inv_03_ack_of_a_downlink_that_a_restore_has_forgotten(
    lab: Lab, device: OtaaDevice, tmp_path: Path, waits: bool
) -> None:
    """Its uplink is a reading all the same, once; for an older item that still waits the ACK counts for nothing."""
    lab.gateway()
    node = used(lab, device)
    older = lab.queue(node.dev_eui, b"older", confirmed=True) if waits else None
    if waits:
        (sent,) = lab.uplink(node.up())
        assert node.read(sent.phy).confirmed
        lab.advance(10 * SECOND_US)
    path, backup = Path(lab.settings.data_dir) / "network.db", tmp_path / "backup.db"
    with closing(lab.journal.reader()) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    if waits:
        lab.uplink(node.up(ack=True, conf_f_cnt=node.read(sent.phy).f_cnt))
        lab.advance(10 * SECOND_US)
    lab.queue(node.dev_eui, b"forgotten", confirmed=True)
    (sent,) = lab.uplink(node.up())
    forgotten = node.read(sent.phy)
    assert (forgotten.confirmed, forgotten.data) == (True, b"forgotten")
    lab.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(backup, path)
    lab.start(restored=1)
    lab.advance(10 * SECOND_US)
    for gateway in lab.gateways.values():
        gateway.pull()
    answer = node.up(b"reading", ack=True, conf_f_cnt=forgotten.f_cnt)
    forged = node.up(b"forged", ack=True, conf_f_cnt=forgotten.f_cnt + 5000, f_cnt=node.f_cnt + 1)
    for phy in (answer, answer, forged):
        lab.uplink(phy)
        lab.advance(5 * SECOND_US)
    assert [data for _, data in lab.ups() if data] == [b"reading"]
    if older is not None:
        assert lab.item(older).state != "acked"
