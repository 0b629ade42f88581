"""Deliveries of readings: taken in one transaction with the note of them; what is refused stays, and may be tried again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.metering.incoming import Item, take_into
from appserver.metering.timebase import HOUR_US

KEEP_US = 90 * 24 * HOUR_US
"""How long the note of a delivery stays whose rows are all settled; also for how long an idempotency key holds."""
KEEP_MESSAGES_US = 7 * 24 * HOUR_US
"""The same for messages of brokers, which come all the time and have no keys."""
MAX_OPEN = 20_000
"""Refused readings that wait at the same time; of a sender that never says anything right the oldest go."""
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a delivery: a reading, or what was told in its place and why it is none."""

    number: int
    """As the sender counts."""
    item: Item | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: what was told, for a row that is no reading."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Readings as they came."""

    channel: str
    """``http``, ``mqtt`` or ``file``."""
    author: str
    rows: Sequence[Row]
    origin: str = "gprs"
    name: str = ""
    source_id: int | None = None
    key: str = ""
    """Idempotency key."""
    digest: str = ""


@dataclass(slots=True)
class Receipt:
    """What became of a delivery."""

    intake_id: int | None
    """None: it brought nothing that was not known, and no note was made."""
    new: int
    known: int
    errors: list[tuple[int, str]]
    """(number of the row, what is wrong with it)."""
    repeated: bool = False
    """The key was known: this is the answer of the first time."""


def digest_of(data: bytes) -> str:
    """What tells one delivery from another."""
    return hashlib.sha256(data).hexdigest()


def deliver(db: Database, delivery: Delivery, now_us: int) -> Receipt:
    """Take a delivery. Durable when this returns.

    Raises RegistryError ``conflict`` for an idempotency key that another delivery had.
    """
    with db.transaction() as connection:
        if delivery.key and (earlier := _earlier(connection, delivery)) is not None:
            return earlier
        good = [row for row in delivery.rows if row.item is not None]
        done = take_into(connection, [row.item for row in good if row.item], delivery.origin, now_us, delivery.author)
        wrong = [(good[number], what) for number, what in done.errors]
        wrong += [(row, row.problem) for row in delivery.rows if row.item is None]
        wrong.sort(key=lambda pair: pair[0].number)
        receipt = Receipt(None, done.new, done.known, [(row.number, what) for row, what in wrong])
        if done.new or wrong or delivery.key:
            receipt.intake_id = _note(connection, delivery, receipt, now_us)
            _refuse(connection, receipt.intake_id, delivery, wrong, now_us)
        if delivery.source_id is not None:
            connection.execute(
                "UPDATE source SET seen_at_us = ?, taken = taken + ?, refused = refused + ? WHERE id = ?",
                (now_us, done.new, len(wrong), delivery.source_id),
            )
    return receipt


def _earlier(connection: Connection, delivery: Delivery) -> Receipt | None:
    row = connection.execute(
        "SELECT id, digest, new, known, errors FROM intake WHERE author = ? AND idempotency_key = ?",
        (delivery.author, delivery.key),
    ).fetchone()
    if row is None:
        return None
    if row[1] != delivery.digest:
        raise RegistryError(
            "conflict", "Idempotency-Key", "Idempotency-Key: other readings came with this key; use a new one."
        )
    return Receipt(row[0], row[2], row[3], [(number, what) for number, what in json.loads(row[4])], repeated=True)


def _note(connection: Connection, delivery: Delivery, receipt: Receipt, now_us: int) -> int:
    row = connection.execute(
        "INSERT INTO intake (channel, source_id, name, author, idempotency_key, digest, received_at_us, new, known,"
        " errors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            delivery.channel,
            delivery.source_id,
            delivery.name[:500],
            delivery.author,
            delivery.key or None,
            delivery.digest,
            now_us,
            receipt.new,
            receipt.known,
            json.dumps([[number, what[:MAX_REASON]] for number, what in receipt.errors], ensure_ascii=False),
        ),
    ).fetchone()
    return int(row[0])


def _refuse(
    connection: Connection, intake_id: int, delivery: Delivery, wrong: Sequence[tuple[Row, str]], now_us: int
) -> None:
    rows = []
    for row, what in wrong:
        told = json.dumps(told_of(row.item) if row.item else dict(row.told), ensure_ascii=False, sort_keys=True)
        print_of = digest_of(f"{delivery.author}\n{told}".encode())
        rows.append((intake_id, row.number, delivery.origin, told, print_of, what[:MAX_REASON], now_us))
    connection.executemany(
        "INSERT INTO refused_reading (intake_id, number, origin, told, fingerprint, reason, state, attempts, seen_at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, 'open', 1, ?) ON CONFLICT (fingerprint) DO UPDATE SET"
        " reason = excluded.reason, seen_at_us = excluded.seen_at_us, attempts = refused_reading.attempts + 1,"
        " state = CASE refused_reading.state WHEN 'dropped' THEN 'dropped' ELSE 'open' END",
        rows,
    )
    if rows:
        connection.execute(
            "DELETE FROM refused_reading WHERE state = 'open' AND id <= (SELECT id FROM refused_reading"
            " WHERE state = 'open' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (MAX_OPEN,),
        )


