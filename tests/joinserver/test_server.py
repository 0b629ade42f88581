"""Batches of joins: order, copies, forgeries, damaged rows, a full disk."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from joinserver.core import Granted, decide
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import ResultCode
from lorawan.errors import StateError
from lorawan.identifiers import EUI64, NetID
from tests.support.joins import KEK, NOW_US, NWK_KEY, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice

OK, REPLAYED = ResultCode.SUCCESS, ResultCode.FRAME_REPLAYED


def changes(store: JoinStore) -> tuple[int, int]:
    """Rows written since the opening, and bytes of the write-ahead log."""
    return store._db.total_changes, store.path.with_name("join.db-wal").stat().st_size


def test_a_batch_is_answered_in_its_order(server: JoinServer) -> None:
    devices = [OtaaDevice(dev_eui=n, app_key=bytes([n]) * 16) for n in range(1, 6)]
    server.put_devices([keys_of(d) for d in devices[:-1]], NOW_US)
    requests = [ask_for(d, d.join_request(n)) for n in (1, 2) for d in devices]
    answers = server.join_many(requests, NOW_US)
    assert [a.result for a in answers] == ([OK] * 4 + [ResultCode.UNKNOWN_DEV_EUI]) * 2
    for answer, request, device in zip(answers, requests, devices * 2, strict=True):
        if answer.result is OK:
            accepted = device.accept(answer.phy_payload, int.from_bytes(request.phy_payload[17:19], "little"))
            assert answer.session_keys is not None
            assert accepted.keys["AppSKey"] == answer.session_keys.app_s_key
    assert [[a.join_nonce for a in d.accepted] for d in devices] == [[1, 2]] * 4 + [[]]
    assert server.join_many([], NOW_US) == []


@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4"])
def test_inv_14_eight_copies_one_accept(server: JoinServer, mac_version: str) -> None:
    """In one batch and in later ones, also after other joins of the device."""
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    first = ask_for(device, device.join_request(500), mac_version)
    results = [a.result for a in server.join_many([first] * 8, NOW_US)]
    assert results == [OK] + [REPLAYED] * 7
    (late,) = server.join_many([first], NOW_US + 6_000_000)
    assert late.result is REPLAYED and "answered 6.000 s before" in late.detail
    assert [
        a.result for a in server.join_many([ask_for(device, device.join_request(501), mac_version), first], NOW_US)
    ] == [OK, REPLAYED]


@pytest.mark.parametrize("mac_version", ["1.0.3", "1.0.4"])
def test_inv_11_a_thousand_old_joins_are_all_refused(server: JoinServer, mac_version: str) -> None:
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    requests = [ask_for(device, device.join_request(n), mac_version) for n in range(1000)]
    assert {a.result for a in server.join_many(requests, NOW_US)} == {OK}
    assert {a.result for a in server.join_many(requests, NOW_US)} == {REPLAYED}


def test_inv_12_65536_forged_joins_change_nothing(server: JoinServer, store: JoinStore) -> None:
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    before = changes(store)
    head = device.join_request(0)[:17]
    for start in range(0, 65_536, 4096):
        forged = [head + n.to_bytes(2, "little") + b"\xde\xad\xbe\xef" for n in range(start, start + 4096)]
        answers = server.join_many([ask_for(device, phy) for phy in forged], NOW_US)
        assert {a.result for a in answers} == {ResultCode.MIC_FAILED}
    assert changes(store) == before
    (answer,) = server.join_many([ask_for(device, device.join_request(0))], NOW_US)
    assert device.accept(answer.phy_payload, 0).join_nonce == 1


def test_refusals_write_nothing(server: JoinServer, store: JoinStore) -> None:
    device = OtaaDevice()
    server.put_devices([keys_of(device, home_net_id=NetID(19))], NOW_US)
    good = ask_for(device, device.join_request(3))
    server.join_many([good], NOW_US)
    before = changes(store)
    other = ask_for(OtaaDevice(dev_eui=9), OtaaDevice(dev_eui=9).join_request(4))
    bad = [
        good,
        other,
        replace(good, phy_payload=b"\x00"),
        replace(good, net_id=NetID(1)),
        replace(good, mac_version="x"),
    ]
    assert OK not in {a.result for a in server.join_many(bad, NOW_US)}
    assert changes(store) == before


def test_one_damaged_row_does_not_stop_the_others(server: JoinServer, path: Path) -> None:
    bad, good = OtaaDevice(dev_eui=1), OtaaDevice(dev_eui=2)
    server.put_devices([keys_of(bad), keys_of(good)], NOW_US)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE device SET app_key = zeroblob(24) WHERE dev_eui = ?", (bytes(7) + b"\1",))
    db.close()
    answers = server.join_many([ask_for(d, d.join_request(0)) for d in (bad, good)], NOW_US)
    assert [a.result for a in answers] == [ResultCode.OTHER, OK]
    assert "DevEUI 0000000000000001: its stored key does not unwrap" in answers[0].detail


def test_on_a_full_disk_joins_are_refused_and_nothing_is_spent(server: JoinServer, store: JoinStore) -> None:
    devices = [OtaaDevice(dev_eui=n) for n in range(300)]
    server.put_devices([keys_of(d) for d in devices], NOW_US)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    batch = [ask_for(d, d.join_request(0)) for d in devices]
    answers = server.join_many(batch, NOW_US)
    assert {a.result for a in answers} == {ResultCode.OTHER}
    assert "full" in answers[0].detail and "DevEUI 0000000000000000" in answers[0].detail
    store._db.execute("PRAGMA max_page_count = 1000000")
    answers = server.join_many(batch, NOW_US)
    assert [d.accept(a.phy_payload, 0).join_nonce for d, a in zip(devices, answers, strict=True)] == [1] * 300


def test_two_programs_on_one_file_never_give_one_join_nonce_twice(path: Path, server: JoinServer) -> None:
    """Not meant to be, but guarded: the row is changed by compare-and-set."""
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    with JoinStore(path, KEK) as second:
        stale = second.record(EUI64(device.dev_eui))
        server.join_many([ask_for(device, device.join_request(n)) for n in range(1500)], NOW_US)
        grant = decide(stale, ask_for(device, device.join_request(2000)), NOW_US)
        assert isinstance(grant, Granted)
        with pytest.raises(StateError, match=r"is spent; is .* shared"):
            second.save([grant], NOW_US)


def test_the_log_tells_what_happened(server: JoinServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "joinserver")
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    request = ask_for(device, device.join_request(60_000))
    server.join_many([request, request], NOW_US)
    told = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert told[0] == ("INFO", "DevEUI 0202030405060708: join, DevAddr 26012345, JoinNonce 1")
    assert told[1][0] == "WARNING" and "5535 of 65536 DevNonces left" in told[1][1]
    assert told[2] == (
        "INFO",
        "FrameReplayed: DevEUI 0202030405060708: a copy of the join-request 60000 answered 0.000 s before",
    )


def test_home_network(server: JoinServer) -> None:
    server.put_devices(
        [keys_of(OtaaDevice(dev_eui=1), home_net_id=NetID(0x13)), keys_of(OtaaDevice(dev_eui=2))], NOW_US
    )
    assert [server.home_net_id(EUI64(n)) for n in (1, 2, 3)] == [0x13, None, None]


# ------------------------------------------------------------------------------------------------ rejoin (1.1)


class Rejoiner(OtaaDevice):
    """A 1.1 device that talks with a join server; ``heard`` says whether it hears the accept."""

    def ask(self, server: JoinServer, phy: bytes, *, heard: bool = True) -> ResultCode:
        (answer,) = server.join_many([ask_for(self, phy, "1.1")], NOW_US)
        if answer.result is OK and heard:
            self.accept(answer.phy_payload, int.from_bytes(phy[-6:-4], "little"), phy[1] if phy[0] == 0xC0 else None)
            assert answer.session_keys is not None
            assert self.key("SNwkSIntKey") == answer.session_keys.s_nwk_s_int_key
            assert self.key("AppSKey") == answer.session_keys.app_s_key
        return answer.result

    def key(self, name: str) -> bytes:
        return self.accepted[-1].keys[name]

    def rejoin(self, rejoin_type: int, count: int) -> bytes:
        return self.rejoin_request(rejoin_type, count, 0x13, self.key("SNwkSIntKey"))


@pytest.fixture
def rejoiner(server: JoinServer) -> Rejoiner:
    device = Rejoiner(nwk_key=NWK_KEY)
    server.put_devices([keys_of(device)], NOW_US)
    assert device.ask(server, device.join_request(0)) is OK
    return device


@pytest.mark.parametrize("rejoin_type", [0, 2])
def test_rejoin_0_and_2_begin_a_session_whose_counter_begins_anew(
    server: JoinServer, rejoiner: Rejoiner, rejoin_type: int
) -> None:
    """LoRaWAN 1.1 §6.2.4.1: RJcount0 starts at 0 with each accept the device has heard."""
    for _ in range(3):
        request = rejoiner.rejoin(rejoin_type, 0)
        assert rejoiner.ask(server, request) is OK
        assert rejoiner.ask(server, request) is not OK
    assert [a.join_nonce for a in rejoiner.accepted] == [1, 2, 3, 4]


def test_rejoin_0_goes_on_when_an_accept_is_lost(server: JoinServer, rejoiner: Rejoiner) -> None:
    assert rejoiner.ask(server, rejoiner.rejoin(0, 0), heard=False) is OK
    assert rejoiner.ask(server, rejoiner.rejoin(0, 0)) is REPLAYED
    assert rejoiner.ask(server, rejoiner.rejoin(2, 5), heard=False) is OK
    assert rejoiner.ask(server, rejoiner.rejoin(0, 5)) is REPLAYED
    assert rejoiner.ask(server, rejoiner.rejoin(0, 6)) is OK
    assert [a.join_nonce for a in rejoiner.accepted] == [1, 4]


def test_more_lost_accepts_than_sessions_are_kept_do_not_lock_a_device_out(
    server: JoinServer, rejoiner: Rejoiner
) -> None:
    for count in range(20):
        assert rejoiner.ask(server, rejoiner.rejoin(0, count), heard=False) is OK
    assert rejoiner.ask(server, rejoiner.rejoin(0, 20)) is OK


def test_a_rejoin_proves_the_other_sessions_dead(server: JoinServer, rejoiner: Rejoiner) -> None:
    lost = rejoiner.ask(server, rejoiner.rejoin(0, 0), heard=False)
    assert lost is OK
    names = [
        (
            EUI64(rejoiner.dev_eui).to_bytes(8, "big")
            + EUI64(rejoiner.join_eui).to_bytes(8, "big")
            + n.to_bytes(3, "big")
        )
        for n in (1, 2, 3)
    ]
    kept = [server.app_s_key(EUI64(rejoiner.dev_eui), name) is not None for name in names]
    assert kept == [True, True, False]
    assert rejoiner.ask(server, rejoiner.rejoin(0, 1)) is OK
    kept = [server.app_s_key(EUI64(rejoiner.dev_eui), name) is not None for name in names]
    assert kept == [True, False, True]


def test_rejoin_1_counts_on_over_joins(server: JoinServer, rejoiner: Rejoiner) -> None:
    """LoRaWAN 1.1 §6.2.4.2: RJcount1 is never reset, and the request is signed with JSIntKey."""
    assert rejoiner.ask(server, rejoiner.rejoin(1, 0)) is OK
    assert rejoiner.ask(server, rejoiner.join_request(1)) is OK
    assert rejoiner.ask(server, rejoiner.rejoin(1, 0)) is REPLAYED
    assert rejoiner.ask(server, rejoiner.rejoin(1, 65_535)) is OK
    assert rejoiner.ask(server, rejoiner.rejoin(1, 65_535)) is REPLAYED
    assert server.forget_nonces([EUI64(rejoiner.dev_eui)], who="petrova", why="module replaced", now_us=NOW_US) == 1
    assert rejoiner.ask(server, rejoiner.rejoin(1, 0)) is OK


@pytest.mark.parametrize("rejoin_type", [0, 1, 2])
def test_copies_of_a_rejoin_in_one_batch_make_one_accept(
    server: JoinServer, rejoiner: Rejoiner, rejoin_type: int
) -> None:
    request = ask_for(rejoiner, rejoiner.rejoin(rejoin_type, 0), "1.1")
    assert [a.result for a in server.join_many([request] * 5, NOW_US)] == [OK] + [REPLAYED] * 4


@pytest.mark.parametrize("rejoin_type", [0, 1, 2])
def test_a_forged_rejoin_changes_nothing(
    server: JoinServer, store: JoinStore, rejoiner: Rejoiner, rejoin_type: int
) -> None:
    before = changes(store)
    phy = rejoiner.rejoin(rejoin_type, 9)
    assert rejoiner.ask(server, phy[:-1] + bytes([phy[-1] ^ 0x80])) is ResultCode.MIC_FAILED
    assert changes(store) == before


@pytest.mark.parametrize("rejoin_type", [0, 1, 2])
@pytest.mark.parametrize(("mac_version", "dl_settings"), [("1.0.4", 0x80), ("1.1", 0x00)])
def test_a_rejoin_is_for_1_1_only(
    server: JoinServer, rejoiner: Rejoiner, rejoin_type: int, mac_version: str, dl_settings: int
) -> None:
    request = ask_for(rejoiner, rejoiner.rejoin(rejoin_type, 0), mac_version, dl_settings=dl_settings)
    (answer,) = server.join_many([request], NOW_US)
    assert answer.result is ResultCode.MALFORMED_REQUEST and "MACVersion 1.1 and OptNeg" in answer.detail


def test_a_rejoin_survives_a_restart(path: Path) -> None:
    device = Rejoiner(nwk_key=NWK_KEY)
    with JoinStore(path, KEK) as store:
        server = JoinServer(store)
        server.put_devices([keys_of(device)], NOW_US)
        assert device.ask(server, device.join_request(0)) is OK
        assert device.ask(server, device.rejoin(0, 0), heard=False) is OK
    with JoinStore(path, KEK) as store:
        server = JoinServer(store)
        assert device.ask(server, device.rejoin(0, 0)) is REPLAYED
        assert device.ask(server, device.rejoin(2, 1)) is OK
        assert device.ask(server, device.rejoin(1, 0)) is OK
    with JoinStore(path, KEK) as store:
        assert device.ask(JoinServer(store), device.rejoin(1, 0)) is REPLAYED
