"""The supervisor with real processes: death, restart, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.supervisor import BackOff, Role, Supervisor, describe_end

HERE = Path(__file__).parent
WITHIN_S = 20.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


async def soon(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_of(data: DataDir, role: str) -> int:
    try:
        return int(data.pid_file(role).read_text())
    except (OSError, ValueError):
        return 0


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    made.create()
    return made


@pytest.fixture
def boss(data: DataDir) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "boss.py"), str(data.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def worker(data: DataDir, name: str, behaviour: str = "works") -> Role:
    async def answers() -> bool:
        return (data.path / f"{name}.starts").exists()

    command = [sys.executable, str(HERE / "worker.py"), str(data.path), name, behaviour]
    return Role(name, command, answers, BackOff(first_s=0.01, most_s=0.05))


def test_back_off_doubles_and_starts_anew_after_a_healthy_time() -> None:
    back_off = BackOff(first_s=0.2, most_s=1.0, healthy_s=120.0)
    assert [back_off.died_after(1.0) for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert back_off.died_after(120.0) == 0.2
    assert back_off.died_after(1.0) == 0.4


@pytest.mark.parametrize("name", ["network", "application"])
def test_a_killed_process_is_started_again_and_the_other_keeps_running(
    boss: subprocess.Popen[str], data: DataDir, name: str
) -> None:
    other = {"network": "application", "application": "network"}[name]
    kept = pid_of(data, other)
    for _ in range(3):
        victim = pid_of(data, name)
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: pid_of(data, name) not in (0, victim), f"{name} is started again")
    until(lambda: len((data.path / f"{name}.starts").read_text().split()) >= 2, "the new process works")
    assert pid_of(data, other) == kept and alive(kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_takes_everything_along(
    boss: subprocess.Popen[str], data: DataDir, number: signal.Signals
) -> None:
    children = [pid_of(data, "network"), pid_of(data, "application")]
    boss.send_signal(number)
    assert boss.wait(WITHIN_S) == 0
    assert not any(map(alive, children))
    assert not data.pid_file("network").exists() and not data.pid_file("application").exists()


def test_processes_end_when_the_supervisor_is_killed_and_a_new_one_can_start(
    boss: subprocess.Popen[str], data: DataDir
) -> None:
    children = [pid_of(data, "network"), pid_of(data, "application")]
    boss.kill()
    boss.wait()
    until(lambda: not any(map(alive, children)), "the orphans end")
    # The last thread of a process that has ended may hold its files for a moment more.
    data.lock().acquire(5).release()
    data.role_lock("network").acquire(5).release()


async def test_a_stubborn_process_is_killed(data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterwan.supervisor.STOP_WITHIN_S", 0.2)
    supervisor = Supervisor(data, [worker(data, "network", "stubborn")], lambda: None)
    running = asyncio.create_task(supervisor.run())
    await soon(lambda: (data.path / "network.starts").exists(), "the process works")
    pid = pid_of(data, "network")
    supervisor.stop()
    await asyncio.wait_for(running, WITHIN_S)
    assert not alive(pid)


async def test_a_process_that_cannot_start_ends_the_server(data: DataDir) -> None:
    refusing = worker(data, "application", "refuses")
    with pytest.raises(Failure, match="the application process cannot start"):
        await asyncio.wait_for(Supervisor(data, [worker(data, "network"), refusing], lambda: None).run(), WITHIN_S)
    assert pid_of(data, "network") == 0
    assert refusing.starts == 1


async def test_systemd_hears_when_the_server_is_ready_and_alive(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        heard: list[str] = []

        def listen() -> bool:
            try:
                heard.append(manager.recv(1000).decode())
            except BlockingIOError:
                return False
            return heard.count("WATCHDOG=1") >= 3

        supervisor = Supervisor(data, [worker(data, "network")], lambda: None)
        running = asyncio.create_task(supervisor.run())
        await soon(listen, "three signs of life")
        supervisor.stop()
        await asyncio.wait_for(running, WITHIN_S)
        while len(heard) < 100:
            try:
                heard.append(manager.recv(1000).decode())
            except BlockingIOError:
                break
    assert heard[0].startswith("READY=1") and heard[-1] == "STOPPING=1"


def test_ends_in_words() -> None:
    assert describe_end(-9) == "killed by SIGKILL"
    assert describe_end(3) == "exit status 3"


async def test_a_disk_that_takes_no_pid_file_does_not_end_the_server(data: DataDir) -> None:
    data.pid_file("network").mkdir()
    role = worker(data, "network")
    supervisor = Supervisor(data, [role], lambda: None)
    running = asyncio.create_task(supervisor.run())
    await soon(lambda: role.ready, "the process is ready")
    assert role.process is not None
    role.process.kill()
    await soon(lambda: role.starts == 2, "it is started again")
    supervisor.stop()
    await asyncio.wait_for(running, WITHIN_S)
