"""The running server: asyncio, the journal's thread, a real UDP socket, a disk that is full."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from internalapi import messages as m
from lns.clock import Now, system_now
from lns.store.embedded.journal import Journal, SealedBatch, StoreError
from lns.uplink import handover
from tests.support.live_network import registered, rxpk, server, until
from tests.support.otaa_device import OtaaDevice


async def test_uplink_and_acknowledgement_over_the_socket(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, client, forwarder):
        node = await registered(client)
        token = forwarder.send(2)
        assert await forwarder.answer() == b"\x02" + token + b"\x04"
        token = forwarder.send(0, rxpk(node.up(b"\x01", confirmed=True)))
        assert await forwarder.answer() == b"\x02" + token + b"\x01"
        pull_resp = await forwarder.answer()
        assert pull_resp[3] == 3
        txpk = json.loads(pull_resp[4:])["txpk"]
        assert txpk["tmst"] == 2_000_000 and node.read(base64.b64decode(txpk["data"])).ack
        (event,) = (await client.events(wait_s=2.0)).events
        assert (event.data, event.dev_eui) == (b"\x01", node.dev_eui)


async def test_stopped_server_starts_where_it_was(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, client, forwarder):
        node = await registered(client)
        token = forwarder.send(0, rxpk(node.up(b"\x01")))
        assert await forwarder.answer() == b"\x02" + token + b"\x01"
    async with server(tmp_path) as (_, client, forwarder):
        (event,) = (await client.events()).events
        assert event.data == b"\x01"
        assert (await client.session(key=node.dev_eui)).f_cnt_up == 0


async def test_inv_40_full_disk_withholds_the_acknowledgement_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INV-40, with a real SQLITE_FULL; the pages go on being served."""
    monkeypatch.setattr("lns.writer.RETRY_S", 0.02)
    async with server(tmp_path) as (network, client, forwarder):
        node = await registered(client)
        db: sqlite3.Connection = network._journal._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(60):
            forwarder.send(0, rxpk(node.up(bytes(200))))
        await until(lambda: network.storage != "ok")
        before = len(forwarder.answered())
        tokens = [forwarder.send(0, rxpk(node.up(bytes(200)))) for _ in range(20)]
        status = await client.status()
        assert status.storage.startswith("disk full") and "free some space" in status.storage
        assert await client.devices(limit=5)
        await asyncio.sleep(0.3)  # the window closes, retries go on
        assert forwarder.answered() == []
        db.execute("PRAGMA max_page_count = 1000000")
        await until(lambda: network.storage == "ok")
        answers: list[bytes] = []

        def all_there() -> bool:
            answers.extend(forwarder.answered())
            return len(answers) + before >= 80

        await until(all_there)
        assert {b"\x02" + token + b"\x01" for token in tokens} <= set(answers)

        async def handed_over() -> bool:
            return len((await client.events()).events) == 80

        await until(handed_over)
        counters = [event.f_cnt for event in (await client.events()).events]
        assert counters == list(range(80))


async def test_store_that_is_not_to_be_trusted_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path) as (network, client, forwarder):
        node = await registered(client)

        def broken(self: Journal, sealed: SealedBatch) -> None:
            raise StoreError("fsync failed", fatal=True)

        monkeypatch.setattr(Journal, "commit", broken)
        forwarder.send(0, rxpk(node.up(b"\x01")))
        with pytest.raises(StoreError, match="fsync failed"):
            await asyncio.wait_for(network.failed, 5.0)
        assert forwarder.answered() == []


async def test_error_of_ours_costs_one_frame_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(tmp_path) as (network, client, forwarder):
        node = await registered(client)
        real, hits = handover.compose, []

        def broken(*arguments: Any, **named: Any) -> Any:
            hits.append(1)
            if len(hits) == 1:
                raise ZeroDivisionError
            return real(*arguments, **named)

        monkeypatch.setattr(handover, "compose", broken)
        forwarder.send(2)
        for data in (b"\x01", b"\x02", b"\x03"):
            forwarder.send(0, rxpk(node.up(data, confirmed=True)))

        async def all_there() -> bool:
            return [event.data for event in (await client.events()).events] == [b"\x01", b"\x02", b"\x03"]

        await until(all_there)
        assert network.engine.counters["internal_errors"] == 1
        assert len(hits) == 3


async def test_error_of_ours_in_a_recovered_frame_does_not_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path, deduplication_window_ms=2000) as (network, client, forwarder):
        node = await registered(client)
        for data in (b"\x01", b"\x02"):
            forwarder.send(0, rxpk(node.up(data)))
            await forwarder.answer()
    real = handover.data_payload

    def broken(phy: bytes, f_ctrl: int) -> Any:
        if phy[6] == 0:
            raise ZeroDivisionError
        return real(phy, f_ctrl)

    monkeypatch.setattr(handover, "data_payload", broken)
    async with server(tmp_path) as (network, client, _):
        assert [event.data for event in (await client.events()).events] == [b"\x02"]
        assert network.engine.counters["internal_errors"] == 1


