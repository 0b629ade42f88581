"""``meterwan codec``: a file's samples, one's own codecs, a catalogue, decoding again."""

from __future__ import annotations

import json

from appserver.db import open_database
from tests.support.program import Program

LAYOUT = """\
name = "acme"
clock = "utc"
[[packet]]
fields = [ { name = "volume", type = "u16", scale = "0.1", unit = "m3", channel = 1 } ]
[[test]]
hex = "7b00"
values = { volume = "12.3" }
"""
SCRIPT = "function decodeUplink(i) { return { data: { n: i.bytes[0] } }; }"


def test_a_files_samples_are_run(program: Program) -> None:
    program.folder.mkdir(exist_ok=True)
    file = program.folder / "acme.toml"
    file.write_text(LAYOUT)
    assert program.run("codec", "test", "acme.toml").out.endswith(": 1 samples, all as they must be\n")
    assert '"12.3"' in program.run("codec", "test", "acme.toml", "7b00").out
    file.write_text(LAYOUT.replace('"12.3"', '"12.4"'))
    failed = program.run("codec", "test", "acme.toml")
    assert (failed.code, "test 1: volume is '12.3', must be '12.4'" in failed.err) == (1, True)
    file.write_text(LAYOUT.replace("u16", "u17"))
    assert "acme.toml:4: packet 1, fields 1, type: " in program.run("codec", "test", "acme.toml").err
    assert "cannot be read" in program.run("codec", "test", "nowhere.toml").err


def test_a_catalogue_is_imported_and_its_codecs_are_listed(program: Program) -> None:
    vendor = program.folder / "catalogue" / "vendor" / "acme"
    vendor.mkdir(parents=True)
    (vendor / "valve-codec.yaml").write_text("uplinkDecoder:\n  fileName: valve.js\n")
    (vendor / "valve.js").write_text(SCRIPT)
    tried = program.run("codec", "import", "catalogue", "--dry-run", "--json")
    assert [(row["name"], row["state"]) for row in json.loads(tried.out)] == [("acme-valve", "new")]
    assert program.run("codec", "import", "catalogue").code == 0
    rows = {row["name"]: row for row in json.loads(program.run("codec", "list", "--json").out)}
    assert (rows["acme-valve"]["own"], rows["karat"]["own"]) == (True, False)
    assert '"n": 7' in program.run("codec", "test", "acme-valve", "07").out
    assert program.run("codec", "import", str(vendor.parent / "acme" / "..")).code == 0
    (program.folder / "empty").mkdir()
    assert "has no codec" in program.run("codec", "import", "empty").err


def test_decoding_again_is_tried_first(program: Program) -> None:
    missing = program.run("codec", "redecode", "--dry-run")
    assert (missing.code, "there is no application database" in missing.err) == (1, True)
    data = program.folder / "data"
    open_database(data / "application.db").close()
    tried = program.run("codec", "redecode", "--dry-run", "--json")
    assert json.loads(tried.out)["frames"] == 0
    assert program.run("codec", "redecode", "--codec", "karat").code == 0
