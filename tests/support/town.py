"""A town of two houses of two organisations, and a person of every party with a grant, for tests of who sees what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from appserver import registry
from appserver.auth import grant_store
from appserver.models import User
from tests.support.console import Answer, Console
from tests.support.house import House, make_house

MOVED_ON = date(2026, 10, 3)
"""The flat's people changed on this day."""


@dataclass
class Town:
    """Houses ``near`` (of the first organisation) and ``far`` (of the second); people by party."""

    console: Console
    near: House
    far: House
    hot: int
    """Hot water in flat 1 of the near house: the point."""
    ids: dict[str, int]
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def ask(self, party: str, method: str, path: str, **arguments: Any) -> Answer:
        """A request of a page or of the API by the person of a party."""
        secret, csrf = self.secrets[party]
        self.console.http.cookie_jar.clear()
        headers = {"Cookie": f"meterwan_session={secret}", "X-CSRF-Token": csrf} | arguments.pop("headers", {})
        return await self.console.ask(method, path, headers=headers, **arguments)


GRANTS: dict[str, dict[str, Any]] = {
    "management_company": {"party": "management_company", "organisation": "near"},
    "resource_supplier": {"party": "resource_supplier", "address": "г. Сатка", "resource": "cold_water"},
    "homeowners": {"party": "homeowners", "building": "near"},
    "resident": {"party": "resident", "premises": "flat", "since": MOVED_ON},
    "former": {"party": "resident", "premises": "flat", "until": MOVED_ON},
    "developer": {"party": "developer", "building": "far"},
    "service": {"party": "service", "address": "г. Сатка, ул. Бакальская"},
    "verifier": {"party": "verifier", "building": "near"},
    "auditor": {"party": "auditor"},
}


async def make_town(console: Console) -> Town:
    """The houses, the people, and their sessions."""
    db = console.services.database
    near = make_house(db, "г. Сатка, ул. Бакальская, 12")
    far = make_house(db, "г. Сатка, ул. Солнечная, 3")
    organisation = registry.create(db, "organisation", {"name": "УК «Другая»"})
    registry.update(db, "building", far.building_id, {"organisation_id": organisation.id})
    flats = registry.page(db, "premises", building_id=near.building_id).items
    flat = next(one for one in flats if one.number == "1")
    other = next(one for one in flats if one.number == "2")
    hot = registry.create(
        db, "point", {"building_id": near.building_id, "premises_id": flat.id, "resource": "hot_water"}
    )
    meter = registry.create(db, "meter", {"serial": "hot1", "resource": "hot_water"})
    registry.install(db, hot.id, meter.id, date(2026, 10, 1), 0)
    shelf = registry.create(db, "meter", {"serial": "shelf1", "resource": "cold_water"})
    account = next(one for one in registry.page(db, "account").items if one.premises_id == other.id)
    registry.update(db, "account", account.id, {"holder": "Иванов Иван Иванович"})
    ids = {
        "near": near.building_id,
        "far": far.building_id,
        "flat": flat.id,
        "other_flat": other.id,
        "far_flat": registry.page(db, "premises", building_id=far.building_id).items[0].id,
        "hot": hot.id,
        "hot_meter": meter.id,
        "shelf": shelf.id,
        "account": account.id,
        "organisation": registry.get(db, "building", near.building_id).organisation_id,
        "far_organisation": organisation.id,
    }
    town = Town(console, near, far, hot.id, ids)
    for name, grant in GRANTS.items():
        places = {
            "organisation_id": ids["organisation"] if grant.get("organisation") else None,
            "building_id": ids.get(grant.get("building", "")),
            "premises_id": ids.get(grant.get("premises", "")),
        }
        rest = {key: value for key, value in grant.items() if key not in ("organisation", "building", "premises")}
        user = await console.services.auth.create_user(
            User(login=name, password_hash="-", role="member", created_at_us=0)
        )
        grant_store.give(db, user.id or 0, rest | places, "test", 0)
        await _open(town, name, user)
    admin = await console.services.auth.create_user(
        User(login="chief", password_hash="-", role="admin", created_at_us=0)
    )
    await _open(town, "admin", admin)
    nobody = await console.services.auth.create_user(
        User(login="nobody", password_hash="-", role="member", created_at_us=0)
    )
    await _open(town, "nobody", nobody)
    return town


async def _open(town: Town, name: str, user: User) -> None:
    auth = town.console.services.auth
    secret = await auth.open_session(user, "127.0.0.1", "test")
    who = await auth.by_session(secret)
    assert who is not None
    town.secrets[name] = (secret, who.csrf)
