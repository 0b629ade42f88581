"""INV-38 and INV-39 in the embedded house: nothing but SQLite holds a counter, and a commit of unknown outcome is none twice.

There is no cache beside the file that could be lost or lag behind. What a network house knows as "the connection broke at
COMMIT" is here a commit that succeeded and reported a failure: the process does not guess, it starts again and reads.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import lns
from lns.store.embedded.journal import Journal, SealedBatch, StoreError
from tests.support.lab import SECOND_US, WINDOW_US, Lab

STORES = {"redis", "valkey", "memcache", "aioredis", "shelve", "dbm", "pickle"}


def test_inv_38_no_counter_lives_outside_of_the_journal() -> None:
    """No module of the network server knows another store; what is in memory only is made again from the file."""
    for path in Path(lns.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & STORES, path


def test_inv_38_everything_but_the_files_may_vanish_at_any_time(lab: Lab) -> None:
    """Memory, caches and windows gone between any two frames: no reading lost, no counter twice, no replay taken."""
    gateway, node = lab.gateway(), lab.abp(f_cnt_down=3)
    frames = [node.up(bytes((number,)), confirmed=True) for number in range(6)]
    for phy in frames:
        lab.uplink(phy)
        lab.kill()
        gateway.hear(phy)
        lab.advance(5 * SECOND_US)
        lab.kill()
    assert lab.ups() == [(number, bytes((number,))) for number in range(6)]
    by_counter: dict[int, set[bytes]] = {}
    for sent in lab.air:
        by_counter.setdefault(node.read(sent.phy).f_cnt, set()).add(sent.phy)
    assert len(by_counter) >= 6 and all(len(frames) == 1 for frames in by_counter.values())


def doubtful(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on each commit succeeds and reports a failure. Returns the way back to honest ones."""
    commit = Journal.commit

    def lying(self: Journal, sealed: SealedBatch) -> None:
        commit(self, sealed)
        raise StoreError("the connection broke at COMMIT", fatal=False)

    monkeypatch.setattr(Journal, "commit", lying)
    return monkeypatch.undo


def test_inv_39_a_commit_of_unknown_outcome_is_not_repeated_blindly(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, node = lab.gateway(), lab.abp()
    honest = doubtful(lab, monkeypatch)
    token = gateway.hear(node.up(b"frame", confirmed=True))
    assert not gateway.acknowledged(token), "nobody is promised what nobody knows"
    honest()
    with pytest.raises(StoreError) as error:
        lab.pump()  # the writer tries again, as it does with a full disk: the numbers of the rows say that they are there
    assert error.value.fatal, "only a fresh start may look"
    lab.kill()
    lab.advance(WINDOW_US)
    assert lab.ups() == [(0, b"frame")]
    lab.uplink(node.up(b"next", confirmed=True))
    assert lab.ups() == [(0, b"frame"), (1, b"next")]
    counters = [node.read(sent.phy).f_cnt for sent in lab.air]
    assert counters == sorted(set(counters))


def test_inv_39_a_downlink_of_unknown_outcome_is_never_sent_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, node = lab.gateway(), lab.abp(f_cnt_down=9)
    item = lab.queue(node.dev_eui, b"valve")
    gateway.hear(node.up())
    honest = doubtful(lab, monkeypatch)
    lab.advance(WINDOW_US)
    assert lab.air == []
    honest()
    with pytest.raises(StoreError):
        lab.pump()
    lab.kill()
    assert lab.item(item).state == "unknown"
    for _ in range(3):
        lab.advance(5 * SECOND_US)
        lab.uplink(node.up(confirmed=True))
    assert [node.read(sent.phy).f_port for sent in lab.air] == [None] * 3
    assert [node.read(sent.phy).f_cnt for sent in lab.air] == [10, 11, 12], "the counter of the unknown one is burned"
