"""The registry: organisations, buildings, premises, metering points, meters — one table of resources, one way to do each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from appserver import registry
from appserver.api.fields import Day, Id, Input, Name, Output, Page, PageQuery, RequiredName, Volume, no_control
from appserver.api.problems import Problem
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.models.registry import UNITS

api = Api("Registry")

OrganisationKind = Literal["management_company", "resource_supplier", "homeowners", "developer", "service", "other"]
BuildingKind = Literal["house", "school", "boiler_house", "heat_point", "office", "other"]
PremisesKind = Literal["flat", "nonresidential", "common"]
Resource = Literal["cold_water", "hot_water", "electricity", "heat", "gas"]
PointRole = Literal["individual", "house", "node"]
MeterState = Literal["ordered", "in_stock", "installed", "commissioned", "failed", "removed", "repair", "written_off"]
BuildingState = Literal["planned", "under_construction", "commissioned", "closed", "demolished"]
Year = Annotated[int, Field(ge=1700, le=2200)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(no_control)]
ShortName = Annotated[str, StringConstraints(max_length=40), AfterValidator(no_control)]


class IdPath(Input):
    id: Id


class Noted(Input):
    """What stands beside a change in the journal."""

    effective_on: Day | None = None
    """Since when it is so; today when left out."""
    document: Name = ""
    remark: Name = ""


NOTE_FIELDS = frozenset(Noted.model_fields)


def note_of(call: Call, body: Any = None) -> registry.Note:
    """The note of a change that this call makes."""
    given = {name: getattr(body, name) for name in NOTE_FIELDS} if isinstance(body, Noted) else {}
    return registry.Note(call.who.name, at_us=call.services.clock(), **given)


def values_of(body: Input) -> dict[str, Any]:
    """The columns that a body sets."""
    aside = NOTE_FIELDS if isinstance(body, Noted) else set()
    return body.model_dump(exclude_unset=True, exclude=set(aside))


# ------------------------------------------------------------------------------------------------------ organisation


class ChangedOrganisation(Noted):
    kind: OrganisationKind = "management_company"
    name: RequiredName = ""
    inn: Annotated[str, StringConstraints(max_length=12)] = ""


class NewOrganisation(ChangedOrganisation):
    name: RequiredName


class Organisation(Output):
    id: int
    kind: str
    name: str
    inn: str


class OrganisationQuery(PageQuery):
    kind: OrganisationKind | None = None


# ---------------------------------------------------------------------------------------------------------- building


class ChangedBuilding(Noted):
    organisation_id: Id = 0
    address: Address = ""
    fias_guid: Annotated[str, StringConstraints(max_length=36)] = ""
    timezone: Annotated[str, StringConstraints(max_length=64)] = "Europe/Moscow"
    kind: BuildingKind = "house"
    state: BuildingState = "commissioned"
    built_year: Year | None = None
    floors: int | None = Field(None, ge=1, le=300)


class NewBuilding(ChangedBuilding):
    organisation_id: Id
    address: Address


class Building(Output):
    id: int
    organisation_id: int
    address: str
    fias_guid: str
    timezone: str
    kind: str
    state: str
    built_year: int | None
    floors: int | None


class BuildingQuery(PageQuery):
    organisation_id: Id | None = None
    kind: BuildingKind | None = None


# ---------------------------------------------------------------------------------------------------------- premises


class ChangedPremises(Noted):
    building_id: Id = 0
    number: ShortName = ""
    kind: PremisesKind = "flat"
    account_number: ShortName = ""
    area_m2: Volume | None = None
    residents: int | None = Field(None, ge=0, le=10_000)
    entrance_id: Id | None = None
    floor: int | None = Field(None, ge=-10, le=300)


class NewPremises(ChangedPremises):
    building_id: Id
    number: Annotated[ShortName, StringConstraints(min_length=1)]


class Premises(Output):
    id: int
    building_id: int
    number: str
    kind: str
    account_number: str
    area_m2: Volume | None
    residents: int | None
    entrance_id: int | None
    floor: int | None


class PremisesQuery(PageQuery):
    building_id: Id | None = None
    entrance_id: Id | None = None
    kind: PremisesKind | None = None
    account_number: ShortName | None = None


# ------------------------------------------------------------------------------------------------------------- point


class ChangedPoint(Noted):
    building_id: Id = 0
    premises_id: Id | None = None
    resource: Resource = "cold_water"
    role: PointRole = "individual"
    direction: Literal["in", "out"] = "in"
    name: Name = ""


class NewPoint(ChangedPoint):
    building_id: Id
    resource: Resource


class Point(Output):
    id: int
    building_id: int
    premises_id: int | None
    resource: str
    role: str
    direction: str
    name: str


class PointQuery(PageQuery):
    building_id: Id | None = None
    premises_id: Id | None = None
    resource: Resource | None = None
    role: PointRole | None = None


# ------------------------------------------------------------------------------------------------------------- meter


class ChangedMeter(Noted):
    serial: Annotated[str, StringConstraints(max_length=60), AfterValidator(no_control)] = ""
    manufacturer: Name = ""
    model: Name = ""
    resource: Resource = "cold_water"
    digits: int = Field(5, ge=1, le=12)
    qmax: Volume | None = None
    verified_on: Day | None = None
    verification_until: Day | None = None
    qstart: Volume | None = None
    """Flow below which the meter stands still, units an hour."""
    state: MeterState = "in_stock"
    type_number: ShortName = ""
    """Number of the approved type in the federal information fund (ФИФ, Госреестр)."""
    made_year: Year | None = None
    q3: Volume | None = None
    """Permanent flow, units an hour."""
    dn_mm: int | None = Field(None, ge=1, le=10_000)
    accuracy: ShortName = ""
    verification_months: int | None = Field(None, ge=1, le=600)
    """Interval between verifications (МПИ)."""
    pulse_weight: Volume | None = None
    firmware: ShortName = ""


class NewMeter(ChangedMeter):
    serial: Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(no_control)]
    resource: Resource


class Meter(Output):
    id: int
    serial: str
    manufacturer: str
    model: str
    resource: str
    unit: str
    digits: int
    qmax: Volume | None
    verified_on: Day | None
    verification_until: Day | None
    qstart: Volume | None
    state: str
    type_number: str
    made_year: int | None
    q3: Volume | None
    dn_mm: int | None
    accuracy: str
    verification_months: int | None
    pulse_weight: Volume | None
    firmware: str


class MeterQuery(PageQuery):
    state: MeterState | None = None
    resource: Resource | None = None
    serial: Name | None = None
    model: Name | None = None


# ------------------------------------------------------------------------------------------------------- operations

OutT = TypeVar("OutT", bound=BaseModel)


@dataclass(frozen=True)
class Shelf(Generic[OutT]):
    """One resource: its address, its kind in the registry, its models."""

    path: str
    kind: str
    out: type[OutT]
    new: type[Input]
    changed: type[Input]
    query: type[PageQuery]
    noun: str = ""
    """What its operations are called by in the description, where that is not the kind."""

    def view(self, row: Any) -> OutT:
        """The API's form of a row."""
        values = {name: getattr(row, name) for name in self.out.model_fields if hasattr(row, name)}
        if "unit" in self.out.model_fields:
            values["unit"] = UNITS[row.resource]
        return self.out.model_construct(**values)


