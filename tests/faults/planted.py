"""Fifteen faults that servers of this kind have had, planted one by one: the kit must find each, and none without it.

``python -m tests.faults.planted``. A bug is a patch of the real code; what finds it are seeds with the faults named (of all
rules, whichever speaks first), or one of the short plays below where seeds have no such fault.
"""

from __future__ import annotations

import hmac
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import joinserver.core
from joinserver.nonces import NonceSet
from joinserver.server import JoinServer
from lns.downlink import compose
from lns.downlink.transmit import Transmitter, TxState
from lns.engine import Engine
from lns.gateways.gateway import Gateway
from lns.gateways.gwmp.front import GwmpFront
from lns.state import NetworkState
from lns.store.embedded import journal, source, statements
from lns.store.embedded.journal import Journal, SealedBatch
from lns.store.embedded.statements import ManyRows
from lns.uplink import accept
from lns.uplink.gather import Gathered, Gatherer
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.errors import StateError
from lorawan.frames import JoinRequest, parse
from tests.faults import report, seeds
from tests.support.lab import Lab
from tests.support.otaa_device import OtaaDevice
from tests.support.scratch import scratch

Patch = pytest.MonkeyPatch
COLUMN = {name: at for at, name in enumerate(statements.SESSION_COLUMNS)}
MOST_SEEDS = 40


@dataclass(frozen=True)
class Bug:
    """``seeds``: faults of the seeds that find it; otherwise ``play`` does. Either gives what was found, as text."""

    name: str
    what: str
    plant: Callable[[Patch], None]
    seeds: frozenset[str] = frozenset()
    play: Callable[[Path], str] | None = None

    def found(self, most: int = MOST_SEEDS) -> str:
        """What the kit says, empty when it has nothing to say."""
        if self.play is not None:
            with tempfile.TemporaryDirectory(prefix="meterwan-planted-", dir=scratch()) as folder:
                return self.play(Path(folder))
        for seed in range(most):
            result = seeds.play(seed, self.seeds, minutes=1.5)
            if result.violations:
                return f"seed {seed}: {result.violations[0]}"
        return ""


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        yield


# --------------------------------------------------------------------------------------------------------- plants


def normal_sync(patch: Patch) -> None:
    opened = Journal._open

    def _open(self: Journal) -> None:
        opened(self)
        self._db.execute("PRAGMA synchronous = NORMAL")

    patch.setattr(Journal, "_open", _open)


