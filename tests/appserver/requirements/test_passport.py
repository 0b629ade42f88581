"""FR-07: the passport as JSON and as the form «Паспорт прибора учёта» in PDF, with photos that say nothing of their camera."""

from __future__ import annotations

import io

import aiohttp
from PIL import Image

from tests.appserver.requirements.test_cabinet import shot
from tests.support.console import Console
from tests.support.house import make_house


async def add_photo(console: Console, meter: int, data: bytes, **fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, text in fields.items():
        form.add_field(name, text)
    form.add_field("file", data, filename="../../etc/passwd.svg", content_type="image/svg+xml")
    return form


async def filled(console: Console) -> int:
    """A meter with something of everything; its number."""
    meter = make_house(console.services.database).meters["1"]
    for path, body in (
        ("/verification-records", {"meter_id": meter, "verified_on": "2026-09-01", "arshin_number": "1-77"}),
        ("/meter-seals", {"meter_id": meter, "number": "П-1", "set_on": "2026-10-01", "set_by": "Петров"}),
    ):
        assert (await console.api("POST", path, json=body)).status == 201
    form = await add_photo(console, meter, shot(), remark="после установки", taken_on="2026-10-02")
    assert (await console.api("POST", f"/meters/{meter}/photos", role="dispatcher", data=form)).status == 201
    return meter


async def test_fr_07_the_passport_as_json_has_all_that_is_written_down(console: Console) -> None:
    meter = await filled(console)
    said = (await console.api("GET", f"/meters/{meter}/passport", role="viewer")).json
    assert (said["facts"]["serial"], said["unit"]) == ("11", "m³")
    assert said["verifications"][0]["arshin_number"] == "1-77" and said["seals"][0]["number"] == "П-1"
    [place] = said["installations"]
    assert (place["premises"], place["installed_on"], place["start_value"]) == ("1", "2026-10-01", "100.000")
    assert [one["remark"] for one in said["photos"]] == ["после установки"]
    assert [float(one["value"]) for one in said["readings"][:2]] == [100.75, 100.6]
    assert (await console.api("GET", "/meters/4711/passport")).status == 404


async def test_fr_07_the_form_as_pdf_in_both_languages(console: Console) -> None:
    meter = await filled(console)
    sizes = set()
    for language in ("ru", "en"):
        answer = await console.api("GET", f"/meters/{meter}/passport?format=pdf&language={language}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.body.startswith(b"%PDF-") and answer.body.rstrip().endswith(b"%%EOF")
        assert b"/DCTDecode" in answer.body, "the photo is in it"
        sizes.add(answer.body)
    assert len(sizes) == 2
    await console.sign_in("eye", role="viewer")
    assert (await console.ask("GET", f"/meters/{meter}/passport.pdf")).body.startswith(b"%PDF-")


async def test_fr_07_a_photo_is_kept_as_a_jpeg_of_our_own_making(console: Console) -> None:
    meter = await filled(console)
    [photo] = (await console.api("GET", f"/meters/{meter}/photos")).json["items"]
    answer = await console.api("GET", f"/photos/{photo['id']}")
    assert answer.headers["Content-Type"] == "image/jpeg" and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"Telltale" not in answer.body
    picture = Image.open(io.BytesIO(answer.body))
    assert picture.size == (photo["width"], photo["height"]) == (800, 1600) and not picture.getexif()
    for data in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", shot()[:500]):
        form = await add_photo(console, meter, data)
        assert (await console.api("POST", f"/meters/{meter}/photos", data=form)).status == 422
    assert (await console.api("POST", f"/meters/{meter}/photos", role="viewer", data=form)).status == 403
    assert (await console.api("DELETE", f"/photos/{photo['id']}")).status == 204
    assert (await console.api("GET", f"/photos/{photo['id']}")).status == 404


async def test_fr_07_a_photo_by_the_page(console: Console) -> None:
    meter = await filled(console)
    await console.sign_in("disp", role="dispatcher")
    form = await add_photo(console, meter, shot((60, 40), "PNG"), _csrf=await console.csrf(), remark="щит")
    answer = await console.ask("POST", f"/meters/{meter}/photos", data=form)
    assert answer.headers["Location"] == f"/meters/{meter}/passport#photos", answer.text
    page = (await console.ask("GET", f"/meters/{meter}/passport")).text
    assert "щит" in page and page.count("<figure>") == 2
    form = await add_photo(console, meter, shot((60, 40)), _csrf="0" * 43)
    assert (await console.ask("POST", f"/meters/{meter}/photos", data=form)).status == 403
