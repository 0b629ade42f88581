"""The whole server as a program: start, one-time password, second server, death of processes, backup, restore, end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.program import Program, make_program, wait_for

WITHIN_S = 60.0


def until(condition: Callable[[], object], program: Program, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}\n{program.output()}"
        time.sleep(0.05)


def greetings(program: Program) -> int:
    return program.output().count("MeterWAN is ready") if (program.folder / "out.txt").exists() else 0


def start(program: Program) -> subprocess.Popen[str]:
    """Start a server and wait until it says that it is ready."""
    before = greetings(program)
    process = program.start("serve", *program.settings)

    def ready() -> bool:
        assert process.poll() is None, program.output()
        return greetings(program) > before

    until(ready, program, "the server is ready")
    return process


def end(process: subprocess.Popen[str]) -> int:
    process.terminate()
    try:
        return process.wait(WITHIN_S)
    finally:
        process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, subprocess.Popen[str]]]:
    program = make_program(tmp_path_factory.mktemp("server") / "a folder")
    process = start(program)
    yield program, process
    process.terminate()
    process.wait(WITHIN_S)


def pids(program: Program) -> dict[str, int]:
    found = {}
    for role in ("network", "application"):
        try:
            found[role] = int((program.data / "run" / f"{role}.pid").read_text())
        except (OSError, ValueError):
            found[role] = 0
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_first_start_prints_address_and_one_time_password_once(
    server: tuple[Program, subprocess.Popen[str]],
) -> None:
    program, _ = server
    lines = (program.folder / "out.txt").read_text().splitlines()
    assert lines[0] == f"MeterWAN is ready: http://{program.http}/"
    assert lines[1].startswith("First sign-in: user admin, one-time password ")
    password = lines[1].split("password ")[1].split()[0]
    assert program.output().count(password) == 1
    assert not (program.data / "first-sign-in").exists()
    for file in program.data.rglob("*"):
        if file.is_file():
            assert password.encode() not in file.read_bytes(), f"{file} holds the password"


def test_everything_in_the_data_folder_is_private(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, _ = server
    open_ones = [path for path in (program.data, *program.data.rglob("*")) if path.lstat().st_mode & 0o077]
    assert [path for path in open_ones if not path.is_socket()] == []


def test_health_is_well_and_processes_have_names(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, process = server
    result = program.run("health", *program.settings, "--json")
    assert result.code == 0, result.err
    assert {row["part"]: row["state"] for row in json.loads(result.out)} == {"network": "ok", "application": "ok"}
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in (process.pid, *pids(program).values())]
    assert names == ["meterwan", "meterwan-net", "meterwan-app"]


def test_a_second_server_on_the_folder_is_refused(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, process = server
    result = program.run("serve", *program.settings)
    assert result.code == 1
    wanted = (
        f"meterwan: the data folder {program.data} is in use by another MeterWAN server (pid {process.pid}); stop it"
    )
    assert result.err.startswith(wanted) and result.err.count("\n") == 1
    for command in (("restore", "somewhere"), ("migrate",)):
        assert "is in use by another MeterWAN server" in program.run(*command).err


def test_a_taken_port_is_a_clear_line(server: tuple[Program, subprocess.Popen[str]], program: Program) -> None:
    first, _ = server
    for key, address in (("http.listen", first.http), ("gateways.udp.listen", first.udp)):
        result = program.run("serve", *program.settings, "--set", f"{key}={address}")
        assert result.code == 1 and result.err.count("\n") == 1
        assert f"port {address.rpartition(':')[2]} is taken by another program ({key} = {address})" in result.err
    assert not (program.data / "application.db").exists()


@pytest.mark.parametrize("name", ["network", "application"])
def test_a_killed_process_comes_back(server: tuple[Program, subprocess.Popen[str]], name: str) -> None:
    program, process = server
    before = pids(program)
    os.kill(before[name], signal.SIGKILL)
    until(lambda: pids(program)[name] not in (0, before[name]), program, f"{name} is started again")
    wait_for(program, process, ["network", "application"])
    other = "application" if name == "network" else "network"
    assert pids(program)[other] == before[other]


def test_tokens_open_the_api_until_they_are_revoked(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, _ = server
    made = json.loads(program.run("token", "create", "--role", "engineer", "--name", "billing", "--json").out)

    def status(path: str) -> int:
        request = urllib.request.Request(
            f"http://{program.http}/api/v1{path}", headers={"Authorization": f"Bearer {made['token']}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    assert status("/devices") == 200
    assert made["token"] not in program.run("token", "list", "--json").out
    assert program.run("token", "revoke", str(made["id"])).code == 0
    assert status("/devices") == 401
    assert "there is no token 999" in program.run("token", "revoke", "999").err


def test_users_are_managed_while_the_server_runs(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, _ = server
    added = program.run("user", "add", "irina", "--role", "dispatcher", stdin="correct horse battery\n")
    assert (added.code, added.out) == (0, "user irina: added as dispatcher\n"), added.err
    assert "there is a user irina already" in program.run("user", "add", "irina", "--one-time").err
    assert program.run("user", "add", "weak", stdin="12345678\n").code == 1
    assert "there is no role king" in program.run("user", "add", "x", "--role", "king", "--one-time").err
    assert "one-time password: " in program.run("user", "passwd", "irina", "--one-time").out
    assert program.run("user", "disable", "irina").code == 0
    people = {row["login"]: row for row in json.loads(program.run("user", "list", "--json").out)}
    assert people["irina"]["disabled"] and people["irina"]["role"] == "dispatcher" and not people["admin"]["disabled"]
    assert "last administrator" in program.run("user", "disable", "admin").err


HOUSE = """организация;адрес;помещение;ресурс;роль;номер счётчика;дата установки;начальное показание
УК «Пример»;г. Сатка, ул. Ленина, 1;1;хвс;ипу;100001;2026-10-01;12,5
УК «Пример»;г. Сатка, ул. Ленина, 1;;хвс;одпу;200001;2026-10-01;1000
"""


def test_a_house_goes_in_and_out_and_gets_a_statement(server: tuple[Program, subprocess.Popen[str]]) -> None:
    program, _ = server
    (program.folder / "house.csv").write_text(HOUSE, encoding="utf-8-sig")
    trial = program.run("meter", "import", "house.csv", "--dry-run")
    assert trial.code == 0, trial.err
    assert "would be created: " in trial.out and "2 meter" in trial.out
    assert "would be created" in program.run("meter", "import", "house.csv", "--dry-run").out, (
        "the trial changed something"
    )
    done = program.run("meter", "import", "house.csv")
    assert done.code == 0 and "created: " in done.out
    again = program.run("meter", "import", "house.csv")
    assert again.out == "created: nothing\nchanged: nothing\n"

    exported = program.run("meter", "export", "house.xlsx")
    assert exported.code == 0, exported.err
    assert program.run("meter", "import", "house.xlsx").out == "created: nothing\nchanged: nothing\n"

    (program.folder / "wrong.csv").write_text(HOUSE.replace("12,5", "many"), encoding="utf-8-sig")
    wrong = program.run("meter", "import", "wrong.csv")
    assert wrong.code == 1 and wrong.err.startswith("meterwan: wrong.csv row 2: ")

    for form, magic in (("xlsx", b"PK"), ("pdf", b"%PDF"), ("csv", b"\xef\xbb\xbf"), ("html", b"<!"), ("json", b"{")):
        made = program.run("report", "individual", "--building", "Ленина", "--period", "2026-10", "--format", form)
        assert made.code == 0, made.err
        content = (program.folder / made.out.strip()).read_bytes()
        assert content.startswith(magic)
    for arguments, complaint in (
        (("--building", "nowhere", "--period", "2026-10"), "no building has 'nowhere'"),
        (("--building", "1", "--period", "October"), "write it as 2026-10"),
        (("--building", "1", "--period", "2026-10-05..2026-10-01"), "ends before it begins"),
    ):
        assert complaint in program.run("report", "balance", *arguments).err


def test_backup_restore_and_restart(tmp_path: Path) -> None:
    """A server is backed up while it runs, killed as a whole, restored, and started anew."""
    program = make_program(tmp_path / "a folder")
    process = start(program)
    try:
        assert program.run("gateway", "add", "0016c001ff1e5a01", "--name", "kept").code == 0
        assert program.run("backup", "one", "--with-kek").code == 0
        assert json.loads(program.run("verify", "one", "--json").out)[0]["problem"] == "none"
        assert program.run("gateway", "add", "0016c001ff1e5a02", "--name", "after").code == 0
        children = list(pids(program).values())
        process.kill()
        process.wait()
        until(lambda: not any(map(alive, children)), program, "the orphans end")

        restored = program.run("restore", "one")
        assert restored.code == 0 and "counters skip ahead" in restored.out, restored.err
        assert (program.data / "restored").exists()
        process = start(program)
        names = {row["name"] for row in json.loads(program.run("gateway", "list", "--json").out)}
        assert names == {"kept"}
        assert not (program.data / "restored").exists()
        assert program.output().count("one-time password") == 1, "a second administrator was made"

        children = list(pids(program).values())
        assert end(process) == 0
        assert not any(map(alive, children))
        assert program.run("migrate").out == "join.db: up to date\nnetwork.db: up to date\napplication.db: up to date\n"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["network.db", "join.db", "application.db"])
def test_a_file_that_is_no_database_ends_the_start_with_one_line(program: Program, name: str) -> None:
    program.data.mkdir()
    (program.data / name).write_bytes(b"this is no database " * 500)
    if name == "join.db":
        (program.data / "kek").write_bytes(os.urandom(32))
        (program.data / "kek").chmod(0o600)
    process = program.start("serve", *program.settings)
    try:
        assert process.wait(WITHIN_S) == 1
    finally:
        process.kill()
        process.wait()
    lines = [line for line in (program.folder / "err.txt").read_text().splitlines() if not line.startswith("{")]
    assert len(lines) == 2, lines
    assert str(program.data / name) in lines[0] and lines[0].startswith("meterwan: ")
    assert lines[1].startswith("meterwan: the ") and lines[1].endswith("its message stands above")
