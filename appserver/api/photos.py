"""Photos of meters: those of the passport, and those that residents send with a reading."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, ValidationError

from appserver.api.fields import Day, Input, Name, Output, Page, Time, time_of
from appserver.api.jobs import read_upload
from appserver.api.problems import from_validation, invalid
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.auth.gate import today_of
from appserver.residents import photos

api = Api("Registry")


class Photo(Output):
    """A photo of a meter; ``reading_at`` when it shows a reading."""

    id: int
    meter_id: int
    taken_on: Day
    reading_at: Time | None
    width: int
    height: int
    sha256: str
    author: str
    uploaded_at: Time
    remark: str


class PhotoFields(Input):
    taken_on: Day | None = None
    remark: Annotated[Name, Field(max_length=200)] = ""


def photo_view(facts: dict[str, Any]) -> Photo:
    """The API's form of a photo."""
    plain = {name: facts[name] for name in Photo.model_fields if name in facts}
    moments = {"reading_at": time_of(facts["reading_at_us"]), "uploaded_at": time_of(facts["uploaded_at_us"])}
    return Photo.model_construct(**plain, **moments)


async def photos_of(call: Call, meter_id: int) -> list[dict[str, Any]]:
    """The photos of a meter that the caller may see."""
    db = call.services.database
    found: list[dict[str, Any]] = await db.run(photos.photos, db, meter_id)
    return [one for one in found if await call.sees_photo(one["id"])]


async def add_photo(call: Call, meter_id: int, data: bytes, fields: dict[str, str]) -> dict[str, Any]:
    """Keep a photo for the passport."""
    services, db = call.services, call.services.database
    try:
        given = PhotoFields.model_validate({name: value for name, value in fields.items() if value})
    except ValidationError as error:
        raise from_validation(error, "form") from error
    if not data:
        raise invalid("file", "is missing")
    day = given.taken_on or today_of(services)
    row = await db.run(photos.keep, db, meter_id, data, day, call.who.name, services.clock(), given.remark)
    await call.audit("photo.add", f"meter/{meter_id}", {"photo": row.id})
    return {name: getattr(row, name) for name in photos.FACTS}


@api.add("GET", "/meters/{id}/photos", answers=Page[Photo], summary="List the photos of a meter")
async def list_photos(call: Call, path: IdPath) -> Page[Photo]:
    return Page(items=[photo_view(one) for one in await photos_of(call, path.id)])


@api.add("POST", "/meters/{id}/photos", answers=Photo, status=201, upload=True, summary="Add a photo of a meter")
async def post_photo(call: Call, path: IdPath) -> Photo:
    """``taken_on`` and ``remark`` before ``file``: JPEG, PNG or WebP up to 12 MiB, kept as a JPEG without its EXIF."""
    _, data, fields = await read_upload(call, photos.MAX_BYTES)
    return photo_view(await add_photo(call, path.id, data, fields))


async def photo_file(call: Call, photo_id: int) -> web.Response:
    """The picture, never anything that a browser could run."""
    db = call.services.database
    headers = {"Content-Type": "image/jpeg", "Cache-Control": "no-store", "Content-Disposition": "inline"}
    return web.Response(body=await db.run(photos.pixels, db, photo_id), headers=headers)


@api.add("GET", "/photos/{id}", answers="image/jpeg", summary="Fetch a photo")
async def get_photo(call: Call, path: IdPath) -> web.Response:
    return await photo_file(call, path.id)


@api.add("DELETE", "/photos/{id}", answers=None, status=204, summary="Delete a photo of a passport")
async def delete_photo(call: Call, path: IdPath) -> None:
    db = call.services.database
    meter_id = await db.run(photos.drop, db, path.id)
    await call.audit("photo.delete", f"meter/{meter_id}", {"photo": path.id})
