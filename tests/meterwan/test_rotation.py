"""Changing the key-encryption key: everything sealed changes over, and a crash anywhere in between loses nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from Crypto.Cipher import AES

import joinserver.file
import lns.keys
from internalapi.messages import DeviceWrite
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import ResultCode
from meterwan.application import now_us
from meterwan.backup import back_up, restore
from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.offline import OfflineNetwork
from meterwan.rotation import finish_rotation, rotate_kek
from meterwan.settings import Settings
from tests.support.joins import NOW_US, ask_for
from tests.support.otaa_device import OtaaDevice
from tests.support.program import Program

SESSIONS = 3
APP_KEY = bytes.fromhex("8a3f0c5be1f2d4790613aa7be9d05c12")
SEALED = SESSIONS + 2
"""Sessions of the network, one root key, one session of the join server."""


def session_key(number: int) -> bytes:
    return bytes.fromhex("10c7e09a2d6b38f41e8d07b3a49f6c") + bytes([number])


async def fill(data: DataDir) -> None:
    """Sessions taken over from another server, and a device that joins."""
    async with OfflineNetwork(Settings(data_dir=data.path)) as network:
        device = OtaaDevice(app_key=APP_KEY)
        euis = [f"{n:016x}" for n in range(1, SESSIONS + 1)]
        items = [DeviceWrite(dev_eui=eui, profile="lorawan-1.0.4", activation="ABP") for eui in euis]
        joins = DeviceWrite(
            dev_eui=f"{device.dev_eui:016x}",
            join_eui=f"{device.join_eui:016x}",
            profile="lorawan-1.0.4",
            app_key=APP_KEY.hex(),
        )
        await network.devices_put(items=[*items, joins])
        for number, eui in enumerate(euis, start=1):
            key = session_key(number).hex()
            await network.session_put(dev_eui=eui, dev_addr=f"0000000{number}", app_s_key=key, nwk_s_key=key)
    with JoinStore(data.path / "join.db", data.read_kek()) as store:
        local = JoinServer(store)
        assert local.join_many([ask_for(device, device.join_request(1))], NOW_US)[0].result is ResultCode.SUCCESS


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    made.create()
    asyncio.run(fill(made))
    return made


def sealed(data: DataDir) -> dict[str, list[bytes]]:
    """Every envelope in the two databases."""
    found = {}
    for name, sql in (
        ("network.db", "SELECT sealed_keys FROM session ORDER BY id"),
        ("join.db", "SELECT app_key FROM device UNION ALL SELECT app_s_key FROM session"),
    ):
        with closing(sqlite3.connect(data.path / name)) as db:
            found[name] = [row[0] for row in db.execute(sql)]
    return found


def opened(envelope: bytes, kek: bytes) -> bytes:
    """RFC 3394 by pycryptodome. Raises ValueError under another key."""
    return AES.new(kek, AES.MODE_KW).unseal(envelope)


def check(data: DataDir, kek: bytes) -> None:
    """The server starts, and after that everything opens under ``kek`` and nothing has been lost."""

    async def start() -> int:
        async with OfflineNetwork(Settings(data_dir=data.path)) as network:
            return int((await network.status()).sessions)

    assert asyncio.run(start()) == SESSIONS
    envelopes = sealed(data)
    sessions = [opened(envelope, kek) for envelope in envelopes["network.db"]]
    assert sessions == [session_key(number) * 4 for number in range(1, SESSIONS + 1)]
    assert opened(envelopes["join.db"][0], kek) == APP_KEY
    assert len(opened(envelopes["join.db"][1], kek)) == 16


def test_everything_changes_over_and_nothing_is_left_under_the_old_key(data: DataDir) -> None:
    old, before = data.read_kek(), sealed(data)
    assert rotate_kek(data, now_us()) == SEALED
    new = data.read_kek()
    assert new != old and data.kek.stat().st_mode & 0o777 == 0o600
    assert not data.next_kek.exists()
    check(data, new)
    files = b"".join(file.read_bytes() for file in data.path.glob("*.db*"))
    for envelope in (*before["network.db"], *before["join.db"]):
        assert envelope not in files
        with pytest.raises(ValueError):
            opened(envelope, new)
    with JoinStore(data.path / "join.db", new) as store:
        assert store.audit()[0].action == "rotate_kek"


def killed(work: Callable[[], object]) -> int:
    """Run ``work`` in a process of its own; its exit status."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode is not None
    return process.exitcode