# ------------------------------------------------------------------------------------------------------ items as JSON


def told_of(item: Item) -> dict[str, Any]:
    """An item as JSON values."""
    values = {name: value for name, value in asdict(item).items() if value not in ("", None)}
    return {**values, "measured_at": item.measured_at.isoformat(), "value": str(item.value)}


def item_of(told: Mapping[str, Any]) -> Item:
    """The item that ``told_of`` made values of. Raises ValueError for anything else."""
    try:
        values = {**told, "measured_at": datetime.fromisoformat(told["measured_at"]), "value": Decimal(told["value"])}
        return Item(**values)
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError("it was told in a form that gives no reading; send it again") from error


# ------------------------------------------------------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused reading as lists show it."""

    id: int
    channel: str
    name: str
    author: str
    number: int
    origin: str
    told: dict[str, Any]
    reason: str
    state: str
    attempts: int
    seen_at_us: int
    source_id: int | None


_REFUSED = (
    "SELECT r.id, i.channel, i.name, i.author, r.number, r.origin, r.told, r.reason, r.state, r.attempts, r.seen_at_us,"
    " i.source_id FROM refused_reading r JOIN intake i ON i.id = r.intake_id"
)


def _refused(row: tuple[Any, ...]) -> Refused:
    id_, channel, name, author, number, origin, told, *rest = row
    return Refused(id_, channel, name, author, number, origin, json.loads(told), *rest)


def refused(db: Database, state: str = "open", before: int | None = None, limit: int = 100) -> list[Refused]:
    """Refused readings, newest first; ``before`` is an id."""
    rows = db.rows(
        f"{_REFUSED} WHERE r.state = ? AND r.id < ? ORDER BY r.id DESC LIMIT ?", (state, before or 2**62, limit)
    )
    return [_refused(row) for row in rows]


def refused_count(db: Database) -> int:
    """How many wait for somebody."""
    return int(db.rows("SELECT count(*) FROM refused_reading WHERE state = 'open'")[0][0])


@dataclass(frozen=True, slots=True)
class IntakeRow:
    """A delivery as lists show it."""

    id: int
    channel: str
    source_id: int | None
    name: str
    author: str
    received_at_us: int
    new: int
    known: int
    errors: int


def intakes(db: Database, before: int | None = None, limit: int = 100) -> list[IntakeRow]:
    """Deliveries, newest first."""
    rows = db.rows(
        "SELECT id, channel, source_id, name, author, received_at_us, new, known, errors FROM intake WHERE id < ?"
        " ORDER BY id DESC LIMIT ?",
        (before or 2**62, limit),
    )
    made = []
    for id_, channel, source_id, name, author, received_at_us, new, known, errors in rows:
        count = len(json.loads(errors))
        made.append(IntakeRow(id_, channel, source_id, name, author, received_at_us, new, known, count))
    return made


# ------------------------------------------------------------------------------------------------------------- again

Reader = Callable[[Refused], Sequence[Item]]
"""Items of a refused message, read again; raises ValueError."""


def try_again(db: Database, ids: Sequence[int], now_us: int, read: Reader) -> tuple[int, int]:
    """Try refused readings again, each for itself. Returns how many were taken and how many were not.

    They keep the author and the origin that they came with. Raises RegistryError ``not_found`` for one that is not open.
    """
    taken = 0
    for id_ in ids:
        with db.transaction() as connection:
            row = connection.execute(f"{_REFUSED} WHERE r.id = ? AND r.state = 'open'", (id_,)).fetchone()
            if row is None:
                raise RegistryError("not_found", "id", f"There is no open refused reading {id_}.")
            entry = _refused(row)
            try:
                done = take_into(connection, read(entry), entry.origin, now_us, entry.author)
                problem = done.errors[0][1] if done.errors else ""
            except ValueError as error:
                problem = str(error)
            taken += not problem
            connection.execute(
                "UPDATE refused_reading SET attempts = attempts + 1, reason = ?, state = ?, settled_at_us = ?"
                " WHERE id = ?",
                (problem[:MAX_REASON], "open" if problem else "taken", None if problem else now_us, id_),
            )
    return taken, len(ids) - taken


def drop(db: Database, ids: Sequence[int], now_us: int) -> int:
    """Put refused readings aside for good; told again they stay there. Returns how many."""
    with db.transaction() as connection:
        return connection.executemany(
            "UPDATE refused_reading SET state = 'dropped', settled_at_us = ? WHERE id = ? AND state = 'open'",
            [(now_us, id_) for id_ in ids],
        ).rowcount


def prune(db: Database, now_us: int) -> int:
    """Forget old refusals and the notes of deliveries that nothing hangs on. Returns how many notes."""
    with db.transaction() as connection:
        connection.execute("DELETE FROM refused_reading WHERE seen_at_us < ?", (now_us - KEEP_US,))
        return connection.execute(
            "DELETE FROM intake WHERE (received_at_us < ? OR channel = 'mqtt' AND received_at_us < ?)"
            " AND id NOT IN (SELECT intake_id FROM refused_reading)",
            (now_us - KEEP_US, now_us - KEEP_MESSAGES_US),
        ).rowcount
