"""Photos of meters: what comes in is decoded and drawn anew, so that only its pixels are kept.

A phone writes into its photos where and when they were taken and by what; none of it survives. What is kept is a JPEG of
our own making, whatever was sent, so that no browser is ever given a file of somebody else's.
"""

from __future__ import annotations

import hashlib
import io
from datetime import date

from PIL import Image, ImageOps
from sqlmodel import col, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.models import Photo

MAX_BYTES = 12 * 1024 * 1024
MAX_PIXELS = 60_000_000
MAX_SIDE = 1600
QUALITY = 82
FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PHOTOS = 200
"""Of one meter."""


def drawn_anew(data: bytes) -> tuple[bytes, int, int]:
    """The picture as a plain JPEG of at most 1600 pixels a side, upright; its width and height.

    Raises RegistryError ``invalid`` for anything that is not a photo.
    """
    if len(data) > MAX_BYTES:
        raise RegistryError("invalid", "file", f"The photo is larger than {MAX_BYTES // 1024 // 1024} MiB.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as found:
            if found.width * found.height > MAX_PIXELS:
                raise RegistryError("invalid", "file", "The photo has too many pixels; send a smaller one.")
            if found.format == "JPEG":
                found.draft("RGB", (MAX_SIDE * 2, MAX_SIDE * 2))
            upright = ImageOps.exif_transpose(found).convert("RGB")
    except RegistryError:
        raise
    except Exception as error:  # a decoder may raise anything at all for bytes from outside
        raise RegistryError("invalid", "file", "This is not a photo: send a JPEG, PNG or WebP picture.") from error
    upright.thumbnail((MAX_SIDE, MAX_SIDE))
    clean = Image.new("RGB", upright.size)
    clean.paste(upright)
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue(), clean.width, clean.height


def keep(
    db: Database,
    meter_id: int,
    data: bytes,
    taken_on: date,
    author: str,
    now_us: int,
    remark: str = "",
    reading_at_us: int | None = None,
) -> Photo:
    """Keep a photo of a meter. Raises RegistryError ``invalid``, ``conflict``."""
    jpeg, width, height = drawn_anew(data)
    with db.writing() as session:
        count = len(session.exec(select(Photo.id).where(Photo.meter_id == meter_id)).all())
        if count >= MAX_PHOTOS:
            raise RegistryError("conflict", "file", f"The meter has {MAX_PHOTOS} photos; delete some first.")
        row = Photo(
            meter_id=meter_id,
            taken_on=taken_on,
            reading_at_us=reading_at_us,
            width=width,
            height=height,
            sha256=hashlib.sha256(jpeg).hexdigest(),
            data=jpeg,
            author=author,
            uploaded_at_us=now_us,
            remark=remark,
        )
        session.add(row)
        session.flush()
        return row


_FACTS = (
    Photo.id, Photo.meter_id, Photo.taken_on, Photo.reading_at_us, Photo.width, Photo.height, Photo.sha256, Photo.author,
    Photo.uploaded_at_us, Photo.remark,
)  # fmt: skip
FACTS = tuple(column.key for column in _FACTS)  # type: ignore[attr-defined]


def photos(db: Database, meter_id: int) -> list[dict[str, object]]:
    """The photos of a meter without their pixels, the newest first."""
    query = select(*_FACTS).where(Photo.meter_id == meter_id).order_by(col(Photo.id).desc())  # type: ignore[call-overload]
    with db.reading() as session:
        return [dict(zip(FACTS, row, strict=True)) for row in session.exec(query)]


def pixels(db: Database, photo_id: int) -> bytes:
    """The JPEG. Raises RegistryError ``not_found``."""
    with db.reading() as session:
        found = session.exec(select(Photo.data).where(Photo.id == photo_id)).first()
    if found is None:
        raise RegistryError("not_found", "id", f"There is no photo {photo_id}.")
    return found


def drop(db: Database, photo_id: int) -> int:
    """Delete a photo; of which meter it was. Raises RegistryError ``not_found``, ``conflict`` for one of a reading."""
    with db.writing() as session:
        row = session.get(Photo, photo_id)
        if row is None:
            raise RegistryError("not_found", "id", f"There is no photo {photo_id}.")
        if row.reading_at_us is not None:
            raise RegistryError("conflict", "id", "The photo shows a reading: it stays with it.")
        session.delete(row)
        return row.meter_id
