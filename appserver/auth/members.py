"""What members reach: a rule for each address and method, and the one decision over their grants.

An address that has no rule here is closed to members. A rule names the operation, the objects that the request is about, and
where it says for which resource and days; all of them must be covered by grants. A rule without objects is of a list that its
handler narrows with :meth:`appserver.auth.grants.Scope.sql`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appserver.api.problems import Problem
from appserver.auth.grants import Operation as O
from appserver.auth.grants import Scope
from appserver.auth.places import OWN_DAYS, PLACES, covers
from appserver.db import Database
from appserver.models.registry import RESOURCES

ALWAYS = (date.min, date.max)
"""Days of a question that names none: only a grant without dates covers them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs. Values are named ``path.x``, ``query.x``, ``body.x``; a ``?`` after one: when it is given."""

    operation: O | None = None
    places: tuple[str, ...] = ()
    """``path.id premises``: the value is the number of such a thing; ``query.subject_id query.subject``: of which kind
    says another value."""
    resource: str = ""
    """A resource, or ``query.resource cold_water``: the value or what it is when left out; ``*`` is all at once."""
    days: str = ""
    """``query.from query.to`` days or moments, ``query.month``; empty: today."""
    also: tuple[O, ...] = ()
    everywhere: bool = False
    """Needs a grant without borders."""


def _on(operation: O, place: str, **more: Any) -> Rule:
    return Rule(operation, (place,), **more)


_BUILDING, _METER, _HUNG = "path.id building", "path.id meter", "path.id hung"
_SPAN, _RESOURCE = "query.from query.to", "query.resource cold_water"
_ANY_RESOURCE = "query.resource *"

MEMBER_API: dict[str, dict[str, Rule]] = {
    "/me": {"GET": Rule()},
    "/organisations": {"GET": Rule(O.meters)},
    "/organisations/{id}": {"GET": _on(O.meters, "path.id organisation")},
    "/buildings": {"GET": Rule(O.meters)},
    "/buildings/{id}": {"GET": _on(O.meters, _BUILDING)},
    "/buildings/{id}/balance": {"GET": _on(O.read, _BUILDING, resource=_RESOURCE, days=_SPAN)},
    "/buildings/{id}/hours": {"GET": _on(O.read, _BUILDING, resource=_RESOURCE, days=_SPAN)},
    "/buildings/{id}/hours/file": {"GET": _on(O.report, _BUILDING, resource=_RESOURCE, days=_SPAN, also=(O.personal,))},
    "/buildings/{id}/common-needs": {"GET": _on(O.read, _BUILDING, resource=_RESOURCE, days="query.month")},
    "/buildings/{id}/weather-control": {"GET": _on(O.read, _BUILDING, resource="heat", days=_SPAN)},
    "/entrances": {"GET": Rule(O.registry)},
    "/entrances/{id}": {"GET": _on(O.registry, "path.id entrance")},
    "/premises": {"GET": Rule(O.meters)},
    "/premises/{id}": {
        "GET": _on(O.meters, "path.id premises"),
        "PUT": Rule(O.registry, ("path.id premises", "body.building_id? building", "body.entrance_id? entrance"), "*"),
    },
    "/premises/{id}/summary": {"GET": _on(O.read, "path.id premises", days="query.month")},
    "/accounts": {"GET": Rule(O.personal)},
    "/accounts/{id}": {"GET": _on(O.personal, "path.id account")},
    "/points": {"GET": Rule(O.meters)},
    "/points/{id}": {"GET": _on(O.meters, "path.id point")},
    "/points/{id}/tariffs": {"GET": _on(O.read, "path.id point", days=_SPAN)},
    "/points/{id}/replacement": {"POST": _on(O.registry, "path.id point")},
    "/meters": {"GET": Rule(O.meters)},
    "/meters/{id}": {"GET": _on(O.meters, _METER)},
    "/meters/{id}/passport": {"GET": _on(O.meters, _METER)},
    "/installations": {"GET": Rule(O.meters)},
    "/installations/{id}": {"GET": _on(O.meters, "path.id installation")},
    "/installations/{id}/acts": {"PUT": _on(O.registry, "path.id installation")},
    "/meter-seals": {"GET": Rule(O.meters), "POST": _on(O.registry, "body.meter_id hung")},
    "/meter-seals/{id}": {
        "GET": _on(O.meters, "path.id seal"),
        "PUT": Rule(O.registry, ("path.id seal", "body.meter_id? hung")),
    },
    "/verification-records": {"GET": Rule(O.meters), "POST": _on(O.verify, "body.meter_id hung")},
    "/verification-records/{id}": {
        "GET": _on(O.meters, "path.id verification"),
        "PUT": Rule(O.verify, ("path.id verification", "body.meter_id? hung")),
    },
    "/registry-journal": {"GET": _on(O.personal, "query.subject_id query.subject", resource="*", days="always")},
    "/readings": {
        "GET": _on(O.read, "query.point_id point", days=_SPAN),
        "POST": _on(O.enter, "body.meter_id hung"),
    },
    "/readings/last": {"GET": Rule(O.read)},
    "/statements/{name}": {
        "GET": _on(O.report, "query.building_id building", resource=_ANY_RESOURCE, days=_SPAN, also=(O.personal,))
    },
    "/billing/registry": {
        "GET": _on(
            O.report, "query.building_id building", resource=_ANY_RESOURCE, days="query.month", also=(O.personal,)
        )
    },
    "/billing/gis": {"POST": Rule(O.report, also=(O.personal,))},
    "/billing/gis/status": {
        "GET": _on(O.report, "query.building_id building", resource="*", days="query.month"),
        "POST": Rule(O.report),
    },
    "/incidents": {"GET": Rule(O.incidents)},
    "/incidents/counts": {"GET": Rule(O.incidents)},
    "/incidents/{id}": {"GET": _on(O.incidents, "path.id incident")},
    "/incidents/{id}/acknowledgement": {"POST": _on(O.incidents, "path.id incident")},
    "/incidents/{id}/comments": {"POST": _on(O.incidents, "path.id incident")},
    "/devices/{dev_eui}": {"GET": _on(O.radio, "path.dev_eui device")},
    "/audit": {"GET": Rule(O.audit, everywhere=True)},
    "/meters/{id}/photos": {"GET": _on(O.meters, _METER), "POST": _on(O.registry, _HUNG)},
    "/photos/{id}": {"GET": _on(O.meters, "path.id photo", days="always"), "DELETE": _on(O.registry, "path.id photo")},
    "/premises/{id}/codes": {"POST": _on(O.tickets, "path.id premises", resource="*", also=(O.personal,))},
    "/tickets": {"GET": Rule(O.tickets)},
    "/tickets/{id}": {"GET": _on(O.tickets, "path.id ticket")},
    "/tickets/{id}/messages": {"POST": _on(O.tickets, "path.id ticket")},
    "/announcements": {"GET": Rule(O.tickets), "POST": _on(O.tickets, "body.building_id building")},
    "/announcements/{id}": {"DELETE": _on(O.tickets, "path.id announcement")},
    "/cabinet": {"GET": Rule(O.cabinet)},
    "/cabinet/readings": {"POST": Rule(O.cabinet)},
    "/cabinet/tickets": {"GET": Rule(O.cabinet), "POST": Rule(O.cabinet)},
    "/cabinet/tickets/{id}": {"GET": Rule(O.cabinet)},
    "/cabinet/tickets/{id}/messages": {"POST": Rule(O.cabinet)},
}

MEMBER_PAGES: dict[str, dict[str, Rule]] = {
    "/": {"GET": Rule()},
    "/profile": {"GET": Rule(), "POST": Rule()},
    "/profile/password": {"POST": Rule()},
    "/profile/sign-out-everywhere": {"POST": Rule()},
    "/sign-out": {"POST": Rule()},
    "/houses": {"GET": Rule(O.read)},
    "/houses/{id}": {"GET": _on(O.read, _BUILDING)},
    "/houses/{id}/hours": {"GET": _on(O.read, _BUILDING)},
    "/houses/{id}/hours/download": {"GET": _on(O.report, _BUILDING, resource=_ANY_RESOURCE, also=(O.personal,))},
    "/houses/{id}/download": {"GET": _on(O.report, _BUILDING, resource=_ANY_RESOURCE, also=(O.personal,))},
    "/houses/{id}/codes": {
        "GET": _on(O.tickets, _BUILDING, resource="*", also=(O.personal,)),
        "POST": _on(O.tickets, _BUILDING, resource="*", also=(O.personal,)),
    },
    "/houses/{id}/registry": {"GET": _on(O.personal, _BUILDING, resource="*", days="always")},
    "/meters": {"GET": Rule(O.read)},
    "/meters/{id}": {"GET": _on(O.read, _HUNG)},
    "/meters/{id}/readings": {"POST": _on(O.enter, _HUNG)},
    "/meters/{id}/passport": {"GET": _on(O.meters, _METER)},
    "/meters/{id}/passport.pdf": {"GET": _on(O.meters, _METER)},
    "/incidents": {"GET": Rule(O.incidents)},
    "/incidents/{id}/acknowledge": {"POST": _on(O.incidents, "path.id incident")},
    "/incidents/{id}/comment": {"POST": _on(O.incidents, "path.id incident")},
    "/admin/audit": {"GET": Rule(O.audit, everywhere=True)},
    "/meters/{id}/photos": {"POST": _on(O.registry, _HUNG)},
    "/photos/{id}": {"GET": _on(O.meters, "path.id photo", days="always")},
    "/tickets": {"GET": Rule(O.tickets)},
    "/tickets/{id}": {"GET": _on(O.tickets, "path.id ticket"), "POST": _on(O.tickets, "path.id ticket")},
    "/announcements": {"GET": Rule(O.tickets), "POST": Rule(O.tickets)},
    "/cabinet": {"GET": Rule(O.cabinet), "POST": Rule(O.cabinet)},
    "/cabinet/readings": {"POST": Rule(O.cabinet)},
    "/cabinet/tickets": {"GET": Rule(O.cabinet), "POST": Rule(O.cabinet)},
    "/cabinet/tickets/{id}": {"GET": Rule(O.cabinet), "POST": Rule(O.cabinet)},
}


def rule_of(pattern: str, method: str) -> Rule | None:
    """The rule of an address and a method; None: closed to members."""
    table, path = (MEMBER_PAGES, pattern)
    if pattern.startswith("/api/v1/"):
        table, path = MEMBER_API, pattern.removeprefix("/api/v1")
    return table.get(path, {}).get("GET" if method == "HEAD" else method)


def decide(db: Database, scope: Scope, rule: Rule, given: Mapping[str, str], today: date) -> None:
    """Let the request pass, or raise Problem 403. ``given`` are its values by their names in rules."""
    needed = [operation for operation in (rule.operation, *rule.also) if operation is not None]
    for operation in needed:
        if not scope.may(operation):
            raise Problem(403, f"None of your grants permits this: {operation.value}.")
        if rule.everywhere and not scope.everywhere(operation):
            raise Problem(403, "This knows no borders, and your grants have some.")
    for place in rule.places:
        name, kind = place.split(" ")
        optional = name.endswith("?")
        value = given.get(name.rstrip("?"))
        if value is None and optional:
            continue
        if kind.startswith("query."):
            kind = given.get(kind, "")
        if value is None or kind not in PLACES or not _is_key(kind, value):
            raise Problem(403, f"Say of which {name.rstrip('?').partition('.')[2]} you ask; your grants have borders.")
        key = value if kind == "device" else int(value)
        first, last = _days(db, rule, given, today, kind, key)
        resource = _resource(rule, given)
        for operation in needed:
            if not covers(db, scope, operation, kind, key, first, last, resource):
                raise Problem(403, _outside(scope, first, last))


def _outside(scope: Scope, first: date, last: date) -> str:
    if any(grant.since or grant.until or grant.resource for grant in scope.grants):
        return "Your grants do not reach this, or not for this resource and these days; name both."
    return "Your grants do not reach this."


def _is_key(kind: str, value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}" if kind == "device" else r"[1-9]\d{0,17}", value) is not None


def _resource(rule: Rule, given: Mapping[str, str]) -> str:
    name, _, default = rule.resource.partition(" ")
    if not default:
        return rule.resource
    value = given.get(name) or default
    return value if value in RESOURCES else "*"


def _days(
    db: Database, rule: Rule, given: Mapping[str, str], today: date, kind: str, key: int | str
) -> tuple[date, date]:
    """The days that the request is about; ``last`` is excluded. What cannot be read counts as all days."""
    if not rule.days:
        return today, today + timedelta(days=1)
    if rule.days == "always":
        return OWN_DAYS if kind == "photo" else ALWAYS
    texts = [given.get(name, "") for name in rule.days.split(" ")]
    if len(texts) == 1:
        day = _day(texts[0])
        if day is None:
            return ALWAYS
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    first_day, last_day = _day(texts[0]), _day(texts[1])
    if first_day is not None and last_day is not None:
        return first_day, last_day
    since, until = _moment(texts[0]), _moment(texts[1])
    if since is None or until is None:
        return ALWAYS
    zone = _zone(db, kind, key)
    ended = until.astimezone(zone)
    return since.astimezone(zone).date(), ended.date() + timedelta(days=ended.time().isoformat() > "00:00:00")


def _zone(db: Database, kind: str, key: int | str) -> ZoneInfo:
    rows = db.rows(f"SELECT b.timezone FROM ({PLACES[kind]}) x JOIN building b ON b.id = x.building LIMIT 1", (key,))
    return ZoneInfo(rows[0][0] if rows else "UTC")


def _day(text: str) -> date | None:
    return (
        date.fromisoformat(text)
        if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d)|\d{4}-\d\d-3[01]", text)
        else None
    )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def json_values(raw: bytes) -> dict[str, str]:
    """Whole numbers and texts of a JSON object. Raises Problem for one that may be read in two ways."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Problem(400, "The body names a field twice.")
        return dict(pairs)

    try:
        found = json.loads(raw or b"{}", object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The body is not valid JSON.") from error
    if not isinstance(found, dict):
        raise Problem(400, "The body is not a JSON object.")
    return {name: _text(value) for name, value in found.items() if value is not None}


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else "?"


# ------------------------------------------------------------------------------------------------------- personal data

PERSONAL: dict[str, str] = {
    "/api/v1/accounts": "premises query.premises_id",
    "/api/v1/accounts/{id}": "account path.id",
    "/api/v1/premises": "building query.building_id",
    "/api/v1/premises/{id}": "premises path.id",
    "/api/v1/premises/{id}/summary": "premises path.id",
    "/api/v1/readings/last": "building query.building_id",
    "/api/v1/buildings/{id}/balance": "building path.id",
    "/api/v1/statements/{name}": "building query.building_id",
    "/api/v1/billing/registry": "building query.building_id",
    "/api/v1/registry-journal": "registry query.subject_id",
    "/api/v1/exports/{id}/file": "export path.id",
    "/api/v1/users": "user ",
    "/api/v1/users/{id}": "user path.id",
    "/houses/{id}": "building path.id",
    "/houses/{id}/codes": "building path.id",
    "/houses/{id}/download": "building path.id",
    "/houses/{id}/hours/download": "building path.id",
    "/houses/{id}/registry": "building path.id",
    "/meters": "building query.building_id",
    "/meters/{id}": "meter path.id",
    "/admin/users": "user ",
    "/admin/users/{id}": "user path.id",
    "/api/v1/tickets": "ticket ",
    "/api/v1/tickets/{id}": "ticket path.id",
    "/api/v1/photos/{id}": "photo path.id",
    "/api/v1/cabinet": "premises ",
    "/photos/{id}": "photo path.id",
    "/tickets": "ticket ",
    "/tickets/{id}": "ticket path.id",
    "/cabinet": "premises ",
}
"""Addresses whose answers carry personal data (accounts, their holders, a flat's consumption): every look is written down."""
