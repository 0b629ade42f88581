"""Users, API tokens and the audit record."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, StringConstraints

from appserver.api.fields import (
    Id,
    Input,
    Limit,
    Name,
    Output,
    Page,
    PageQuery,
    RequiredName,
    Search,
    Time,
    microseconds_of,
    time_of,
)
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.router import Api, Call
from appserver.auth.passwords import MAX_LENGTH, PasswordRefused, check_strength
from appserver.auth.roles import Role
from appserver.auth.store import LastAdmin, LoginTaken
from appserver.models import ApiToken, Audit, User

api = Api("People")


def _zone(value: str) -> str:
    if value and value not in available_timezones():
        raise ValueError("must be an IANA time zone such as Europe/Moscow")
    if value:
        ZoneInfo(value)
    return value


Login = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[^\s\x00-\x1f\x7f/]{1,100}$")]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
Email = Annotated[str, StringConstraints(max_length=200, pattern=r"^([^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\"]+)?$")]
Password = Annotated[str, StringConstraints(max_length=MAX_LENGTH + 1)]
TokenRole = Literal[Role.viewer, Role.dispatcher, Role.engineer, Role.admin]
"""Grants are people's: a token has none."""
NumberCursor = Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")]


class NumberedQuery(PageQuery):
    """A page of a list in the order of numbers."""

    cursor: NumberCursor = ""


class IdPath(Input):
    id: Id


class UserView(Output):
    """A user, without the password."""

    id: int
    login: str
    name: str
    role: Role
    language: str
    timezone: str
    email: str
    must_change_password: bool
    disabled: bool
    created_at: Time
    signed_in_at: Time | None


class NewUser(Input):
    """A user to add; the password must be changed at the first sign-in."""

    login: Login
    password: Password
    name: Name = ""
    role: Role = Role.viewer
    language: Literal["", "ru", "en"] = ""
    timezone: Zone = ""
    email: Email = ""
    """Where notices for the role go."""


class ChangedUser(Input):
    """Changes; what is left out keeps its value. A new password is a one-time password."""

    login: Login | None = None
    password: Password | None = None
    name: Name | None = None
    role: Role | None = None
    language: Literal["", "ru", "en"] | None = None
    timezone: Zone | None = None
    email: Email | None = None
    disabled: bool | None = None


def user_view(user: User) -> UserView:
    """The API's form of a user."""
    names = [name for name in UserView.model_fields if name in User.model_fields]
    return UserView.model_construct(
        **{name: getattr(user, name) for name in names if name != "role"},
        role=Role(user.role),
        created_at=time_of(user.created_at_us),
        signed_in_at=time_of(user.signed_in_at_us),
    )


async def _hashed(call: Call, password: str, login: str) -> str:
    try:
        check_strength(password, login)
    except PasswordRefused as refusal:
        raise invalid("password", str(refusal)) from refusal
    return await call.services.passwords.hash(password)


async def create_user(call: Call, body: NewUser) -> User:
    """Add a user; 409 when the login is taken."""
    user = User(
        login=body.login,
        name=body.name,
        password_hash=await _hashed(call, body.password, body.login),
        role=body.role.value,
        language=body.language,
        timezone=body.timezone,
        email=body.email,
        must_change_password=True,
        created_at_us=0,
    )
    try:
        user = await call.services.auth.create_user(user)
    except LoginTaken as error:
        raise Problem(409, f"The login {body.login} is taken.") from error
    await call.audit("user.create", f"user/{user.id}", {"login": user.login, "role": user.role})
    return user


async def change_user(call: Call, user_id: int, body: ChangedUser) -> User:
    """Change a user; 404, 409 (login taken, last administrator)."""
    user = await call.services.auth.user(user_id)
    if user is None:
        raise not_found("user", user_id)
    values: dict[str, Any] = {
        name: value for name, value in body.model_dump(exclude={"password"}).items() if value is not None
    }
    if body.password is not None:
        values["password_hash"] = await _hashed(call, body.password, body.login or user.login)
        values["must_change_password"] = user_id != call.who.user_id
    if body.login is not None and body.login != user.login:
        other = await call.services.auth.user_by_login(body.login)
        if other is not None:
            raise Problem(409, f"The login {body.login} is taken.")
    try:
        changed = await call.services.auth.change_user(user_id, **values)
    except LastAdmin as error:
        raise Problem(409, str(error)) from error
    if changed is None:
        raise not_found("user", user_id)
    await call.audit("user.change", f"user/{user_id}", {"fields": sorted(set(body.model_fields_set))})
    return changed


@api.add("GET", "/users", answers=Page[UserView], summary="List users")
async def list_users(call: Call, query: NumberedQuery) -> Page[UserView]:
    users = await call.services.auth.users(int(query.cursor or 0), query.limit + 1, query.q)
    more = len(users) > query.limit
    users = users[: query.limit]
    return Page(items=[user_view(user) for user in users], next_cursor=str(users[-1].id) if more else None)


