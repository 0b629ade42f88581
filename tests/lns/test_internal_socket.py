"""The internal API on its Unix socket: token, refusals, long polls."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from internalapi import messages as m
from internalapi.client import ApiError, NetworkClient, NetworkUnavailable, socket_path
from lns.api.table import HANDLERS
from tests.support.live_network import TOKEN, registered, rxpk, server


async def test_token_is_required(tmp_path: Path) -> None:
    async with server(tmp_path):
        for token in ("", "wrong", TOKEN + "x", TOKEN[:-1]):
            async with NetworkClient(socket_path(tmp_path), token) as client:
                with pytest.raises(ApiError) as caught:
                    await client.status()
                assert (caught.value.status, caught.value.problem.code) == (401, "unauthorised")
        connector = aiohttp.UnixConnector(path=str(socket_path(tmp_path)))
        async with aiohttp.ClientSession(connector=connector) as http:
            for headers in ({}, {"Authorization": "Bearer \udcff\udcfe"}, {"Authorization": "Basic eDp5"}):
                async with http.post("http://network/internal/v1/status", data=b"\x80", headers=headers) as response:
                    assert response.status == 401


async def test_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async with server(tmp_path):
        assert socket_path(tmp_path).stat().st_mode & 0o077 == 0
    assert not socket_path(tmp_path).exists()


async def test_what_the_socket_refuses(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, client, _):
        with pytest.raises(ApiError) as caught:
            await client.gateway(key="70b3d50000000009")
        assert (caught.value.status, caught.value.problem.code) == (404, "not_found")
        with pytest.raises(ApiError) as caught:
            await client.devices(limit=0)
        assert (caught.value.status, caught.value.problem.field) == (422, "limit")
        with pytest.raises(AttributeError):
            await client.no_such_method()
        connector = aiohttp.UnixConnector(path=str(socket_path(tmp_path)))
        async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            for method, body, status in [
                ("nothing", b"\x80", 404),
                ("devices", b"", 422),
                ("devices", b"\xc1", 422),
                ("devices", msgspec.msgpack.encode({"limit": "many"}), 422),
                ("devices", msgspec.msgpack.encode([1]), 422),
                ("device", b"\x80", 422),
            ]:
                async with http.post(f"http://network/internal/v1/{method}", data=body) as response:
                    assert response.status == status
                    assert m.decoder(m.Problem).decode(await response.read()).detail


async def test_error_of_ours_is_a_problem_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(network: Any, request: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(HANDLERS, "status", broken)
    async with server(tmp_path) as (_, client, _):
        with pytest.raises(ApiError) as caught:
            await client.status()
        assert (caught.value.status, caught.value.problem.code) == (503, "unavailable")
        assert "secret" not in caught.value.problem.detail


async def test_no_server(tmp_path: Path) -> None:
    async with NetworkClient(socket_path(tmp_path), TOKEN) as client:
        with pytest.raises(NetworkUnavailable):
            await client.status()


async def test_deep_data_folder_gets_a_short_socket_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long name " * 12)
    folder.mkdir()
    async with server(folder) as (_, client, _):
        assert (await client.status()).storage == "ok"


async def test_long_poll_wakes_with_the_event(tmp_path: Path) -> None:
    async with server(tmp_path) as (network, client, forwarder):
        node = await registered(client)
        assert (await client.events(wait_s=0.01)).events == []
        assert (await client.frames(after=0, wait_s=0.01)).items == []
        network._loop.call_later(0.05, forwarder.send, 0, rxpk(node.up(b"\x01")))
        (event,) = (await client.events(wait_s=10.0)).events
        assert event.data == b"\x01"
        network._loop.call_later(0.05, forwarder.send, 0, rxpk(node.up(b"\x02")))
        (frame,) = (await client.frames(after=event.frame_id, wait_s=10.0)).items
        assert frame.f_cnt == 1


async def test_same_idempotency_key_at_once(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, client, _):
        node = await registered(client)
        puts = [client.queue_put(dev_eui=node.dev_eui, f_port=1, data=b"x", idempotency_key="k") for _ in range(10)]
        assert len({item.id for item in await asyncio.gather(*puts)}) == 1
        assert len((await client.queue(key=node.dev_eui)).items) == 1
