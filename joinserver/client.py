"""External join servers, asked over Backend Interfaces: the network server's side (TS002, synchronous answers)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import aiohttp

from joinserver.backend.envelope import KeyEnvelope, unseal
from joinserver.backend.messages import (
    Answer,
    AppSKeyRequestMessage,
    JoinRequestMessage,
    decode,
    encode,
    read_hex,
)
from joinserver.settings import ExternalJoinServer, JoinServerSettings
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.crypto import KeyEnvelope as SessionKeyEnvelope
from lorawan.crypto import SessionKeys
from lorawan.errors import FrameError
from lorawan.frames import EncryptedJoinAccept, JoinRequest, RejoinRequest0_2, RejoinRequest1, parse
from lorawan.identifiers import EUI64

MAX_BODY = 64 * 1024
MAX_CONNECTIONS = 32

log = logging.getLogger("joinserver.client")


class JoinServerPort(Protocol):
    """What a network server asks: in process, over HTTP, or a router over both."""

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Answer these requests in their order."""
        ...


class HttpJoinServer:
    """One external join server. Belongs to one event loop; close it in the end."""

    def __init__(self, settings: ExternalJoinServer, keks: Mapping[str, bytes], first_transaction_id: int) -> None:
        """``first_transaction_id`` should be random, so that a restart does not repeat what is on its way."""
        self._settings = settings
        self._keks = keks
        self._transaction_ids = count(first_transaction_id)
        self._session: aiohttp.ClientSession | None = None

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Ask for all at once. Whatever goes wrong with one is its ``Other`` with a sentence, never an exception."""
        return await asyncio.gather(*(self._join(request) for request in requests))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    # ------------------------------------------------------------------------------------------------ messages

    async def _join(self, request: JoinReq) -> JoinAns:
        try:
            frame = parse(request.phy_payload)
            join_eui = join_eui_of(request)
            if join_eui is None:
                raise FrameError("its JoinEUI is not known, and its frame carries none")
            return await self._accepted(request, _nonce_of(frame), join_eui)
        except (FrameError, OSError, TimeoutError, aiohttp.ClientError) as error:
            reason = str(error) or f"no answer within {self._settings.timeout_s} s"
            log.warning("join server %s, DevEUI %s: %s", self._settings.url, request.dev_eui, reason)
            return JoinAns(ResultCode.OTHER, f"DevEUI {request.dev_eui}: join server {self._settings.url}: {reason}")

    async def _accepted(self, request: JoinReq, nonce: int, join_eui: EUI64) -> JoinAns:
        answer = await self._ask(self._join_message(request, join_eui))
        code, description = answer.outcome()
        if code is not ResultCode.SUCCESS:
            return JoinAns(code, f"DevEUI {request.dev_eui}: join server {self._settings.url}: {description}")
        phy = read_hex(answer.phy_payload or "", "PHYPayload")
        if not isinstance(parse(phy), EncryptedJoinAccept):
            raise FrameError("its PHYPayload is not a join-accept")
        session_key_id = read_hex(answer.session_key_id or "", "SessionKeyID")
        app_s_key = answer.app_s_key
        if app_s_key is None:
            app_s_key = await self._fetch_app_s_key(request, join_eui, answer.session_key_id or "")
        keys = self._keys(request, answer, app_s_key)
        return JoinAns(
            ResultCode.SUCCESS,
            phy_payload=phy,
            session_keys=keys,
            session_key_id=session_key_id,
            dev_nonce=nonce,
        )

    async def _fetch_app_s_key(self, request: JoinReq, join_eui: EUI64, session_key_id: str) -> KeyEnvelope:
        """AppSKey by its SessionKeyID, when the join server does not put it into JoinAns."""
        if not session_key_id:
            raise FrameError("its answer has neither AppSKey nor SessionKeyID")
        answer = await self._ask(
            AppSKeyRequestMessage(
                **self._header("AppSKeyReq", request, join_eui),
                dev_eui=str(request.dev_eui),
                session_key_id=session_key_id,
            )
        )
        code, description = answer.outcome()
        if code is not ResultCode.SUCCESS or answer.app_s_key is None:
            raise FrameError(f"AppSKeyReq: {code.value} {description}".strip())
        return answer.app_s_key

    def _keys(self, request: JoinReq, answer: Answer, app_s_key: KeyEnvelope) -> SessionKeys:
        closed = None
        if self._settings.end_to_end and app_s_key.kek_label:
            closed = SessionKeyEnvelope(app_s_key.kek_label, read_hex(app_s_key.aes_key, "AppSKey"))
        opened = b"" if closed is not None else self._open(app_s_key, "AppSKey")
        if not request.dl_settings & 0x80:
            nwk_s_key = self._open(answer.nwk_s_key, "NwkSKey")
            return SessionKeys(nwk_s_key, nwk_s_key, nwk_s_key, opened, app_s_key_envelope=closed)
        return SessionKeys(
            f_nwk_s_int_key=self._open(answer.f_nwk_s_int_key, "FNwkSIntKey"),
            s_nwk_s_int_key=self._open(answer.s_nwk_s_int_key, "SNwkSIntKey"),
            nwk_s_enc_key=self._open(answer.nwk_s_enc_key, "NwkSEncKey"),
            app_s_key=opened,
            lorawan_1_1=True,
            app_s_key_envelope=closed,
        )

    def _open(self, envelope: KeyEnvelope | None, name: str) -> bytes:
        if envelope is None:
            raise FrameError(f"its answer lacks {name}")
        return unseal(envelope, self._keks, name)

    def _join_message(self, request: JoinReq, join_eui: EUI64) -> JoinRequestMessage:
        return JoinRequestMessage(
            **self._header("JoinReq" if request.rejoin_type is None else "RejoinReq", request, join_eui),
            mac_version=request.mac_version,
            phy_payload=request.phy_payload.hex(),
            dev_eui=str(request.dev_eui),
            dev_addr=str(request.dev_addr),
            dl_settings=f"{request.dl_settings:02x}",
            rx_delay=request.rx_delay,
            cflist=request.cflist.hex(),
        )

    def _header(self, message_type: str, request: JoinReq, join_eui: EUI64) -> dict[str, Any]:
        return {
            "protocol_version": self._settings.protocol_version,
            "sender_id": str(request.net_id),
            "receiver_id": str(join_eui),
            "transaction_id": next(self._transaction_ids) & 0xFFFFFFFF,
            "message_type": message_type,
        }

    # ------------------------------------------------------------------------------------------------ transport

    async def _ask(self, message: JoinRequestMessage | AppSKeyRequestMessage) -> Answer:
        """Post a message; the answer must be to it. Raises FrameError, OSError, TimeoutError, ClientError."""
        body = encode(message)
        try:
            text = await self._post(body)
        except aiohttp.ServerDisconnectedError:
            text = await self._post(body)  # it had closed an idle connection at that moment
        answer = decode(text, Answer)
        expected = message.message_type.removesuffix("Req") + "Ans"
        if answer.transaction_id != message.transaction_id or answer.message_type != expected:
            raise FrameError(
                f"it answered {answer.message_type} {answer.transaction_id}, not {expected} {message.transaction_id}"
            )
        return answer

    async def _post(self, body: bytes) -> bytes:
        if self._session is None:
            self._session = self._connect()
        async with self._session.post(self._settings.url, data=body, allow_redirects=False) as response:
            text = b""
            async for chunk in response.content.iter_any():
                text += chunk
                if len(text) > MAX_BODY:
                    raise FrameError(f"its answer is longer than {MAX_BODY} bytes")
            if response.status != 200:
                raise FrameError(f"HTTP {response.status} {text[:200].decode('utf-8', 'replace')}".strip())
            return text

    def _connect(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json"}
        if token := self._settings.token.get_secret_value():
            headers["Authorization"] = token
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=client_context(self._settings)),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
        )


class JoinRouter:
    """Asks the external join server that a JoinEUI belongs to, and for all others the local one."""

    def __init__(self, local: JoinServerPort, external: Iterable[tuple[ExternalJoinServer, JoinServerPort]]) -> None:
        self._local = local
        self._external = [(settings.range, port) for settings, port in external]

    @classmethod
    def of(cls, local: JoinServerPort, settings: JoinServerSettings, first_transaction_id: int) -> JoinRouter:
        """The router that the settings describe."""
        keks = settings.kek_bytes()
        return cls(local, [(one, HttpJoinServer(one, keks, first_transaction_id)) for one in settings.external])

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Ask every join server concerned at the same time; answers in the order of the requests."""
        parts: dict[int, tuple[JoinServerPort, list[int]]] = {}
        for index, request in enumerate(requests):
            port = self.port_for(join_eui_of(request))
            parts.setdefault(id(port), (port, []))[1].append(index)
        found = await asyncio.gather(*(port.join([requests[i] for i in indexes]) for port, indexes in parts.values()))
        answers = dict(
            pair
            for (_, indexes), part in zip(parts.values(), found, strict=True)
            for pair in zip(indexes, part, strict=True)
        )
        return [answers[i] for i in range(len(requests))]

    def port_for(self, join_eui: EUI64 | None) -> JoinServerPort:
        """The join server of this JoinEUI."""
        return next((port for euis, port in self._external if join_eui in euis), self._local)

    async def close(self) -> None:
        """Close the connections to external join servers; the local one is its owner's to close."""
        for _, port in self._external:
            if isinstance(port, HttpJoinServer):
                await port.close()


def join_eui_of(request: JoinReq) -> EUI64 | None:
    """The JoinEUI in the frame, else the one the network server gave."""
    try:
        frame = parse(request.phy_payload)
    except FrameError:
        return request.join_eui
    return frame.join_eui if isinstance(frame, JoinRequest | RejoinRequest1) else request.join_eui


def _nonce_of(frame: object) -> int:
    match frame:
        case JoinRequest():
            return frame.dev_nonce
        case RejoinRequest0_2():
            return frame.rj_count0
        case RejoinRequest1():
            return frame.rj_count1
    raise FrameError(f"a {type(frame).__name__} is neither a join-request nor a rejoin-request")


def client_context(settings: ExternalJoinServer) -> ssl.SSLContext | bool:
    """TLS 1.2 or newer, the server's name checked, with our client certificate when there is one."""
    if settings.url.startswith("http:"):
        return True
    context = ssl.create_default_context(cafile=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.private_key)
    return context
