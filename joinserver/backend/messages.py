"""The messages of Backend Interfaces as JSON: structures, names of members, hexadecimal text.

Reading is tolerant (any case of hex, ``0x``, unknown members, null for nothing, a plain text as Result); writing is
the specification's. Everything malformed is a :class:`FrameError` that names the member.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from joinserver.backend.envelope import KeyEnvelope
from lorawan.backend import ResultCode
from lorawan.errors import FrameError

PROTOCOL_VERSIONS: Final = ("1.0", "1.1")

_WORDS = {
    "aes": "AES",
    "cflist": "CFList",
    "dl": "DL",
    "eui": "EUI",
    "id": "ID",
    "kek": "KEK",
    "mac": "MAC",
    "nsid": "NSID",
    "phy": "PHY",
}


def _member(name: str) -> str:
    """``dev_eui`` → ``DevEUI``: the specification's spelling of a field's name."""
    return "".join(_WORDS.get(word, word.capitalize()) for word in name.split("_"))


class Header(msgspec.Struct, kw_only=True, omit_defaults=True, rename=_member):
    """What every message begins with."""

    protocol_version: str
    sender_id: str
    """NetID of a network server, JoinEUI of a join server, name of an application server."""
    receiver_id: str
    transaction_id: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
    """32 bits, chosen by the asker and copied to the answer."""
    message_type: str
    sender_token: str | None = ""
    """Opaque; comes back as ``receiver_token``."""
    receiver_token: str | None = ""
    sender_nsid: str | None = ""
    """1.1: EUI-64 of one of several servers of a NetID."""
    receiver_nsid: str | None = ""


class JoinRequestMessage(Header):
    """JoinReq and RejoinReq."""

    mac_version: str
    phy_payload: str
    dev_eui: str
    dev_addr: str
    dl_settings: str
    rx_delay: int
    cflist: str | None = ""


class AppSKeyRequestMessage(Header):
    """AppSKeyReq."""

    dev_eui: str
    session_key_id: str


class HomeNSRequestMessage(Header):
    """HomeNSReq."""

    dev_eui: str


class Result(msgspec.Struct, omit_defaults=True, rename="pascal"):
    """Outcome of a request."""

    result_code: str
    description: str | None = ""


class Answer(Header):
    """Any answer; which members it has depends on its type."""

    result: Result | str
    phy_payload: str | None = ""
    lifetime: int | None = None
    """Seconds a session is good for, 0 without limit."""
    nwk_s_key: KeyEnvelope | None = None
    f_nwk_s_int_key: KeyEnvelope | None = None
    s_nwk_s_int_key: KeyEnvelope | None = None
    nwk_s_enc_key: KeyEnvelope | None = None
    app_s_key: KeyEnvelope | None = None
    session_key_id: str | None = ""
    dev_eui: str | None = ""
    h_net_id: str | None = ""

    def __repr__(self) -> str:
        return f"<{self.message_type} {self.transaction_id}>"  # may carry keys in the clear

    def outcome(self) -> tuple[ResultCode, str]:
        """Result code and description; a code that is not known is ``Other`` and stands in the description."""
        given = self.result if isinstance(self.result, Result) else Result(self.result)
        try:
            return ResultCode.parse(given.result_code), given.description or ""
        except FrameError:
            return ResultCode.OTHER, f"{given.result_code} {given.description or ''}".strip()


M = TypeVar("M", bound=msgspec.Struct)


def decode(body: bytes, message: type[M]) -> M:
    """Read one message. FrameError when the bytes are not JSON or a member is missing or of another type."""
    try:
        return msgspec.json.decode(body, type=message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a message of Backend Interfaces: {error}") from None


encode = msgspec.json.Encoder().encode


def read_hex(text: str, member: str, length: int | None = None) -> bytes:
    """Bytes of a hex member. FrameError when it is not hex or not ``length`` bytes."""
    try:
        data = bytes.fromhex(text.strip().removeprefix("0x").removeprefix("0X"))
    except ValueError:
        raise FrameError(f"{member} {text[:40]!r} is not hexadecimal") from None
    if length is not None and len(data) != length:
        raise FrameError(f"{member} has {len(data)} bytes, not {length}")
    return data


def result_text(code: ResultCode, protocol_version: str) -> str:
    """The code as this protocol version knows it (TS002-1.0.0 and TS002-1.1.0 differ in a few)."""
    return _RESULT_NAMES.get(protocol_version, {}).get(code, code.value)


_RESULT_NAMES = {
    "1.0": {
        ResultCode.FRAME_REPLAYED: ResultCode.JOIN_REQ_FAILED.value,
        ResultCode.NO_ACTION: ResultCode.OTHER.value,
        ResultCode.MALFORMED_MESSAGE: ResultCode.MALFORMED_REQUEST.value,
    },
    "1.1": {ResultCode.MALFORMED_REQUEST: ResultCode.MALFORMED_MESSAGE.value},
}
