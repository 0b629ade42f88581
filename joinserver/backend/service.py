"""What this join server answers over Backend Interfaces, without a socket: bytes of a request in, bytes of an answer out.

Who asks is checked before anything else is looked at. What is refused is answered with a Result and HTTP 200; only
bytes that are no message get HTTP 400 (TS002). Answers are synchronous: the answer is the body of the response.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from joinserver.backend.envelope import seal
from joinserver.backend.messages import (
    PROTOCOL_VERSIONS,
    Answer,
    AppSKeyRequestMessage,
    Header,
    HomeNSRequestMessage,
    JoinRequestMessage,
    Result,
    decode,
    encode,
    read_hex,
    result_text,
)
from joinserver.core import Refused
from joinserver.local import LocalJoinServer
from joinserver.settings import JoinServerSettings, Peer, net_id_of
from joinserver.values import DeviceInfo
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.crypto import SessionKeys
from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, DevAddr, NetID


class Reply(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    result: ResultCode | None
    """None when the request was no message at all."""


class Caller(NamedTuple):
    """Who has connected, as far as the transport can tell."""

    certificate_names: Collection[str] = ()
    """DNS names and CN of a client certificate that our CA has signed."""
    authorization: str = ""
    """The ``Authorization`` header."""


class JoinService:
    """Answers JoinReq, RejoinReq, AppSKeyReq and HomeNSReq of the peers in the settings."""

    def __init__(self, local: LocalJoinServer, settings: JoinServerSettings, net_id: NetID | None = None) -> None:
        """``net_id`` is the home network of devices that have none written: usually our own."""
        self._local = local
        self._keks = settings.kek_bytes()
        self._peers = {_sender(peer.id): peer for peer in settings.http.peers}
        self._net_id = net_id

    async def answer(self, body: bytes, caller: Caller) -> Reply:
        """Answer one request. Nothing escapes but the failure of our own storage."""
        try:
            header = decode(body, Header)
        except FrameError as error:
            return Reply(400, str(error).encode(), None)
        try:
            return _reply(header, await self._answer(header, body, caller))
        except Refused as refusal:
            code, detail = refusal.code, refusal.detail
        except FrameError as error:
            code, detail = ResultCode.MALFORMED_REQUEST, str(error)
        return _reply(header, _answer_to(header, code, detail))

    async def _answer(self, header: Header, body: bytes, caller: Caller) -> Answer:
        if header.protocol_version not in PROTOCOL_VERSIONS:
            raise Refused(
                ResultCode.INVALID_PROTOCOL_VERSION,
                f"ProtocolVersion {header.protocol_version[:20]!r}; {' and '.join(PROTOCOL_VERSIONS)} are known",
            )
        peer = self._recognise(header, caller)
        handler = self._HANDLERS.get(header.message_type)
        if handler is None:
            raise Refused(
                ResultCode.MALFORMED_REQUEST,
                f"MessageType {header.message_type[:40]!r}; this join server answers {', '.join(self._HANDLERS)}",
            )
        return await handler(self, body, peer)

    def _recognise(self, header: Header, caller: Caller) -> Peer:
        """The peer that the sender says it is, when its certificate or token proves it."""
        peer = self._peers.get(_sender(header.sender_id))
        if peer is not None:
            token = peer.token.get_secret_value()
            if {name.lower() for name in peer.certificate_names} & {name.lower() for name in caller.certificate_names}:
                return peer
            if token and hmac.compare_digest(token.encode(), caller.authorization.encode()):
                return peer
        raise Refused(
            ResultCode.UNKNOWN_SENDER, f"SenderID {header.sender_id[:40]!r} with these credentials is not known"
        )

    # ------------------------------------------------------------------------------------------------ messages

    async def _join(self, body: bytes, peer: Peer) -> Answer:
        message = decode(body, JoinRequestMessage)
        net_id = net_id_of(message.sender_id)
        if net_id is None:
            raise Refused(ResultCode.MALFORMED_REQUEST, f"SenderID {message.sender_id!r} is not a NetID")
        request = join_req_of(message, net_id)
        if request.join_eui != (_join_eui_in(request.phy_payload) or request.join_eui):
            raise Refused(
                ResultCode.UNKNOWN_RECEIVER, f"ReceiverID {message.receiver_id} is not the JoinEUI of the frame"
            )
        (answer,) = await self._local.join([request])
        answered = _answer_to(message, answer.result, answer.detail)
        if answer.session_keys is not None:
            self._enclose(answered, answer, answer.session_keys, peer)
        return answered

    def _enclose(self, message: Answer, answer: JoinAns, keys: SessionKeys, peer: Peer) -> None:
        """The accept and its keys, wrapped as this peer is to have them."""
        message.phy_payload = answer.phy_payload.hex()
        message.lifetime = 0
        message.session_key_id = answer.session_key_id.hex()
        if keys.lorawan_1_1:
            message.f_nwk_s_int_key = seal(keys.f_nwk_s_int_key, peer.kek_label, self._keks)
            message.s_nwk_s_int_key = seal(keys.s_nwk_s_int_key, peer.kek_label, self._keks)
            message.nwk_s_enc_key = seal(keys.nwk_s_enc_key, peer.kek_label, self._keks)
        else:
            message.nwk_s_key = seal(keys.nwk_s_key, peer.kek_label, self._keks)
        if peer.app_kek_label is not None:
            message.app_s_key = seal(keys.app_s_key, peer.app_kek_label, self._keks)

    async def _app_s_key(self, body: bytes, peer: Peer) -> Answer:
        message = decode(body, AppSKeyRequestMessage)
        dev_eui = _eui(message.dev_eui, "DevEUI")
        await self._device(dev_eui, message)
        if peer.app_kek_label is None:
            raise Refused(ResultCode.ACTIVATION_DISALLOWED, f"{peer.id} is not to have application session keys")
        name = read_hex(message.session_key_id, "SessionKeyID")
        key = await self._local.run(lambda server: server.app_s_key(dev_eui, name))
        if key is None:
            raise Refused(ResultCode.OTHER, f"DevEUI {dev_eui}: no session {message.session_key_id[:60]!r} (any more)")
        answer = _answer_to(message, ResultCode.SUCCESS)
        answer.dev_eui = str(dev_eui)
        answer.session_key_id = message.session_key_id
        answer.app_s_key = seal(key, peer.app_kek_label, self._keks)
        return answer

    async def _home_ns(self, body: bytes, peer: Peer) -> Answer:
        message = decode(body, HomeNSRequestMessage)
        device = await self._device(_eui(message.dev_eui, "DevEUI"), message)
        home = device.home_net_id if device.home_net_id is not None else self._net_id
        if home is None:
            raise Refused(ResultCode.OTHER, f"DevEUI {device.dev_eui} has no home network written")
        answer = _answer_to(message, ResultCode.SUCCESS)
        answer.h_net_id = str(home)
        return answer

    async def _device(self, dev_eui: EUI64, message: Header) -> DeviceInfo:
        found: Sequence[DeviceInfo] = await self._local.run(lambda server: server.devices(dev_euis=[dev_eui]))
        if not found:
            raise Refused(ResultCode.UNKNOWN_DEV_EUI, f"DevEUI {dev_eui} is not registered")
        if found[0].join_eui != _eui(message.receiver_id, "ReceiverID"):
            raise Refused(ResultCode.UNKNOWN_RECEIVER, f"ReceiverID {message.receiver_id} is not the device's JoinEUI")
        return found[0]

    _HANDLERS: Mapping[str, Callable[[JoinService, bytes, Peer], Awaitable[Answer]]] = {
        "JoinReq": _join,
        "RejoinReq": _join,
        "AppSKeyReq": _app_s_key,
        "HomeNSReq": _home_ns,
    }


def join_req_of(message: JoinRequestMessage, net_id: NetID) -> JoinReq:
    """The values of a JoinReq or RejoinReq. FrameError that names the member which is wrong."""
    phy = read_hex(message.phy_payload, "PHYPayload")
    rejoin = message.message_type == "RejoinReq"
    if rejoin and len(phy) < 2:
        raise FrameError(f"PHYPayload of {len(phy)} bytes is no rejoin-request")
    return JoinReq(
        phy_payload=phy,
        mac_version=message.mac_version,
        dev_eui=_eui(message.dev_eui, "DevEUI"),
        net_id=net_id,
        dev_addr=DevAddr(int.from_bytes(read_hex(message.dev_addr, "DevAddr", 4), "big")),
        dl_settings=read_hex(message.dl_settings, "DLSettings", 1)[0],
        rx_delay=message.rx_delay,
        cflist=read_hex(message.cflist or "", "CFList"),
        rejoin_type=phy[1] if rejoin else None,
        join_eui=_eui(message.receiver_id, "ReceiverID"),
    )


def _join_eui_in(phy: bytes) -> EUI64 | None:
    """JoinEUI of a frame that carries one: join-request and rejoin-request type 1."""
    at = {b"\x00": 1, b"\xc0": 2 if phy[1:2] == b"\x01" else None}.get(phy[:1])
    return None if at is None or len(phy) < at + 8 else EUI64.from_wire(phy[at : at + 8])


def _eui(text: str, member: str) -> EUI64:
    return EUI64(int.from_bytes(read_hex(text, member, 8), "big"))


def _sender(text: str) -> str:
    """A SenderID as it is compared: hex in any case, with or without ``0x``."""
    return text.strip().lower().removeprefix("0x")


def _answer_to(header: Header, code: ResultCode, detail: str = "") -> Answer:
    version = header.protocol_version if header.protocol_version in PROTOCOL_VERSIONS else PROTOCOL_VERSIONS[0]
    return Answer(
        protocol_version=version,
        sender_id=header.receiver_id,
        receiver_id=header.sender_id,
        transaction_id=header.transaction_id,
        message_type=header.message_type.removesuffix("Req") + "Ans",
        receiver_token=header.sender_token,
        sender_nsid=header.receiver_nsid,
        receiver_nsid=header.sender_nsid,
        result=Result(result_text(code, version), detail),
    )


def _reply(header: Header, answer: Answer) -> Reply:
    return Reply(200, encode(answer), answer.outcome()[0])