async def test_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=r"cannot listen for gateways on UDP .*choose another port"):
            async with server(tmp_path, gateways={"udp": {"listen": listen}}):
                raise AssertionError("it started")


async def test_old_frames_are_deleted_and_untaken_events_stay(tmp_path: Path) -> None:
    async with server(tmp_path, frame_log_days=1) as (network, client, forwarder):
        node = await registered(client)
        for number in range(10):
            forwarder.send(0, rxpk(node.up(bytes((number,)))))

        async def all_there() -> bool:
            return len((await client.events()).events) == 10

        await until(all_there)
        now = system_now()
        tomorrow = Now(now.mono_us, now.wall_us + 2 * 86_400_000_000)
        await network.pack(now)
        assert network.frame_log.usage().frames == 0, "fresh frames may still change"
        await network.pack(tomorrow)
        assert network.frame_log.usage().frames == 9, "the newest stays in the journal"
        assert len((await client.frames()).items) == 10
        await client.events(after=4, acknowledge=True)
        assert await network.prune(tomorrow) == 0, "events 5 to 9 are not taken yet"
        assert [event.data for event in (await client.events(after=4)).events] == [bytes((n,)) for n in range(4, 10)]
        await client.events(after=9, acknowledge=True)
        assert await network.prune(now) == 0
        assert await network.prune(tomorrow) == 1
        assert [event.data for event in (await client.events()).events] == [b"\x09"]
        assert len((await client.frames()).items) == 1
        forwarder.send(0, rxpk(node.up(b"new")))

        async def one_more() -> bool:
            return (await client.events()).events[-1].data == b"new"

        await until(one_more)


async def test_health_and_metrics(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with server(tmp_path, http={"listen": f"127.0.0.1:{port}"}) as (network, client, forwarder):
        node = await registered(client)
        forwarder.send(0, rxpk(node.up()))
        await forwarder.answer()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for path in ("/healthz", "/readyz"):
                async with http.get(path) as response:
                    assert (response.status, await response.text()) == (200, "ok\n")
            async with http.get("/metrics") as response:
                text = await response.text()
            network.storage = "disk full: network.db"
            async with http.get("/readyz") as response:
                assert (response.status, await response.text()) == (503, "disk full: network.db\n")
            network.storage = "ok"
    assert 'meterwan_network_total{kind="accepted"} 1.0' in text
    assert "meterwan_storage_ok 1.0" in text and "meterwan_devices 1.0" in text


async def test_commands_wait_for_the_disk(tmp_path: Path) -> None:
    """A change is answered only when it is durable."""
    async with server(tmp_path) as (network, client, _):
        node = await registered(client)
        await client.queue_put(dev_eui=node.dev_eui, f_port=3, data=b"x")
        with contextlib.closing(sqlite3.connect(network.path)) as db:
            assert db.execute("SELECT data FROM queue_item").fetchall() == [(b"x",)]


async def test_no_acknowledgement_runs_ahead_of_a_commit_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is slow: a copy, a stat and other frames come meanwhile."""
    gate, real = threading.Event(), Journal.commit
    async with server(tmp_path) as (_, client, forwarder):
        node = await registered(client)

        def slow(self: Journal, sealed: SealedBatch) -> None:
            assert gate.wait(10.0)
            real(self, sealed)

        monkeypatch.setattr(Journal, "commit", slow)
        phy = node.up(b"\x01")
        forwarder.send(0, rxpk(phy))
        forwarder.send(0, rxpk(phy))
        forwarder.send(0, b'{"stat":{"rxnb":1}}')
        forwarder.send(0, rxpk(node.up(b"\x02")))
        token = forwarder.send(2)
        assert await forwarder.answer() == b"\x02" + token + b"\x04", "a sign of life needs no disk"
        assert forwarder.answered() == []
        gate.set()
        acks = [await forwarder.answer() for _ in range(4)]
        assert [ack[3] for ack in acks] == [1, 1, 1, 1]


async def test_join_over_the_socket(tmp_path: Path) -> None:
    device = OtaaDevice()
    async with server(tmp_path) as (network, client, forwarder):
        await registered(client)
        write = m.DeviceWrite(
            f"{device.dev_eui:016x}",
            join_eui=f"{device.join_eui:016x}",
            profile="lorawan-1.0.3",
            app_key=device.app_key.hex(),
        )
        await client.devices_put(items=[write])
        forwarder.send(2)
        await forwarder.answer()
        forwarder.send(0, rxpk(device.join_request(1)))
        assert (await forwarder.answer())[3] == 1
        pull_resp = await forwarder.answer()
        accept = device.accept(base64.b64decode(json.loads(pull_resp[4:])["txpk"]["data"]), 1)
        assert (await client.session(key=write.dev_eui)).dev_addr == f"{accept.dev_addr:08x}"

        async def broken(requests: object) -> Any:
            raise ConnectionError("out of order")

        network.join_server = type("Broken", (), {"join": staticmethod(broken)})()  # type: ignore[assignment]
        forwarder.send(0, rxpk(device.join_request(2)))
        (entry,) = (await client.events(wait_s=5.0)).events
        assert (entry.type, entry.code) == ("log", "OTAA") and "out of order" in entry.text
