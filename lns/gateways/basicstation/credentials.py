"""Tokens of stations: who shows one is the gateway that it was made for.

A token is shown once and kept as its SHA-256. Its 32 random bytes are kept besides, sealed under the key-encryption key,
so that CUPS can hand it to the station. A new token does not end the old one at once, or a station that has yet to fetch
it would be locked out: the old ones of the same purpose end when the new one is first used.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

Purpose = Literal["lns", "cups"]
PREFIX = "mwgw-"
SECRET_BYTES = 32
HEADER = "Authorization: Bearer "


class Token(NamedTuple):
    """What is kept of a token."""

    hash: bytes
    eui: int
    purpose: Purpose
    sealed: bytes
    created_at_us: int

    @property
    def row(self) -> tuple[bytes, bytes, str, bytes, int]:
        return self.hash, self.eui.to_bytes(8, "big"), self.purpose, self.sealed, self.created_at_us


def token_text(secret: bytes) -> str:
    """The token as it stands in a header: ``mwgw-…``."""
    return PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def key_file(secret: bytes) -> bytes:
    """The content of ``tc.key`` or ``cups.key``: the header that the station sends, with its line end."""
    return f"{HEADER}{token_text(secret)}\r\n".encode()


def token_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def shown_token(header: str) -> str:
    """The token in an ``Authorization`` header, with or without ``Bearer``; empty when there is none."""
    text = header.strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text


class Tokens:
    """All tokens, by what they are recognised by."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, Token] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, token: Token) -> None:
        self._tokens[token.hash] = token

    def find(self, text: str, purpose: Purpose) -> Token | None:
        """Whose token this is; None when nobody's. Its hash is looked up, so that time tells nothing of the others."""
        token = self._tokens.get(token_hash(text))
        return token if token is not None and token.purpose == purpose else None

    def of(self, eui: int, purpose: Purpose) -> list[Token]:
        """A gateway's tokens, the newest last."""
        found = (token for token in self._tokens.values() if token.eui == eui and token.purpose == purpose)
        return sorted(found, key=lambda token: token.created_at_us)

    def used(self, token: Token) -> Iterator[Token]:
        """A token was used: those older than it, for the same purpose, end. Gives them."""
        for other in self.of(token.eui, token.purpose):
            if other.created_at_us < token.created_at_us:
                yield self._tokens.pop(other.hash)

    def revoke(self, eui: int) -> int:
        """End all tokens of a gateway; returns how many there were."""
        mine = [hash for hash, token in self._tokens.items() if token.eui == eui]
        for hash in mine:
            del self._tokens[hash]
        return len(mine)
