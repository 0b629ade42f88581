"""The join server's storage: device keys, nonces and sessions in ``join.db``, SQLite in WAL mode, every commit synced.

One connection, used from one thread at a time. What a method changes is durable when it returns. Errors of the disk
come out as ``sqlite3.Error`` and leave the file as it was before the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from joinserver.core import Granted, first_join_nonce, skip_ahead
from joinserver.file import JoinFile, eui_bytes, eui_of
from joinserver.nonces import NonceSet
from joinserver.values import DeviceInfo, DeviceKeys, JoinRecord, PutResult, Session
from joinserver.weak_keys import weaknesses
from lorawan.crypto import wrap_key
from lorawan.errors import StateError
from lorawan.identifiers import EUI64, NetID

SESSIONS_KEPT = 8
"""Newest sessions kept of each device: a lost accept makes one that is never used, so more than the last is needed."""

_CHUNK = 500
"""Devices looked up with one statement."""

T = TypeVar("T")


class JoinStore(JoinFile):
    """``join.db``, open, with what is asked of it."""

    # ------------------------------------------------------------------------------------------------ joins

    def record(self, dev_eui: EUI64, *, with_sessions: bool = False) -> JoinRecord | None:
        """What is known of the device, None when nothing is.

        ``with_sessions`` also loads the sessions, which only a rejoin-request of type 0 or 2 needs. Raises
        :class:`StateError` when a stored key does not unwrap: the row is damaged.
        """
        row = self._db.execute(
            "SELECT join_eui, app_key, nwk_key, home_net_id, next_join_nonce, epoch, used_dev_nonces, next_rj_count1,"
            " last_dev_nonce, last_join_at_us FROM device JOIN nonces USING (dev_eui, join_eui) WHERE dev_eui = ?",
            (eui_bytes(dev_eui),),
        ).fetchone()
        if row is None:
            return None
        join_eui, app_key, nwk_key, home_net_id, join_nonce, epoch, used, rj_count1, dev_nonce, joined = row
        return JoinRecord(
            dev_eui=dev_eui,
            join_eui=eui_of(join_eui),
            app_key=self._unwrap(app_key, dev_eui),
            nwk_key=self._unwrap(nwk_key, dev_eui),
            home_net_id=None if home_net_id is None else NetID(home_net_id),
            next_join_nonce=skip_ahead(join_nonce, self.epoch - epoch),
            used_dev_nonces=NonceSet(used),
            next_rj_count1=rj_count1,
            last_dev_nonce=dev_nonce,
            last_join_at_us=joined,
            sessions=self._sessions(dev_eui, join_eui) if with_sessions else (),
        )

    def save(self, grants: Sequence[Granted], now_us: int) -> None:
        """Make these accepts durable in one transaction, in their order. Only then may the answers leave."""
        if not grants:
            return
        with self._transaction():
            for grant in grants:
                self._save(grant, now_us)

    def app_s_key(self, dev_eui: EUI64, join_eui: EUI64, join_nonce: int) -> bytes | None:
        """AppSKey of a session that is still kept."""
        row = self._db.execute(
            "SELECT app_s_key FROM session WHERE dev_eui = ? AND join_eui = ? AND join_nonce = ?",
            (eui_bytes(dev_eui), eui_bytes(join_eui), join_nonce),
        ).fetchone()
        return None if row is None else self._unwrap(row[0], dev_eui)

    # ------------------------------------------------------------------------------------------------ devices

    def put_devices(self, devices: Iterable[DeviceKeys], now_us: int, *, dry_run: bool = False) -> PutResult:
        """Create or change devices: all of them in one transaction, or none.

        Raises :class:`StateError` that names the device when a new one lacks its JoinEUI or any key, or when a key
        has not 16 bytes.
        """
        created = changed = unchanged = 0
        warnings: list[str] = []
        roots: set[bytes] = set()
        with self._transaction(commit=not dry_run):
            for chunk in _chunks(devices, _CHUNK):
                old = self._stored({device.dev_eui for device in chunk})
                for device in chunk:
                    before = old.get(device.dev_eui)
                    row = self._merged(device, before, now_us)
                    warnings += weaknesses(device)
                    roots.add(row[3] or row[2])
                    created += before is None
                    unchanged += row == before
                    changed += before is not None and row != before
                    if row != before:
                        self._db.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", row)
                        old[device.dev_eui] = row
                    self._take_over_nonces(device, row[1])
            warnings += self._shared_keys(roots)
        return PutResult(created, changed, unchanged, tuple(warnings))

    def delete_devices(self, dev_euis: Iterable[EUI64], *, who: str, why: str, now_us: int) -> int:
        """Delete keys and sessions of these devices; their nonces stay, so that adding them again is safe.

        Gives how many there were.
        """
        deleted = 0
        with self._transaction():
            for dev_eui in dev_euis:
                if self._db.execute("DELETE FROM device WHERE dev_eui = ?", (eui_bytes(dev_eui),)).rowcount:
                    self._db.execute("DELETE FROM session WHERE dev_eui = ?", (eui_bytes(dev_eui),))
                    self._audit(now_us, who, "delete_device", dev_eui, why)
                    deleted += 1
        return deleted

    def devices(
        self, *, after: EUI64 | None = None, limit: int = 1000, dev_euis: Iterable[EUI64] | None = None
    ) -> list[DeviceInfo]:
        """Devices in order of DevEUI, those greater than ``after`` and, when given, only ``dev_euis``."""
        wanted = None if dev_euis is None else sorted({eui_bytes(e) for e in dev_euis})
        lower = b"" if after is None else eui_bytes(after)
        if wanted is None:
            return self._infos("dev_eui > ? ORDER BY dev_eui LIMIT ?", (lower, limit))
        found: list[DeviceInfo] = []
        for chunk in _chunks((e for e in wanted if e > lower), _CHUNK):
            marks = ",".join("?" * len(chunk))
            found += self._infos(f"dev_eui IN ({marks}) ORDER BY dev_eui LIMIT ?", (*chunk, limit - len(found)))
            if len(found) >= limit:
                break
        return found

    def forget_nonces(self, dev_euis: Iterable[EUI64] | None, *, who: str, why: str, now_us: int) -> int:
        """Forget the used DevNonces and RJcount1 of these devices (None: of all) and write who, when and why.

        JoinNonce goes on rising. Gives how many devices had something to forget.
        """
        forgotten = 0
        with self._transaction():
            for key in self._with_nonces(dev_euis):
                used, rj_count1 = self._db.execute(
                    "SELECT used_dev_nonces, next_rj_count1 FROM nonces WHERE dev_eui = ? AND join_eui = ?", key
                ).fetchone()
                nonces = NonceSet(used)
                self._db.execute(
                    "UPDATE nonces SET used_dev_nonces = x'', next_rj_count1 = 0, last_dev_nonce = NULL"
                    " WHERE dev_eui = ? AND join_eui = ?",
                    key,
                )
                detail = (
                    f"JoinEUI {key[1].hex()}: {len(nonces)} DevNonces, highest {nonces.highest}; RJcount1 {rj_count1}"
                )
                self._audit(now_us, who, "forget_nonces", eui_of(key[0]), why, detail)
                forgotten += 1
        return forgotten

    # ------------------------------------------------------------------------------------------------ rows

    def _save(self, grant: Granted, now_us: int) -> None:
        record, session = grant.record, grant.session
        key = (eui_bytes(record.dev_eui), eui_bytes(record.join_eui))
        fresh = self._db.execute(
            "INSERT INTO nonces VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " next_join_nonce = excluded.next_join_nonce, epoch = excluded.epoch,"
            " used_dev_nonces = excluded.used_dev_nonces, next_rj_count1 = excluded.next_rj_count1,"
            " last_dev_nonce = excluded.last_dev_nonce, last_join_at_us = excluded.last_join_at_us"
            " WHERE next_join_nonce < excluded.next_join_nonce",
            (
                *key,
                record.next_join_nonce,
                self.epoch,
                record.used_dev_nonces.data,
                record.next_rj_count1,
                record.last_dev_nonce,
                record.last_join_at_us,
            ),
        )
        if not fresh.rowcount:
            raise StateError(
                f"DevEUI {record.dev_eui}: JoinNonce {session.join_nonce} is spent; is {self.path} shared?"
            )
        if grant.proven is not None:
            self._db.execute(
                "DELETE FROM session WHERE dev_eui = ? AND join_eui = ? AND join_nonce <> ?",
                (*key, grant.proven.join_nonce),
            )
            self._db.execute(
                "UPDATE session SET next_rj_count0 = ? WHERE dev_eui = ? AND join_eui = ?",
                (grant.proven.next_rj_count0, *key),
            )
        self._db.execute(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                session.join_nonce,
                now_us,
                wrap_key(self._kek, session.app_s_key),
                None if session.s_nwk_s_int_key is None else wrap_key(self._kek, session.s_nwk_s_int_key),
                session.next_rj_count0,
            ),
        )
        self._db.execute(
            "DELETE FROM session WHERE dev_eui = ?1 AND join_eui = ?2 AND join_nonce NOT IN (SELECT join_nonce"
            " FROM session WHERE dev_eui = ?1 AND join_eui = ?2 ORDER BY join_nonce DESC LIMIT ?3)",
            (*key, SESSIONS_KEPT),
        )

    def _sessions(self, dev_eui: EUI64, join_eui: bytes) -> tuple[Session, ...]:
        rows = self._db.execute(
            "SELECT join_nonce, app_s_key, s_nwk_s_int_key, next_rj_count0 FROM session"
            " WHERE dev_eui = ? AND join_eui = ? AND s_nwk_s_int_key IS NOT NULL ORDER BY join_nonce DESC",
            (eui_bytes(dev_eui), join_eui),
        ).fetchall()
        return tuple(
            Session(nonce, self._unwrap(app, dev_eui) or b"", self._unwrap(integrity, dev_eui), count)
            for nonce, app, integrity, count in rows
        )

    def _stored(self, dev_euis: set[EUI64]) -> dict[EUI64, tuple[Any, ...]]:
        marks = ",".join("?" * len(dev_euis))
        rows = self._db.execute(f"SELECT * FROM device WHERE dev_eui IN ({marks})", [eui_bytes(e) for e in dev_euis])
        return {eui_of(row[0]): row for row in rows}

    def _merged(self, device: DeviceKeys, before: tuple[Any, ...] | None, now_us: int) -> tuple[Any, ...]:
        """The device's new row. Wrapping is deterministic, so an unchanged key gives an unchanged row."""
        _, join_eui, app_key, nwk_key, home_net_id, created_at_us = before or (None,) * 5 + (now_us,)
        if device.join_eui is not None:
            join_eui = eui_bytes(device.join_eui)
        app_key = self._wrapped(device.app_key, app_key, device.dev_eui, "AppKey")
        nwk_key = self._wrapped(device.nwk_key, nwk_key, device.dev_eui, "NwkKey")
        if join_eui is None:
            raise StateError(f"DevEUI {device.dev_eui}: a new device needs its JoinEUI (AppEUI)")
        if app_key is None and nwk_key is None:
            raise StateError(f"DevEUI {device.dev_eui}: give its AppKey (1.0.x) or its NwkKey and AppKey (1.1)")
        if device.home_net_id is not None:
            home_net_id = int(device.home_net_id)
        return (eui_bytes(device.dev_eui), join_eui, app_key, nwk_key, home_net_id, created_at_us)

    def _wrapped(self, key: bytes | None, before: bytes | None, dev_eui: EUI64, name: str) -> bytes | None:
        if key is None:
            return before
        if not key:
            return None
        if len(key) != 16:
            raise StateError(f"DevEUI {dev_eui}: {name} has {len(key)} bytes, give 16")
        return wrap_key(self._kek, key)

    def _take_over_nonces(self, device: DeviceKeys, join_eui: bytes) -> None:
        key = (eui_bytes(device.dev_eui), join_eui)
        self._db.execute(
            "INSERT OR IGNORE INTO nonces (dev_eui, join_eui, next_join_nonce, epoch) VALUES (?, ?, ?, ?)",
            (*key, first_join_nonce(self.epoch), self.epoch),
        )
        if device.next_join_nonce is not None:
            self._db.execute(
                "UPDATE nonces SET next_join_nonce = max(next_join_nonce, ?) WHERE dev_eui = ? AND join_eui = ?",
                (device.next_join_nonce, *key),
            )
        if device.used_dev_nonces is not None:
            (used,) = self._db.execute(
                "SELECT used_dev_nonces FROM nonces WHERE dev_eui = ? AND join_eui = ?", key
            ).fetchone()
            both = NonceSet.of((*NonceSet(used), *device.used_dev_nonces))
            self._db.execute(
                "UPDATE nonces SET used_dev_nonces = ? WHERE dev_eui = ? AND join_eui = ?", (both.data, *key)
            )

    def _shared_keys(self, roots: set[bytes]) -> list[str]:
        """One sentence for each of these root keys (wrapped: equal keys are equal so too) that several devices have."""
        rows = self._db.execute(
            "SELECT count(*), min(hex(dev_eui)), coalesce(nwk_key, app_key) AS root FROM device"
            " GROUP BY root HAVING count(*) > 1"
        )
        return [
            f"{count} devices share one root key, DevEUI {eui.lower()} among them: whoever opens one can speak for all"
            for count, eui, root in rows
            if root in roots
        ]

    def _infos(self, rest: str, values: tuple[Any, ...]) -> list[DeviceInfo]:
        rows = self._db.execute(
            "SELECT dev_eui, join_eui, app_key IS NOT NULL, nwk_key IS NOT NULL, home_net_id, created_at_us,"
            " next_join_nonce, epoch, used_dev_nonces, last_join_at_us"
            f" FROM device JOIN nonces USING (dev_eui, join_eui) WHERE {rest}",
            values,
        )
        return [
            DeviceInfo(
                dev_eui=eui_of(dev_eui),
                join_eui=eui_of(join_eui),
                has_app_key=bool(app_key),
                has_nwk_key=bool(nwk_key),
                home_net_id=None if home_net_id is None else NetID(home_net_id),
                created_at_us=created,
                next_join_nonce=skip_ahead(join_nonce, self.epoch - epoch),
                used_dev_nonces=len(nonces := NonceSet(used)),
                highest_dev_nonce=nonces.highest if nonces.data else None,
                last_join_at_us=joined,
            )
            for dev_eui, join_eui, app_key, nwk_key, home_net_id, created, join_nonce, epoch, used, joined in rows
        ]

    def _with_nonces(self, dev_euis: Iterable[EUI64] | None) -> list[tuple[bytes, bytes]]:
        """(DevEUI, JoinEUI) of what has something to forget."""
        sql = "SELECT dev_eui, join_eui FROM nonces WHERE (used_dev_nonces <> x'' OR next_rj_count1 > 0)"
        if dev_euis is None:
            return self._db.execute(sql).fetchall()
        found: list[tuple[bytes, bytes]] = []
        for dev_eui in dict.fromkeys(dev_euis):
            found += self._db.execute(f"{sql} AND dev_eui = ?", (eui_bytes(dev_eui),)).fetchall()
        return found


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
