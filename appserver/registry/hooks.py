"""What follows from a change: checks over several columns before it, what else must be settled after it.

A table from the name of a kind to functions; both get the row with its new values, ``before`` holds those that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session, col, select

from appserver.errors import RegistryError
from appserver.models import Account, Entrance, Installation, Meter, MeterSeal, MeterVerification, Premises
from appserver.models.lifecycle import BUILDING_STATES, METER_STATES
from appserver.registry import verifications
from appserver.registry.journal import Note, record
from appserver.residents.codes import end_of_account

Before = Mapping[str, Any]
Hook = Callable[[Session, Any, Before, Note], None]


# -------------------------------------------------------------------------------------------------------------- checks


def _states(noun: str, table: Mapping[str, tuple[str, ...]], initial: tuple[str, ...]) -> Hook:
    def check(session: Session, found: Any, before: Before, note: Note) -> None:
        if "state" not in before:
            return
        old = before["state"]
        allowed = initial if old is None else table[old]
        if found.state not in allowed:
            was = f"a {noun} that is {old}" if old is not None else f"a new {noun}"
            can = f"it can become {', '.join(allowed)}" if allowed else "that is its last state"
            raise RegistryError("conflict", "state", f"state: {was} cannot become {found.state}; {can}.")

    return check


def _check_premises(session: Session, found: Premises, before: Before, note: Note) -> None:
    entrance = session.get(Entrance, found.entrance_id) if found.entrance_id is not None else None
    if entrance is not None and entrance.building_id != found.building_id:
        raise RegistryError("invalid", "entrance_id", "entrance_id: this entrance is in another building.")


def _check_account(session: Session, found: Account, before: Before, note: Note) -> None:
    if found.opened_on and found.closed_on and found.closed_on < found.opened_on:
        raise RegistryError("invalid", "closed_on", "closed_on: must not be before opened_on.")


def _check_seal(session: Session, found: MeterSeal, before: Before, note: Note) -> None:
    if found.removed_on is not None and found.removed_on < found.set_on:
        raise RegistryError("invalid", "removed_on", "removed_on: must not be before set_on.")
    if found.removed_on is None and (found.removed_by or found.removed_act):
        raise RegistryError("invalid", "removed_on", "removed_on: is needed with removed_by and removed_act.")


def _check_installation(session: Session, found: Installation, before: Before, note: Note) -> None:
    if found.commissioned_on is not None and found.commissioned_on < found.installed_on:
        raise RegistryError("invalid", "commissioned_on", "commissioned_on: must not be before the installation.")


def _check_verification(session: Session, found: MeterVerification, before: Before, note: Note) -> None:
    verifications.complete(session, found)


CHECKS: dict[str, Hook] = {
    "building": _states("building", BUILDING_STATES, tuple(BUILDING_STATES)),
    "meter": _states("meter", METER_STATES, ("ordered", "in_stock", "repair", "failed", "written_off")),
    "premises": _check_premises,
    "account": _check_account,
    "seal": _check_seal,
    "verification": _check_verification,
    "installation": _check_installation,
}
"""Before the change is written; a hook raises RegistryError."""


# --------------------------------------------------------------------------------------------------------------- after


def _after_meter(session: Session, found: Meter, before: Before, note: Note) -> None:
    if "verified_on" in before or "verification_until" in before:
        verifications.from_meter(session, found)


def _after_premises(session: Session, found: Premises, before: Before, note: Note) -> None:
    """The number on the premises is that of an account."""
    if "account_number" not in before or not found.account_number:
        return
    known = select(Account).where(Account.premises_id == found.id, Account.number == found.account_number)
    if session.exec(known).first() is None:
        account = Account(premises_id=found.id or 0, number=found.account_number)
        session.add(account)
        session.flush()
        record(session, "account", account.id or 0, "created", note, after=f'{{"number": "{account.number}"}}')


def _after_account(session: Session, found: Account, before: Before, note: Note) -> None:
    """Premises show an account that is open, when there is one."""
    premises = session.get(Premises, found.premises_id)
    if premises is None:
        return
    query = select(Account).where(Account.premises_id == premises.id, col(Account.closed_on).is_(None))
    numbers = [account.number for account in session.exec(query.order_by(col(Account.id))).all()]
    if premises.account_number not in numbers:
        premises.account_number = numbers[0] if numbers else ""
        session.add(premises)
    if "closed_on" in before:
        end_of_account(session, found)


def _after_seal(session: Session, found: MeterSeal, before: Before, note: Note) -> None:
    if "set_on" in before and before["set_on"] is None:
        _event(session, found.meter_id, "sealed", note, found.number, found.set_on, found.set_act)
    if "removed_on" in before and found.removed_on is not None:
        _event(session, found.meter_id, "unsealed", note, found.number, found.removed_on, found.removed_act)


def _after_verification(session: Session, found: MeterVerification, before: Before, note: Note) -> None:
    verifications.settle(session, found.meter_id)
    said = found.result if found.valid_until is None else f"{found.result}, {found.valid_until.isoformat()}"
    number = found.arshin_number or found.document
    _event(session, found.meter_id, "verified", note, said, found.verified_on, number)


def _event(session: Session, meter_id: int, event: str, note: Note, after: str, on: Any, document: str) -> None:
    said = Note(note.actor, on, document or note.document, note.remark, note.at_us)
    record(session, "meter", meter_id, event, said, after=after)


def _after_installation(session: Session, found: Installation, before: Before, note: Note) -> None:
    meter = session.get(Meter, found.meter_id)
    if meter is None or "commissioned_on" not in before:
        return
    if found.commissioned_on is not None:
        day = found.commissioned_on
        _event(session, found.meter_id, "commissioned", note, day.isoformat(), day, found.commission_act)
    if found.removed_at_us is None and meter.state in ("installed", "commissioned"):
        meter.state = "installed" if found.commissioned_on is None else "commissioned"
        session.add(meter)


AFTER: dict[str, Hook] = {
    "meter": _after_meter,
    "premises": _after_premises,
    "account": _after_account,
    "seal": _after_seal,
    "verification": _after_verification,
    "installation": _after_installation,
}
"""After the change is written, in the same transaction."""


def after_delete(session: Session, name: str, found: Any, note: Note) -> None:
    """What follows from the deletion of a row."""
    if name == "verification":
        verifications.settle(session, found.meter_id)
    elif name == "installation":
        _meter_is_off(session, found.meter_id)
    elif name == "account":
        _after_account(session, found, {}, note)
    if name in ("seal", "verification", "installation"):
        called = str(
            found.number
            if name == "seal"
            else found.installed_on
            if name == "installation"
            else found.arshin_number or found.verified_on or ""
        )
        record(session, "meter", found.meter_id, f"{name}_deleted", note, before=called)


def _meter_is_off(session: Session, meter_id: int) -> None:
    """An installation was a mistake: the meter is where the ones that stay leave it."""
    left = session.exec(select(Installation).where(Installation.meter_id == meter_id)).all()
    meter = session.get(Meter, meter_id)
    if meter is not None and meter.state in ("installed", "commissioned", "failed", "removed"):
        meter.state = "removed" if left else "in_stock"
        session.add(meter)
