"""Settings of the join server's room: the ``[joinserver]`` section.

Secrets are ``SecretStr``: neither ``repr`` nor ``meterwan check`` shows them.
"""

from __future__ import annotations

import ipaddress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, NetID


class JoinEuiRange(NamedTuple):
    """JoinEUIs from ``first`` to ``last``, both included."""

    first: EUI64
    last: EUI64

    def __contains__(self, join_eui: object) -> bool:
        return isinstance(join_eui, int) and self.first <= join_eui <= self.last


def parse_join_euis(text: str) -> JoinEuiRange:
    """Read ``70b3d57ed0000000``, a prefix ``70b3d57ed0000000/36`` or a range ``first-last``. Raises ValueError."""
    try:
        if "/" in text:
            value, _, bits = text.partition("/")
            first, free = EUI64.parse(value), 64 - int(bits)
            if not 0 <= free <= 64 or int(first) & ((1 << free) - 1):
                raise ValueError(f"{text!r} has bits beyond its prefix length, or the length is not 0..64")
            return JoinEuiRange(first, EUI64(int(first) | ((1 << free) - 1)))
        start, end = text[:16], text[17:]
        found = JoinEuiRange(*(EUI64.parse(e) for e in ((start, end) if text[16:17] == "-" else (text, text))))
    except FrameError as error:
        raise ValueError(f"{text!r} is no JoinEUI, no EUI/bits and no first-last: {error}") from None
    if found.first > found.last:
        raise ValueError(f"{text!r} runs backwards")
    return found


def parse_listen(text: str) -> tuple[str, int]:
    """Split ``host:port``. Raises ValueError that says what is expected."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not an address like 0.0.0.0:8003")
    return host.strip("[]") or "0.0.0.0", int(port)


def _check_join_euis(text: str) -> str:
    parse_join_euis(text)
    return text


def _check_listen(text: str) -> str:
    if text:
        parse_listen(text)
    return text


def _check_kek(secret: SecretStr) -> SecretStr:
    try:
        kek = bytes.fromhex(secret.get_secret_value())
    except ValueError:
        raise ValueError("a KEK is written in hex digits") from None
    if len(kek) not in (16, 24, 32):
        raise ValueError(f"a KEK has 16, 24 or 32 bytes, this one {len(kek)}")
    if len(set(kek)) < 8:
        raise ValueError("this KEK is guessable; make one with: openssl rand -hex 32")
    return secret


def _check_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{text!r} is not an address like https://join.example.com/")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(f"{text!r} would send session keys through the net in the clear; use https")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Peer(_Section):
    """A network server (its NetID) or an application server (any name) that may ask this join server."""

    id: str = Field(min_length=1)
    """SenderID: a NetID of six hex digits, or an application server's name."""
    certificate_names: tuple[str, ...] = ()
    """Names in its client certificate (DNS names or CN), one of which must match."""
    token: SecretStr = SecretStr("")
    """Instead of or besides a certificate: the whole ``Authorization`` header, such as ``Bearer …``."""
    kek_label: str = ""
    """Network session keys go wrapped under this KEK; empty: in the clear inside TLS."""
    app_kek_label: str | None = None
    """AppSKey goes wrapped under this KEK, empty: in the clear inside TLS. Unset: this peer never gets an AppSKey."""


class HttpSettings(_Section):
    """Backend Interfaces (TS002) over HTTPS, for network servers of others. An empty ``listen`` turns it off."""

    listen: Annotated[str, AfterValidator(_check_listen)] = ""
    certificate: Path | None = None
    """PEM: this server's certificate and its chain."""
    private_key: Path | None = None
    client_ca: Path | None = None
    """PEM: whoever signs the certificates of peers."""
    peers: tuple[Peer, ...] = ()

    @model_validator(mode="after")
    def _is_safe(self) -> HttpSettings:
        if not self.listen:
            return self
        names = [peer.id.lower() for peer in self.peers]
        for peer in self.peers:
            if names.count(peer.id.lower()) > 1:
                raise ValueError(f"peers: {peer.id} stands there twice")
            if not peer.certificate_names and not peer.token.get_secret_value():
                raise ValueError(f"peers: {peer.id} needs certificate_names or a token, or anybody could be it")
            if peer.certificate_names and not self.client_ca:
                raise ValueError(f"peers: {peer.id} has certificate_names, so client_ca must name who signs them")
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key go together")
        if not self.certificate and not _is_loopback(parse_listen(self.listen)[0]):
            raise ValueError(f"listen = {self.listen}: without certificate and private_key only on 127.0.0.1")
        return self


class ExternalJoinServer(_Section):
    """A join server of somebody else, asked for devices with these JoinEUIs."""

    join_euis: Annotated[str, AfterValidator(_check_join_euis)]
    """One JoinEUI, a prefix ``70b3d57ed0000000/36`` or a range ``first-last``."""
    url: Annotated[str, AfterValidator(_check_url)]
    ca: Path | None = None
    """PEM: who signs that server's certificate; unset: the system's authorities."""
    certificate: Path | None = None
    """PEM: our client certificate."""
    private_key: Path | None = None
    token: SecretStr = SecretStr("")
    """The whole ``Authorization`` header, for join servers that want one."""
    protocol_version: Literal["1.0", "1.1"] = "1.0"
    end_to_end: bool = False
    """The AppSKey is for the application alone: it is handed on in the envelope in which it came, payloads stay encrypted."""
    timeout_s: float = Field(default=2.0, gt=0, le=4.5)
    """The accept must leave 5 s after the request: an answer later than this is of no use."""

    @model_validator(mode="after")
    def _is_whole(self) -> ExternalJoinServer:
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key go together")
        return self

    @property
    def range(self) -> JoinEuiRange:
        """``join_euis`` as a range."""
        return parse_join_euis(self.join_euis)


class JoinServerSettings(_Section):
    """The ``[joinserver]`` section."""

    http: HttpSettings = HttpSettings()
    keks: dict[str, Annotated[SecretStr, AfterValidator(_check_kek)]] = {}
    """Key-encryption keys shared with peers and external join servers: label → hex."""
    external: tuple[ExternalJoinServer, ...] = ()

    @model_validator(mode="after")
    def _labels_are_known(self) -> JoinServerSettings:
        for peer in self.http.peers:
            for label in (peer.kek_label, peer.app_kek_label):
                if label and label not in self.keks:
                    raise ValueError(f"http.peers: {peer.id} names the KEK {label!r}, which is not in keks")
        ordered = sorted(self.external, key=lambda server: server.range)
        for one, other in pairwise(ordered):
            if other.range.first <= one.range.last:
                raise ValueError(f"external: {one.join_euis} and {other.join_euis} overlap")
        return self

    def kek_bytes(self) -> dict[str, bytes]:
        """The KEKs by label."""
        return {label: bytes.fromhex(kek.get_secret_value()) for label, kek in self.keks.items()}


def net_id_of(sender_id: str) -> NetID | None:
    """The NetID that a SenderID is, None when it is another sender's name."""
    try:
        return NetID.parse(sender_id)
    except FrameError:
        return None
