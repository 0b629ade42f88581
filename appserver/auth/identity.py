"""Who makes a request."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appserver.auth.grants import Scope
from appserver.auth.roles import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in person or a token."""

    name: str
    """Login of the user, ``token:<name>`` of a token; it stands in the audit record."""
    role: Role
    user_id: int | None = None
    token_id: int | None = None
    session_id: str = ""
    """Hash of the session's secret; empty for tokens."""
    csrf: str = ""
    language: str = ""
    timezone: str = ""
    must_change_password: bool = False
    scope: Scope | None = None
    """What a member was granted; None: no borders but the role's."""


_IDENTITY = web.RequestKey("identity", Identity)
NOBODY = Identity(name="", role=Role.viewer)


def set_identity(request: web.Request, identity: Identity) -> None:
    """Remember who makes this request."""
    request[_IDENTITY] = identity


def identity_of(request: web.Request) -> Identity:
    """Who makes this request; NOBODY on addresses open to everybody."""
    found: Identity = request.get(_IDENTITY, NOBODY)
    return found


def signed_in(request: web.Request) -> bool:
    """Whether the request came with a valid session or token."""
    return _IDENTITY in request