def _rewritten_sessions(patch: Patch, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
    sealed = SealedBatch.__init__

    def init(self: SealedBatch, batch: Any) -> None:
        sealed(self, batch)
        self.sessions = [change(row) for row in self.sessions]

    patch.setattr(SealedBatch, "__init__", init)


def _with(row: tuple[Any, ...], column: str, value: Any) -> tuple[Any, ...]:
    return (*row[: COLUMN[column]], value, *row[COLUMN[column] + 1 :])


def counter_after_send(patch: Patch) -> None:
    """The row keeps the counter of the last downlink that a gateway has taken."""
    sent: dict[int, int] = {}
    encode, answered = compose.encode, Transmitter.answered

    def _encode(state: Any, session: Any, *rest: Any, **more: Any) -> Any:
        sent.setdefault(session.id, session.n_f_cnt_down)
        return encode(state, session, *rest, **more)

    def _answered(self: Any, transmission: Any, error: str, *rest: Any, **more: Any) -> None:
        answered(self, transmission, error, *rest, **more)
        session = transmission.device.session if transmission.device is not None else None
        if session is not None and not error:
            sent[session.id] = session.n_f_cnt_down
            self._state.dirty(session)

    patch.setattr(compose, "encode", _encode)
    patch.setattr(Transmitter, "answered", _answered)
    _rewritten_sessions(
        patch,
        lambda row: _with(row, "n_f_cnt_down", min(row[COLUMN["n_f_cnt_down"]], sent.get(row[-1], 1 << 40))),
    )


def no_compare_and_set(patch: Patch) -> None:
    columns = statements.SESSION_COLUMNS
    given = ", ".join(f"{name} = v.column{at + 1}" for at, name in enumerate(columns[:-1]))
    template = f"UPDATE session SET {given} FROM (VALUES {{rows}}) AS v WHERE session.id = v.column{len(columns)}"
    patch.setattr(statements, "UPDATE_SESSIONS", ManyRows(template, len(columns)))


def dedup_by_f_cnt(patch: Patch) -> None:
    def get(self: Gatherer, phy: bytes) -> Gathered | None:
        if phy[0] >> 5 not in (2, 4):
            return self._open.get(phy)
        alike = (one for known, one in self._open.items() if known[6:8] == phy[6:8] and known[0] >> 5 in (2, 4))
        return next(alike, None)

    patch.setattr(Gatherer, "get", get)


def nonce_before_mic(patch: Patch) -> None:
    decide = JoinServer._decide

    def _decide(self: JoinServer, records: Any, request: JoinReq, now_us: int, with_sessions: bool) -> Any:
        decision = decide(self, records, request, now_us, with_sessions)
        record = records.get(request.dev_eui)
        if isinstance(decision, JoinAns) and decision.result is ResultCode.MIC_FAILED and record is not None:
            frame = parse(request.phy_payload)
            if isinstance(frame, JoinRequest):
                used: NonceSet = record.used_dev_nonces.add(frame.dev_nonce)
                self._store._db.execute(
                    "UPDATE nonces SET used_dev_nonces = ? WHERE dev_eui = ?",
                    (used.data, request.dev_eui.to_bytes(8, "big")),
                )
        return decision

    patch.setattr(JoinServer, "_decide", _decide)


def rollover_off_by_one(patch: Patch) -> None:
    def full(f_cnt16: int, next_expected: int) -> int:
        f_cnt = next_expected & ~0xFFFF | f_cnt16
        return f_cnt if f_cnt >= next_expected - 1 else f_cnt + 0xFFFF

    patch.setattr(accept, "full_f_cnt", full)


def ack_before_journal(patch: Patch) -> None:
    patch.setattr(Engine, "after_commit", lambda self, datagram, address: self.gwmp._send(datagram, address))


def no_tenant_predicate(patch: Patch) -> None:
    patch.setattr(Gateway, "serves", lambda self, tags: True)


def no_skip_ahead(patch: Patch) -> None:
    patch.setattr(source, "skip_counters", lambda state, session, steps: None)


def outbox_outside_the_transaction(patch: Patch) -> None:
    commit = Journal.commit

    def _commit(self: Journal, sealed: SealedBatch) -> None:
        events, sealed.events = sealed.events, []
        try:
            commit(self, sealed)
        finally:
            sealed.events = events
        try:
            self._db.execute("BEGIN IMMEDIATE")
            statements.INSERT_EVENTS.run(self._db, events)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise journal.StoreError(str(error), fatal=True) from error

    patch.setattr(Journal, "commit", _commit)


def plain_comparison(patch: Patch) -> None:
    patch.setattr(joinserver.core, "_signed", lambda mic, expected: mic == expected)


def window_not_persisted(patch: Patch) -> None:
    _rewritten_sessions(patch, lambda row: _with(row, "replay_window", bytes(17)))


def tx_ack_by_token(patch: Patch) -> None:
    took = GwmpFront._tx_ack

    def _tx_ack(self: Any, gateway: Gateway, token: bytes, datagram: bytes, address: Any, now: Any) -> None:
        for other in self._host.registry:
            if token in other.pending:
                took(self, other, token, datagram, (other.pending[token].host, address[1]), now)
                return

    patch.setattr(GwmpFront, "_tx_ack", _tx_ack)


def accept_made_again(patch: Patch) -> None:
    patch.setattr(joinserver.core, "_check_dev_nonce", lambda *given: None)
    patch.setattr(NetworkState, "remember_join", lambda self, phy: None)


def encrypted_again_at_rx2(patch: Patch) -> None:
    answered = Transmitter.answered

    def _answered(self: Any, transmission: Any, error: str, *rest: Any, **more: Any) -> None:
        device, phy = transmission.device, transmission.phy
        session = device.session if device is not None else None
        if error and transmission.state is TxState.HANDED and session is not None and phy[0] >> 5 in (3, 5):
            message = phy[:5] + bytes((phy[5] ^ 0x10,)) + phy[6:-4]
            f_cnt = int.from_bytes(phy[6:8], "little")
            transmission.phy = message + self._state.cipher(session).downlink_mic(message, f_cnt, 0)
        answered(self, transmission, error, *rest, **more)

    patch.setattr(Transmitter, "answered", _answered)


# ---------------------------------------------------------------------------------------------------- short plays


def two_servers(folder: Path) -> str:
    """A second server on the same files, as a split brain has it: what one has counted, the other may not count again."""
    one = Lab(folder)
    gateway, node = one.gateway(), one.abp()
    other = Lab.__new__(Lab)
    Lab.__init__(other, folder)
    other.gateways[gateway.eui] = gateway
    other.call("session", key=node.dev_eui)  # from now on it is in this one's memory
    frames = [node.up(bytes((number,)), confirmed=True) for number in range(3)]
    for phy in frames:
        one.uplink(phy)
        one.advance(5_000_000)
    other.state.last_frame_id += 1000
    other.state.last_event_id += 1000
    try:
        gateway.lab = other
        gateway.pull()
        other.uplink(frames[0])
    except (StateError, journal.StoreError):
        return ""
    finally:
        taken = [f_cnt for f_cnt, _ in one.ups()]
        one.close()
        other.close()
    return f"FCntUp taken by two servers on one file: {taken}" if len(set(taken)) < len(taken) else ""


def foreign_gateway(folder: Path) -> str:
    """A device of one organisation through the private gateway of another."""
    lab = Lab(folder)
    gateway, node = lab.gateway(), lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, private_to="the neighbours")
    sent = lab.uplink(node.up(b"reading", confirmed=True))
    taken = lab.ups()
    lab.close()
    return f"events {taken}, downlinks {len(sent)}" if taken or sent else ""


