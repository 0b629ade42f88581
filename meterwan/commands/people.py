"""``meterwan user`` and ``meterwan token``: who may come in."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from meterwan.commands.common import Config, Json, Set, group, moment, print_rows, say, settings
from meterwan.errors import Failure

user = group("Users of the console: add, list, passwd, disable.")
token = group("API tokens: create, list, revoke.")

Login = Annotated[str, typer.Argument(metavar="LOGIN")]
RoleName = Annotated[str, typer.Option("--role", help="viewer, dispatcher, engineer or admin.")]
OneTime = Annotated[bool, typer.Option("--one-time", help="Make and print a password that must be changed at sign-in.")]
ACTOR = "command line"


def _role(name: str) -> Any:
    from appserver.auth.roles import Role

    try:
        return Role(name)
    except ValueError:
        raise Failure(f"there is no role {name}; there are {', '.join(Role)}") from None


def _new_password(login: str, one_time: bool) -> tuple[str, bool]:
    """A password (typed twice, one line of a pipe, or made) and whether it must be changed."""
    from appserver.auth.passwords import PasswordRefused, check_strength, one_time_password

    if one_time:
        return one_time_password(), True
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    try:
        check_strength(password, login)
    except PasswordRefused as refusal:
        raise Failure(str(refusal)) from None
    return password, False


@user.command("add")
def user_add(
    login: Login,
    role: RoleName = "viewer",
    name: Annotated[str, typer.Option(help="Full name.")] = "",
    one_time: OneTime = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Add a user; the password is asked for, or read from a pipe."""
    from appserver.auth.store import AuthStore, LoginTaken
    from appserver.models import User
    from meterwan.application import hashed, with_auth

    loaded = settings(config, set_)
    rights = _role(role)
    password, must_change = _new_password(login, one_time)
    stored = hashed(password, loaded.settings.for_application().password_memory_kib)

    async def work(auth: AuthStore) -> None:
        person = User(
            login=login,
            name=name,
            role=rights.value,
            password_hash=stored,
            must_change_password=must_change,
            created_at_us=0,
        )
        try:
            await auth.create_user(person)
        except LoginTaken:
            raise Failure(f"there is a user {login} already") from None
        await auth.audit(ACTOR, "", "user.create", f"user/{login}", {"role": rights.value})

    with_auth(loaded, work)
    say(f"user {login}: added as {rights.value}")
    if must_change:
        say(f"one-time password: {password}")


@user.command("list")
def user_list(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the users."""
    from meterwan.application import with_auth

    people = with_auth(settings(config, set_), lambda auth: auth.users())
    rows = [
        {
            "login": person.login,
            "name": person.name,
            "role": person.role,
            "disabled": person.disabled,
            "signed_in_at": moment(person.signed_in_at_us) if person.signed_in_at_us else None,
        }
        for person in people
    ]
    print_rows(rows, ("login", "name", "role", "disabled", "signed_in_at"), json)


def _change(config: Any, overrides: Any, login: str, action: str, **values: Any) -> None:
    from appserver.auth.store import AuthStore, LastAdmin
    from meterwan.application import with_auth

    async def work(auth: AuthStore) -> None:
        person = await auth.user_by_login(login)
        if person is None or person.id is None:
            raise Failure(f"there is no user {login}")
        try:
            await auth.change_user(person.id, **values)
        except LastAdmin:
            raise Failure(f"{login} is the last administrator; make another one first") from None
        await auth.audit(ACTOR, "", action, f"user/{login}", {})

    with_auth(settings(config, overrides), work)


@user.command("passwd")
def user_passwd(login: Login, one_time: OneTime = False, config: Config = None, set_: Set = None) -> None:
    """Set a user's password and sign the user out everywhere."""
    from meterwan.application import hashed

    loaded = settings(config, set_)
    password, must_change = _new_password(login, one_time)
    stored = hashed(password, loaded.settings.for_application().password_memory_kib)
    _change(config, set_, login, "user.password", password_hash=stored, must_change_password=must_change)
    say(f"user {login}: password set")
    if must_change:
        say(f"one-time password: {password}")


@user.command("disable")
def user_disable(
    login: Login,
    enable: Annotated[bool, typer.Option("--undo", help="Let the user in again.")] = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Keep a user out and end the sessions."""
    _change(config, set_, login, "user.enable" if enable else "user.disable", disabled=not enable)
    say(f"user {login}: {'enabled' if enable else 'disabled'}")


@token.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="What the token is for.")] = "token",
    role: RoleName = "viewer",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends; without it, it does not end.")] = None,
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Make an API token and print it, once."""
    from appserver.auth.store import AuthStore
    from meterwan.application import with_auth

    rights = _role(role)
    expires = None if days is None else int((datetime.now(UTC) + timedelta(days=days)).timestamp() * 1e6)

    async def work(auth: AuthStore) -> tuple[Any, str]:
        made, secret = await auth.create_token(name, rights, expires, None)
        await auth.audit(ACTOR, "", "token.create", f"token/{made.id}", {"role": rights.value})
        return made, secret

    made, secret = with_auth(settings(config, set_), work)
    if json:
        from meterwan.commands.common import print_json

        print_json({"id": made.id, "name": made.name, "role": made.role, "token": secret})
    else:
        say(secret)


@token.command("list")
def token_list(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the tokens, without their secrets."""
    from meterwan.application import with_auth

    found = with_auth(settings(config, set_), lambda auth: auth.tokens())
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "prefix": one.prefix,
            "role": one.role,
            "created_at": moment(one.created_at_us),
            "expires_at": moment(one.expires_at_us) if one.expires_at_us else None,
            "used_at": moment(one.used_at_us) if one.used_at_us else None,
            "revoked": one.revoked_at_us is not None,
        }
        for one in found
    ]
    print_rows(rows, ("id", "name", "prefix", "role", "created_at", "expires_at", "used_at", "revoked"), json)


@token.command("revoke")
def token_revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="Number of the token in the list.")],
    config: Config = None,
    set_: Set = None,
) -> None:
    """Make a token worthless."""
    from appserver.auth.store import AuthStore
    from meterwan.application import with_auth

    async def work(auth: AuthStore) -> None:
        if not await auth.revoke_token(number):
            raise Failure(f"there is no token {number}; `meterwan token list` shows them")
        await auth.audit(ACTOR, "", "token.revoke", f"token/{number}", {})

    with_auth(settings(config, set_), work)
    say(f"token {number}: revoked")
