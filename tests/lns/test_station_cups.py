"""CUPS: what a Basics Station is given."""

from __future__ import annotations

import hashlib
import os
import ssl
import zlib
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.certificates import Authority
from tests.support.live_network import EUI
from tests.support.station_server import client_tls, server, tls_settings

OTHER = "70b3d50000000002"


class Cups:
    """A station's reading of an answer, part by part (src/cups.c of 2.0.6)."""

    def __init__(self, body: bytes) -> None:
        at = 0

        def part(width: int) -> bytes:
            nonlocal at
            length = int.from_bytes(body[at : at + width], "little")
            content = body[at + width : at + width + length]
            assert len(content) == length
            at += width + length
            return content

        self.cups_uri, self.lns_uri = part(1).decode(), part(1).decode()
        self.cups, self.lns = part(2), part(2)
        self.signature, self.update = part(4), part(4)
        assert at == len(body)

    @staticmethod
    def files(credentials: bytes) -> tuple[bytes, bytes]:
        """(trust, key): the DER sequence first, four zero bytes for the missing certificate, then the header's text."""
        assert credentials[0] == 0x30 and credentials[1] == 0x82
        length = 4 + int.from_bytes(credentials[2:4], "big")
        assert credentials[length : length + 4] == bytes(4)
        return credentials[:length], credentials[length + 4 :]


async def test_cups_gives_what_a_station_lacks_and_nothing_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with server(tmp_path / "data", tls=True, **tls_settings(authority, tmp_path)) as (network, client, base):
        await client.gateway_put(gateway_eui=EUI)
        made = await client.station_credentials_put(gateway_eui=EUI, uri=base)
        assert (made.lns_uri, made.cups_uri) == (base, base.replace("wss", "https"))
        trust = ssl.PEM_cert_to_DER_cert(made.trust)
        assert trust == ssl.PEM_cert_to_DER_cert(authority.certificate.read_text())
        has: dict[str, Any] = {
            "router": EUI, "cupsUri": "https://old:1", "tcUri": "", "cupsCredCrc": 0, "tcCredCrc": 0,
            "station": "2.0.6", "model": "linux", "package": "1.2.3", "keys": [],
        }  # fmt: skip
        image = os.urandom(300_000)
        folder = tmp_path / "data" / "firmware"
        folder.mkdir()
        (folder / "new.bin").write_bytes(image)
        update = {
            "name": "linux 1.3", "package": "1.3.0", "file": "new.bin", "size": len(image), "model": "linux",
            "sha512": hashlib.sha512(image).hexdigest(),
        }  # fmt: skip
        await client.firmware_put(**update)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls(authority))) as http:

            async def ask(token: str, **changed: Any) -> Any:
                async with http.post(
                    f"{made.cups_uri}/update-info", json=has | changed, headers={"Authorization": f"Bearer {token}"}
                ) as answer:
                    return Cups(await answer.read()) if answer.status == 200 else answer.status

            first = await ask(made.cups_token)
            assert (first.cups_uri, first.lns_uri) == (made.cups_uri, made.lns_uri)
            assert Cups.files(first.lns) == (trust, f"Authorization: Bearer {made.lns_token}\r\n".encode())
            assert Cups.files(first.cups) == (trust, f"Authorization: Bearer {made.cups_token}\r\n".encode())
            assert first.update == image and first.signature == b""
            has |= {"cupsUri": first.cups_uri, "tcUri": first.lns_uri, "package": "1.3.0"}
            has |= {"cupsCredCrc": zlib.crc32(first.cups), "tcCredCrc": zlib.crc32(first.lns)}
            second = await ask(made.cups_token)
            assert vars(second) == {
                "cups_uri": "", "lns_uri": "", "cups": b"", "lns": b"", "signature": b"", "update": b"",
            }  # fmt: skip
            # A change of tokens: the old one still opens CUPS, which brings the new ones; then it ends.
            new = await client.station_credentials_put(gateway_eui=EUI, uri=base)
            third = await ask(made.cups_token)
            assert Cups.files(third.cups)[1].decode().split()[-1] == new.cups_token
            assert Cups.files(third.lns)[1].decode().split()[-1] == new.lns_token
            assert isinstance(await ask(new.cups_token), Cups) and await ask(made.cups_token) == 401
            # Signed updates go to stations that have the key, unsigned ones to stations without keys.
            await client.firmware_put(**update | {"signature": "3045" + "ab" * 69, "key_crc": 0xDEADBEEF})
            assert (await ask(new.cups_token, package="1.2.3")).update == b""
            signed = await ask(new.cups_token, package="1.2.3", keys=[7, 0xDEADBEEF])
            assert signed.update == image and signed.signature == bytes.fromhex("efbeadde3045" + "ab" * 69)
            assert (await ask(new.cups_token, package="1.2.3", keys=[0xDEADBEEF], model="corecell")).update == b""
            await client.firmware_put(**update | {"gateways": [OTHER]})
            assert (await ask(new.cups_token, package="1.2.3")).update == b""
            await client.firmware_put(**update | {"gateways": [EUI]})
            (folder / "new.bin").write_bytes(image[:-1] + b"!")
            assert (await ask(new.cups_token, package="1.2.3")).update == b"", "the file is not the one that was added"
            await client.firmware_delete(key="linux 1.3")
            assert (await client.firmware()).items == []
            # Who may not.
            assert await ask(new.lns_token) == 401 and await ask("") == 401
            assert await ask(new.cups_token, router=OTHER) == 403
            assert await ask(new.cups_token, router="nonsense") == 400
        assert network.engine.counters["internal_errors"] == 0


async def test_cups_of_garbage_answers_400(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, _, base), aiohttp.ClientSession() as http:
        for body in (b"", b"{", b"[]", b'{"router":{}}', b'{"router":"::1","keys":["x"]}', b"\xff"):
            async with http.post(f"{base.replace('ws', 'http')}/update-info", data=body) as answer:
                assert answer.status == 400
        async with http.post(f"{base.replace('ws', 'http')}/update-info", data=b"x" * 100_000) as answer:
            assert answer.status == 413
