"""People, their sessions and tokens, and what they did."""

from typing import Any

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field, SQLModel


class User(SQLModel, table=True):
    """Somebody who signs in."""

    id: int | None = Field(default=None, primary_key=True)
    login: str = Field(index=True, unique=True)
    """Lower case."""
    name: str = ""
    password_hash: str
    """argon2id in PHC form."""
    role: str = "viewer"
    organisation_id: int | None = Field(default=None, foreign_key="organisation.id")
    """Limits what is seen to the buildings of one organisation; None sees all."""
    language: str = ""
    """``ru``, ``en`` or empty for the browser's."""
    timezone: str = ""
    email: str = ""
    """Where notices for the role go; empty: nowhere."""
    must_change_password: bool = False
    disabled: bool = False
    created_at_us: int
    signed_in_at_us: int | None = None


class UserSession(SQLModel, table=True):
    """A signed-in browser. Only the SHA-256 of its secret is kept."""

    __tablename__ = "user_session"

    secret_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True)
    created_at_us: int
    seen_at_us: int
    expires_at_us: int
    csrf_token: str = ""
    address: str = ""
    user_agent: str = ""


class ApiToken(SQLModel, table=True):
    """A program's access. Only the SHA-256 of its secret is kept."""

    __tablename__ = "api_token"

    id: int | None = Field(default=None, primary_key=True)
    name: str
    prefix: str = Field(index=True, unique=True)
    """The part of the token that is shown in lists and found by."""
    secret_hash: str
    role: str
    user_id: int | None = Field(default=None, foreign_key="user.id")
    created_at_us: int
    expires_at_us: int | None = None
    used_at_us: int | None = None
    revoked_at_us: int | None = None


class Audit(SQLModel, table=True):
    """Who did what, when, from where. Append-only: the database refuses UPDATE and DELETE."""

    __table_args__ = (Index("ix_audit_object", "object_kind", "object_id"), Index("ix_audit_at", "at_us"))

    id: int | None = Field(default=None, primary_key=True)
    at_us: int
    actor: str
    """Login of the user, name of the token, or ``system``."""
    action: str
    """Verb and kind, e.g. ``meter.replace``, ``sign_in.failed``."""
    object_kind: str = ""
    object_id: str = ""
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    address: str = ""