def dies_at_wrap(data: DataDir, number: int) -> None:
    """Change the key and die, without any clean-up, at the n-th envelope that is made."""
    left, wrap = [number], lns.keys.wrap_key

    def counted(kek: bytes, key: bytes) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return wrap(kek, key)

    lns.keys.wrap_key = joinserver.file.wrap_key = counted
    rotate_kek(data, now_us())
    os._exit(0)


def test_killed_at_any_envelope_the_next_start_goes_on(data: DataDir, tmp_path: Path) -> None:
    """Inside of each database's transaction, and between the two."""
    for number in range(100):
        old = data.read_kek()
        code = killed(lambda number=number: dies_at_wrap(data, number))  # type: ignore[misc]
        if code == 0:
            break
        assert code == 9 and data.next_kek.exists()
        assert data.read_kek() == old, "the old key stays until the new one opens everything"
        new = data.read_kek(data.next_kek)
        check(data, new)  # its start finishes the change
        assert data.read_kek() == new and not data.next_kek.exists()
    assert number > SEALED


def test_killed_before_the_new_key_takes_its_name(data: DataDir) -> None:
    def dies() -> None:
        Path.replace = lambda self, target: os._exit(9)  # type: ignore[assignment, method-assign]
        finish_rotation(data, now_us())

    new = os.urandom(32)
    data.next_kek.touch(0o600)
    data.next_kek.write_bytes(new)
    assert killed(dies) == 9
    assert data.next_kek.exists()
    with pytest.raises(Failure, match="being changed"):
        back_up(data, data.path / "backup", with_kek=True)
    assert finish_rotation(data, now_us()) == 0, "both databases had changed over"
    check(data, new)


def test_a_wrong_key_file_stops_before_anything_is_lost(data: DataDir) -> None:
    old = data.read_kek()
    data.kek.write_bytes(os.urandom(32))
    before = sealed(data)
    with pytest.raises(Failure, match=r"stopped at .*network\.db: 3 sessions"):
        rotate_kek(data, now_us())
    assert sealed(data) == before
    data.kek.write_bytes(old)
    check(data, data.read_kek(data.next_kek))


def test_a_folder_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no key-encryption key"):
        rotate_kek(DataDir(tmp_path), now_us())


def test_the_command(program: Program) -> None:
    data = DataDir(program.data)
    data.create()
    asyncio.run(fill(data))
    old = data.read_kek()
    said = program.run("kek", "rotate")
    assert said.code == 0 and f"{SEALED} keys" in said.out and "apart from the backups" in said.err
    assert data.read_kek() != old
    check(data, data.read_kek())
    with data.role_lock("network"):
        refused = program.run("kek", "rotate")
    assert refused.code == 1 and "stop it first" in refused.err


# ------------------------------------------------------------------------------------------------ restores (INV-13)


def test_inv_13_each_restore_of_one_backup_skips_further_ahead(data: DataDir, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup", with_kek=False)
    device = OtaaDevice(app_key=APP_KEY)

    async def join(dev_nonce: int) -> int:
        async with OfflineNetwork(Settings(data_dir=data.path)) as network:
            answers = await network._joins.join([ask_for(device, device.join_request(dev_nonce))])
            assert answers[0].result is ResultCode.SUCCESS
        data.restored.unlink(missing_ok=True)  # as a start does when it is ready
        return int(answers[0].join_nonce)

    nonces = [asyncio.run(join(2))]
    for dev_nonce, restores in ((3, 1), (4, 1), (5, 2)):
        for _ in range(restores):
            restore(tmp_path / "backup", data)
        nonces.append(asyncio.run(join(dev_nonce)))
    assert nonces == sorted(set(nonces)), "no JoinNonce comes twice"
    assert min(after - before for before, after in pairwise(nonces)) >= 1000


def test_inv_fcnt_down_of_each_restore_is_above_all_before(data: DataDir, tmp_path: Path) -> None:
    """FCntDown is never used twice, however often one backup comes back."""
    back_up(data, tmp_path / "backup", with_kek=False)

    async def next_f_cnt_down() -> int:
        async with OfflineNetwork(Settings(data_dir=data.path)) as network:
            counter = int((await network.session(key=f"{1:016x}")).f_cnt_down)
        data.restored.unlink(missing_ok=True)
        with closing(sqlite3.connect(data.path / "network.db")) as db:  # downlinks are sent
            db.execute("UPDATE session SET n_f_cnt_down = ?", (counter + 5,))
            db.commit()
        return counter

    counters = [asyncio.run(next_f_cnt_down())]
    for _ in range(3):
        restore(tmp_path / "backup", data)
        counters.append(asyncio.run(next_f_cnt_down()))
    assert all(after >= before + 5 for before, after in pairwise(counters)), counters
