"""Import of a catalogue folder laid out as github.com/TheThingsNetwork/lorawan-devices is: ``vendor/NAME/*-codec.yaml``
with the scripts beside them. The scripts are taken unchanged, their examples become the codecs' samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appserver.codecs.declared import RecordError, read_record
from appserver.codecs.declared.record import MAX_SCRIPT, SCRIPT_FILE
from appserver.codecs.library import Library
from appserver.codecs.yaml_subset import YamlError, read_yaml

MAX_YAML = 1024 * 1024
MAX_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one codec of the catalogue."""

    name: str
    file: str
    state: str
    """``new``, ``changed``, ``unchanged`` or ``refused``."""
    samples: int
    note: str


def import_catalogue(library: Library, folder: Path, dry_run: bool = False) -> Iterator[Imported]:
    """Take the codecs of a folder: the whole catalogue, or one vendor's part of it."""
    for path in sorted(folder.rglob("*.yaml")):
        if path.stat().st_size > MAX_YAML or path.is_symlink():
            continue
        text = path.read_text("utf-8", "replace")
        if re.search(r"^uplinkDecoder:", text, re.M):
            yield _take(library, path, text, folder, dry_run)


def _take(library: Library, path: Path, text: str, folder: Path, dry_run: bool) -> Imported:
    name = codec_name(path)
    file = str(path.relative_to(folder))
    note = ""
    try:
        values = read_yaml(text)
    except YamlError as error:
        # The script can still be taken: its name stands in a line of its own.
        named = re.search(r"^uplinkDecoder:\s*\n(?:\s+#.*\n|\s*\n)*\s+fileName:\s*['\"]?([\w.-]+)", text, re.M)
        if named is None:
            return Imported(name, file, "refused", 0, f"cannot be read: {error}")
        values, note = {"uplinkDecoder": {"fileName": named[1]}}, f"its examples cannot be read ({error})"
    uplink = values.get("uplinkDecoder") if isinstance(values, dict) else None
    script_file = uplink.get("fileName") if isinstance(uplink, dict) else None
    if not isinstance(script_file, str) or not SCRIPT_FILE.fullmatch(Path(script_file).name):
        return Imported(name, file, "refused", 0, "names no script")
    source = path.parent / Path(script_file).name
    if not source.is_file() or source.stat().st_size > MAX_SCRIPT:
        return Imported(name, file, "refused", 0, f"{source.name} is missing or too long")
    script = source.read_text("utf-8", "replace")
    samples = [sample for example in _examples(uplink) if (sample := _sample(example)) is not None]
    encoder = values.get("downlinkEncoder")
    if isinstance(encoder, dict) and encoder.get("fileName") not in (None, script_file):
        note = "; ".join(filter(None, (note, "its downlinks are in another script and are not taken")))
    return _put(library, name, file, script, samples, note, dry_run)


def codec_name(path: Path) -> str:
    """``vendor-codec``: small letters, digits and hyphens."""
    stem = path.stem.removesuffix("-codec").removesuffix("_codec")
    words = f"{path.parent.name}-{stem}" if path.parent.name not in stem else stem
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60] or "codec"


def _examples(uplink: Any) -> list[Any]:
    found = uplink.get("examples")
    return found if isinstance(found, list) else []


def _sample(example: Any) -> str | None:
    """An example as the text of a sample; None when it is no whole one."""
    given, output = (example.get(key) for key in ("input", "output")) if isinstance(example, dict) else (None, None)
    if not isinstance(given, dict) or not isinstance(output, dict):
        return None
    raw, port = given.get("bytes"), given.get("fPort", 1)
    if not isinstance(raw, list) or not raw or not all(isinstance(n, int) and 0 <= n <= 255 for n in raw):
        return None
    if not isinstance(port, int) or not 1 <= port <= 223:
        return None
    lines = ["[[test]]", f"port = {port}", f'hex = "{bytes(raw).hex()}"']
    title = example.get("description")
    if isinstance(title, str) and title:
        lines.insert(1, f"title = {_toml(title[:100])}")
    if output.get("errors"):
        return "\n".join([*lines, "error = true"])
    data = output.get("data")
    if not isinstance(data, dict) or not data:
        return None
    return "\n".join([*lines, f"values = {_toml(data)}"])


def _toml(value: Any) -> str:
    """A JSON value in TOML; null, which TOML does not have, is left out."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value if item is not None) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _put(library: Library, name: str, file: str, script: str, samples: list[str], note: str, dry_run: bool) -> Imported:
    head = (
        f'name = {_toml(name)}\ntitle = {_toml(file)}\nclock = "utc"\nscript = {_toml(name + ".js")}\n\n'
        "# What is a reading: [[measurement]] with path, channel and unit.\n"
    )
    kept = []
    for sample in samples[:MAX_SAMPLES]:
        try:
            library.check("\n\n".join((head, sample)), script)
            kept.append(sample)
        except RecordError as error:
            note = "; ".join(filter(None, (note, f"an example differs: {error.faults[0].text[:200]}")))
    text = "\n\n".join((head.rstrip(), *kept)) + "\n"
    old = library.records.get(name)
    try:
        record = read_record(text, file, script)
        if old is not None and old.digest == record.digest:
            return Imported(name, file, "unchanged", len(kept), note)
        if old is not None and "[[measurement]]" in old.text:
            return Imported(
                name, file, "refused", len(kept), "a codec of this name has measurements of its own; it stays"
            )
        if dry_run:
            library.check(text, script)
        else:
            library.put(text, script)
    except RecordError as error:
        return Imported(name, file, "refused", len(kept), str(error)[:300])
    return Imported(name, file, "changed" if old is not None else "new", len(kept), note)
