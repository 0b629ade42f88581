"""SEC-25 and SEC-26: no key in the clear in the file, its log, its copies, the program's log, an error or a listing."""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path

import pytest

from joinserver.migrations import migrate
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import ResultCode
from lorawan.errors import StateError
from lorawan.identifiers import EUI64
from tests.support.joins import KEK, NOW_US, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice

CANARIES = 100


def traces(key: bytes) -> list[bytes]:
    """The ways a key could be written down."""
    return [key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)[:-2], repr(key)[2:-1].encode()]


def test_sec_25_sec_26_no_key_in_the_clear(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    devices = [OtaaDevice(dev_eui=n, app_key=os.urandom(16), nwk_key=os.urandom(16)) for n in range(CANARIES)]
    said: list[object] = []
    store = JoinStore(path, KEK)
    server = JoinServer(store)
    said.append(server.put_devices([keys_of(d) for d in devices], NOW_US))
    for n, device in enumerate(devices):
        good = ask_for(device, device.join_request(0), "1.1")
        forged = ask_for(device, device.join_request(0)[:-1] + b"?", "1.1")
        answers = server.join_many([good, good, forged], NOW_US)
        said.append(answers)
        assert answers[0].result is ResultCode.SUCCESS
        device.accept(answers[0].phy_payload, 0)
        if n % 10 == 0:
            server.delete_device(EUI64(n), who="petrova", why="gone", now_us=NOW_US)
    with pytest.raises(StateError) as raised:
        server.put_devices([keys_of(OtaaDevice(dev_eui=7, app_key=devices[0].app_key + b"!"))], NOW_US)
    said += [raised.value, server.devices(), server.audit(), store, store.record(EUI64(3), with_sessions=True)]
    said += [keys_of(d) for d in devices]
    live = [path.read_bytes(), path.with_name("join.db-wal").read_bytes()]
    store.close()
    written = [*live, *(file.read_bytes() for file in path.parent.iterdir())]
    written += [caplog.text.encode(), repr(said).encode(), *(str(thing).encode() for thing in said)]
    haystack = b"\n".join(written)
    assert len(live[1]) > 10_000 and EUI64(3).to_bytes(8, "big") in haystack, "the search looks in the right place"
    keys = [KEK]
    for device in devices:
        keys += [device.app_key, device.nwk_key or b"", device.js_int_key, device.js_enc_key]
        keys += device.accepted[0].keys.values()
    assert len(keys) == 1 + 8 * CANARIES
    assert [trace for key in keys for trace in traces(key) if trace in haystack] == []


def test_sec_25_the_copy_before_a_migration_holds_no_key_either(path: Path, tmp_path: Path) -> None:
    device = OtaaDevice(app_key=os.urandom(16))
    store = JoinStore(path, KEK)
    store.put_devices([keys_of(device)], NOW_US)
    schema = tmp_path / "newer"
    schema.mkdir()
    (schema / "v2.sql").write_text("CREATE TABLE label (text TEXT);")
    migrate(store._db, path, schema)
    copy = path.with_name("join.db.v1.backup").read_bytes()
    assert EUI64(device.dev_eui).to_bytes(8, "big") in copy
    assert not any(trace in copy for trace in traces(device.app_key))
    store.close()