def compared_in_constant_time(folder: Path) -> str:
    """A forged join-request: whoever measures how long the refusal takes must learn nothing of the MIC."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def spy(left: Any, right: Any) -> bool:
        compared.append(left)
        return compare(left, right)

    lab = Lab(folder)
    lab.gateway()
    device = OtaaDevice()
    lab.device(device.dev_eui, "1.0.3", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    forged = device.join_request(7)[:-4] + b"\x01\x02\x03\x04"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hmac, "compare_digest", spy)
        lab.uplink(forged)
    lab.close()
    return (
        ""
        if forged[-4:] in compared
        else "the MIC of a join-request is compared byte by byte until the first difference"
    )


# ----------------------------------------------------------------------------------------------------------- the table

KILLS = frozenset(("kill_at_step", "kill_in_a_write", "kill"))
BUGS: tuple[Bug, ...] = (
    Bug("normal-sync", "synchronous = NORMAL", normal_sync, frozenset(("power_loss", "kill"))),
    Bug("counter-after-send", "FCntDown is kept when a gateway has taken the frame", counter_after_send, KILLS),
    Bug("no-compare-and-set", "counters are written without a guard", no_compare_and_set, play=two_servers),
    Bug("dedup-by-f-cnt", "copies are frames with one FCnt", dedup_by_f_cnt, frozenset(("rejoin_storm", "crowd"))),
    Bug(
        "nonce-before-mic",
        "DevNonce is spent before the MIC is checked",
        nonce_before_mic,
        frozenset(("forged_joins", "rejoin_storm")),
    ),
    Bug("rollover-off-by-one", "FCntUp is extended by 65535", rollover_off_by_one, frozenset(("crowd",))),
    Bug("ack-before-journal", "PUSH_ACK goes out at once", ack_before_journal, KILLS),
    Bug("no-tenant-predicate", "a private gateway serves everybody", no_tenant_predicate, play=foreign_gateway),
    Bug("no-skip-ahead", "FCntDown goes on from the backup", no_skip_ahead, frozenset(("back_up", "restore"))),
    Bug(
        "outbox-outside",
        "events are written in a transaction of their own",
        outbox_outside_the_transaction,
        KILLS | {"power_loss"},
    ),
    Bug("plain-comparison", "== on what a key has made", plain_comparison, play=compared_in_constant_time),
    Bug(
        "window-not-persisted",
        "which late frames were taken is forgotten at a start",
        window_not_persisted,
        KILLS | {"replay_on_air", "replay_datagrams"},
    ),
    Bug(
        "tx-ack-by-token", "a TX_ACK is whoever's has the token", tx_ack_by_token, frozenset(("tx_ack_faults", "crowd"))
    ),
    Bug(
        "accept-made-again",
        "a copy of a join-request is answered anew",
        accept_made_again,
        frozenset(("replay_datagrams", "replay_on_air", "late_buffer", "rejoin_storm")),
    ),
    Bug(
        "encrypted-again-at-rx2",
        "the next window gets other bytes under the counter",
        encrypted_again_at_rx2,
        frozenset(("refusals", "crowd")),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant all, or those named."""
    names = list(arguments if arguments is not None else sys.argv[1:])
    seeds.quiet()
    caught, alarms = [], []
    for bug in BUGS:
        if names and bug.name not in names:
            continue
        if said := bug.found(3):
            alarms.append(bug.name)
            print(f"{bug.name}: an alarm without the bug: {said}")
        with planted(bug):
            said = bug.found()
        if said:
            caught.append(bug.name)
        print(f"{bug.name} ({bug.what}): {said or 'NOT FOUND'}", flush=True)
    report.note("planted", {"caught": len(caught), "of": len(names or BUGS), "false_alarms": alarms})
    return len(caught) < len(names or BUGS) or bool(alarms)


if __name__ == "__main__":
    sys.exit(main())
