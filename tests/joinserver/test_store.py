"""``join.db``: devices, nonces that outlive them, audit, the key-encryption key, migrations."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from joinserver.file import epoch_of
from joinserver.migrations import SCHEMA
from joinserver.nonces import NonceSet
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from joinserver.values import DeviceKeys
from lorawan.backend import ResultCode
from lorawan.errors import StateError
from lorawan.identifiers import EUI64, NetID
from tests.support.joins import KEK, NOW_US, NWK_KEY, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice

WHO = {"who": "petrova", "why": "module replaced", "now_us": NOW_US}


def join(server: JoinServer, device: OtaaDevice, dev_nonce: int, mac_version: str = "1.0.4") -> ResultCode:
    (answer,) = server.join_many([ask_for(device, device.join_request(dev_nonce), mac_version)], NOW_US)
    if answer.result is ResultCode.SUCCESS:
        device.accept(answer.phy_payload, dev_nonce)
    return answer.result


# ------------------------------------------------------------------------------------------------ devices


def test_put_tells_created_changed_and_unchanged(store: JoinStore) -> None:
    devices = [OtaaDevice(dev_eui=n, app_key=os.urandom(16)) for n in range(1, 1203)]
    result = store.put_devices([keys_of(d) for d in devices], NOW_US)
    assert (result.created, result.changed, result.unchanged, result.warnings) == (1202, 0, 0, ())
    devices[5].app_key = os.urandom(16)
    devices[6].join_eui = 7
    result = store.put_devices([keys_of(d) for d in devices], NOW_US + 1)
    assert (result.created, result.changed, result.unchanged) == (0, 2, 1200)
    assert len(store.devices(limit=2000)) == 1202


def test_a_partial_put_keeps_the_rest(store: JoinStore) -> None:
    device = OtaaDevice(nwk_key=NWK_KEY)
    eui = EUI64(device.dev_eui)
    store.put_devices([keys_of(device, home_net_id=NetID(19))], NOW_US)
    store.put_devices([DeviceKeys(eui, join_eui=EUI64(5))], NOW_US + 9)
    record = store.record(eui)
    assert record is not None
    assert (record.join_eui, record.app_key, record.nwk_key, record.home_net_id) == (5, device.app_key, NWK_KEY, 19)
    store.put_devices([DeviceKeys(eui, nwk_key=b"")], NOW_US)
    (info,) = store.devices()
    assert (info.has_app_key, info.has_nwk_key, info.created_at_us) == (True, False, NOW_US)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (DeviceKeys(EUI64(9), EUI64(1)), "DevEUI 0000000000000009: give its AppKey"),
        (DeviceKeys(EUI64(9), app_key=bytes(range(16))), "needs its JoinEUI"),
        (DeviceKeys(EUI64(9), EUI64(1), app_key=b"short"), "AppKey has 5 bytes"),
        (DeviceKeys(EUI64(1), app_key=b""), "DevEUI 0000000000000001: give its AppKey"),
    ],
)
def test_put_is_all_or_none(store: JoinStore, bad: DeviceKeys, text: str) -> None:
    store.put_devices([keys_of(OtaaDevice(dev_eui=1))], NOW_US)
    with pytest.raises(StateError, match=text):
        store.put_devices([keys_of(OtaaDevice(dev_eui=2)), bad], NOW_US)
    assert [info.dev_eui for info in store.devices()] == [1]


def test_a_dry_run_changes_nothing(store: JoinStore) -> None:
    result = store.put_devices([keys_of(OtaaDevice())], NOW_US, dry_run=True)
    assert result.created == 1
    assert store.devices() == []


def test_weak_and_shared_keys_are_told_without_the_key(store: JoinStore) -> None:
    """SEC-06."""
    keys = [bytes(16), bytes(range(1, 17)), bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), b"12345678" * 2]
    strong = os.urandom(16)
    devices = [keys_of(OtaaDevice(dev_eui=n, app_key=key)) for n, key in enumerate([*keys, strong, strong])]
    warnings = store.put_devices(devices, NOW_US).warnings
    assert [w.split(" is guessable ")[0] for w in warnings[:4]] == [f"DevEUI {n:016x}: AppKey" for n in range(4)]
    assert warnings[4].startswith("2 devices share one root key, DevEUI 0000000000000004")
    assert len(warnings) == 5
    assert not any(key.hex() in warning for key in (*keys, strong) for warning in warnings)
    other = keys_of(OtaaDevice(dev_eui=99, app_key=os.urandom(16)))
    assert store.put_devices([other], NOW_US).warnings == (), "what others share is not this device's matter"


def test_a_list_goes_page_by_page_and_by_choice(store: JoinStore) -> None:
    store.put_devices([keys_of(OtaaDevice(dev_eui=1 << 63 | n)) for n in range(1200)], NOW_US)
    page = store.devices(limit=700)
    rest = store.devices(after=page[-1].dev_eui, limit=700)
    assert [i.dev_eui for i in page + rest] == [1 << 63 | n for n in range(1200)]
    chosen = [EUI64(1 << 63 | n) for n in range(1199, 100, -2)]
    assert [i.dev_eui for i in store.devices(dev_euis=[*chosen, EUI64(5)], limit=2000)] == sorted(chosen)
    assert len(store.devices(dev_euis=chosen, limit=520)) == 520


def test_a_hundred_thousand_devices_take_seconds(store: JoinStore) -> None:
    devices = [keys_of(OtaaDevice(dev_eui=n, app_key=n.to_bytes(16, "big"))) for n in range(100_000)]
    began = time.process_time()
    assert store.put_devices(devices, NOW_US).created == 100_000
    assert store.put_devices(devices, NOW_US).unchanged == 100_000
    assert store.forget_nonces(None, **WHO) == 0
    assert store.delete_devices([d.dev_eui for d in devices], **WHO) == 100_000
    assert time.process_time() - began < 30


# ------------------------------------------------------------------------------------------------ nonces


def test_a_device_added_again_goes_on_where_it_stood(server: JoinServer) -> None:
    """INV-11, INV-13: deleting is no way round the nonces."""
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    assert [join(server, device, n) for n in (1, 2)] == [ResultCode.SUCCESS] * 2
    assert server.delete_device(EUI64(device.dev_eui), **WHO)
    assert not server.delete_device(EUI64(device.dev_eui), **WHO)
    assert join(server, device, 3) is ResultCode.UNKNOWN_DEV_EUI
    server.put_devices([keys_of(device)], NOW_US)
    assert join(server, device, 2) is ResultCode.FRAME_REPLAYED
    assert join(server, device, 3) is ResultCode.SUCCESS
    assert [a.join_nonce for a in device.accepted] == [1, 2, 3]
    assert [e.action for e in server.audit(EUI64(device.dev_eui))] == ["delete_device"]


def test_each_join_eui_has_its_own_nonces(server: JoinServer) -> None:
    device = OtaaDevice()
    server.put_devices([keys_of(device)], NOW_US)
    assert join(server, device, 9) is ResultCode.SUCCESS
    old, device.join_eui = device.join_eui, 0xABCD
    server.put_devices([keys_of(device)], NOW_US)
    assert join(server, device, 0) is ResultCode.SUCCESS
    device.join_eui = old
    server.put_devices([keys_of(device)], NOW_US)
    assert join(server, device, 9) is ResultCode.FRAME_REPLAYED
    assert join(server, device, 10) is ResultCode.SUCCESS


def test_nonces_taken_over_from_another_server(server: JoinServer) -> None:
    device = OtaaDevice()
    taken = keys_of(device, next_join_nonce=300, used_dev_nonces=NonceSet.of([5, 900]))
    server.put_devices([taken], NOW_US)
    server.put_devices([keys_of(device, next_join_nonce=20, used_dev_nonces=NonceSet.of([7]))], NOW_US)
    assert [join(server, device, n, "1.0.3") for n in (5, 7, 900)] == [ResultCode.FRAME_REPLAYED] * 3
    assert join(server, device, 6, "1.0.3") is ResultCode.SUCCESS
    assert device.accepted[0].join_nonce == 300
    (info,) = server.devices()
    assert (info.used_dev_nonces, info.highest_dev_nonce, info.next_join_nonce) == (4, 900, 301)
    assert info.last_join_at_us == NOW_US


def test_forgetting_nonces_is_audited_and_join_nonce_goes_on(server: JoinServer) -> None:
    devices = [OtaaDevice(dev_eui=n) for n in range(1, 5)]
    server.put_devices([keys_of(d) for d in devices], NOW_US)
    for device in devices[:3]:
        assert join(server, device, 60_000) is ResultCode.SUCCESS
    assert join(server, devices[0], 0) is ResultCode.FRAME_REPLAYED
    euis = [EUI64(d.dev_eui) for d in devices]
    assert server.forget_nonces([euis[0], euis[0], euis[3]], **WHO) == 1
    assert join(server, devices[0], 0) is ResultCode.SUCCESS
    assert [a.join_nonce for a in devices[0].accepted] == [1, 2]
    assert join(server, devices[1], 0) is ResultCode.FRAME_REPLAYED
    assert server.forget_nonces(None, who="ivanov", why="firmware update", now_us=NOW_US + 1) == 3
    assert join(server, devices[1], 0) is ResultCode.SUCCESS
    newest = server.audit()
    assert [(e.who, e.why, e.action, e.dev_eui) for e in newest] == [
        ("ivanov", "firmware update", "forget_nonces", 3),
        ("ivanov", "firmware update", "forget_nonces", 2),
        ("ivanov", "firmware update", "forget_nonces", 1),
        ("petrova", "module replaced", "forget_nonces", 1),
    ]
    assert newest[-1].detail == "JoinEUI 0102030405060708: 1 DevNonces, highest 60000; RJcount1 0"


def test_an_audit_row_stays_as_it_is(store: JoinStore, path: Path) -> None:
    store.mark_restored(**WHO)
    with sqlite3.connect(path) as db:
        for statement in ("UPDATE audit SET who = 'nobody'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(statement)
    db.close()
    with pytest.raises(sqlite3.IntegrityError):
        store.mark_restored(who="", why="nobody is nobody", now_us=NOW_US)


# ------------------------------------------------------------------------------------------------ sessions


def test_app_s_key_of_a_session_can_be_had_while_it_is_kept(server: JoinServer) -> None:
    device, other = OtaaDevice(), OtaaDevice(dev_eui=2)
    server.put_devices([keys_of(device), keys_of(other)], NOW_US)
    names = []
    for n in range(10):
        (answer,) = server.join_many([ask_for(device, device.join_request(n))], NOW_US)
        device.accept(answer.phy_payload, n)
        names.append(answer.session_key_id)
    eui = EUI64(device.dev_eui)
    expected = [None, None, *(a.keys["AppSKey"] for a in device.accepted[2:])]
    assert [server.app_s_key(eui, name) for name in names] == expected
    assert server.app_s_key(EUI64(2), names[-1]) is None
    assert server.app_s_key(eui, b"somebody else's") is None


# ------------------------------------------------------------------------------------------------ the file


def test_the_file_is_for_its_owner_only_and_synced(path: Path, store: JoinStore) -> None:
    store.put_devices([keys_of(OtaaDevice())], NOW_US)
    for name in (path, path.with_name("join.db-wal")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("kek", [KEK[:16], bytes(32)])
def test_another_kek_is_told_at_once(path: Path, kek: bytes) -> None:
    JoinStore(path, KEK).close()
    with pytest.raises(StateError, match=r"join\.db: its keys are wrapped under another key-encryption key"):
        JoinStore(path, kek)
    JoinStore(path, KEK).close()


@pytest.mark.parametrize("length", [0, 8, 15, 33])
def test_a_kek_of_another_length_is_refused(path: Path, length: int) -> None:
    with pytest.raises(StateError, match=f"not {length}"):
        JoinStore(path, bytes(length))
    assert not path.exists()


@pytest.mark.parametrize("length", [16, 32])
def test_the_kek_can_be_changed(path: Path, length: int) -> None:
    new = os.urandom(length)
    device = OtaaDevice(nwk_key=NWK_KEY)
    with JoinStore(path, KEK) as store:
        server = JoinServer(store)
        server.put_devices([keys_of(device)], NOW_US)
        assert join(server, device, 0, "1.1") is ResultCode.SUCCESS
        assert store.rotate_kek(new, **WHO) == 4
        assert join(server, device, 1, "1.1") is ResultCode.SUCCESS
        with pytest.raises(StateError, match="not 5"):
            store.rotate_kek(b"short", **WHO)
    with pytest.raises(StateError, match="another key-encryption key"):
        JoinStore(path, KEK)
    with JoinStore(path, new) as store:
        assert join(JoinServer(store), device, 2, "1.1") is ResultCode.SUCCESS
        assert store.audit()[0].detail == "4 keys"


def test_inv_13_an_unclean_stop_and_a_restore_skip_ahead(path: Path) -> None:
    device = OtaaDevice()
    with JoinStore(path, KEK) as store:
        store.put_devices([keys_of(device)], NOW_US)
        assert not store.unclean
        assert join(JoinServer(store), device, 1) is ResultCode.SUCCESS
    with JoinStore(path, KEK) as store:
        assert not store.unclean
        assert join(JoinServer(store), device, 2) is ResultCode.SUCCESS
        store.mark_restored(who="meterwan restore", why="backup of 2026-11-20", now_us=NOW_US)
        assert join(JoinServer(store), device, 3) is ResultCode.SUCCESS
        assert join(JoinServer(store), device, 4) is ResultCode.SUCCESS
        store._db.close()  # the process dies here
    for n in (5, 6, 7):
        with JoinStore(path, KEK) as store:
            assert store.unclean
            assert join(JoinServer(store), device, n) is ResultCode.SUCCESS
            store._db.close()
    assert [a.join_nonce for a in device.accepted] == [1, 2, 1027, 1028, 2053, 3078, 4103]


def test_inv_13_a_device_added_again_after_a_restore_that_does_not_know_it(path: Path) -> None:
    """The backup is older than the device: its row is lost, its JoinNonces must still not come again."""
    device = OtaaDevice()
    JoinStore(path, KEK).close()
    backup, epoch = path.read_bytes(), 0
    for dev_nonce in (1, 2, 3):
        with JoinStore(path, KEK) as store:
            if dev_nonce > 1:
                store.mark_restored(**WHO, replaced_epoch=epoch)
            store.put_devices([keys_of(device)], NOW_US)
            assert join(JoinServer(store), device, dev_nonce) is ResultCode.SUCCESS
        epoch = epoch_of(path)
        path.write_bytes(backup)
    assert [a.join_nonce for a in device.accepted] == [1, 1025, 2049]


def test_the_epoch_of_a_file_that_is_gone_or_no_database(path: Path, tmp_path: Path) -> None:
    assert epoch_of(path) == 0
    path.write_bytes(b"not a database, but long enough to be looked at" * 9)
    assert epoch_of(path) == 0
    with JoinStore(tmp_path / "other.db", KEK) as store:
        store.mark_restored(**WHO, replaced_epoch=7)
    assert epoch_of(tmp_path / "other.db") == 8


def test_a_closed_store_closes_again(path: Path) -> None:
    store = JoinStore(path, KEK)
    store.close()
    store.close()
    assert repr(store) == f"JoinStore('{path}')"


# ------------------------------------------------------------------------------------------------ migrations


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The schema as it is, and a version more."""
    folder = tmp_path / "schema"
    folder.mkdir()
    for script in SCHEMA.glob("v*.sql"):
        (folder / script.name).write_text(script.read_text())
    (folder / f"v{newest() + 1}.sql").write_text(
        "CREATE TABLE label (dev_eui BLOB PRIMARY KEY, text TEXT NOT NULL);\n"
        "INSERT INTO label SELECT dev_eui, 'from ' || hex(join_eui) FROM device;\n"
    )
    return folder


