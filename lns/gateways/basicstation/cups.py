"""CUPS: a station tells what it has, and gets what it lacks: addresses, credentials, an update.

The answer (little endian) is a row of parts, each with its length before it, 0 for "keep what you have":
CUPS address (length 1), LNS address (1), CUPS credentials (2), LNS credentials (2), signature (4), update (4).
Credentials are the authority's certificate in DER, four zero bytes in place of a client certificate, and the text of the
header with the token. A station compares by CRC32 over just these bytes (lorabasics/basicstation 2.0.6, src/cups.c and
src-linux/sys_linux.c).
"""

from __future__ import annotations

import hashlib
import re
import ssl
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from lns.gateways.basicstation.credentials import Purpose, key_file
from lns.gateways.basicstation.eui import parse_eui
from lns.gateways.basicstation.firmware import Firmware, update_for
from lns.settings import BasicStationSettings
from lns.state import NetworkState
from lorawan.errors import FrameError

NO_CERTIFICATE = b"\0\0\0\0"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class _Body(Struct, gc=False):
    router: Any
    cupsUri: str | None = ""
    tcUri: str | None = ""
    cupsCredCrc: int = 0
    tcCredCrc: int = 0
    station: str = ""
    model: str = ""
    package: str | None = ""
    keys: list[int] = []


class Asked(NamedTuple):
    """What a station says that it has."""

    eui: int
    cups_uri: str
    lns_uri: str
    cups_crc: int
    lns_crc: int
    station: str
    model: str
    package: str
    keys: tuple[int, ...]


_decode = msgspec.json.Decoder(_Body).decode


class Cups:
    """Answers ``/update-info``."""

    def __init__(self, state: NetworkState, settings: BasicStationSettings) -> None:
        self._state = state
        self._settings = settings

    @staticmethod
    def read(body: bytes) -> Asked:
        """The question. Raises FrameError."""
        try:
            said = _decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise FrameError(f"not a question to CUPS: {error}") from None
        return Asked(
            parse_eui(said.router),
            said.cupsUri or "",
            said.tcUri or "",
            said.cupsCredCrc,
            said.tcCredCrc,
            said.station[:80],
            said.model[:80],
            (said.package or "")[:80],
            tuple(said.keys[:16]),
        )

    def update(self, asked: Asked) -> Firmware | None:
        """The update that the station should have and lacks."""
        return update_for(self._state.firmware.values(), asked.eui, asked.model, asked.package, asked.keys)

    def answer(self, asked: Asked, lns_uri: str, update: Firmware | None, image: bytes) -> bytes:
        """What the station lacks. ``lns_uri``: ``wss://host:port``; CUPS is at the same place over HTTPS."""
        cups_uri = lns_uri.replace("ws", "http", 1)
        cups, lns = self._credentials(asked.eui, "cups"), self._credentials(asked.eui, "lns")
        signature = b""
        if update is None or hashlib.sha512(image).hexdigest() != update.sha512:
            image = b""
        elif update.signature:
            signature = update.key_crc.to_bytes(4, "little") + bytes.fromhex(update.signature)
        return b"".join(
            (
                _part(b"" if _same(asked.cups_uri, cups_uri) else cups_uri.encode(), 1),
                _part(b"" if _same(asked.lns_uri, lns_uri) else lns_uri.encode(), 1),
                _part(b"" if not cups or zlib.crc32(cups) == asked.cups_crc else cups, 2),
                _part(b"" if not lns or zlib.crc32(lns) == asked.lns_crc else lns, 2),
                _part(signature, 4),
                _part(image, 4),
            )
        )

    def _credentials(self, eui: int, purpose: Purpose) -> bytes:
        """The newest token of the gateway with the authority to trust; empty when it has none or there is no TLS."""
        tokens = self._state.station_tokens.of(eui, purpose)
        trust = trust_der(self._settings)
        if not tokens or trust is None:
            return b""
        return trust + NO_CERTIFICATE + key_file(self._state.keys.unseal_secret(tokens[-1].sealed))


def read_image(update: Firmware, data_dir: Path) -> bytes:
    """The file of an update; empty when it cannot be read."""
    try:
        return update.path(data_dir).read_bytes()
    except OSError:
        return b""


def trust_pem(settings: BasicStationSettings) -> str:
    """The authority by which stations know this server, PEM; empty without TLS. Raises OSError."""
    file = settings.trust or settings.certificate
    if file is None:
        return ""
    found = _PEM.findall(file.read_text())
    return found[-1] + "\n" if found else ""


def trust_der(settings: BasicStationSettings) -> bytes | None:
    """The same in DER; None without TLS or when the file cannot be read."""
    try:
        pem = trust_pem(settings)
        return ssl.PEM_cert_to_DER_cert(pem) if pem else None
    except (OSError, ValueError):
        return None


def _same(given: str, wanted: str) -> bool:
    return given.rstrip("/").lower() == wanted.lower()


def _part(content: bytes, length_bytes: int) -> bytes:
    return len(content).to_bytes(length_bytes, "little") + content
