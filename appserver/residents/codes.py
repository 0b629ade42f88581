"""Signing in by account (лицевой счёт) and a one-time code: on paper from those who look after the house, or by mail.

A code is eight of 32 signs (40 bits), is good once, on paper for two months and by mail for a quarter of an hour; only its
argon2id hash is kept. Behind an account stands a user of the role ``member`` with a resident's grant on the premises since
the account was opened: whoever opens the next account is another user, and a closed one keeps the days before.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, select

from appserver.auth.grant_store import give_in
from appserver.auth.roles import Role
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.models import Account, Premises, ResidentCode, RoleGrant, User

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 8
PAPER_US = 60 * 86_400_000_000
MAIL_US = 15 * 60_000_000
CANDIDATES = 2
"""So many codes of an account are looked at: the newest on paper and the newest by mail; always so many, known or not."""
NO_PASSWORD = "-"


@dataclass(frozen=True, slots=True)
class Slip:
    """A code to be handed over."""

    user_id: int
    premises_id: int
    number: str
    """Of the flat."""
    account: str
    code: str


def new_code() -> str:
    """Eight random signs, shown in two halves."""
    signs = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{signs[:4]}-{signs[4:]}"


def normal(code: str) -> str:
    """A code as it was meant: without dashes and blanks, in capitals."""
    return "".join(sign for sign in code.upper() if sign.isalnum())[: LENGTH + 1]


def residents_of(session: Session, premises: Premises, today: date, author: str, now_us: int) -> list[tuple[User, str]]:
    """The users behind the open accounts of premises, made where there are none yet, each with the account's number."""
    accounts = session.exec(select(Account).where(Account.premises_id == premises.id).order_by(col(Account.id))).all()
    found = []
    for account in accounts:
        if not account.number or (account.closed_on is not None and account.closed_on < today):
            continue
        found.append((_resident(session, account, today, author, now_us), account.number))
    if not found:
        raise RegistryError("invalid", "premises_id", "These premises have no open account; open one first.")
    return found


def _resident(session: Session, account: Account, today: date, author: str, now_us: int) -> User:
    known = session.exec(
        select(User)
        .join(RoleGrant, col(RoleGrant.user_id) == User.id)
        .join(ResidentCode, col(ResidentCode.user_id) == User.id)
        .where(
            RoleGrant.premises_id == account.premises_id,
            RoleGrant.party == "resident",
            ResidentCode.account_number == account.number,
            col(RoleGrant.until).is_(None),
        )
    ).first()
    if known is not None:
        return known
    user = User(
        login=f"resident-{secrets.token_hex(5)}",
        password_hash=NO_PASSWORD,
        role=Role.member.value,
        language="",
        created_at_us=now_us,
    )
    session.add(user)
    session.flush()
    ended = session.exec(select(Account.closed_on).where(Account.premises_id == account.premises_id)).all()
    earlier = [day + timedelta(days=1) for day in ended if day is not None and day != account.closed_on]
    since = account.opened_on or max(earlier, default=None)
    grant = {"party": "resident", "premises_id": account.premises_id, "since": since}
    give_in(session, user.id or 0, grant, author, now_us)
    return user


def issue(
    db: Database,
    hasher: object,
    premises_ids: list[int],
    author: str,
    today: date,
    now_us: int,
    email: str | None = None,
) -> list[Slip]:
    """New codes on paper for the residents of premises; earlier ones that were not used end.

    ``hasher`` makes the stored form (:meth:`appserver.auth.passwords.Passwords.hash_now`); ``email`` is kept with the user when
    there is one account. Raises RegistryError.
    """
    slips = []
    with db.writing() as session:
        for premises_id in premises_ids:
            premises = session.get(Premises, premises_id)
            if premises is None:
                raise RegistryError("not_found", "premises_id", f"There are no premises {premises_id}.")
            for user, number in residents_of(session, premises, today, author, now_us):
                if email:
                    user.email = email
                code = _write(session, hasher, user, number, author, now_us, PAPER_US)
                slips.append(Slip(user.id or 0, premises_id, premises.number, number, code))
    return slips


def _write(
    session: Session, hasher: object, user: User, number: str, author: str, now_us: int, good_for_us: int
) -> str:
    code = new_code()
    session.execute(
        update(ResidentCode)
        .where(
            col(ResidentCode.user_id) == user.id,
            col(ResidentCode.account_number) == number,
            col(ResidentCode.used_at_us).is_(None),
            (col(ResidentCode.created_by) == "") if not author else (col(ResidentCode.created_by) != ""),
        )
        .values(expires_at_us=now_us)
    )
    session.add(
        ResidentCode(
            user_id=user.id or 0,
            account_number=number,
            code_hash=hasher.hash_now(normal(code)),  # type: ignore[attr-defined]
            created_at_us=now_us,
            expires_at_us=now_us + good_for_us,
            created_by=author,
        )
    )
    session.flush()
    return code


def candidates(db: Database, account: str, now_us: int) -> list[tuple[int, int, str]]:
    """Codes that are good for an account now, the newest first: id, user, hash."""
    query = (
        select(ResidentCode.id, ResidentCode.user_id, ResidentCode.code_hash)
        .join(User, col(User.id) == ResidentCode.user_id)
        .where(
            ResidentCode.account_number == account,
            col(ResidentCode.used_at_us).is_(None),
            ResidentCode.expires_at_us > now_us,
            col(User.disabled).is_(False),
        )
        .order_by(col(ResidentCode.id).desc())
        .limit(CANDIDATES)
    )
    with db.reading() as session:
        return [(int(id_ or 0), user, hashed) for id_, user, hashed in session.exec(query)]


def use(db: Database, code_id: int, now_us: int) -> bool:
    """Take a code; False when somebody took it a moment ago."""
    with db.writing() as session:
        done = session.connection().execute(
            update(ResidentCode)
            .where(col(ResidentCode.id) == code_id, col(ResidentCode.used_at_us).is_(None))
            .values(used_at_us=now_us)
        )
        return done.rowcount == 1


def for_mail(db: Database, hasher: object, account: str, now_us: int) -> list[tuple[str, str, str]]:
    """New codes for the residents of an account who gave an address: address, language, code. Usually one, or none."""
    with db.writing() as session:
        people = session.exec(
            select(User)
            .join(ResidentCode, col(ResidentCode.user_id) == User.id)
            .where(ResidentCode.account_number == account, User.email != "", col(User.disabled).is_(False))
            .distinct()
        ).all()
        return [
            (user.email, user.language, _write(session, hasher, user, account, "", now_us, MAIL_US))
            for user in people[:3]
        ]


def end_of_account(session: Session, account: Account) -> None:
    """A closed account: its resident keeps the days up to the last one, and sees nothing that comes after."""
    if account.closed_on is None:
        return
    users = select(ResidentCode.user_id).where(ResidentCode.account_number == account.number)
    session.execute(
        update(RoleGrant)
        .where(
            col(RoleGrant.premises_id) == account.premises_id,
            col(RoleGrant.party) == "resident",
            col(RoleGrant.user_id).in_(users),
            col(RoleGrant.until).is_(None),
        )
        .values(until=account.closed_on + timedelta(days=1))
    )
