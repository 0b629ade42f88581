"""Grants: which people from outside may do what, where, for which resource and which days (FR-14).

A user with the role ``member`` may do nothing by that role. Each of its grants gives operations on a subtree: everything, what
an organisation looks after, an address and all below it, a building, or premises; narrowed to a resource and to days. What is
not granted is refused. The condition that decides is one piece of SQL (:meth:`Scope.sql`): the gate asks with it whether an
object is covered, and lists are filtered by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appserver.models.registry import RESOURCES


class Operation(StrEnum):
    """What a grant permits."""

    meters = "meters"
    """See buildings, premises, points, meters with their papers."""
    read = "read"
    """See readings, volumes and balances."""
    personal = "personal"
    """See accounts and who holds them (152-ФЗ)."""
    report = "report"
    """Make statements and files for billing."""
    enter = "enter"
    """Enter readings."""
    incidents = "incidents"
    """See, acknowledge and comment incidents."""
    registry = "registry"
    """Change premises, seals and installations."""
    verify = "verify"
    """Write down verifications."""
    radio = "radio"
    """See the radio modules of the meters."""
    tickets = "tickets"
    """Answer the tickets of residents, make announcements, give them codes."""
    audit = "audit"
    """Read the record of who saw and did what; it knows no borders, so neither may the grant."""
    cabinet = "cabinet"
    """The resident's own pages."""


O = Operation  # noqa: E741

PARTIES: dict[str, tuple[Operation, ...]] = {
    "management_company": (
        O.meters, O.read, O.personal, O.report, O.enter, O.incidents, O.registry, O.verify, O.radio, O.tickets,
    ),
    "resource_supplier": (O.meters, O.read, O.personal, O.report),
    "homeowners": (O.meters, O.read, O.report, O.incidents, O.tickets),
    "resident": (O.cabinet, O.meters, O.read, O.enter),
    "developer": (O.meters, O.read, O.registry, O.incidents),
    "service": (O.meters, O.read, O.enter, O.incidents, O.registry, O.radio),
    "verifier": (O.meters, O.verify),
    "auditor": (O.meters, O.read, O.personal, O.report, O.incidents, O.audit),
}  # fmt: skip
"""УК, РСО, ТСЖ or совет дома, житель, застройщик, сервисная организация, поверитель, аудитор: the most each may."""


class GrantRefused(ValueError):
    """A grant that makes no sense; the first argument names the field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


@dataclass(frozen=True, slots=True)
class Grant:
    """One row of ``role_grant``."""

    id: int
    party: str
    organisation_id: int | None = None
    building_id: int | None = None
    premises_id: int | None = None
    address: str = ""
    resource: str = ""
    since: date | None = None
    """First day of the data that may be seen; None: all before."""
    until: date | None = None
    """First day that may not be seen any more; None: open."""
    operations: frozenset[Operation] = frozenset()

    def holds(self, operation: Operation | None, first: date, last: date) -> bool:
        """Whether it permits ``operation`` (None: anything) for all days from ``first`` (included) to ``last`` (excluded)."""
        return (
            (operation is None or operation in self.operations)
            and (self.since is None or self.since <= first)
            and (self.until is None or last <= self.until)
        )

    @property
    def everywhere(self) -> bool:
        """Whether it has no borders at all."""
        places = (self.organisation_id, self.building_id, self.premises_id, self.since, self.until)
        return not any(places) and not self.address and not self.resource


def operations_of(party: str, wanted: str) -> frozenset[Operation]:
    """The operations of a grant: ``wanted`` (words; empty is all) as far as the party may. Raises GrantRefused."""
    if party not in PARTIES:
        raise GrantRefused("party", f"must be one of {', '.join(PARTIES)}")
    most = frozenset(PARTIES[party])
    named = frozenset(wanted.split())
    beyond = sorted(named - most)
    if beyond:
        raise GrantRefused("operations", f"{beyond[0]} is nothing that {party} may be given")
    return frozenset(Operation(name) for name in named) or most


def checked_resource(resource: str) -> str:
    """The resource of a grant. Raises GrantRefused."""
    if resource and resource not in RESOURCES:
        raise GrantRefused("resource", f"must be empty or one of {', '.join(RESOURCES)}")
    return resource


@dataclass(frozen=True, slots=True)
class Scope:
    """All grants of a person."""

    grants: tuple[Grant, ...] = ()

    def may(self, operation: Operation) -> bool:
        """Whether any grant has it, wherever."""
        return any(operation in grant.operations for grant in self.grants)

    @property
    def sees_personal(self) -> bool:
        """Whether accounts are shown: every grant says so. Mixed rights hide them."""
        return bool(self.grants) and all(O.personal in grant.operations for grant in self.grants)

    def everywhere(self, operation: Operation) -> bool:
        """Whether a grant without borders has it."""
        return any(grant.everywhere and operation in grant.operations for grant in self.grants)

    def sql(
        self,
        operation: Operation | None,
        building: str,
        premises: str = "NULL",
        resource: str = "''",
        *,
        first: date,
        last: date,
        began_on: str = "",
        ended_on: str = "",
    ) -> str:
        """A condition: a grant with ``operation`` that holds from ``first`` to ``last`` (excluded) covers the row.

        ``building``, ``premises``, ``resource`` are SQL for the row's place; premises NULL is the building as a whole, which
        no grant on premises covers; resource '' is nothing of one resource. ``began_on`` and ``ended_on`` are SQL for the days
        between which the row holds: it must touch the days of the grant. The text has numbers of grants only, no value
        from outside.
        """
        ids = ", ".join(str(grant.id) for grant in self.grants if grant.holds(operation, first, last)) or "0"
        touching = ""
        if ended_on:
            touching += f" AND (g.since IS NULL OR {ended_on} IS NULL OR {ended_on} >= g.since)"
        if began_on:
            touching += f" AND (g.until IS NULL OR {began_on} IS NULL OR {began_on} < g.until)"
        return (
            f"EXISTS (SELECT 1 FROM role_grant g JOIN building gb ON gb.id = {building} WHERE g.id IN ({ids})"
            " AND (g.organisation_id IS NULL OR g.organisation_id = gb.organisation_id)"
            " AND (g.building_id IS NULL OR g.building_id = gb.id)"
            f" AND (g.premises_id IS NULL OR g.premises_id = {premises})"
            " AND (g.address = '' OR g.address = gb.address"
            " OR substr(gb.address, 1, length(g.address) + 1) = g.address || ',')"
            f" AND (g.resource = '' OR {resource} = '' OR g.resource = {resource}){touching})"
        )
