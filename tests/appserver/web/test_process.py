from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from pathlib import Path

import aiohttp
import pytest

from appserver.main import Started, application, run
from appserver.settings import ApplicationSettings, HttpSettings
from internalapi import messages as m
from tests.support.console import Clock, Console
from tests.support.memory_network import NOW_US, MemoryNetwork

EUI = "4b41524154000001"
KARAT_926LW = bytes.fromhex("8402050a0b0c100039300000")


def settings(folder: Path) -> ApplicationSettings:
    return ApplicationSettings(data_dir=folder, http=HttpSettings(listen="127.0.0.1:0"), password_memory_kib=64)


async def test_it_takes_events_serves_and_stops_on_sigterm_within_ten_seconds(tmp_path: Path) -> None:
    network = MemoryNetwork()
    started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
    process = asyncio.create_task(run(settings(tmp_path), network, started.set_result))  # type: ignore[arg-type]
    told = await asyncio.wait_for(started, 20)
    assert told.first_login == "admin"
    async with aiohttp.ClientSession() as http:
        async with http.get(told.url + "/healthz") as answer:
            assert answer.status == 200
        async with http.get(told.url + "/readyz") as answer:
            ready = await answer.json()
            assert (answer.status, ready["ingest"], ready["integrations"], ready["network"]) == (200, "ok", "ok", "ok")
        network.add_event(
            m.Event(id=1, type="up", time_us=NOW_US, dev_eui=EUI, codec="karat", f_port=5, f_cnt=1, data=KARAT_926LW)
        )
        async with asyncio.timeout(10):
            while not _rows(tmp_path, "SELECT state FROM uplink"):
                await asyncio.sleep(0.02)
        async with http.get(told.url + "/metrics") as answer:
            assert "meterwan_application_event_cursor 1.0" in await answer.text()
        watching = await http.get(told.url + "/sign-in")
        before = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(process, 10)
        assert time.monotonic() - before < 10
        watching.release()
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(told.url + "/healthz")
    assert sqlite3.connect(tmp_path / "application.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    return sqlite3.connect(folder / "application.db").execute(query).fetchall()


async def test_open_live_views_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    network = MemoryNetwork()
    started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
    async with application(settings(tmp_path), network, Clock(), background=False) as (services, told):  # type: ignore[arg-type]
        started.set_result(told)
        from appserver.auth.roles import Role

        _, token = await services.auth.create_token("t", Role.viewer, None, None)
        http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})
        streams = [await http.get(told.url + f"/api/v1/{name}/stream") for name in ("frames", "events", "frames")]
        before = time.monotonic()
    assert time.monotonic() - before < 5
    for stream in streams:
        stream.close()
    await http.close()


async def test_a_task_that_fails_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from appserver import main

    calls: list[int] = []
    again = asyncio.Event()

    async def work() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("bad moment")
        again.set()

    monkeypatch.setattr(main, "RESTART_S", 0.0)
    await asyncio.wait_for(main._keep_running("work", work), 5)
    assert len(calls) == 3


async def test_a_database_that_cannot_be_read_is_not_ready(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await console.ask("GET", "/readyz")).status == 200

    def broken(*_: object) -> list[object]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(console.services.database, "rows", broken)
    answer = await console.ask("GET", "/readyz")
    assert (answer.status, answer.json["database"]) == (503, "disk I/O error")


async def test_secrets_do_not_get_into_the_log_of_a_fault(
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(console.services.auth, "user_by_login", broken)
    answer = await console.ask("POST", "/sign-in", data={"login": "boss", "password": "canary-3f9"})
    assert answer.status == 500
    captured = capfd.readouterr()
    logged = captured.out + captured.err + caplog.text  # where it goes depends on who has set logging up
    assert "RuntimeError: bug" in logged
    assert "canary-3f9" not in logged + answer.text
    assert "RuntimeError" not in answer.text
