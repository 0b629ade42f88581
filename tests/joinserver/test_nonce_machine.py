"""Any order of joins, copies, restarts, crashes, restores, deletions: the nonces' rules hold for what left the server."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from joinserver.file import epoch_of
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import ResultCode
from lorawan.identifiers import EUI64
from tests.support.joins import KEK, NOW_US, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice

DEVICE = st.integers(0, 2)
VERSIONS = ("1.0.3", "1.0.4")
WHO = {"who": "operator", "why": "a test", "now_us": NOW_US}


class NonceMachine(RuleBasedStateMachine):
    """The model is what the specification says, kept beside: used DevNonces and heard JoinNonces of each device."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "join.db"
        self.devices = [OtaaDevice(dev_eui=n, app_key=bytes([n + 1]) * 16) for n in range(3)]
        self.used: list[set[int]] = [set() for _ in self.devices]
        self.registered = [False] * 3

    @initialize()
    def open(self) -> None:
        self.store = JoinStore(self.path, KEK)
        self.server = JoinServer(self.store)

    @rule(n=DEVICE)
    def register(self, n: int) -> None:
        self.server.put_devices([keys_of(self.devices[n])], NOW_US)
        self.registered[n] = True

    @rule(n=DEVICE)
    def delete(self, n: int) -> None:
        self.server.delete_device(EUI64(n), **WHO)
        self.registered[n] = False

    @rule(n=DEVICE)
    def forget(self, n: int) -> None:
        self.server.forget_nonces([EUI64(n)], **WHO)
        self.used[n].clear()

    @rule(requests=st.lists(st.tuples(DEVICE, st.integers(0, 12), st.sampled_from(VERSIONS)), min_size=1, max_size=6))
    def join(self, requests: list[tuple[int, int, str]]) -> None:
        asked = [ask_for(self.devices[n], self.devices[n].join_request(d), version) for n, d, version in requests]
        answers = self.server.join_many(asked, NOW_US)
        for (n, dev_nonce, version), answer in zip(requests, answers, strict=True):
            fresh = dev_nonce not in self.used[n] and (version == "1.0.3" or dev_nonce > max(self.used[n], default=-1))
            if not self.registered[n]:
                assert answer.result is ResultCode.UNKNOWN_DEV_EUI
            elif fresh:
                assert answer.result is ResultCode.SUCCESS
                self.used[n].add(dev_nonce)
                self.devices[n].accept(answer.phy_payload, dev_nonce)
            else:
                assert answer.result is ResultCode.FRAME_REPLAYED

    @rule(n=DEVICE, dev_nonce=st.integers(0, 12))
    def forge(self, n: int, dev_nonce: int) -> None:
        forged = OtaaDevice(dev_eui=n, app_key=b"not the real key").join_request(dev_nonce)
        (answer,) = self.server.join_many([ask_for(self.devices[n], forged)], NOW_US)
        assert answer.result is (ResultCode.MIC_FAILED if self.registered[n] else ResultCode.UNKNOWN_DEV_EUI)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.open()
        assert not self.store.unclean

    @rule()
    def crash(self) -> None:
        self.store._db.close()
        self.open()
        assert self.store.unclean

    @rule()
    def keep_a_backup(self) -> None:
        self.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.path, self.folder / "backup")
        self.backup = [set(used) for used in self.used], list(self.registered)

    @rule()
    def restore_the_backup(self) -> None:
        """DevNonces used since are not known any more: the price of a restore. JoinNonce must still rise."""
        if not (self.folder / "backup").exists():
            return
        self.store.close()
        replaced_epoch = epoch_of(self.path)
        for name in ("join.db", "join.db-wal", "join.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.copy(self.folder / "backup", self.path)
        self.used, self.registered = [set(used) for used in self.backup[0]], list(self.backup[1])
        self.open()
        self.store.mark_restored(**WHO, replaced_epoch=replaced_epoch)

    @invariant()
    def join_nonce_rises(self) -> None:
        for device in self.devices:
            nonces = [a.join_nonce for a in device.accepted]
            assert nonces == sorted(set(nonces))

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


NonceMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNonces = NonceMachine.TestCase
