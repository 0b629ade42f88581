"""The state address register: what is loaded, search, objects behind GUIDs, binding of buildings, loading as a job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import Id, Input, Output, Page, Search, Time, time_of
from appserver.api.jobs import JobPath, find_job, head
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.registry import IdPath, note_of
from appserver.api.router import Api, Call
from appserver.gar import GarError, Options, Source, binding, load
from appserver.gar.register import FILE, Address, open_register
from appserver.jobs import Job, JobFailed, Progress

api = Api("Address register")

FOLDER = "gar"
"""Folder of the data folder where archives for loading are put."""
Guid = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
RegionCode = Annotated[str, StringConstraints(pattern=r"^\d\d$")]


class GarRegion(Output):
    """A region that is loaded; ``stamp`` is the day of its extract."""

    code: str
    name: str
    stamp: str
    hierarchy: str
    imported_at: Time
    places: int
    houses: int
    apartments: int
    old_guids: int


class GarState(Output):
    """What is loaded, and the archives that lie in the folder ``gar`` of the data folder."""

    regions: list[GarRegion]
    archives: list[str]


class GarObject(Output):
    """An object of the register. ``was``: the old GUID that was asked for; ``how`` tells why it leads here."""

    id: int
    guid: str
    level: int
    address: str
    parent: int | None
    active: bool
    postcode: str
    oktmo: str
    cadastral: str
    was: str
    how: str


class GarSearch(Input):
    """Words of an address, or a GUID."""

    q: Search
    limit: Annotated[int, Field(ge=1, le=200)] = 20


class GarParent(Input):
    """Below which object; regions when left out."""

    parent: Id | None = None


class GuidPath(Input):
    guid: Guid


class NewBinding(Input):
    """A GUID of ГАР or an old one of ФИАС."""

    guid: Guid


class BuildingBinding(Output):
    """How a building stands to the register."""

    building_id: int
    address: str
    guid: str
    state: Literal["bound", "old", "closed", "unknown", "found", "unbound"]
    found: GarObject | None


def object_view(found: Address) -> GarObject:
    """The API's form of an object."""
    return GarObject.model_construct(**{name: getattr(found, name) for name in GarObject.model_fields})


def archives(data_dir: Path) -> list[str]:
    """Archives and folders that may be loaded."""
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() or p.suffix.lower() == ".zip")


@api.add("GET", "/gar", answers=GarState, summary="Regions of the address register that are loaded")
async def get_gar(call: Call) -> GarState:
    db, folder = call.services.database, call.services.settings.data_dir

    def read() -> GarState:
        with open_register(folder) as register:
            names = [name for name in GarRegion.model_fields if name != "imported_at"]
            regions = [
                GarRegion.model_construct(
                    **{name: getattr(region, name) for name in names}, imported_at=time_of(region.imported_at_us)
                )
                for region in register.regions()
            ]
        return GarState(regions=regions, archives=archives(folder))

    return await db.run(read)


@api.add("GET", "/gar/search", answers=Page[GarObject], summary="Find an address by its words")
async def search_gar(call: Call, query: GarSearch) -> Page[GarObject]:
    def read() -> list[Address]:
        with open_register(call.services.settings.data_dir) as register:
            return register.search(query.q, query.limit)

    return Page(items=[object_view(found) for found in await call.services.database.run(read)])


@api.add("GET", "/gar/objects", answers=Page[GarObject], summary="What lies directly below an object")
async def list_gar(call: Call, query: GarParent) -> Page[GarObject]:
    def read() -> list[Address]:
        with open_register(call.services.settings.data_dir) as register:
            return register.children(query.parent)

    return Page(items=[object_view(found) for found in await call.services.database.run(read)])


@api.add("GET", "/gar/objects/{guid}", answers=GarObject, summary="The valid object of a GUID, old ones too")
async def get_gar_object(call: Call, path: GuidPath) -> GarObject:
    def read() -> Address | None:
        with open_register(call.services.settings.data_dir) as register:
            return register.find(path.guid)

    found = await call.services.database.run(read)
    if found is None:
        raise not_found("object of the loaded register", path.guid)
    return object_view(found)


# ------------------------------------------------------------------------------------------------------------ binding


def binding_view(one: binding.Binding) -> BuildingBinding:
    """The API's form of a binding."""
    return BuildingBinding.model_construct(
        building_id=one.building_id,
        address=one.address,
        guid=one.guid,
        state=one.state,
        found=None if one.found is None else object_view(one.found),
    )


