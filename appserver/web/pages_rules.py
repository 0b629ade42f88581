"""Rules: which version holds from when, by which source; an organisation's own, entered and withdrawn."""

from __future__ import annotations

import itertools
import tomllib
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from appserver import registry
from appserver.api.fields import Day, Id, Input, Name
from appserver.api.problems import Problem, from_registry, invalid
from appserver.api.rules import LongText, RuleKind, Withdrawal, origin_of
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.timebase import date_of
from appserver.models.registry import RESOURCES
from appserver.rules import KINDS, Rule
from appserver.rules.entered import enter_rule, entered_rules, rule_book, withdraw_rule
from appserver.services import SERVICES
from appserver.web.forms import call_of, check, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page
from appserver.web.words import word

NORMS = {"person": ("norm", "per_person"), "m2": ("norm", "per_m2"), "common": ("common_norm", "per_m2")}
"""What a norm is counted by → kind of rule and the name of its value."""


class _Query(Input):
    kind: RuleKind | None = None
    at: Day | None = None
    building_id: Id | None = None


class _Form(Input):
    kind: str = Field(max_length=40)
    name: Name = ""
    organisation_id: Id | None = None
    address: Name = ""
    valid_from: Day
    valid_to: Day | None = None
    source: Annotated[LongText, Field(min_length=1)]
    note: LongText = ""


async def rules(request: web.Request) -> web.Response:
    """All rules with their terms, those that hold now pointed out."""
    return await _rules(request)


async def _rules(
    request: web.Request, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    services, db = request.app[SERVICES], request.app[SERVICES].database
    query = seen_query(request, _Query)
    at = query.at or date_of(services.clock() // 86_400_000_000)
    buildings = await db.run(registry.page, db, "building", limit=1000)
    address = next((b.address for b in buildings.items if b.id == query.building_id), "")
    organisations = await db.run(registry.page, db, "organisation", limit=1000)
    book = await db.run(rule_book, db)
    found = sorted(
        (rule for rule in book.rules if query.kind in (None, rule.kind)),
        key=lambda rule: (list(KINDS).index(rule.kind), rule.name, rule.address, rule.valid_from),
    )
    if query.building_id is not None:
        found = [rule for rule in found if rule.holds(max(rule.valid_from, at), address)]
    groups = [(kind, list(of_kind)) for kind, of_kind in itertools.groupby(found, key=lambda rule: rule.kind)]
    return page(
        request,
        "rules.html",
        status=problem.status if problem else 200,
        groups=groups,
        counting={rule.version for rule in _counting(found, at)},
        origins={rule.version: origin_of(rule) for rule in found},
        says={rule.version: _said(rule) for rule in found},
        kinds=list(KINDS),
        query=query,
        at=at,
        buildings=buildings.items,
        organisations={o.id: o.name for o in organisations.items},
        entered=await db.run(entered_rules, db),
        resources=[(name, word("resource", name)) for name in RESOURCES],
        others=[(kind, word("rule_kind", kind)) for kind in KINDS if kind not in ("norm", "common_norm")],
        problem=problem,
        fields=fields or {"kind": "person", "valid_from": at.replace(day=1).isoformat()},
    )


def _counting(found: list[Rule], at: date) -> list[Rule]:
    """Of the rules that hold on a day for the same thing, the one that counts."""
    best: dict[tuple[Any, ...], Rule] = {}
    for rule in found:
        if rule.valid_from <= at and (rule.valid_to is None or at < rule.valid_to):
            key = (rule.kind, rule.name, rule.address, rule.organisation_id, getattr(rule.values, "resource", ""))
            if key not in best or rule.rank > best[key].rank:
                best[key] = rule
    return list(best.values())


def _said(rule: Rule) -> list[tuple[str, str]]:
    values = rule.values.model_dump(mode="json", exclude_unset=True)
    return [(key, _short(value)) for key, value in values.items()]


def _short(value: Any) -> str:
    if isinstance(value, list):
        rows = [
            ", ".join(map(str, row.values() if isinstance(row, dict) else row))
            if isinstance(row, list | dict)
            else str(row)
            for row in value
        ]
        return "; ".join(rows[:4]) + (f" … ({len(rows)})" if len(rows) > 4 else "")
    return str(value)


async def enter(request: web.Request) -> web.Response:
    """Enter a norm, or any rule by the TOML of its values."""
    call = call_of(request)
    db: Database = call.services.database
    sent = await read_form(request)
    try:
        form = check(_Form, {name: sent.get(name, "") for name in _Form.model_fields})
        if form.kind in NORMS:
            kind, key = NORMS[form.kind]
            values: dict[str, Any] = {
                "resource": sent.get("resource", ""),
                key: sent.get("amount", "").replace(",", ".").replace(" ", ""),
            }
            name = form.name or values["resource"]
        else:
            kind, name, values = form.kind, form.name, _toml(sent.get("values", ""))
        row = await db.run(
            enter_rule,
            db,
            kind,
            values,
            valid_from=form.valid_from,
            valid_to=form.valid_to,
            source=form.source,
            organisation_id=form.organisation_id,
            name=name,
            address=form.address,
            note=form.note,
            author=call.who.name,
            now_us=call.services.clock(),
        )
    except Problem as problem:
        return await _rules(request, problem, sent)
    except RegistryError as error:
        return await _rules(request, from_registry(error), sent)
    detail = {"kind": row.kind, "name": row.name, "valid_from": str(row.valid_from), "source": row.source}
    await call.audit("rule.enter", f"rule/{row.id}", detail)
    raise web.HTTPSeeOther(f"/rules?kind={row.kind}#own")


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise invalid("values", f"is not TOML: {error}", "form") from error


class _Path(Input):
    id: Id


async def withdraw(request: web.Request) -> web.Response:
    """Take an entered rule back."""
    call = call_of(request)
    db: Database = call.services.database
    sent = await read_form(request)
    try:
        rule_id = check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such rule.")) from error
    try:
        body = check(Withdrawal, {"reason": sent.get("reason", "")})
        await db.run(withdraw_rule, db, rule_id, call.who.name, body.reason, call.services.clock())
    except Problem as problem:
        return await _rules(request, problem)
    except RegistryError as error:
        if error.code == "not_found":
            raise
        return await _rules(request, from_registry(error))
    await call.audit("rule.withdraw", f"rule/{rule_id}", {"reason": body.reason})
    raise web.HTTPSeeOther("/rules#own")
