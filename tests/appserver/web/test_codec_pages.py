"""Codecs, catalogues, undecoded frames and device profiles with forms."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from html import unescape

import aiohttp
import pytest

from appserver.web.pages_codecs import EXAMPLE, JAVASCRIPT_EXAMPLE, SCRIPT_EXAMPLE
from tests.support import satka
from tests.support.console import Answer, Console

YAML = """\
uplinkDecoder:
  fileName: acme.js
  examples:
    - description: a litre
      input:
        fPort: 1
        bytes: [10]
      output:
        data:
          volume: 1
"""


async def until_done(console: Console, path: str) -> Answer:
    for _ in range(200):
        answer = await console.ask("GET", path)
        if "every 700ms" not in answer.text:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError("the job does not end")


async def test_a_layout_is_written_with_its_samples_run_live(console: Console) -> None:
    await console.sign_in()
    assert "acme-water" in (await console.ask("GET", "/codecs/new")).text
    form = {"source": EXAMPLE, "script": "", "f_port": "2", "hex": "5f8087ec65d2040000"}
    verdict = (await console.post("/codecs/check", **form)).text
    assert "its 1 sample comes out" in verdict and "<b>1.234</b>" in verdict
    broken = (await console.post("/codecs/check", **form | {"source": EXAMPLE.replace('"1.234"', '"1.235"')})).text
    assert 'id="faults"' in broken and "sample" in broken and "1.235" in broken
    typo = (
        await console.post("/codecs/check", **form | {"source": EXAMPLE.replace('"u32", scale', '"u33", scale')})
    ).text
    assert "Line 10" in typo
    assert "hexadecimal" in (await console.post("/codecs/check", **form | {"hex": "5"})).text
    refused = await console.post("/codecs/new", **form | {"source": "name ="})
    assert refused.status == 422 and "name =" in unescape(refused.text)
    made = await console.post("/codecs/new", **form | {"source": EXAMPLE.replace("\n", "\r\n")})
    assert (made.status, made.headers["Location"]) == (303, "/codecs/acme-water")
    label = re.search(r"acme-water@1-\w+", (await console.ask("GET", "/codecs")).text)
    changed = await console.post("/codecs/acme-water", **form | {"source": EXAMPLE.replace("ACME", "Acme")})
    assert changed.status == 303, changed.text
    after = re.search(r"acme-water@1-\w+", (await console.ask("GET", "/codecs")).text)
    assert label and after and label[0] != after[0], "what readings remember tells the two contents apart"
    assert (await console.post("/codecs/acme-water/delete")).status == 303
    assert "acme-water" not in (await console.ask("GET", "/codecs")).text


async def test_a_makers_script_is_tried_and_kept(console: Console) -> None:
    await console.sign_in()
    form = {"source": SCRIPT_EXAMPLE, "script": JAVASCRIPT_EXAMPLE, "f_port": "1", "hex": "7b"}
    verdict = (await console.post("/codecs/check", **form)).text
    assert "Give it a sample" in verdict and "<b>12.3</b>" in verdict
    endless = (
        await console.post("/codecs/check", **form | {"script": "function decodeUplink(i) { while (true); }"})
    ).text
    assert 'class="notice bad"' in endless and "12.3" not in endless
    assert (await console.post("/codecs/new", **form)).status == 303
    assert "decodeUplink" in (await console.ask("GET", "/codecs/acme-valve")).text


async def test_a_codec_of_the_program_is_tried_on_its_page(console: Console) -> None:
    await console.sign_in()
    page = await console.post("/codecs/cayenne-lpp/test", f_port="1", hex="0367 0110")
    assert page.status == 200 and "27.2" in page.text
    assert (await console.post("/codecs/cayenne-lpp/test", f_port="1", hex="zz")).status == 422
    assert (await console.ask("GET", "/codecs/nobodys")).status == 404
    assert (await console.post("/codecs/cayenne-lpp/delete")).status == 409


def zipped(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return data.getvalue()


async def upload(console: Console, data: bytes) -> Answer:
    form = aiohttp.FormData()
    form.add_field("_csrf", await console.csrf())
    form.add_field("file", data, filename="vendor.zip", content_type="application/zip")
    return await console.ask("POST", "/catalogue", data=form)


async def test_a_catalogue_is_tried_then_taken(console: Console) -> None:
    await console.sign_in()
    data = zipped(
        vendor__acme__water_dot_yaml=YAML,
        vendor__acme__acme_dot_js=JAVASCRIPT_EXAMPLE,
        vendor__acme__readme_dot_md="no",
    )
    sent = await upload(console, data)
    assert sent.status == 303, sent.text
    trial = await until_done(console, sent.headers["Location"])
    assert "acme-water" in trial.text and "new" in trial.text
    assert "acme-water" not in console.services.codecs.records, "a trial takes nothing"
    done = await console.post(sent.headers["Location"] + "/apply")
    assert "Imported." in (await until_done(console, done.headers["Location"])).text
    assert console.services.codecs.records["acme-water"].samples[0].data == b"\x0a"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not a zip", "no ZIP archive"),
        (zipped(readme_dot_md="x"), "no scripts"),
        (zipped(**{"..__a_dot_js": "x"}), "no scripts"),
    ],
)
async def test_what_is_no_catalogue_is_told(console: Console, data: bytes, words: str) -> None:
    await console.sign_in()
    sent = await upload(console, data)
    assert words in (await until_done(console, sent.headers["Location"])).text


async def test_fr_01_undecoded_frames_are_listed_and_decoded_again(console: Console) -> None:
    house = satka.build(console.services.database.path.parent / "other" / "application.db", flats=2, days=32)
    house.db.close()
    db = console.services.database
    await console.sign_in()
    assert "Every frame is decoded" in (await console.ask("GET", "/undecoded")).text
    columns = "event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state, reason"
    with db.transaction() as connection:
        connection.execute(
            f"INSERT INTO uplink ({columns}) VALUES (1, 0, '4b41524154000001', 1, 1, 1, x'03670110', 1793000000000000,"
            " 'cayenne-lpp', 'undecoded', ?)",
            ("there is no codec 'cayenne-lpp'",),
        )
    page = (await console.ask("GET", "/undecoded")).text
    assert "03670110" in page and "there is no codec" in page
    [told] = (await console.api("GET", "/undecoded?codec=cayenne-lpp")).json["items"]
    assert (told["dev_eui"], told["state"]) == ("4b41524154000001", "undecoded")
    trial = await console.post("/undecoded", codec="cayenne-lpp")
    shown = await until_done(console, trial.headers["Location"])
    assert "No statement comes out otherwise" in shown.text and "nothing is changed yet" in shown.text
    assert db.rows("SELECT state FROM uplink") == [("undecoded",)]
    done = await console.post(trial.headers["Location"] + "/apply")
    await until_done(console, done.headers["Location"])
    assert db.rows("SELECT state FROM uplink") == [("decoded",)]


async def test_what_a_trial_of_one_device_has_shown_is_done_to_that_device_only(console: Console) -> None:
    db, devices = console.services.database, ("4b41524154000001", "4b41524154000002")
    await console.sign_in()
    with db.transaction() as connection:
        connection.executemany(
            "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state,"
            " reason) VALUES (1, 0, ?, 1, 1, 1, x'03670110', 1793000000000000, 'cayenne-lpp', 'undecoded', 'no codec')",
            [(dev_eui,) for dev_eui in devices],
        )
    assert f'name="dev_eui" value="{devices[1]}"' in (await console.ask("GET", f"/undecoded?dev_eui={devices[1]}")).text
    trial = await console.post("/undecoded", dev_eui=devices[1])
    assert devices[1] in (await until_done(console, trial.headers["Location"])).text
    done = await console.post(trial.headers["Location"] + "/apply")
    await until_done(console, done.headers["Location"])
    assert db.rows("SELECT state FROM uplink ORDER BY dev_eui") == [("undecoded",), ("decoded",)]
    runs = (await console.api("GET", "/redecodings")).json["items"]
    assert [(run["dry_run"], run["dev_euis"]) for run in runs] == [(False, [devices[1]]), (True, [devices[1]])]


async def test_a_profile_is_copied_changed_and_removed(console: Console) -> None:
    await console.sign_in()
    listed = (await console.ask("GET", "/profiles")).text
    name = re.findall(r'href="/profiles/([\w.-]+)"', listed)
    assert "karat-926lw" in name
    assert 'name="codec"' in (await console.ask("GET", "/profiles/new?like=karat-926lw")).text
    form = {"name": "own", "title": "Свой", "codec": "karat", "mac_version": "1.0.3", "region": "RU864", "class": "A"}
    form |= {"adr": "static", "adr_margin_db": "12,5", "expected_interval_s": "3600", "rx2_dr": "3"}
    assert (await console.post("/profiles/new", **form | {"expected_interval_s": "1"})).status == 422
    made = await console.post("/profiles/new", **form)
    assert made.status == 303, made.text
    again = await console.post("/profiles/new", **form)
    assert again.status == 409
    shown = (await console.api("GET", "/device-profiles/own")).json
    assert (shown["codec"], shown["adr_margin_db"], shown["rx2_dr"], shown["adr"]) == ("karat", 12.5, 3, "static")
    limit = {name: value for name, value in shown.items() if name not in ("name", "built_in")} | {
        "adr_ack_limit_exp": 5
    }
    assert (await console.api("PUT", "/device-profiles/own", json=limit)).status == 200
    changed = await console.post("/profiles/own", **form | {"codec": "cayenne-lpp", "rx2_dr": ""})
    assert changed.status == 303, changed.text
    after = (await console.api("GET", "/device-profiles/own")).json
    assert (after["codec"], after["rx2_dr"]) == ("cayenne-lpp", None)
    assert after["adr_ack_limit_exp"] == 5, "what the form does not have stays"
    assert (await console.post("/profiles/own/delete")).status == 303
    assert (await console.ask("GET", "/profiles/own")).status == 404
