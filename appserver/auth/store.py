"""People, sessions, tokens and the audit record in application.db."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from appserver.auth.grant_store import scope_of
from appserver.auth.grants import Scope
from appserver.auth.identity import Identity
from appserver.auth.roles import Role
from appserver.auth.secrets import TOKEN_PREFIX, digest, new_session_secret, new_token
from appserver.db import Database, contains
from appserver.models import ApiToken, Audit, ResidentCode, RoleGrant, Ticket, User, UserSession

SHOWN_TOKEN_CHARACTERS = len(TOKEN_PREFIX) + 8
SEEN_STEP_US = 60_000_000
"""``last seen`` and ``last used`` are written at most once a minute."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lives."""

    idle_us: int
    absolute_us: int


def _found(q: str, *columns: Any) -> Any:
    """Whether one of the columns contains ``q``, in any case."""
    return or_(*(func.fold(column).like(contains(q), escape="\\") for column in columns))


class LoginTaken(ValueError):
    """Another user has this login."""


class LastAdmin(ValueError):
    """The change would leave nobody who can administer."""


class AuthStore:
    """Reads and writes who may come in. Coroutines; the work is done in threads of the database."""

    def __init__(self, database: Database, limits: SessionLimits, clock: Callable[[], int]) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock

    # ------------------------------------------------------------------------------------------------------ sessions

    async def open_session(self, user: User, address: str, user_agent: str) -> str:
        """Begin a session; returns the cookie's secret. Every sign-in gets a new one."""
        secret, now = new_session_secret(), self._clock()

        def work() -> None:
            with self._database.writing() as db:
                db.execute(delete(UserSession).where(col(UserSession.expires_at_us) < now))
                db.add(
                    UserSession(
                        secret_hash=digest(secret),
                        user_id=user.id or 0,
                        created_at_us=now,
                        seen_at_us=now,
                        expires_at_us=now + self._limits.absolute_us,
                        csrf_token=secrets.token_urlsafe(32),
                        address=address,
                        user_agent=user_agent[:200],
                    )
                )
                db.execute(update(User).where(col(User.id) == user.id).values(signed_in_at_us=now))

        await self._database.run(work)
        return secret

    async def by_session(self, secret: str, touch: bool = True) -> Identity | None:
        """Whose session this is; None when it is unknown, idle too long, over, or its user is disabled.

        ``touch`` counts the call as a sign of life.
        """
        return await self._database.run(self._by_session, secret, touch)

    def _by_session(self, secret: str, touch: bool) -> Identity | None:
        now, key = self._clock(), digest(secret)
        with self._database.reading() as db:
            found = db.exec(
                select(UserSession, User)
                .join(User, col(User.id) == UserSession.user_id)
                .where(UserSession.secret_hash == key)
            ).first()
        if found is None:
            return None
        session, user = found
        over = now >= session.expires_at_us or now - session.seen_at_us >= self._limits.idle_us
        if over or user.disabled:
            return None
        if touch and now - session.seen_at_us >= SEEN_STEP_US:
            with contextlib.suppress(OperationalError), self._database.writing() as db:  # a full disk locks nobody out
                db.execute(update(UserSession).where(col(UserSession.secret_hash) == key).values(seen_at_us=now))
        role = Role(user.role)
        return Identity(
            name=user.login,
            role=role,
            user_id=user.id,
            session_id=key,
            csrf=session.csrf_token,
            language=user.language,
            timezone=user.timezone,
            must_change_password=user.must_change_password,
            scope=scope_of(self._database, user.id or 0) if role is Role.member else None,
        )

    async def close_session(self, session_id: str) -> None:
        """Sign out one browser."""
        await self._write(delete(UserSession).where(col(UserSession.secret_hash) == session_id))

    async def close_sessions(self, user_id: int, but: str = "") -> None:
        """Sign out a user everywhere (``but`` one session)."""
        await self._write(
            delete(UserSession).where(col(UserSession.user_id) == user_id, col(UserSession.secret_hash) != but)
        )

    # -------------------------------------------------------------------------------------------------------- tokens

    async def create_token(
        self, name: str, role: Role, expires_at_us: int | None, user_id: int | None
    ) -> tuple[ApiToken, str]:
        """Make an API token; the secret is returned here and never again."""
        secret = new_token()
        token = ApiToken(
            name=name,
            prefix=secret[:SHOWN_TOKEN_CHARACTERS],
            secret_hash=digest(secret),
            role=role.value,
            user_id=user_id,
            created_at_us=self._clock(),
            expires_at_us=expires_at_us,
        )
        await self._database.run(self._add, token)
        return token, secret

    async def by_token(self, secret: str) -> Identity | None:
        """Whose token this is; None when it is unknown, revoked or expired."""
        return await self._database.run(self._by_token, secret)

    def _by_token(self, secret: str) -> Identity | None:
        if not secret.startswith(TOKEN_PREFIX):
            return None
        now = self._clock()
        with self._database.reading() as db:
            token = db.exec(select(ApiToken).where(ApiToken.prefix == secret[:SHOWN_TOKEN_CHARACTERS])).first()
        right = hmac.compare_digest(token.secret_hash if token else "0" * 64, digest(secret))
        if token is None or not right or token.revoked_at_us is not None:
            return None
        if token.expires_at_us is not None and now >= token.expires_at_us:
            return None
        if token.used_at_us is None or now - token.used_at_us >= SEEN_STEP_US:
            with contextlib.suppress(OperationalError), self._database.writing() as db:
                db.execute(update(ApiToken).where(col(ApiToken.id) == token.id).values(used_at_us=now))
        role = Role(token.role)
        scope = Scope() if role is Role.member else None
        return Identity(name=f"token:{token.name}", role=role, token_id=token.id, scope=scope)

    async def tokens(self) -> list[ApiToken]:
        """All tokens, newest first."""

        def work() -> list[ApiToken]:
            with self._database.reading() as db:
                return list(db.exec(select(ApiToken).order_by(col(ApiToken.id).desc())))

        return await self._database.run(work)

    async def revoke_token(self, token_id: int) -> bool:
        """Make a token worthless; False when there is none."""
        return bool(
            await self._write(
                update(ApiToken)
                .where(col(ApiToken.id) == token_id)
                .values(revoked_at_us=func.coalesce(ApiToken.revoked_at_us, self._clock()))
            )
        )

    # --------------------------------------------------------------------------------------------------------- users

    async def user_by_login(self, login: str) -> User | None:
        """The user who signs in as ``login``."""

        def work() -> User | None:
            with self._database.reading() as db:
                return db.exec(select(User).where(User.login == login.strip().lower())).first()

        return await self._database.run(work)

    async def user(self, user_id: int) -> User | None:
        """The user with this number."""

        def work() -> User | None:
            with self._database.reading() as db:
                return db.get(User, user_id)

        return await self._database.run(work)

    async def users(self, after: int = 0, limit: int = 1000, q: str = "") -> list[User]:
        """Users in the order of their numbers, whose login or name contains ``q``."""

        def work() -> list[User]:
            query = select(User).where(col(User.id) > after).order_by(col(User.id)).limit(limit)
            if q:
                query = query.where(_found(q, User.login, User.name))
            with self._database.reading() as db:
                return list(db.exec(query))

        return await self._database.run(work)

    async def create_user(self, user: User) -> User:
        """Add a user. Raises LoginTaken."""
        user.login = user.login.strip().lower()
        user.created_at_us = self._clock()

        def work() -> None:
            with self._database.writing() as db:
                if db.exec(select(User.id).where(User.login == user.login)).first() is not None:
                    raise LoginTaken(user.login)
                db.add(user)

        await self._database.run(work)
        return user

    async def change_user(self, user_id: int, **values: Any) -> User | None:
        """Set columns of a user; a changed password, role or disabling ends the user's sessions. Raises LastAdmin."""

        def work() -> User | None:
            with self._database.writing() as db:
                user = db.get(User, user_id)
                if user is None:
                    return None
                was = (user.password_hash, user.role, user.disabled)
                for name, value in values.items():
                    setattr(user, name, value)
                db.flush()
                self._keep_an_admin(db)
                if (user.password_hash, user.role, user.disabled) != was:
                    db.execute(delete(UserSession).where(col(UserSession.user_id) == user_id))
                return user

        return await self._database.run(work)

    async def delete_user(self, user_id: int) -> bool:
        """Remove a user with sessions; tokens stay, without an owner. Raises LastAdmin."""

        def work() -> bool:
            with self._database.writing() as db:
                user = db.get(User, user_id)
                if user is None:
                    return False
                db.execute(delete(UserSession).where(col(UserSession.user_id) == user_id))
                db.execute(update(ApiToken).where(col(ApiToken.user_id) == user_id).values(user_id=None))
                db.execute(update(Ticket).where(col(Ticket.user_id) == user_id).values(user_id=None))
                for own in (RoleGrant, ResidentCode):
                    db.execute(delete(own).where(col(own.user_id) == user_id))  # type: ignore[attr-defined]
                db.delete(user)
                db.flush()
                self._keep_an_admin(db)
                return True

        return await self._database.run(work)

    @staticmethod
    def _keep_an_admin(db: Session) -> None:
        admins = select(User.id).where(User.role == Role.admin.value, col(User.disabled).is_(False))
        if db.exec(admins.limit(1)).first() is None:
            raise LastAdmin("One administrator must remain.")

    async def any_user(self) -> bool:
        """Whether anybody can sign in at all."""

        def work() -> bool:
            with self._database.reading() as db:
                return db.exec(select(User.id).limit(1)).first() is not None

        return await self._database.run(work)

    # --------------------------------------------------------------------------------------------------------- audit

    async def audit(
        self, actor: str, address: str, action: str, subject: str, detail: dict[str, Any] | None = None
    ) -> None:
        """Write down who did what; ``subject`` is ``kind/id``."""
        kind, _, key = subject.partition("/")
        record = Audit(
            at_us=self._clock(),
            actor=actor,
            action=action,
            object_kind=kind,
            object_id=key,
            detail=detail or {},
            address=address,
        )
        await self._database.run(self._add, record)

    async def audit_page(
        self, before: int | None, limit: int, q: str = "", actor: str = "", action: str = ""
    ) -> list[Audit]:
        """The audit record, newest first."""

        def work() -> list[Audit]:
            query = select(Audit).order_by(col(Audit.id).desc()).limit(limit)
            if before is not None:
                query = query.where(col(Audit.id) < before)
            if actor:
                query = query.where(Audit.actor == actor)
            if action:
                query = query.where(col(Audit.action).startswith(action, autoescape=True))
            if q:
                query = query.where(_found(q, Audit.actor, Audit.action, Audit.object_kind, Audit.object_id))
            with self._database.reading() as db:
                return list(db.exec(query))

        return await self._database.run(work)

    # --------------------------------------------------------------------------------------------------------- tools

    def _add(self, row: Any) -> None:
        with self._database.writing() as db:
            db.add(row)

    async def _write(self, statement: Any) -> int:
        def work() -> int:
            with self._database.writing() as db:
                return int(db.connection().execute(statement).rowcount)

        return await self._database.run(work)
