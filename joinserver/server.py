"""The join server proper: the rules of ``core`` over the file of ``store``, many requests in one durable transaction.

Synchronous and single-threaded: :class:`joinserver.local.LocalJoinServer` gives it a thread of its own.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence

from joinserver.core import Granted, damaged, decide, parse_session_key_id, refuse_all
from joinserver.store import JoinStore
from joinserver.values import AuditEntry, DeviceInfo, DeviceKeys, JoinRecord, PutResult
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import EUI64, NetID

log = logging.getLogger("joinserver")


class JoinServer:
    """Answers join- and rejoin-requests and keeps the devices' root keys."""

    def __init__(self, store: JoinStore) -> None:
        self._store = store
        if store.unclean:
            log.warning("%s was not closed cleanly: every JoinNonce skips ahead", store.path)

    # ------------------------------------------------------------------------------------------------ joins

    def join_many(self, requests: Sequence[JoinReq], now_us: int) -> list[JoinAns]:
        """Answer all requests, in their order. Every accept is durable when this returns.

        Nothing escapes: a request that deserves no accept gets its result code and a sentence, and when the file
        cannot be written all accepts of the batch become ``Other`` and nothing is spent.
        """
        with_sessions = any(request.rejoin_type is not None for request in requests)
        records: dict[EUI64, JoinRecord | None] = {}
        decisions: list[Granted | JoinAns] = []
        try:
            for request in requests:
                decision = self._decide(records, request, now_us, with_sessions)
                if isinstance(decision, Granted):
                    records[request.dev_eui] = decision.record
                decisions.append(decision)
            self._store.save([d for d in decisions if isinstance(d, Granted)], now_us)
        except (sqlite3.Error, StateError) as error:
            log.error("joins are refused, %s cannot be used: %s", self._store.path, error)
            return refuse_all(requests, f"{self._store.path} cannot be used ({error}); the device will try again")
        answers = [d.answer if isinstance(d, Granted) else d for d in decisions]
        for request, answer in zip(requests, answers, strict=True):
            _log(request, answer)
        return answers

    def app_s_key(self, dev_eui: EUI64, session_key_id: bytes) -> bytes | None:
        """AppSKey of the session so named, None when it is not kept (any more) or is another device's."""
        try:
            named_dev_eui, join_eui, join_nonce = parse_session_key_id(session_key_id)
        except FrameError:
            return None
        return self._store.app_s_key(dev_eui, join_eui, join_nonce) if named_dev_eui == dev_eui else None

    def home_net_id(self, dev_eui: EUI64) -> NetID | None:
        """Home network of a device, None when the device is unknown or has none written."""
        found = self._store.devices(dev_euis=[dev_eui])
        return found[0].home_net_id if found else None

    # ------------------------------------------------------------------------------------------------ devices

    def put_devices(self, devices: Iterable[DeviceKeys], now_us: int, *, dry_run: bool = False) -> PutResult:
        """See :meth:`JoinStore.put_devices`."""
        return self._store.put_devices(devices, now_us, dry_run=dry_run)

    def delete_device(self, dev_eui: EUI64, *, who: str, why: str, now_us: int) -> bool:
        """Delete one device's keys and sessions; its nonces stay. False when it was not there."""
        return bool(self.delete_devices([dev_eui], who=who, why=why, now_us=now_us))

    def delete_devices(self, dev_euis: Iterable[EUI64], *, who: str, why: str, now_us: int) -> int:
        """See :meth:`JoinStore.delete_devices`."""
        return self._store.delete_devices(dev_euis, who=who, why=why, now_us=now_us)

    def devices(
        self, *, after: EUI64 | None = None, limit: int = 1000, dev_euis: Iterable[EUI64] | None = None
    ) -> list[DeviceInfo]:
        """See :meth:`JoinStore.devices`."""
        return self._store.devices(after=after, limit=limit, dev_euis=dev_euis)

    def forget_nonces(self, dev_euis: Iterable[EUI64] | None, *, who: str, why: str, now_us: int) -> int:
        """See :meth:`JoinStore.forget_nonces`."""
        return self._store.forget_nonces(dev_euis, who=who, why=why, now_us=now_us)

    def audit(self, dev_eui: EUI64 | None = None, *, limit: int = 1000) -> list[AuditEntry]:
        """See :meth:`JoinStore.audit`."""
        return self._store.audit(dev_eui, limit=limit)

    def close(self) -> None:
        """Close the file; the stop counts as clean."""
        self._store.close()

    # ------------------------------------------------------------------------------------------------ inside

    def _decide(
        self, records: dict[EUI64, JoinRecord | None], request: JoinReq, now_us: int, with_sessions: bool
    ) -> Granted | JoinAns:
        if request.dev_eui not in records:
            try:
                records[request.dev_eui] = self._store.record(request.dev_eui, with_sessions=with_sessions)
            except StateError as error:
                return damaged(error)
        return decide(records[request.dev_eui], request, now_us)


def _log(request: JoinReq, answer: JoinAns) -> None:
    if answer.result is not ResultCode.SUCCESS:
        log.info("%s: %s", answer.result.value, answer.detail)
        return
    what = "join" if request.rejoin_type is None else f"rejoin type {request.rejoin_type}"
    log.info("DevEUI %s: %s, DevAddr %s, JoinNonce %d", request.dev_eui, what, request.dev_addr, answer.join_nonce)
    if answer.detail:
        log.warning("%s", answer.detail)