def newest() -> int:
    return max(int(script.stem[1:]) for script in SCHEMA.glob("v*.sql"))


def filled(path: Path) -> OtaaDevice:
    device = OtaaDevice()
    with JoinStore(path, KEK) as store:
        store.put_devices([keys_of(device), *(keys_of(OtaaDevice(dev_eui=n)) for n in range(500))], NOW_US)
        assert join(JoinServer(store), device, 1) is ResultCode.SUCCESS
    return device


def counts(path: Path) -> dict[str, int]:
    db = sqlite3.connect(path)
    try:
        return {
            t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("device", "nonces", "session", "audit")
        }
    finally:
        db.close()


def test_a_migration_keeps_every_row_and_a_copy_of_the_old_file(path: Path, newer: Path) -> None:
    device = filled(path)
    before = counts(path)
    with JoinStore(path, KEK, schema=newer) as store:
        assert store._db.execute("SELECT count(*) FROM label").fetchone() == (501,)
        assert join(JoinServer(store), device, 1) is ResultCode.FRAME_REPLAYED
    assert counts(path) == before == counts(path.with_name(f"join.db.v{newest()}.backup"))
    assert stat.S_IMODE(path.with_name(f"join.db.v{newest()}.backup").stat().st_mode) == 0o600
    with JoinStore(path, KEK, schema=newer) as store:
        assert store._db.execute("SELECT count(*) FROM label").fetchone() == (501,)


def test_a_failing_migration_leaves_the_file_at_its_version(path: Path, newer: Path) -> None:
    device = filled(path)
    script = newer / f"v{newest() + 1}.sql"
    script.write_text("DELETE FROM device;\n" + script.read_text() + "SELECT no_such_function();\n")
    with pytest.raises(sqlite3.OperationalError, match="no_such_function"):
        JoinStore(path, KEK, schema=newer)
    with JoinStore(path, KEK) as store:
        assert len(store.devices(limit=1000)) == 501
        assert join(JoinServer(store), device, 2) is ResultCode.SUCCESS


def test_a_file_of_a_newer_program_is_refused(path: Path, newer: Path) -> None:
    JoinStore(path, KEK, schema=newer).close()
    with pytest.raises(StateError, match=f"has schema {newest() + 1}, this program knows {newest()}"):
        JoinStore(path, KEK)
