"""Import of a catalogue folder, the folder of one's own codecs, and the YAML that catalogues are written in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CODECS, CodecError, decode, encode
from appserver.codecs.catalogue import import_catalogue
from appserver.codecs.declared import RecordError
from appserver.codecs.library import Library
from appserver.codecs.yaml_subset import YamlError, read_yaml

CODEC = """\
# A codec of a catalogue.
uplinkDecoder:
  fileName: valve.js
  examples:
    - description: "Valve: open # not a comment"
      input:
        fPort: 2
        bytes: [0x01, 2,
                0x03]
      output:
        data: { open: true, 'volume': 5.15, words: [a, "b"], nothing: null }
    - description: its own mistake
      input: { fPort: 2, bytes: [2] }
      output:
        data:
          open: false
          volume: 9
    - description: too short
      input:
        fPort: 2
        bytes: [7]
      output:
        errors: ['too short']
downlinkEncoder:
  fileName: valve.js
"""
SCRIPT = """
function decodeUplink(input) {
  if (input.bytes[0] === 7) return { errors: ["too short"] };
  return { data: { open: input.bytes[0] === 1, volume: (input.bytes[1] || 0) * 256 / 100 + (input.bytes[2] || 0) / 100,
    words: ["a", "b"] } };
}
function encodeDownlink(input) { return { bytes: [input.data.open ? 1 : 0], fPort: 4 }; }
"""
EXPECTED = {"open": True, "volume": 5.15}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path / "codecs")
    made.load()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vendor = tmp_path / "catalogue" / "vendor" / "Acme Inc"
    vendor.mkdir(parents=True)
    (vendor / "valve-codec.yaml").write_text(CODEC)
    (vendor / "valve.js").write_text(SCRIPT)
    (vendor / "valve.yaml").write_text("name: Valve\nsensors:\n  - water\n")
    (vendor / "lost-codec.yaml").write_text("uplinkDecoder:\n  fileName: nowhere.js\n")
    (vendor / "odd-codec.yaml").write_text("uplinkDecoder:\n  fileName: valve.js\n  examples: &anchor [\n")
    (vendor / "away-codec.yaml").write_text("uplinkDecoder:\n  fileName: ../../../../etc/passwd\n")
    return tmp_path / "catalogue"


def test_scripts_are_taken_unchanged_with_the_examples_that_come_out(library: Library, folder: Path) -> None:
    tried = {one.name: one for one in import_catalogue(library, folder, dry_run=True)}
    assert tried["acme-inc-valve"].state == "new"
    assert library.records == {}
    taken = {one.name: one for one in import_catalogue(library, folder)}
    valve = taken["acme-inc-valve"]
    assert (valve.state, valve.samples) == ("new", 2)
    assert "volume is 0.0, must be 9" in valve.note or "open" in valve.note or "must be 9" in valve.note
    assert (library.folder / "acme-inc-valve.js").read_text() == SCRIPT
    assert taken["acme-inc-lost"].state == "refused"
    assert taken["acme-inc-away"].state == "refused"
    assert (taken["acme-inc-odd"].state, taken["acme-inc-odd"].samples) == ("new", 0)
    assert "cannot be read" in taken["acme-inc-odd"].note
    assert decode("acme-inc-valve", 2, b"\x01\x02\x03", 0).values == EXPECTED | {"words": ["a", "b"]}
    assert encode("acme-inc-valve", {"open": True}) == (4, b"\x01")
    with pytest.raises(CodecError, match="too short"):
        decode("acme-inc-valve", 2, b"\x07", 0)
    again = {one.name: one.state for one in import_catalogue(library, folder)}
    assert again["acme-inc-valve"] == "unchanged"


def test_an_import_leaves_measurements_alone(library: Library, folder: Path) -> None:
    list(import_catalogue(library, folder))
    text = library.records["acme-inc-valve"].text
    mine = text + '\n[[measurement]]\npath = "volume"\nchannel = 1\nunit = "m3"\n'
    library.put(mine, SCRIPT)
    assert str(decode("acme-inc-valve", 2, b"\x01\x02\x03", 0).measurements[0].value) == "5.15"
    state = {one.name: one for one in import_catalogue(library, folder)}["acme-inc-valve"]
    assert (state.state, "stays" in state.note) == ("refused", True)
    assert library.records["acme-inc-valve"].text == mine


LAYOUT = 'name = "own"\nclock = "utc"\n[[packet]]\nfields = [ { name = "a", type = "u8" } ]\n'


def test_the_folder_is_read_again_when_it_changes(library: Library) -> None:
    library.folder.mkdir()
    file = library.folder / "own.toml"
    file.write_text(LAYOUT)
    assert library.load_changed()
    assert not library.load_changed()
    first = CODECS["own"].label
    file.write_text(LAYOUT.replace('"a"', '"b"'))
    os.utime(file, ns=(1, 1))
    assert library.load_changed()
    assert CODECS["own"].label != first
    file.write_text("broken")
    assert library.load_changed()
    assert "own" in library.broken and "own" not in CODECS
    file.unlink()
    assert library.load_changed()
    assert library.broken == {}


def test_what_is_put_is_there_after_a_restart_and_nothing_else(library: Library, tmp_path: Path) -> None:
    library.put(LAYOUT)
    with pytest.raises(RecordError):
        library.put(LAYOUT.replace("u8", "u9"))
    assert sorted(path.name for path in library.folder.iterdir()) == ["own.toml"]
    label = CODECS["own"].label
    library.close()
    assert "own" not in CODECS
    second = Library(library.folder)
    second.load()
    try:
        assert CODECS["own"].label == label
    finally:
        second.close()


def test_a_script_belongs_to_one_codec(library: Library) -> None:
    text = 'name = "one"\nclock = "utc"\nscript = "shared.js"\n'
    library.put(text, SCRIPT)
    with pytest.raises(RecordError, match=r"shared\.js belongs to the codec one"):
        library.put(text.replace('"one"', '"two"'), SCRIPT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb:\n  - x\n  - y: 2\n    z: '3'\n", {"a": 1, "b": ["x", {"y": 2, "z": "3"}]}),
        ("a:\n- 1\n- 2\nb: c d\n", {"a": [1, 2], "b": "c d"}),
        ("a: [1, [2, {b: c}], 'd, e']  # f\n", {"a": [1, [2, {"b": "c"}], "d, e"]}),
        ("a: >\n  one\n  two\nb: |\n  x\n  y\n", {"a": "one two", "b": "x\ny"}),
        ("a: 007\nb: 0x1F\nc: 1.5e3\nd: -2\ne: ~\nf: yes\n", {"a": "007", "b": 31, "c": 1500.0, "d": -2, "e": None, "f": "yes"}),
        ("a: long text\n  goes on\nb: http://x#y\n", {"a": "long text goes on", "b": "http://x#y"}),
        ("- - 1\n  - 2\n- 3\n", [[1, 2], 3]),
        ("---\n'a b': \"c\\n\\x41\"\n", {"a b": "c\nA"}),
        ("a:\n  {\n    'b': 1,\n    'c': [1,\n     2],\n  }\nd: 1\n", {"a": {"b": 1, "c": [1, 2]}, "d": 1}),
        ("", None),
    ],
)  # fmt: skip
def test_yaml(text: str, value: Any) -> None:
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    "text", ["a: &x 1", "a: *x", "a: !!int 1", "<<: {a: 1}", "a: [1, 2", 'a: "b', "a: {b: 1} c", "[" * 99]
)
def test_yaml_that_is_not_read(text: str) -> None:
    with pytest.raises(YamlError):
        read_yaml(text)


@given(text=st.text(alphabet="ab01:- \n'\"[]{},#|>&*~", max_size=80))
def test_garbage_yaml_raises_yaml_errors_only(text: str) -> None:
    with contextlib.suppress(YamlError):
        read_yaml(text)