async def compare(call: Call) -> list[binding.Binding]:
    """All buildings against the register."""
    db = call.services.database

    def read() -> list[binding.Binding]:
        with open_register(call.services.settings.data_dir) as register:
            return binding.compare(db, register)

    return await db.run(read)


@api.add("GET", "/gar/bindings", answers=Page[BuildingBinding], summary="Buildings against the register")
async def list_bindings(call: Call) -> Page[BuildingBinding]:
    return Page(items=[binding_view(one) for one in await compare(call)])


@api.add("POST", "/gar/bindings", answers=Page[BuildingBinding], summary="Bind what is certain")
async def post_bindings(call: Call) -> Page[BuildingBinding]:
    db = call.services.database
    done = await db.run(binding.bind_all, db, call.services.settings.data_dir, note_of(call))
    await call.audit("gar.bind", "building", {"buildings": len(done)})
    return Page(items=[binding_view(one) for one in done])


@api.add("PUT", "/buildings/{id}/gar", answers=GarObject, summary="Bind a building to an object of the register")
async def put_binding(call: Call, path: IdPath, body: NewBinding) -> GarObject:
    db = call.services.database
    found = await db.run(binding.bind, db, call.services.settings.data_dir, path.id, body.guid, note_of(call))
    await call.audit("gar.bind", f"building/{path.id}", {"guid": found.guid})
    return object_view(found)


# ------------------------------------------------------------------------------------------------------------ loading


class NewGarImport(Input):
    """Load regions out of an archive or folder that lies in the folder ``gar`` of the data folder."""

    archive: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    regions: Annotated[list[RegionCode], Field(min_length=1, max_length=99)]
    hierarchy: Literal["adm", "mun"] = "adm"
    apartments: bool = False
    history: bool = False


class GarImport(Output):
    """An import and how far it is; ``done`` of ``total`` is in parts of a thousand."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    archive: str
    regions: list[str]


def import_view(job: Job) -> GarImport:
    """The API's form of an import."""
    return GarImport(**head(job), archive=job.parameters["archive"], regions=job.parameters["regions"])


def start_import(call: Call, body: NewGarImport) -> Job:
    """Begin to load. Raises Problem when there is no such archive."""
    folder = call.services.settings.data_dir
    if body.archive not in archives(folder):
        raise invalid("archive", f"is not in {folder / FOLDER}")
    if any(job.running for job in call.services.jobs.of_kind("gar")):
        raise Problem(409, "Another import of the address register is running; wait for its end.")
    job = call.services.jobs.add("gar", call.who.name, {"archive": body.archive, "regions": body.regions})
    call.services.jobs.start(job, lambda progress: _load(call, body, progress))
    return job


async def _load(call: Call, body: NewGarImport, progress: Progress) -> None:
    folder = call.services.settings.data_dir
    options = Options(body.hierarchy, body.apartments, body.history)
    loop = asyncio.get_running_loop()

    def work() -> None:
        with Source(folder / FOLDER / body.archive) as source:
            whole = max(1, sum(file.size for file in source.files if file.region in body.regions))
            read: dict[str, int] = {}

            def told(name: str, done: int, _: int) -> None:
                read[name] = done
                loop.call_soon_threadsafe(progress, min(999, sum(read.values()) * 1000 // whole), 1000)

            for region in body.regions:
                load(folder / FILE, source, region, call.services.clock(), options, told)

    try:
        await call.services.database.run(work)
    except GarError as error:
        raise JobFailed(str(error)) from error
    await call.audit("gar.import", "gar", {"archive": body.archive, "regions": body.regions})


@api.add("GET", "/gar/imports", answers=Page[GarImport], summary="List imports of the address register")
async def list_gar_imports(call: Call) -> Page[GarImport]:
    return Page(items=[import_view(job) for job in call.services.jobs.of_kind("gar")])


@api.add("POST", "/gar/imports", answers=GarImport, status=202, summary="Load regions of the address register")
async def post_gar_import(call: Call, body: NewGarImport) -> GarImport:
    return import_view(start_import(call, body))


@api.add("GET", "/gar/imports/{id}", answers=GarImport, summary="Show an import of the address register")
async def get_gar_import(call: Call, path: JobPath) -> GarImport:
    return import_view(find_job(call, path.id, "gar"))