RESOURCES: tuple[Shelf[Any], ...] = (
    Shelf("organisations", "organisation", Organisation, NewOrganisation, ChangedOrganisation, OrganisationQuery),
    Shelf("buildings", "building", Building, NewBuilding, ChangedBuilding, BuildingQuery),
    Shelf("premises", "premises", Premises, NewPremises, ChangedPremises, PremisesQuery),
    Shelf("points", "point", Point, NewPoint, ChangedPoint, PointQuery),
    Shelf("meters", "meter", Meter, NewMeter, ChangedMeter, MeterQuery),
)


_LISTED = {"entrance": Operation.registry, "account": Operation.personal}
"""What a member needs for a list, where it is not ``meters``: doors have codes, accounts have holders."""


def enter(api: Api, resource: Shelf[Any]) -> None:
    """Enter the five operations of a resource."""
    kind, path = resource.kind, f"/{resource.path}"

    async def listing(call: Call, query: Any) -> Any:
        db = call.services.database
        only = call.only(_LISTED.get(kind, Operation.meters), kind)
        page = await db.run(
            registry.page,
            db,
            kind,
            only=only,
            hidden=() if call.personal else ("account_number",),
            **query.model_dump(),
        )
        return Page(items=[resource.view(row) for row in page.items], next_cursor=page.next_cursor)

    async def post(call: Call, body: Any) -> Any:
        db = call.services.database
        row = await db.run(registry.create, db, kind, values_of(body), note_of(call, body))
        await call.audit(f"{kind}.create", f"{kind}/{row.id}")
        return resource.view(row)

    async def show(call: Call, path: IdPath) -> Any:
        db = call.services.database
        return resource.view(await db.run(registry.get, db, kind, path.id))

    async def put(call: Call, path: IdPath, body: Any) -> Any:
        db = call.services.database
        changes = values_of(body)
        if "account_number" in changes and not call.personal:
            raise Problem(403, "Your grants do not reach accounts.")
        row = await db.run(registry.update, db, kind, path.id, changes, note_of(call, body))
        await call.audit(f"{kind}.change", f"{kind}/{path.id}", {"fields": sorted(changes)})
        return resource.view(row)

    async def remove(call: Call, path: IdPath) -> None:
        db = call.services.database
        await db.run(registry.delete, db, kind, path.id, note_of(call))
        await call.audit(f"{kind}.delete", f"{kind}/{path.id}")

    out, many = resource.out, Page[resource.out]  # type: ignore[name-defined]
    rows: tuple[tuple[str, str, Callable[..., Awaitable[Any]], dict[str, Any], Any, int, str], ...] = (
        ("GET", path, listing, {"query": resource.query}, many, 200, f"List {resource.path}"),
        ("POST", path, post, {"body": resource.new}, out, 201, f"Add to {resource.path}"),
        ("GET", path + "/{id}", show, {"path": IdPath}, out, 200, f"Show one of {resource.path}"),
        (
            "PUT",
            path + "/{id}",
            put,
            {"path": IdPath, "body": resource.changed},
            out,
            200,
            f"Change one of {resource.path}",
        ),
        ("DELETE", path + "/{id}", remove, {"path": IdPath}, None, 204, f"Remove one of {resource.path}"),
    )
    for method, address, handler, takes, answers, status, summary in rows:
        handler.__annotations__ = {"call": Call, **takes}
        handler.__name__ = f"{handler.__name__}_{resource.noun or kind}"
        api.add(method, address, answers=answers, status=status, summary=summary)(handler)


for _resource in RESOURCES:
    enter(api, _resource)
