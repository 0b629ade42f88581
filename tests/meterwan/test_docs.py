"""Documents stay true: links lead somewhere, commands and options exist, examples of settings load, the unit is valid."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from lorasim.conformance import command as conformance
from lorasim.conformance import registry
from typer.main import get_command

from meterwan.cli import app
from meterwan.commands.simulate import CONFORMANCE
from meterwan.settings import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(document, code) of every fenced block in a language."""
    for document in DOCUMENTS:
        for found, code in FENCE.findall(document.read_text(encoding="utf-8")):
            if found == language:
                yield document.name, code


def mentions() -> Iterator[tuple[str, str]]:
    """(document, command line) wherever a document says `meterwan …`."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        inline = re.findall(r"`((?:[A-Z_]+=\S+ )?(?:\S*/)?meterwan [a-z][^`\n]*)`", FENCE.sub("", text))
        fenced = [line for _, code in FENCE.findall(text) for line in code.splitlines()]
        commands = [line for line in fenced if re.match(r"^(?:sudo |[A-Z_]+=\S+ )*(?:\S*/)?meterwan [a-z]", line)]
        for line in (*inline, *commands):
            for part in line.split(";"):
                if "meterwan " in part:
                    yield document.name, part.strip()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [unquote(target.partition("#")[0]) for target in targets if not re.match(r"[a-z]+:", target)]
    missing = [target for target in local if target and not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize(("document", "line"), sorted(set(mentions())))
def test_commands_and_options_exist(document: str, line: str) -> None:
    line = re.sub(r"(?:^|\s)#\s.*", "", line)
    words = shlex.split(line.replace("…", "X"))
    words = words[next(n for n, word in enumerate(words) if word.endswith("meterwan")) + 1 :]
    command = get_command(app)
    used = 0
    for word in words:
        alternatives = re.split(r"[|/]", word) if hasattr(command, "commands") else []
        known = getattr(command, "commands", {})
        if alternatives and all(one in known for one in alternatives):
            command = known[alternatives[0]]
            used += 1
        else:
            break
    assert used, f"{document}: no such command in {line!r}"
    if hasattr(command, "commands"):
        assert used == len(words), f"{document}: no such command in {line!r}"
        return
    if words[:2] == ["simulate", CONFORMANCE]:
        assert understood(words[2:]), f"{document}: the conformance run does not understand {line!r}"
        return
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options |= {"--help", "-h"}
    for word in words[used:]:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{document}: {line!r} has no option {word}"


def understood(words: list[str]) -> bool:
    """The conformance run, to which `meterwan simulate conformance` passes everything on, takes these options and cases."""
    try:
        registry.choose(conformance.parser_of_options().parse_args(words).cases)
    except (SystemExit, ValueError):
        return False
    return True


def test_the_conformance_run_is_held_to_its_own_options() -> None:
    assert understood(shlex.split("--short --station ws://HOST:8887 --station-token=X join counters.replay"))
    assert not understood(["--short", "--no-such-option"])
    assert not understood(["--stat", "ws://HOST:8887"]), "no abbreviations in documents"
    assert not understood(["no-such-case"])


def test_documents_speak_of_commands() -> None:
    assert len(set(mentions())) > 30


@pytest.mark.parametrize(
    ("document", "code"), [b for b in blocks("toml") if "[network]" in b[1] or "[joinserver" in b[1]]
)
def test_examples_of_settings_load(document: str, code: str, tmp_path: Path) -> None:
    code = code.replace("…64 hex digits…", "8f1d2a70c4b9e6533a7704d21c55ee90" * 2)
    file = tmp_path / "meterwan.toml"
    file.write_text(code, encoding="utf-8")
    assert load(file, {}).origins


def test_nothing_speaks_of_other_machines() -> None:
    """No path of a developer's machine and no address of a package registry in what is published."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    forbidden = re.compile(rb"registry\.npmjs\.org|pypi\.org|files\.pythonhosted\.org|/home/[a-z]+/|/root/")
    for name in listed.split("\0"):
        file = ROOT / name
        if name and file.is_file() and file != Path(__file__):
            found = forbidden.search(file.read_bytes())
            assert found is None, f"{name} holds {found.group().decode() if found else ''}"


UNIT = ROOT / "deploy" / "meterwan.service"


def test_the_unit_starts_what_exists_with_options_that_exist() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert service["Type"] == "notify" and service["NoNewPrivileges"] == "yes"
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/meterwan/bin/meterwan" and words[:2] == ["serve", "--config"]
    name, _, value = service["Environment"].partition("=")
    assert load(environment={name: value}).settings.data_dir == Path(service["WorkingDirectory"])
    assert int(service["TimeoutStopSec"]) > 10, "the processes have ten seconds"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # no systemd on this machine; the test above has read the unit
    unit = tmp_path / "meterwan.service"
    unit.write_text(UNIT.read_text().replace("/opt/meterwan/bin/meterwan", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "meterwan" in line]
    assert about_ours == [] and done.returncode == 0
