"""A codec's file: a head that all have, then a layout or a script with its mapping, then its own samples."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from typing import Any, Protocol

from appserver.codecs.base import Codec, Decoded
from appserver.codecs.declared import layout, mapping
from appserver.codecs.declared.checks import Faults, Table
from appserver.codecs.declared.faults import Fault, RecordError
from appserver.codecs.declared.fields import Layout
from appserver.codecs.declared.layout_file import read_layout
from appserver.codecs.declared.mapping import Taken, read_mapping
from appserver.codecs.declared.samples import Sample, read_samples

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?")
SCRIPT_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}\.js")
MAX_TEXT = 256 * 1024
MAX_SCRIPT = 512 * 1024
DIGEST_DIGITS = 8


class ScriptRunner(Protocol):
    """Runs a maker's script: ``sandbox.Sandbox``."""

    def decode(
        self, script: str, digest: str, f_port: int, data: bytes, received_at_us: int, variables: dict[str, str]
    ) -> dict[str, Any]:
        """The values of the script's ``data``. Raises CodecError."""
        ...

    def encode(
        self, script: str, digest: str, command: dict[str, Any], variables: dict[str, str]
    ) -> tuple[int | None, bytes]:
        """The port (None: the script tells none) and the bytes of a downlink. Raises CommandError."""
        ...


@dataclass(frozen=True, slots=True)
class Script:
    """A maker's JavaScript, unchanged, and what is taken out of its values."""

    file: str
    text: str
    variables: dict[str, str]
    port: int
    """The port of downlinks when the script tells none."""
    taken: Taken


@dataclass(frozen=True, slots=True)
class Record:
    """What a file says."""

    name: str
    title: str
    version: int
    clock: str
    body: Layout | Script
    samples: tuple[Sample, ...]
    text: str
    digest: str
    """The first digits of the hash of the file and its script: what readings remember beside the version."""

    def codec(self, runner: ScriptRunner | None = None) -> Codec:
        """A codec of the table; a script needs a runner."""
        body = self.body
        if isinstance(body, Layout):
            known = body

            def by_layout(f_port: int, data: bytes, received_at_us: int) -> Decoded:
                return layout.decode(known, f_port, data, received_at_us)

            return Codec(self.name, self.version, self.title, by_layout, self.clock, None, self.digest)
        if runner is None:
            raise ValueError(f"the codec {self.name} is a script and has nothing to run it")
        script, run = body, runner

        def by_script(f_port: int, data: bytes, received_at_us: int) -> Decoded:
            values = run.decode(script.text, self.digest, f_port, data, received_at_us, script.variables)
            return mapping.apply(script.taken, values, self.clock)

        def encode(command: dict[str, Any]) -> tuple[int, bytes]:
            port, data = run.encode(script.text, self.digest, command, script.variables)
            return port or script.port, data

        return Codec(self.name, self.version, self.title, by_script, self.clock, encode, self.digest)


def script_name(text: str) -> str:
    """The script file that a codec's file names; empty when it names none or cannot be read."""
    try:
        name = tomllib.loads(text).get("script", "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    return name if isinstance(name, str) and SCRIPT_FILE.fullmatch(name) else ""


def read_record(text: str, file: str = "codec.toml", script: str | None = None) -> Record:
    """Check a file and read it. ``script`` is the text of the file that ``script = …`` names.

    Raises RecordError with every fault: file, line, key and what to write.
    """
    if len(text) > MAX_TEXT:
        raise RecordError(file, [Fault(1, "the file", f"is longer than {MAX_TEXT // 1024} KiB")])
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        hint = "; a table in { } must stand on one line" if "Invalid initial character for a key" in str(error) else ""
        raise RecordError(file, [Fault(number, "the file", f"is no TOML: {error}{hint}")]) from None
    except RecursionError:
        raise RecordError(file, [Fault(1, "the file", "is nested too deeply")]) from None
    faults = Faults(text)
    top = Table(values, (), faults)
    name = top.text("name", None)
    if name and not NAME.fullmatch(name):
        top.fault("name", 'must be small letters, digits and - _ . such as "acme-water"')
    title, version = top.text("title"), top.integer("version", 1, 10**6, 1)
    clock = top.one_of("clock", ("local", "utc"), None) or "utc"
    top.text("source")
    body: Layout | Script
    if "script" in top:
        if "packet" in top:
            top.fault("packet", "stands only in a layout, and this file names a script")
        body = _script(top, script)
    else:
        body = read_layout(top, clock)
    samples = read_samples(top)
    top.done()
    if faults.found:
        raise RecordError(file, faults.found)
    digest = hashlib.sha256(f"{text}\0{script or ''}".encode()).hexdigest()[:DIGEST_DIGITS]
    return Record(name, title, version, clock, body, samples, text, digest)


def _script(top: Table, script: str | None) -> Script:
    file = top.text("script")
    if not SCRIPT_FILE.fullmatch(file):
        top.fault("script", 'must be the name of a file beside this one, such as "acme.js"')
    elif script is None:
        top.fault("script", f"names {file}, which is not there")
    elif len(script) > MAX_SCRIPT:
        top.fault("script", f"names {file}, which is longer than {MAX_SCRIPT // 1024} KiB")
    raw = top.raw("variables")
    variables = raw if isinstance(raw, dict) else {}
    if raw is not None and (not isinstance(raw, dict) or any(not isinstance(item, str) for item in raw.values())):
        top.fault("variables", 'must be a table of texts: { pulses = "10" }')
        variables = {}
    return Script(file, script or "", variables, top.integer("port", 1, 223, 1), read_mapping(top))
