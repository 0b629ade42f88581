"""Codecs of the user's own through the API: made, changed, removed, refused with the line; trials; decoding again."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from appserver.codecs import CODECS
from tests.support.console import Console

LAYOUT = """\
name = "acme-water"
title = "ACME"
clock = "utc"

[[packet]]
ports = [2]
fields = [
  { name = "battery", type = "u8", role = "battery" },
  { name = "volume", type = "u32", scale = "0.001", unit = "m3", channel = 1 },
]

[[test]]
port = 2
hex = "5fd2040000"
measurements = [ { channel = 1, value = "1.234", unit = "m3" } ]
"""
SCRIPT_FILE = """\
name = "acme-js"
clock = "utc"
script = "acme-js.js"

[[measurement]]
path = "volume"
channel = 1
unit = "m3"
"""
SCRIPT = """
function decodeUplink(input) { return { data: { volume: input.bytes[0] / 10 } }; }
function encodeDownlink(input) { return { bytes: [input.data.valve ? 1 : 0], fPort: 9 }; }
"""


async def test_a_layout_is_made_tried_changed_and_removed(console: Console) -> None:
    made = await console.api("POST", "/codecs", json={"source": LAYOUT})
    assert made.status == 201, made.text
    assert (made.json["kind"], made.json["encodes"], made.json["source"]) == ("layout", False, LAYOUT)
    label = made.json["label"]
    assert label.startswith("acme-water@1-")
    body = {"f_port": 2, "data": base64.b64encode(bytes.fromhex("5fd2040000")).decode()}
    told = (await console.api("POST", "/codecs/acme-water/test", json=body)).json
    assert [(m["value"], m["unit"]) for m in told["measurements"]] == [("1.234", "m3")]
    assert told["battery_pct"] == 95
    assert (await console.api("POST", "/codecs", json={"source": LAYOUT})).status == 409
    changed = await console.api("PUT", "/codecs/acme-water", json={"source": LAYOUT.replace("ACME", "ACME 2")})
    assert changed.status == 200
    assert changed.json["label"] != label
    other = await console.api("PUT", "/codecs/acme-water", json={"source": LAYOUT.replace("acme-water", "other")})
    assert other.status == 422
    file = console.services.codecs.folder / "acme-water.toml"
    assert "ACME 2" in file.read_text()
    assert (await console.api("DELETE", "/codecs/acme-water")).status == 204
    assert not file.exists()
    assert "acme-water" not in CODECS
    assert (await console.api("GET", "/codecs/acme-water")).status == 404


async def test_faults_name_line_key_and_what_to_do(console: Console) -> None:
    answer = await console.api("POST", "/codecs", json={"source": LAYOUT.replace('"u32"', '"u33"')})
    assert answer.status == 422
    assert answer.json["errors"][0]["line"] == "9"
    assert answer.json["errors"][0]["key"] == "packet 1, fields 2, type"
    assert "u8 u16" in answer.json["errors"][0]["message"]
    failing = await console.api("POST", "/codecs", json={"source": LAYOUT.replace('"1.234"', '"1.235"')})
    assert failing.status == 422
    assert "test 1: measurement 1: value is '1.234', must be '1.235'" in failing.text
    taken = await console.api("POST", "/codecs", json={"source": LAYOUT.replace("acme-water", "karat")})
    assert taken.status == 409
    assert (await console.api("PUT", "/codecs/karat", json={"source": LAYOUT})).status == 409
    assert (await console.api("DELETE", "/codecs/karat")).status == 409
    missing = await console.api("POST", "/codecs", json={"source": SCRIPT_FILE})
    assert "names acme-js.js, which is not there" in missing.text
    assert "acme-water" not in CODECS


async def test_a_makers_script_decodes_and_encodes(console: Console) -> None:
    made = await console.api("POST", "/codecs", json={"source": SCRIPT_FILE, "script": SCRIPT})
    assert made.status == 201, made.text
    assert (made.json["kind"], made.json["encodes"], made.json["script"]) == ("script", True, SCRIPT)
    body = {"f_port": 2, "data": base64.b64encode(b"\x7b").decode()}
    told = (await console.api("POST", "/codecs/acme-js/test", json=body)).json
    assert [m["value"] for m in told["measurements"]] == ["12.3"]
    sent = await console.api("POST", "/codecs/acme-js/encode", json={"object": {"valve": True}})
    assert sent.json == {"f_port": 9, "data": "AQ=="}
    encoded = await console.api("POST", "/codecs/karat/encode", json={"object": {"command": "dance"}})
    assert encoded.status == 422
    assert (await console.api("DELETE", "/codecs/acme-js")).status == 204


async def test_files_of_the_folder_that_are_no_codecs_are_listed_with_their_faults(console: Console) -> None:
    folder: Path = console.services.codecs.folder
    folder.mkdir(exist_ok=True)
    (folder / "good-one.toml").write_text(LAYOUT.replace("acme-water", "good-one"))
    (folder / "bad-one.toml").write_text("name = ")
    (folder / "misnamed.toml").write_text(LAYOUT)
    await asyncio.to_thread(console.services.codecs.load)
    listed = {item["name"]: item for item in (await console.api("GET", "/codecs")).json["items"]}
    assert listed["good-one"]["kind"] == "layout"
    assert listed["karat"]["kind"] == "built_in"
    assert listed["bad-one"]["kind"] == "broken"
    assert "bad-one.toml:1: the file: is no TOML" in listed["bad-one"]["error"]
    assert "so the file must be acme-water.toml" in listed["misnamed"]["error"]
    assert (await console.api("DELETE", "/codecs/bad-one")).status == 204
    assert not (folder / "bad-one.toml").exists()


async def test_codecs_are_an_engineers_work(console: Console) -> None:
    assert (await console.api("POST", "/codecs", role="dispatcher", json={"source": LAYOUT})).status == 403
    assert (await console.api("POST", "/redecodings", role="viewer", json={})).status == 403
    assert (await console.api("GET", "/redecodings", role="viewer")).status == 200


async def test_decoding_again_is_a_job_that_can_be_tried_first(console: Console) -> None:
    started = await console.api("POST", "/redecodings", json={"codec": "karat"})
    assert started.status == 202, started.text
    assert started.json["dry_run"] is True
    for _ in range(200):
        job = (await console.api("GET", f"/redecodings/{started.json['id']}")).json
        if job["state"] not in ("queued", "running"):
            break
        await asyncio.sleep(0.01)
    assert job["state"] == "done"
    assert (job["result"]["frames"], job["result"]["statements"]) == (0, [])
    assert (await console.api("POST", "/redecodings", json={"codec": "nothing"})).status == 404
