from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import socket
import ssl
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from internalapi.client import ApiError, NetworkClient
from lns.settings import BasicStationSettings
from tests.support.certificates import Authority
from tests.support.live_network import EUI, registered
from tests.support.live_station import station
from tests.support.station_server import client_tls, server, tls_settings

OTHER = "70b3d50000000002"


async def eventually(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def token_of(client: NetworkClient, eui: str = EUI) -> str:
    return (await client.station_credentials_put(gateway_eui=eui)).lns_token


async def test_from_discovery_to_a_confirmed_frame_and_class_c(tmp_path: Path) -> None:
    async with server(tmp_path) as (network, client, base):
        node = await registered(client)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            assert one.uri == f"{base}/router/{EUI}"
            await one.hear(node.up(b"\x01", confirmed=True))
            aired = await one.sent(1)
            assert aired.window == "RX1" and node.read(aired.phy).ack
            await eventually(lambda: network.engine.counters["downlinks_sent"] == 1)
            record = await client.gateway(key=EUI)
            assert record.protocol == "basicstation" and record.online and record.station_tokens == 1
            assert record.station is not None and record.address == record.station.address
            told = record.station
            assert (told.version, told.package, told.model, told.features, told.credential, told.tls, told.region) == (
                "2.0.6(linux/std)", "1.2.3", "linux", ["rmtsh", "gps"], "token", "", "AU915",
            )  # fmt: skip
            (event,) = [e for e in (await client.events()).events if e.type == "up"]
            assert event.data == b"\x01" and event.receptions[0].gateway_eui == EUI
        await eventually(lambda: not network.state.gateways.get(int(EUI, 16)).link)  # type: ignore[union-attr]
        assert (await client.gateway(key=EUI)).station is None


@pytest.mark.parametrize("form", ["102:304:506:708", "01-02-03-04-05-06-07-08", "0102030405060708", 0x0102030405060708])
async def test_discovery_takes_every_form_of_an_eui(tmp_path: Path, form: Any) -> None:
    async with server(tmp_path, uri="wss://lns.example.com:443/") as (_, client, base):
        await client.gateway_put(gateway_eui="0102030405060708")
        async with station(base, "0102030405060708", await token_of(client, "0102030405060708")) as one:
            answer = await one.ask(form)
    assert answer["router"] == "102:304:506:708"
    assert answer["uri"] == "wss://lns.example.com:443/router/0102030405060708"


async def test_sec_10_who_may_not_connect(tmp_path: Path) -> None:
    async with server(tmp_path, failures_per_minute=100) as (network, client, base):
        for eui in (EUI, OTHER):
            await client.gateway_put(gateway_eui=eui)
        mine, cups = (await client.station_credentials_put(gateway_eui=EUI)).lns_token, ""
        cups = (await client.station_credentials_put(gateway_eui=OTHER)).cups_token
        stranger = "70b3d5000000ffff"
        cases = [
            (EUI, "", 401, "show a token"),
            (EUI, "mwgw-nonsense", 401, "not known"),
            (EUI, mine[:-1], 401, "not known"),
            (OTHER, mine, 403, "another gateway"),
            (OTHER, cups, 401, "not known"),  # a token for CUPS opens CUPS
            (stranger, "", 403, "not registered"),  # from loopback, where a gateway without tokens is let in
            (stranger, mine, 403, "another gateway"),
            ("nonsense", mine, 404, "no EUI"),
        ]
        async with aiohttp.ClientSession() as http:
            for eui, token, status, why in cases:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                async with http.get(f"{base.replace('ws', 'http', 1)}/router/{eui}", headers=headers) as answer:
                    assert (answer.status, why in await answer.text()) == (status, True), (eui, token)
        for eui, token in ((EUI, ""), (OTHER, mine), (stranger, "")):
            async with station(base, eui, token) as one:
                answer = await one.ask()
                assert answer["error"] and "uri" not in answer
        assert not network.state.batch.frames and network.engine.counters["frames"] == 0
        unknown = (await client.gateways_unknown()).items
        assert [(one.gateway_eui, one.protocol) for one in unknown] == [(stranger, "basicstation")]


async def test_sec_10_attempts_of_one_address_are_limited(tmp_path: Path) -> None:
    async with server(tmp_path, failures_per_minute=5) as (_, client, base):
        await client.gateway_put(gateway_eui=EUI)
        async with aiohttp.ClientSession() as http:
            found = []
            for n in range(12):
                async with http.get(
                    f"{base.replace('ws', 'http')}/router/{EUI}", headers={"Authorization": str(n)}
                ) as answer:
                    found.append(answer.status)
    assert found[:5] == [401] * 5 and found[-1] == 429


async def test_open_to_loopback_is_what_it_says(tmp_path: Path) -> None:
    for open_to in ("loopback", "nobody"):
        async with server(tmp_path / open_to, open_to=open_to) as (_, client, base):
            await client.gateway_put(gateway_eui=EUI)
            async with station(base, EUI) as one:
                if open_to == "nobody":
                    assert "show a token" in (await one.ask())["error"]
                    continue
                await one.connect()
                assert (await client.gateway(key=EUI)).station.credential == "open"
                await token_of(client)
                assert "show a token" in (await one.ask())["error"], "it has one now, and must show it"
            async with station(base, OTHER) as one:
                assert "not registered" in (await one.ask())["error"]


async def test_a_new_token_ends_the_old_one_when_it_is_used_and_survives_a_restart(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, client, base):
        await client.gateway_put(gateway_eui=EUI)
        old, new = await token_of(client), await token_of(client)
        for token in (old, new, new):
            async with station(base, EUI, token) as one:
                await one.connect()
        async with station(base, EUI, old) as one:
            assert "not known" in (await one.ask())["error"]
    async with server(tmp_path) as (network, client, base):
        async with station(base, EUI, new) as one:
            await one.connect()
            revoked = await client.station_credentials_delete(key=EUI)
            assert revoked.tokens == 3, "one for the LNS, two for CUPS that no one has used"
            await asyncio.wait_for(one.closed.wait(), 5)
            assert "not known" in (await one.ask())["error"]
        assert not len(network.state.station_tokens)
    rows = (tmp_path / "network.db").read_bytes()
    assert new.encode() not in rows and base64.urlsafe_b64decode(new[5:] + "=") not in rows


async def test_inv_26_a_thousand_reconnects(tmp_path: Path) -> None:
    async with server(tmp_path) as (network, client, base):
        node = await registered(client)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            tasks = len(asyncio.all_tasks())
            for n in range(1000):
                old, one.session = one.socket, n % 127
                if n % 2:
                    await one.drop()  # the others are just left behind
                one.socket = await one._http.ws_connect(one.uri, headers=one.headers)
                if n % 2 == 0:
                    await old.close()
            await one.socket.close()
            await one.connect(one.uri)
            await one.hear(node.up(b"\x01", confirmed=True))
            await one.sent(1)
            assert len(network.state.gateways) == 1 and network.engine.counters["station_connections"] >= 1002
            assert len(asyncio.all_tasks()) <= tasks + 6
        assert network.engine.counters["internal_errors"] == 0


def masked(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """A WebSocket frame of a client, written out by hand."""
    mask = b"\x01\x02\x03\x04"
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    if len(payload) < 126:
        length = bytes((0x80 | len(payload),))
    elif len(payload) < 65_536:
        length = b"\xfe" + struct.pack(">H", len(payload))
    else:
        length = b"\xff" + struct.pack(">Q", len(payload))
    return bytes((first | opcode,)) + length + mask + body


class Raw:
    """A connection by hand."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def upgrade(self, token: str, extra: str = "") -> bytes:
        host, port = self.base.removeprefix("ws://").split(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET /router/{EUI} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n{extra}\r\n".encode()
        )
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    async def close_code(self) -> int:
        """The code with which the server ends the connection."""
        data = await asyncio.wait_for(self.reader.read(4096), 5)
        at = data.find(b"\x88")
        return struct.unpack(">H", data[at + 2 : at + 4])[0] if at >= 0 else 0


async def test_sec_10_a_deflate_bomb_is_not_even_unpacked(tmp_path: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = bomb.compress(b"\0" * 20_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    assert len(body) < 20_100 * 2
    async with server(tmp_path) as (network, client, base):
        await client.gateway_put(gateway_eui=EUI)
        raw = Raw(base)
        answer = await raw.upgrade(await token_of(client), "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        assert b"101" in answer and b"permessage-deflate" not in answer
        raw.writer.write(masked(1, body[:60_000], first=0xC0))
        assert await raw.close_code() == 1002
        raw.writer.close()
        await eventually(lambda: not network.state.gateways.get(int(EUI, 16)).link)  # type: ignore[union-attr]


async def test_sec_10_more_than_64_kib_ends_the_connection_and_less_does_not(tmp_path: Path) -> None:
    async with server(tmp_path) as (network, client, base):
        await client.gateway_put(gateway_eui=EUI)
        token = await token_of(client)
        async with station(base, EUI, token) as one:
            await one.connect()
            await one.socket.send_str("x" * 65_000)
            await eventually(lambda: network.engine.counters["bad_messages"] == 1)
            await one.socket.send_bytes(b"binary")
            await eventually(lambda: network.engine.counters["bad_messages"] == 2)
            assert not one.socket.closed
            await one.socket.send_str("x" * 70_000)
            await asyncio.wait_for(one.closed.wait(), 5)
            assert one.socket.close_code == 1009
        raw = Raw(base)  # the same in pieces
        await raw.upgrade(token)
        raw.writer.write(masked(1, b"y" * 40_000, first=0) + masked(0, b"y" * 40_000))
        assert await raw.close_code() == 1009
        raw.writer.close()


async def test_sec_10_half_open_sockets_go_away_and_harm_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lns.gateways.basicstation.server.HEADERS_WITHIN_S", 0.5)
    monkeypatch.setattr("lns.gateways.basicstation.server.FRESH_LIMIT", 100)
    async with server(tmp_path, ping_interval_s=1, silent_after_s=2.5) as (network, client, base):
        node = await registered(client)
        token = await token_of(client)
        host, port = base.removeprefix("ws://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(300)]
        for _, writer in idle[::3]:
            writer.write(b"GET /router/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        half = Raw(base)  # has connected well, and then its network is gone: it answers no ping
        await half.upgrade(token)
        async with station(base, EUI, token) as one:
            await one.connect()
            await one.hear(node.up(b"\x01", confirmed=True))
            assert (await one.sent(1)).window == "RX1"
            await one.drop()
        ended = [await asyncio.wait_for(_ended(reader), 5) for reader, _ in idle]
        assert all(ended)
        mute = Raw(base)
        await mute.upgrade(token)
        await eventually(lambda: network.engine.counters["station_silent"] == 1, 8)
        for _, writer in [*idle, (None, half.writer), (None, mute.writer)]:
            writer.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


async def test_pings_are_answered_both_ways(tmp_path: Path) -> None:
    async with server(tmp_path, ping_interval_s=1, silent_after_s=3) as (network, client, base):
        await client.gateway_put(gateway_eui=EUI)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            gateway = network.state.gateways.get(int(EUI, 16))
            assert gateway is not None and gateway.rtt_us is None
            await eventually(lambda: gateway.rtt_us is not None)
            assert gateway.rtt_us is not None and gateway.rtt_us < 500_000 and not one.socket.closed
        raw = Raw(base)
        await raw.upgrade(await token_of(client))
        raw.writer.write(masked(9, b"hello"))
        while b"\x8a\x05hello" not in await asyncio.wait_for(raw.reader.read(4096), 5):
            pass
        raw.writer.close()


async def test_sec_10_connections_of_one_address_and_of_all_are_limited(tmp_path: Path) -> None:
    async with server(tmp_path, max_connections=3, max_connections_per_source=4) as (_, client, base):
        tokens = {}
        for number in range(5):
            eui = f"{number + 1:016x}"
            await client.gateway_put(gateway_eui=eui)
            tokens[eui] = await token_of(client, eui)
        async with contextlib.AsyncExitStack() as stack:
            refused = []
            for eui, token in tokens.items():
                one = await stack.enter_async_context(station(base, eui, token))
                try:
                    await one.connect(f"{base}/router/{eui}")
                except aiohttp.WSServerHandshakeError as error:
                    refused.append(error.status)
            assert refused == [503, 503]
            again = await stack.enter_async_context(station(base, "0000000000000001", tokens["0000000000000001"]))
            await again.connect(f"{base}/router/0000000000000001")  # its own place is its own
            http = await stack.enter_async_context(aiohttp.ClientSession())
            asking = await http.ws_connect(f"{base}/router-info")
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{base}/router-info")
            await asking.close()


async def test_frames_wait_at_the_station_while_the_store_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path) as (network, client, base):
        node = await registered(client)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            monkeypatch.setattr("lns.engine.MAX_BATCH", -1)
            await one.hear(node.up(b"\x01"))
            await asyncio.sleep(0.3)
            assert network.engine.counters["frames"] == 0
            monkeypatch.setattr("lns.engine.MAX_BATCH", 50_000)
            await eventually(lambda: network.engine.counters["accepted"] == 1)


async def test_a_station_that_sends_too_much_is_read_more_slowly_and_loses_nothing(tmp_path: Path) -> None:
    async with server(tmp_path, messages_per_s=50) as (network, client, base):
        node = await registered(client)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            for _ in range(230):
                await one.hear(node.up(b"\x01"))
            await eventually(lambda: network.engine.counters["accepted"] == 230, 10)
            assert network.engine.counters["station_paced"] > 0


async def test_changed_settings_and_a_removed_gateway_end_the_connection(tmp_path: Path) -> None:
    async with server(tmp_path, ping_interval_s=1) as (_, client, base):
        await client.gateway_put(gateway_eui=EUI)
        async with station(base, EUI, await token_of(client)) as one:
            await one.connect()
            await client.gateway_put(gateway_eui=EUI, name="new name")
            await asyncio.sleep(0.1)
            assert not one.closed.is_set()
            await client.station_setup_put(gateway_eui=EUI, region="EU868")
            await asyncio.wait_for(one.closed.wait(), 5)
            await one.connect()
            assert one.radio is not None and one.radio.region == "EU868"
            await client.gateway_put(gateway_eui=EUI, allowed_sources=["192.0.2.0/24"])
            assert "this address" in (await one.ask())["error"]
            await client.gateway_delete(key=EUI)
            await asyncio.wait_for(one.closed.wait(), 5)
        with pytest.raises(ApiError):
            await client.station_setup_put(gateway_eui=OTHER, region="EU868")


# -------------------------------------------------------------------------------------------------------------- TLS


async def test_wss_with_tokens_and_with_client_certificates(tmp_path: Path) -> None:
    authority, strangers = Authority(tmp_path), Authority(tmp_path, "Somebody")
    async with server(tmp_path / "data", tls=True, **tls_settings(authority, tmp_path)) as (_, client, base):
        node = await registered(client)
        await client.gateway_put(gateway_eui=OTHER)
        token = await token_of(client)
        for n, (name, shown) in enumerate(((f"eui-{EUI}.gw.example", ""), (EUI.upper(), ""), ("", token))):
            async with station(base, EUI, shown, tls=client_tls(authority, name)) as one:
                await one.connect()
                told = (await client.gateway(key=EUI)).station
                assert told is not None and told.tls.startswith("TLSv1.")
                assert told.credential == ("token" if shown else "certificate")
                await one.hear(node.up(bytes((n,)), confirmed=True))
                assert (await one.sent(1)).window == "RX1"
        async with station(base, OTHER, tls=client_tls(authority, EUI)) as one:
            assert "another gateway" in (await one.ask())["error"]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await one.connect(f"{base}/router/{OTHER}")
            assert refused.value.status == 403
        async with station(base, EUI, tls=client_tls(authority)) as one:
            assert "show a token" in (await one.ask())["error"]
        false = ssl.create_default_context(cafile=str(authority.certificate))
        pem = strangers.issue(EUI)
        false.load_cert_chain(pem.certificate, pem.private_key)
        async with station(base, EUI, tls=false) as one:
            with pytest.raises((aiohttp.ClientError, ConnectionError, TypeError)):
                await one.ask()


async def test_a_changed_certificate_is_used_without_a_restart_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lns.gateways.basicstation.server.TICK_S", 0.05)
    authority = Authority(tmp_path)
    settings = tls_settings(authority, tmp_path)
    async with server(tmp_path / "data", tls=True, **settings) as (_, _, base):
        host, port = base.removeprefix("wss://").split(":")

        async def shown() -> bytes:
            _, writer = await asyncio.open_connection(host, int(port), ssl=client_tls(authority), server_hostname=host)
            certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
            writer.close()
            return certificate

        first = await shown()
        fresh = authority.issue("other.example.com")
        shutil.copy(fresh.private_key, settings["private_key"])
        shutil.copy(fresh.certificate, settings["certificate"])
        async with asyncio.timeout(5):
            while await shown() == first:
                await asyncio.sleep(0.05)
        second = await shown()
        Path(settings["certificate"]).write_text("nonsense")
        await asyncio.sleep(0.3)
        assert await shown() == second


async def test_an_authority_that_was_taken_away_signs_nobody_in_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lns.gateways.basicstation.server.TICK_S", 0.05)
    authority, successor = Authority(tmp_path), Authority(tmp_path, "Successor")
    settings = tls_settings(authority, tmp_path) | {"client_ca": str(tmp_path / "clients.pem")}
    shutil.copy(authority.certificate, settings["client_ca"])
    async with server(tmp_path / "data", tls=True, **settings) as (_, client, base):
        await client.gateway_put(gateway_eui=EUI)
        async with station(base, EUI, tls=client_tls(authority, EUI)) as one:
            await one.connect()
            shutil.copy(successor.certificate, settings["client_ca"])
            await asyncio.sleep(0.4)
            assert not one.closed.is_set(), "a connection that stands goes on"
        async with station(base, EUI, tls=client_tls(authority, EUI)) as one:
            with pytest.raises((aiohttp.ClientError, ConnectionError, TypeError)):
                await one.ask()
        renewed = ssl.create_default_context(cafile=str(authority.certificate))
        pem = successor.issue(EUI)
        renewed.load_cert_chain(pem.certificate, pem.private_key)
        async with station(base, EUI, tls=renewed) as one:
            await one.connect()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"listen": "0.0.0.0:8887"}, "without certificate"),
        ({"listen": "127.0.0.1:1", "certificate": "x"}, "go together"),
        ({"listen": "127.0.0.1:1", "client_ca": "x"}, "client_ca needs"),
        ({"listen": "127.0.0.1:1", "uri": "wss://host"}, "want the port"),
        ({"listen": "127.0.0.1:1", "uri": "https://host:1"}, "is not an address"),
        ({"listen": "127.0.0.1:1", "ping_interval_s": 60, "silent_after_s": 60}, "longer"),
        ({"listen": "nowhere"}, "is not an address"),
        ({"open_to": "everybody"}, "nobody"),
    ],
)
def test_settings_that_cannot_be_say_why(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BasicStationSettings(**fields)


async def test_starting_says_what_is_wrong(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("a")
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    good = {"certificate": str(pem.certificate), "private_key": str(pem.private_key)}
    for fields, why in (
        (good | {"certificate": str(tmp_path / "none.pem")}, "none.pem"),
        (good | {"private_key": str(broken)}, "broken.pem"),
        (good | {"client_ca": str(broken)}, "client_ca"),
    ):
        with pytest.raises(OSError, match=why):
            async with server(tmp_path / "data", **fields):
                pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="cannot listen for stations"):
            async with server(tmp_path / "data", listen=f"127.0.0.1:{taken.getsockname()[1]}"):
                pass
