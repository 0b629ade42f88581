"""kill -9 at every step: nothing acknowledged is lost, nothing happens twice, no counter is used again."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lorasim.crypto import SessionKeys

from lns.keys import KeyRing
from lns.store.embedded.journal import restores_of
from lorawan.errors import StateError
from tests.support.fake_gateway import Sent
from tests.support.lab import KEK, SECOND_US, WINDOW_US, Lab
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice

STEPS_OF_AN_UPLINK = ["commit", "committed", "acked", "sent"]


@pytest.mark.parametrize("step", STEPS_OF_AN_UPLINK)
def test_killed_while_a_frame_is_accepted(lab: Lab, step: str) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up(b"before"))
    phy = node.up(b"frame")
    with lab.dying(step):
        gateway.hear(phy)
    acknowledged = len(gateway.push_acks) == 2
    assert acknowledged is (step in ("acked", "sent"))
    kept = (1, b"frame") in lab.ups()
    assert kept or not acknowledged
    lab.advance(10 * SECOND_US)
    lab.uplink(phy)
    lab.uplink(node.up(b"after"))
    expected = [(0, b"before"), (1, b"frame"), (2, b"after")]
    assert lab.ups() == expected


@pytest.mark.parametrize("step", STEPS_OF_AN_UPLINK)
def test_killed_while_a_frame_is_handed_over(lab: Lab, step: str) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.queue(node.dev_eui)
    token = gateway.hear(node.up(b"frame", confirmed=True))
    assert gateway.acknowledged(token)
    with lab.dying(step):
        lab.advance(WINDOW_US)
    assert lab.ups() == [(0, b"frame")]
    lab.kill()
    assert lab.ups() == [(0, b"frame")]


def test_inv_18_frames_before_the_kill_are_handed_over_in_order_exactly_once(lab: Lab) -> None:
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 11)]
    frames = [(node, node.up(node.dev_eui.encode())) for node in nodes]
    for _, phy in frames:
        gateway.hear(phy)
        lab.advance(10_000)
    assert lab.events() == []
    for _ in range(3):
        lab.kill()
        assert [event.dev_eui for event in lab.events("up")] == [node.dev_eui for node in nodes]
    for event in lab.events("up"):
        assert event.data == event.dev_eui.encode()
        assert event.receptions[0].gateway_eui == gateway.eui
    assert lab.air == []  # their receive windows are long over


def test_recovered_frame_keeps_its_own_time(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    at_us = lab.wall_us
    gateway.hear(node.up())
    lab._move(lab.mono_us + 3600 * SECOND_US)
    lab.kill()
    (event,) = lab.events("up")
    assert event.time_us == event.receptions[0].received_at_us == at_us


def test_late_frame_is_recovered_as_late(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    slow = node.up(b"slow")
    lab.uplink(node.up(b"quick"))
    gateway.hear(slow)
    lab.kill()
    assert [(event.data, event.late) for event in lab.events("up")] == [(b"quick", False), (b"slow", True)]


def test_payload_is_decrypted_even_when_its_session_has_ended(lab: Lab) -> None:
    """Accepted in the old session; the first frame of the new one ends it before the window closes."""
    gateway = lab.gateway()
    device = OtaaDevice()
    lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    old, new = joined(lab, device, 1), None
    lab.uplink(old.up(b"first"))
    new = joined(lab, device, 2)
    gateway.hear(old.up(b"last of the old"))
    gateway.hear(new.up(b"first of the new"))
    lab.kill()
    assert [data for _, data in lab.ups()] == [b"first", b"last of the old", b"first of the new"]
    lab.kill()
    ended = lab.rows("SELECT count(*) FROM session WHERE ended = 1")
    assert ended == [(0,)], "an ended session is deleted once its frames are handed over"


def test_frames_of_a_deleted_device_do_not_stop_the_start(lab: Lab) -> None:
    gateway, node, other = lab.gateway(), lab.abp(1), lab.abp(2)
    gateway.hear(node.up(b"\x01"))
    gateway.hear(other.up(b"\x02"))
    lab.call("device_delete", key=node.dev_eui)
    lab.kill()
    assert [event.data for event in lab.events("up")] == [b"\x02"]


def test_frames_of_a_removed_gateway_are_recovered(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.hear(node.up(b"\x01"))
    lab.call("gateway_delete", key=gateway.eui)
    lab.kill()
    (event,) = lab.events("up")
    assert event.receptions[0].gateway_eui == gateway.eui


def test_new_device_never_inherits_the_number_of_a_deleted_one(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(1)
    lab.uplink(node.up(b"old"))
    lab.call("device_delete", key=node.dev_eui)
    lab.kill()
    lab.abp(2)
    assert lab.call("frames", dev_eui=f"{0xA00002:016x}").items == []


@pytest.mark.parametrize("step", STEPS_OF_AN_UPLINK)
@pytest.mark.parametrize("confirmed", [False, True])
def test_downlink_counter_is_never_used_twice(lab: Lab, step: str, confirmed: bool) -> None:
    """INV-01: killed after compose, after the commit, after PULL_RESP."""
    gateway, node = lab.gateway(), lab.abp(f_cnt_down=7)
    lab.queue(node.dev_eui, b"item", confirmed=confirmed)
    gateway.hear(node.up(confirmed=True))
    with lab.dying(step):
        lab.advance(WINDOW_US)
    on_air_before = len(lab.air)
    assert on_air_before == (step == "sent")
    for _ in range(4):
        lab.advance(5 * SECOND_US)
        lab.uplink(node.up(confirmed=True))
    assert_no_counter_twice(node, lab.air)


@pytest.mark.parametrize(
    ("step", "state"), [("commit", "queued"), ("committed", "unknown"), ("acked", "unknown"), ("sent", "unknown")]
)
def test_item_on_its_way_at_the_kill(lab: Lab, step: str, state: str) -> None:
    """What may have been sent is never sent twice; what cannot have been sent still waits."""
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui, b"valve")
    gateway.hear(node.up())
    with lab.dying(step):
        lab.advance(WINDOW_US)
    assert lab.item(item).state == state
    for _ in range(3):
        lab.advance(5 * SECOND_US)
        lab.uplink(node.up(confirmed=True))
    sent = [sent for sent in lab.air if node.read(sent.phy).f_port == 10]
    assert len(sent) == (1 if state == "queued" or step == "sent" else 0)
    if state == "unknown":
        outcomes = [outcome for (outcome,) in lab.rows("SELECT outcome FROM frame WHERE kind = 'down' ORDER BY id")]
        assert outcomes[0].startswith("unknown")


def test_inv_03_restored_file_skips_counters(lab: Lab) -> None:
    """INV-03: downlinks after the backup may have used what the file does not know."""
    lab.gateway()
    one, other = lab.abp(1, f_cnt_down=10), lab.abp(2, mac_version="1.1.0", f_cnt_down=20, a_f_cnt_down=30)
    lab.kill(restored=1)
    session = lab.call("session", key=one.dev_eui)
    assert session.f_cnt_down == 10 + 1024
    session = lab.call("session", key=other.dev_eui)
    assert (session.f_cnt_down, session.a_f_cnt_down) == (20 + 1024, 30 + 1024)
    lab.kill()  # the skip itself is durable, and made once
    assert lab.call("session", key=one.dev_eui).f_cnt_down == 10 + 1024
    (sent,) = lab.uplink(one.up(confirmed=True))
    assert one.read(sent.phy).f_cnt == 1034


def test_the_same_backup_restored_again_skips_further(lab: Lab, tmp_path: Path) -> None:
    """Every restore of one file begins with the counters of the backup; none may end where another did."""
    lab.gateway()
    node = lab.abp(f_cnt_down=10)
    path, backup = Path(lab.settings.data_dir) / "network.db", tmp_path / "backup.db"
    with closing(lab.journal.reader()) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    seen = []
    for _ in range(3):
        number = restores_of(path) + 1
        lab.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(backup, path)
        lab.start(restored=number)
        seen.append(lab.call("session", key=node.dev_eui).f_cnt_down)
    assert seen == [10 + 1024, 10 + 2048, 10 + 3072]


def test_inv_03_a_restored_file_repeats_no_number_and_no_valve_command(lab: Lab) -> None:
    """Who has taken an event of the lost days never sees its number again; what may have been sent waits for people."""
    lab.gateway()
    node = lab.abp()
    once = lab.queue(node.dev_eui, b"close the valve")
    again = lab.queue(node.dev_eui, b"read-out", confirmed=True)
    lab.uplink(node.up(b"before", f_cnt=0), lab.gateway(2, pulls=False))
    last = lab.events()[-1].id
    lab.kill(restored=1)
    lab.uplink(node.up(b"after", f_cnt=1))
    assert lab.events("up")[-1].id > last + 1_000_000
    assert lab.item(once).state == "cancelled" and "queue it again" in lab.item(once).reason
    assert lab.item(again).state == "sent"
    assert [node.read(sent.phy).data for sent in lab.air] == [b"read-out"]


def test_inv_05_replays_after_a_restore_are_harmless(lab: Lab, tmp_path: Path) -> None:
    """FCntUp is the backup's, so a frame of the lost days is taken when it comes again: once, and it is a true reading."""
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(b"before"))
    path, backup = Path(lab.settings.data_dir) / "network.db", tmp_path / "backup.db"
    with closing(lab.journal.reader()) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    lost = [node.up(bytes((number,))) for number in range(3)]
    for phy in lost:
        lab.uplink(phy)
    lab.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(backup, path)
    lab.start(restored=1)
    for gateway in lab.gateways.values():
        gateway.pull()
    lab.uplink(node.up(b"after"))
    for phy in (*lost, *lost):
        lab.uplink(phy)
    assert sorted(lab.ups()) == [(0, b"before"), (1, b"\0"), (2, b"\1"), (3, b"\2"), (4, b"after")]
    assert [event.late for event in lab.events("up")] == [False, False, True, True, True]


