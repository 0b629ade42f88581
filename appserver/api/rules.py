"""Rules as dated data: which version holds from when, by which source; those that organisations enter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import Day, Id, Input, Name, Output, RequiredName, Time, time_of
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.models import OwnRule
from appserver.rules import KINDS, Rule
from appserver.rules.entered import enter_rule, entered_rules, rule_book, withdraw_rule

api = Api("Rules")

RuleKind = Literal[tuple(KINDS)]  # type: ignore[valid-type]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class RuleView(Output):
    """A rule with its term (``valid_to`` is excluded) and its source; ``version`` is what statements say."""

    kind: str
    name: str
    address: str
    organisation_id: int | None
    valid_from: Day
    valid_to: Day | None
    source: str
    note: str
    version: str
    origin: str
    """``package``, ``folder`` or ``entered``."""
    file: str
    id: int | None
    """Of an entered one."""
    values: dict[str, Any]


class RulesQuery(Input):
    """``at`` with ``address`` leaves what holds on that day for a building with that address."""

    kind: RuleKind | None = None
    at: Day | None = None
    address: Name = ""


class NewRule(Input):
    """A rule of an organisation, or of everybody when there is none; numbers as decimal strings keep their digits."""

    kind: RuleKind
    name: Name = ""
    organisation_id: Id | None = None
    address: Name = ""
    valid_from: Day
    valid_to: Annotated[Day | None, Field(description="Excluded")] = None
    source: Annotated[LongText, Field(min_length=1)]
    note: LongText = ""
    values: dict[str, Any]


class EnteredRule(Output):
    """A rule as it was entered, and when it was withdrawn."""

    id: int
    kind: str
    name: str
    organisation_id: int | None
    valid_from: Day
    valid_to: Day | None
    source: str
    author: str
    recorded_at: Time
    withdrawn_at: Time | None
    withdrawn_by: str
    withdrawn_reason: str


class Withdrawal(Input):
    reason: RequiredName


def origin_of(rule: Rule) -> str:
    """Where a rule is from: ``package``, ``folder`` or ``entered``."""
    return "entered" if rule.entered_id is not None else "folder" if rule.own else "package"


def _view(rule: Rule) -> RuleView:
    same = ("kind", "name", "address", "organisation_id", "valid_from", "valid_to", "source", "note", "version", "file")
    return RuleView.model_construct(
        **{name: getattr(rule, name) for name in same},
        origin=origin_of(rule),
        id=rule.entered_id,
        values=rule.values.model_dump(mode="json", exclude_unset=True),
    )


def _entered(row: OwnRule) -> EnteredRule:
    names = [name for name in EnteredRule.model_fields if hasattr(row, name)]
    return EnteredRule.model_construct(
        **{name: getattr(row, name) for name in names},
        recorded_at=time_of(row.recorded_at_us),
        withdrawn_at=time_of(row.withdrawn_at_us),
    )


@api.add("GET", "/rules", answers=list[RuleView], summary="List rules with their terms, sources and versions")
async def list_rules(call: Call, query: RulesQuery) -> list[RuleView]:
    db = call.services.database
    book = await db.run(rule_book, db)
    found = [rule for rule in book.rules if query.kind in (None, rule.kind)]
    if query.at is not None:
        found = [rule for rule in found if rule.holds(query.at, query.address)]
    return [_view(rule) for rule in sorted(found, key=lambda rule: (rule.kind, rule.name, rule.rank))]


@api.add("GET", "/rules/entered", answers=list[EnteredRule], summary="List everything that was entered, withdrawn too")
async def list_entered(call: Call) -> list[EnteredRule]:
    db = call.services.database
    return [_entered(row) for row in await db.run(entered_rules, db)]


@api.add("POST", "/rules", answers=EnteredRule, status=201, summary="Enter a rule of an organisation")
async def post_rule(call: Call, body: NewRule) -> EnteredRule:
    services = call.services
    row = await services.database.run(
        enter_rule,
        services.database,
        body.kind,
        body.values,
        valid_from=body.valid_from,
        valid_to=body.valid_to,
        source=body.source,
        organisation_id=body.organisation_id,
        name=body.name,
        address=body.address,
        note=body.note,
        author=call.who.name,
        now_us=services.clock(),
    )
    detail = {"kind": row.kind, "name": row.name, "valid_from": str(row.valid_from), "source": row.source}
    await call.audit("rule.enter", f"rule/{row.id}", detail)
    return _entered(row)


@api.add("POST", "/rules/{id}/withdrawal", answers=None, status=204, summary="Withdraw an entered rule")
async def post_withdrawal(call: Call, path: IdPath, body: Withdrawal) -> None:
    services = call.services
    await services.database.run(withdraw_rule, services.database, path.id, call.who.name, body.reason, services.clock())
    await call.audit("rule.withdraw", f"rule/{path.id}", {"reason": body.reason})
