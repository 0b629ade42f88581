"""The command line: help everywhere, exit statuses, one clear line for every failure."""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from meterwan.cli import app
from tests.support.program import Program


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command as words."""
    children = getattr(group, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


EVERY = sorted(commands(get_command(app)))


def test_the_documented_commands_are_there() -> None:
    wanted = """serve demo simulate backup restore verify check migrate health report
        gateway/add gateway/list gateway/show gateway/remove
        device/add device/import device/export device/list device/show device/remove
        profile/list profile/show profile/add profile/remove codec/list codec/test codec/import codec/redecode region/list region/show
        meter/import meter/export user/add user/list user/passwd user/disable token/create token/list token/revoke"""
    assert {tuple(word.split("/")) for word in wanted.split()} - set(EVERY) == set()


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_explains_itself(program: Program, words: tuple[str, ...]) -> None:
    result = program.run(*words, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: meterwan {' '.join(words)}")
    no_settings = {("simulate",)}
    assert ("--config" in result.out) == (words not in no_settings)
    if words[-1] == "list":
        assert "--json" in result.out


def test_help_is_quick() -> None:
    """In the processor's time: the machine is shared."""

    def seconds() -> float:
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-P", "-m", "meterwan", "--help"], check=True, capture_output=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_loads_nothing_heavy() -> None:
    probe = "import sys, meterwan.cli; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.split()
    assert not {"aiohttp", "sqlalchemy", "pydantic", "cryptography", "lns", "appserver", "asyncio"} & set(loaded)


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("serve", "--role", "king"), ("gateway", "add"), ("codec", "test", "x", "00", "--port", "0")],
)
def test_wrong_use_is_status_2(program: Program, arguments: tuple[str, ...]) -> None:
    result = program.run(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("check", "--config", "none.toml"), "cannot read the settings file none.toml"),
        (("check", "--set", "x"), "--set x: write it as section.key=value"),
        (("serve", "--role", "gateway"), "the role gateway is not in this version"),
        (("serve", "--set", "redis.url=redis://h"), "only the embedded store is in this version"),
        (("user", "list"), "there is no application database"),
        (("codec", "test", "karat", "zz"), "zz is not hex"),
        (("codec", "test", "none", "00"), "there is no codec 'none'"),
        (("region", "show", "XX"), "XX"),
        (("simulate", "none"), "no scenario 'none'"),
        (("simulate", "satka", "--virtual", "--report", "none/x.html"), "none/x.html: there is no such folder"),
        (("verify", "none"), "is no backup"),
        (("restore", "none"), "is no backup"),
        (("backup",), "there is nothing to back up"),
    ],
)
def test_a_failure_is_one_line_and_status_1(program: Program, arguments: tuple[str, ...], complaint: str) -> None:
    result = program.run(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("meterwan: ") and result.err.count("\n") == 1
    assert complaint in result.err


def test_a_fault_of_ours_is_one_line_too_unless_asked(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("meterwan.commands.system.settings", broken)
    result = program.run("check")
    assert (result.code, result.err.count("\n")) == (1, 1) and "ZeroDivisionError: oops" in result.err
    with pytest.raises(ZeroDivisionError):
        program.run("check", METERWAN_TRACEBACK="1")


def test_check_tells_values_and_origins(program: Program) -> None:
    (program.folder / "meterwan.toml").write_text('region = "EU868"\n')
    lines = program.run("check", METERWAN__NETWORK__NET_ID="000013").lines
    assert 'region\t"EU868"\tmeterwan.toml' in lines
    assert 'network.net_id\t"000013"\tMETERWAN__NETWORK__NET_ID' in lines
    assert 'http.listen\t"127.0.0.1:8080"\tdefault' in lines
    rows = json.loads(program.run("check", "--json").out)
    assert {"key": "region", "value": '"EU868"', "origin": "meterwan.toml"} in rows


def test_a_reader_that_stops_listening_is_no_fault(tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -P -m meterwan region list | head -n 1"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout.count("\n") == 1


def test_commands_take_typer_seriously() -> None:
    assert isinstance(app, typer.Typer)


def test_codec_test_prints_what_a_payload_says(program: Program) -> None:
    result = program.run("codec", "list", "--json")
    assert {row["name"] for row in json.loads(result.out)} >= {"karat", "vega-si-11"}
    wrong = program.run("codec", "test", "karat", "00", "--port", "2")
    assert wrong.code == 1 and wrong.err.startswith("meterwan: karat, port 2: ")


def test_version(program: Program) -> None:
    assert program.run("--version").out.startswith("meterwan 0.")