def test_restored_uplink_counters_are_as_they_were(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(f_cnt_up=100)
    lab.uplink(node.up())
    lab.kill(restored=1)
    lab.uplink(node.up())
    assert [f_cnt for f_cnt, _ in lab.ups()] == [100, 101]


def test_inv_21_random_life_with_kills(lab: Lab) -> None:
    """Twenty kills at random moments of a busy day: the recorder's word against the server's promises."""
    rng = random.Random(20)
    gateways = [lab.gateway(number) for number in (1, 2)]
    nodes = [lab.abp(number, f_cnt_down=100) for number in range(1, 9)]
    promised: dict[tuple[str, int], bytes] = {}
    offered: dict[tuple[str, int], bytes] = {}
    for kill in range(20):
        for _ in range(rng.randrange(4, 16)):
            node = rng.choice(nodes)
            key = (node.dev_eui, node.f_cnt)
            offered[key] = data = bytes((kill, rng.randrange(256)))
            phy = node.up(data, confirmed=rng.random() < 0.5)
            for gateway in rng.sample(gateways, rng.randrange(1, 3)):
                if gateway.acknowledged(gateway.hear(phy)):
                    promised[key] = data
            if rng.random() < 0.2:
                lab.queue(node.dev_eui, data, confirmed=rng.random() < 0.5)
            lab.advance(rng.choice((1_000, 60_000, 250_000, 4 * SECOND_US)))
        if rng.random() < 0.5:
            lab.kill()
        else:
            node = rng.choice(nodes)
            key = (node.dev_eui, node.f_cnt)
            offered[key] = b"at the kill"
            with lab.dying(rng.choice(STEPS_OF_AN_UPLINK)):
                if gateways[0].acknowledged(gateways[0].hear(node.up(b"at the kill", confirmed=True))):
                    promised[key] = b"at the kill"
                lab.advance(WINDOW_US)
    lab.advance(SECOND_US)
    events = [((event.dev_eui, event.f_cnt), event.data) for event in lab.events("up")]
    assert len(dict(events)) == len(events), "an event twice"
    assert promised.items() <= dict(events).items(), "an acknowledged frame lost"
    assert dict(events).items() <= offered.items()
    assert len(lab.air) > 20
    for node in nodes:
        assert_no_counter_twice(
            node, [sent for sent in lab.air if sent.phy[1:5] == node.dev_addr.to_bytes(4, "little")]
        )


def assert_no_counter_twice(node: Node, air: list[Sent]) -> None:
    """INV-01: one FCntDown, one PHYPayload."""
    by_counter: dict[int, set[bytes]] = {}
    for sent in air:
        by_counter.setdefault(node.read(sent.phy).f_cnt, set()).add(sent.phy)
    assert all(len(frames) == 1 for frames in by_counter.values())
    assert list(by_counter) == sorted(by_counter)


def joined(lab: Lab, device: OtaaDevice, dev_nonce: int) -> Node:
    """The device joins; its session."""
    (sent,) = lab.uplink(device.join_request(dev_nonce))
    accept = device.accept(sent.phy, dev_nonce)
    return Node(
        accept.dev_addr, SessionKeys.of_1_0(accept.keys["NwkSKey"], accept.keys["AppSKey"]), 0, f"{device.dev_eui:016x}"
    )


def test_wrong_key_encryption_key_is_told_before_anything_is_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.hear(node.up(b"\x01"))
    monkeypatch.setattr("tests.support.lab.KeyRing", lambda kek: KeyRing(bytes(32)))
    with pytest.raises(StateError, match="kek file"):
        lab.kill()
    monkeypatch.undo()
    lab.kill()
    assert lab.ups() == [(0, b"\x01")]


def test_key_encryption_key_is_not_in_any_file(lab: Lab) -> None:
    """Session keys lie sealed in the journal."""
    node = lab.abp()
    content = b"".join(path.read_bytes() for path in lab.settings.data_dir.iterdir())
    for secret in (node.keys.app_s_key, node.keys.nwk_s_enc_key, KEK):
        assert secret not in content and secret.hex().encode() not in content