@api.add("POST", "/users", answers=UserView, status=201, summary="Add a user")
async def post_user(call: Call, body: NewUser) -> UserView:
    return user_view(await create_user(call, body))


@api.add("GET", "/users/{id}", answers=UserView, summary="Show a user")
async def get_user(call: Call, path: IdPath) -> UserView:
    user = await call.services.auth.user(path.id)
    if user is None:
        raise not_found("user", path.id)
    return user_view(user)


@api.add("PUT", "/users/{id}", answers=UserView, summary="Change a user")
async def put_user(call: Call, path: IdPath, body: ChangedUser) -> UserView:
    return user_view(await change_user(call, path.id, body))


@api.add("DELETE", "/users/{id}", answers=None, status=204, summary="Remove a user")
async def delete_user(call: Call, path: IdPath) -> None:
    try:
        removed = await call.services.auth.delete_user(path.id)
    except LastAdmin as error:
        raise Problem(409, str(error)) from error
    if not removed:
        raise not_found("user", path.id)
    await call.audit("user.delete", f"user/{path.id}")


# ------------------------------------------------------------------------------------------------------------ tokens


class TokenView(Output):
    """A token without its secret; ``prefix`` tells tokens apart."""

    id: int
    name: str
    prefix: str
    role: Role
    created_at: Time
    expires_at: Time | None
    used_at: Time | None
    revoked_at: Time | None


class NewToken(Input):
    """A token to make."""

    name: RequiredName
    role: TokenRole = Role.viewer
    expires_at: Time | None = None


class TokenSecret(TokenView):
    """A new token with its secret, shown this once."""

    token: str


def token_view(token: ApiToken) -> TokenView:
    """The API's form of a token."""
    return TokenView.model_construct(**_token_fields(token))


def _token_fields(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "prefix": token.prefix,
        "role": Role(token.role),
        "created_at": time_of(token.created_at_us),
        "expires_at": time_of(token.expires_at_us),
        "used_at": time_of(token.used_at_us),
        "revoked_at": time_of(token.revoked_at_us),
    }


async def create_token(call: Call, body: NewToken, expires: int | None = None) -> tuple[ApiToken, str]:
    """Make a token and write it down in the audit record."""
    if body.expires_at is not None:
        expires = microseconds_of(body.expires_at)
    token, secret = await call.services.auth.create_token(body.name, body.role, expires, call.who.user_id)
    await call.audit("token.create", f"token/{token.id}", {"name": body.name, "role": body.role.value})
    return token, secret


async def revoke_token(call: Call, token_id: int) -> None:
    """Make a token worthless; 404 when there is none."""
    if not await call.services.auth.revoke_token(token_id):
        raise not_found("token", token_id)
    await call.audit("token.revoke", f"token/{token_id}")


@api.add("GET", "/tokens", answers=Page[TokenView], summary="List API tokens")
async def list_tokens(call: Call) -> Page[TokenView]:
    return Page(items=[token_view(token) for token in await call.services.auth.tokens()])


@api.add("POST", "/tokens", answers=TokenSecret, status=201, summary="Make an API token")
async def post_token(call: Call, body: NewToken) -> TokenSecret:
    token, secret = await create_token(call, body)
    return TokenSecret.model_construct(**_token_fields(token), token=secret)


@api.add("DELETE", "/tokens/{id}", answers=None, status=204, summary="Revoke an API token")
async def delete_token(call: Call, path: IdPath) -> None:
    await revoke_token(call, path.id)


# ------------------------------------------------------------------------------------------------------------- audit


class AuditRecord(Output):
    """Who did what, when and from where."""

    id: int
    at: Time
    actor: str
    action: str
    object_kind: str
    object_id: str
    detail: dict[str, Any]
    address: str


class AuditQuery(Input):
    """A page of the audit record, newest first."""

    limit: Limit = 100
    cursor: NumberCursor = ""
    q: Search = ""
    actor: Search = ""
    action: Search = ""


def audit_view(record: Audit) -> AuditRecord:
    """The API's form of an audit record."""
    names = [name for name in AuditRecord.model_fields if name in Audit.model_fields]
    return AuditRecord.model_construct(**{name: getattr(record, name) for name in names}, at=time_of(record.at_us))


@api.add("GET", "/audit", answers=Page[AuditRecord], summary="Who did what, newest first")
async def list_audit(call: Call, query: AuditQuery) -> Page[AuditRecord]:
    before = int(query.cursor) if query.cursor else None
    records = await call.services.auth.audit_page(before, query.limit + 1, query.q, query.actor, query.action)
    more = len(records) > query.limit
    records = records[: query.limit]
    return Page(items=[audit_view(item) for item in records], next_cursor=str(records[-1].id) if more else None)


class Me(Output):
    """Who asks."""

    name: str
    role: Role
    kind: Literal["user", "token"]


@api.add("GET", "/me", answers=Me, summary="Who this token or session belongs to")
async def get_me(call: Call) -> Me:
    return Me(name=call.who.name, role=call.who.role, kind="user" if call.who.user_id else "token")
