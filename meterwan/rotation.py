"""Another key-encryption key for a stopped server: everything sealed under the old one is sealed anew.

The new key is written beside the old one first, then each database changes over in one transaction, then the new key
takes the old one's name. Cut short anywhere, the next start (or the same command) goes on from there: while both keys
are there, each database is asked which of them opens it.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable

from joinserver.store import JoinStore
from lns.store.embedded.journal import Journal, StoreError
from lorawan.errors import StateError
from meterwan.datadir import KEK_BYTES, DataDir, sync_folder, write_secret
from meterwan.errors import Failure


def rotate_kek(data: DataDir, now_us: int) -> int:
    """Seal all keys under a new random key-encryption key; returns how many. The caller holds the folder's locks.

    Raises Failure; the folder then opens under the old key, or the change is gone on with at the next start.
    """
    if not data.kek.exists():
        raise Failure(f"there is no key-encryption key in {data.path}")
    finish_rotation(data, now_us)
    data.read_kek()
    write_secret(data.next_kek, secrets.token_bytes(KEK_BYTES))
    return finish_rotation(data, now_us)


def finish_rotation(data: DataDir, now_us: int) -> int:
    """Go on with a change that has begun; without one nothing happens. Returns how many keys were sealed anew.

    The caller holds the lock of the network process. Raises Failure when a database opens under neither key.
    """
    if not data.next_kek.exists():
        return 0
    old, new = data.read_kek(), data.read_kek(data.next_kek)
    sealed = 0
    for name, change in _CHANGES.items():
        if (data.path / name).exists():
            try:
                sealed += change(data, old, new, now_us)
            except (StateError, StoreError, sqlite3.Error) as error:
                raise Failure(
                    f"a change of the key-encryption key stopped at {data.path / name}: {error}. Neither {data.kek} nor "
                    f"{data.next_kek} opens it all; put the key that belongs to it at {data.kek}"
                ) from None
    data.next_kek.replace(data.kek)
    sync_folder(data.path)
    return sealed


def _network(data: DataDir, old: bytes, new: bytes, _: int) -> int:
    journal = Journal(data.path / "network.db")
    try:
        return journal.rekey(old, new)
    finally:
        journal.close()


def _join(data: DataDir, old: bytes, new: bytes, now_us: int) -> int:
    path = data.path / "join.db"
    try:
        store = JoinStore(path, old)
    except StateError:
        JoinStore(path, new).close()  # it has changed over already, or this says what is wrong
        return 0
    with store:
        return store.rotate_kek(new, who="meterwan kek rotate", why="asked for", now_us=now_us)


_CHANGES: dict[str, Callable[[DataDir, bytes, bytes, int], int]] = {"network.db": _network, "join.db": _join}
