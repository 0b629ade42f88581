"""The rules of joining: one device's record and one request give an accept or a refusal. Pure: no clock, no storage.

The order is the security: the request is read, the device found, the MIC checked, and only then is a nonce looked at,
so a forged frame changes nothing (TS001-1.0.4 §6.2, LoRaWAN 1.1 §6.2). An accept comes with the record as it must be
stored *before* the accept may leave: its JoinNonce and DevNonce are spent then, whatever happens to the answer.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from joinserver.nonces import DEV_NONCES
from joinserver.values import JoinRecord, Session
from lorawan import crypto
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.errors import FrameError, StateError
from lorawan.frames import JoinAccept, JoinRequest, RejoinRequest0_2, RejoinRequest1, parse
from lorawan.identifiers import EUI64

JOIN_NONCES = 1 << 24
"""How many JoinNonce values there are."""

SKIP_AHEAD = 1024
"""JoinNonces left out after an unclean stop or a restore: what may have been sent and then lost from the disk."""

SKIPS_COUNTED = 64
"""So many unclean stops and restores are added up; more would let a crash loop eat the 24 bits."""

EPOCHS_APART = 4096
"""So many epochs give new devices different beginnings, within a quarter of the 24 bits."""

NONCES_RUNNING_OUT = 60_000
"""From this many used DevNonces on, every accept carries a warning."""

_OPT_NEG = 0x80

Request: TypeAlias = JoinRequest | RejoinRequest0_2 | RejoinRequest1


@dataclass(slots=True, frozen=True)
class Granted:
    """An accept. ``record`` and ``session`` must be durable before ``answer`` leaves."""

    answer: JoinAns
    record: JoinRecord
    session: Session
    proven: Session | None = None
    """Rejoin types 0 and 2: the session that signed the request, with its RJcount0 counted on. The device is in it,
    so every other session kept is dead."""


class Refused(Exception):
    """Why a request gets no accept: the result code and a sentence for the operator."""

    def __init__(self, code: ResultCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Roots(NamedTuple):
    """The root keys a request is answered with, once its MIC has proven them."""

    mic_key: bytes
    """AppKey of a 1.0.x device, NwkKey of a 1.1 device."""
    app_key: bytes | None
    """Second root of 1.1 derivation."""


def decide(record: JoinRecord | None, request: JoinReq, now_us: int) -> Granted | JoinAns:
    """Answer one join- or rejoin-request.

    ``record`` is the device's, None when it is unknown; for a rejoin-request with its sessions. ``now_us`` (UTC) is
    written as the time of the join and used in no decision. A refusal is a :class:`JoinAns` that changes nothing.
    """
    try:
        frame = _read(request)
        if record is None:
            raise Refused(
                ResultCode.UNKNOWN_DEV_EUI, f"DevEUI {request.dev_eui} is not registered; add it with its keys"
            )
        _check_device(record, request, frame)
        if isinstance(frame, JoinRequest):
            return _join(record, request, frame, now_us)
        return _rejoin(record, request, frame, now_us)
    except Refused as refusal:
        return JoinAns(refusal.code, refusal.detail)


def skip_ahead(next_join_nonce: int, epochs: int) -> int:
    """The next JoinNonce of a device ``epochs`` unclean stops or restores after it was written."""
    return min(next_join_nonce + SKIP_AHEAD * min(epochs, SKIPS_COUNTED), JOIN_NONCES)


def first_join_nonce(epoch: int) -> int:
    """Where a device begins that this file does not know: a file of an earlier epoch may have known it, and is lost."""
    return 1 + SKIP_AHEAD * (epoch % EPOCHS_APART)


def session_key_id(dev_eui: EUI64, join_eui: EUI64, join_nonce: int) -> bytes:
    """SessionKeyID: DevEUI | JoinEUI | JoinNonce, 19 bytes, unique because no JoinNonce comes twice."""
    return dev_eui.to_bytes(8, "big") + join_eui.to_bytes(8, "big") + join_nonce.to_bytes(3, "big")


def parse_session_key_id(session_key_id: bytes) -> tuple[EUI64, EUI64, int]:
    """DevEUI, JoinEUI and JoinNonce; :class:`FrameError` when it is not of our making."""
    if len(session_key_id) != 19:
        raise FrameError(f"SessionKeyID of {len(session_key_id)} bytes is not from this join server; its have 19")
    dev_eui, join_eui, join_nonce = session_key_id[:8], session_key_id[8:16], session_key_id[16:]
    return (
        EUI64(int.from_bytes(dev_eui, "big")),
        EUI64(int.from_bytes(join_eui, "big")),
        int.from_bytes(join_nonce, "big"),
    )


def parse_mac_version(text: str) -> tuple[int, int, int]:
    """``"1.0.4"`` as (1, 0, 4); ``"1.1"`` is (1, 1, 0). :class:`FrameError` for another text or major version."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})(?:\.(\d{1,2})\w*)?", text.strip(), re.ASCII)
    if match is None or match[1] != "1":
        raise FrameError(f"MACVersion {text!r} is none of LoRaWAN; give 1.0.0 to 1.0.4 or 1.1")
    return 1, int(match[2]), int(match[3] or 0)


# ------------------------------------------------------------------------------------------------ before any key


def _read(request: JoinReq) -> Request:
    """The frame of a request whose own fields are sound."""
    try:
        frame = parse(request.phy_payload)
        parse_mac_version(request.mac_version)
    except FrameError as error:
        raise _malformed(request, str(error)) from None
    if not isinstance(frame, Request):
        raise _malformed(request, f"a {type(frame).__name__} is neither a join-request nor a rejoin-request")
    rejoin_type = None if isinstance(frame, JoinRequest) else frame.rejoin_type
    complaints = {
        "the request and its frame differ in DevEUI": frame.dev_eui != request.dev_eui,
        f"rejoin type {request.rejoin_type} was asked for, the frame has {rejoin_type}": rejoin_type
        != request.rejoin_type,
        f"CFList of {len(request.cflist)} bytes; it has 16 or none": len(request.cflist) not in (0, 16),
        f"DLSettings {request.dl_settings} is not one byte": not 0 <= request.dl_settings <= 0xFF,
        f"RxDelay {request.rx_delay} is not 0..15 s": not 0 <= request.rx_delay <= 15,
    }
    for complaint, true in complaints.items():
        if true:
            raise _malformed(request, complaint)
    return frame


def _check_device(record: JoinRecord, request: JoinReq, frame: Request) -> None:
    named = request.join_eui if isinstance(frame, RejoinRequest0_2) else frame.join_eui
    if named not in (None, record.join_eui):
        raise Refused(
            ResultCode.UNKNOWN_DEV_EUI,
            f"DevEUI {record.dev_eui} joins with JoinEUI {named} but is registered with {record.join_eui}",
        )
    if record.home_net_id is not None and record.home_net_id != request.net_id:
        raise Refused(
            ResultCode.ACTIVATION_DISALLOWED,
            f"DevEUI {record.dev_eui} belongs to NetID {record.home_net_id}; {request.net_id} may not activate it",
        )


def _malformed(request: JoinReq, reason: str) -> Refused:
    return Refused(ResultCode.MALFORMED_REQUEST, f"DevEUI {request.dev_eui}: {reason}")


# ------------------------------------------------------------------------------------------------ join-request


def _join(record: JoinRecord, request: JoinReq, frame: JoinRequest, now_us: int) -> Granted:
    roots = _prove_join(record, request, frame)
    rising = parse_mac_version(request.mac_version) >= (1, 0, 4)
    _check_dev_nonce(record, frame.dev_nonce, rising, now_us)
    used = record.used_dev_nonces.add(frame.dev_nonce)
    spent = used.highest + 1 if rising else len(used)
    warning = ""
    if spent >= NONCES_RUNNING_OUT:
        warning = (
            f"DevEUI {record.dev_eui} has {DEV_NONCES - spent} of {DEV_NONCES} DevNonces left and cannot join without"
        )
    record = replace(record, used_dev_nonces=used, last_dev_nonce=frame.dev_nonce)
    return _accept(record, request, roots, frame.dev_nonce, now_us, detail=warning)


def _prove_join(record: JoinRecord, request: JoinReq, frame: JoinRequest) -> _Roots:
    """Find the root key that signed the request.

    1.1 signs with NwkKey. A 1.0.x request may come from a 1.0.x device (AppKey) or from a 1.1 device on a 1.0
    network, which uses its NwkKey in place of the AppKey (LoRaWAN 1.1 §6.1.1.3).
    """
    if request.dl_settings & _OPT_NEG:
        _check_1_1(record, request)
    if parse_mac_version(request.mac_version) >= (1, 1, 0):
        candidates = [record.nwk_key]
    else:
        candidates = [record.app_key, record.nwk_key]
    for key in candidates:
        if key is not None and _signed(frame.mic, crypto.join_request_mic(key, request.phy_payload[:-4])):
            return _Roots(key, record.app_key)
    name = "NwkKey" if candidates == [record.nwk_key] else "AppKey"
    raise Refused(
        ResultCode.MIC_FAILED,
        f"DevEUI {record.dev_eui}: the MIC of its join-request is not made with the stored {name}; "
        "compare the key with the device's, or somebody forges its requests",
    )


def _check_dev_nonce(record: JoinRecord, dev_nonce: int, rising: bool, now_us: int) -> None:
    if dev_nonce == record.last_dev_nonce and dev_nonce in record.used_dev_nonces:
        age_s = (now_us - (record.last_join_at_us or now_us)) / 1e6
        raise Refused(
            ResultCode.FRAME_REPLAYED,
            f"DevEUI {record.dev_eui}: a copy of the join-request {dev_nonce} answered {age_s:.3f} s before",
        )
    highest = record.used_dev_nonces.highest
    if dev_nonce in record.used_dev_nonces or (rising and dev_nonce <= highest):
        rule = f"it must be above {highest}" if rising else "each may be used once"
        raise Refused(
            ResultCode.FRAME_REPLAYED,
            f"DevEUI {record.dev_eui}: DevNonce {dev_nonce} has already been used, {rule}; a replayed request, or the "
            "device lost its counter: forget its nonces if so",
        )


# ------------------------------------------------------------------------------------------------ rejoin-request


def _rejoin(record: JoinRecord, request: JoinReq, frame: RejoinRequest0_2 | RejoinRequest1, now_us: int) -> Granted:
    if parse_mac_version(request.mac_version) < (1, 1, 0) or not request.dl_settings & _OPT_NEG:
        raise _malformed(request, "a rejoin-request needs MACVersion 1.1 and OptNeg in DLSettings")
    _check_1_1(record, request)
    nwk_key = record.nwk_key or b""
    proven: Session | None = None
    if isinstance(frame, RejoinRequest0_2):
        count, proven = frame.rj_count0, _session_that_signed(record, request, frame.mic)
        next_count, name = proven.next_rj_count0, "RJcount0"
        proven = replace(proven, next_rj_count0=count + 1)
        record = replace(record, sessions=(proven,))
    else:
        js_int_key = crypto.derive_js_int_key(nwk_key, record.dev_eui)
        if not _signed(frame.mic, crypto.rejoin_request_mic(js_int_key, request.phy_payload[:-4])):
            raise Refused(
                ResultCode.MIC_FAILED,
                f"DevEUI {record.dev_eui}: the MIC of its rejoin-request type 1 is not made with the stored NwkKey",
            )
        count, next_count, name = frame.rj_count1, record.next_rj_count1, "RJcount1"
        record = replace(record, next_rj_count1=count + 1)
    if count < next_count:
        raise Refused(
            ResultCode.FRAME_REPLAYED,
            f"DevEUI {record.dev_eui}: {name} {count} has already been used, it must be above {next_count - 1}",
        )
    return _accept(record, request, _Roots(nwk_key, record.app_key), count, now_us, proven=proven)


def _session_that_signed(record: JoinRecord, request: JoinReq, mic: bytes) -> Session:
    for session in record.sessions:
        key = session.s_nwk_s_int_key
        if key is not None and _signed(mic, crypto.rejoin_request_mic(key, request.phy_payload[:-4])):
            return session
    raise Refused(
        ResultCode.MIC_FAILED,
        f"DevEUI {record.dev_eui}: the MIC of its rejoin-request is of none of its {len(record.sessions)} sessions",
    )


# ------------------------------------------------------------------------------------------------ accept


def _accept(
    record: JoinRecord,
    request: JoinReq,
    roots: _Roots,
    nonce: int,
    now_us: int,
    *,
    detail: str = "",
    proven: Session | None = None,
) -> Granted:
    """Spend a JoinNonce and build the accept; ``nonce`` is the DevNonce or the RJcount."""
    join_nonce = record.next_join_nonce
    if join_nonce >= JOIN_NONCES:
        raise Refused(
            ResultCode.JOIN_REQ_FAILED,
            f"DevEUI {record.dev_eui} has used all {JOIN_NONCES} JoinNonces; register it anew with another JoinEUI",
        )
    fields = _fields(record, request, join_nonce)
    opt_neg = bool(request.dl_settings & _OPT_NEG)
    if opt_neg:
        keys = crypto.derive_session_keys_1_1(roots.mic_key, roots.app_key or b"", join_nonce, record.join_eui, nonce)
        join_req_type = crypto.JOIN_REQUEST_TYPE if request.rejoin_type is None else request.rejoin_type
        js_int_key = crypto.derive_js_int_key(roots.mic_key, record.dev_eui)
        mic = crypto.join_accept_mic_1_1(js_int_key, fields, record.join_eui, nonce, join_req_type)
    else:
        keys = crypto.derive_session_keys_1_0(roots.mic_key, join_nonce, request.net_id, nonce)
        mic = crypto.join_accept_mic(roots.mic_key, fields)
    rejoin = request.rejoin_type is not None
    accept_key = crypto.derive_js_enc_key(roots.mic_key, record.dev_eui) if rejoin else roots.mic_key
    session = Session(join_nonce, keys.app_s_key, keys.s_nwk_s_int_key if opt_neg else None)
    return Granted(
        answer=JoinAns(
            ResultCode.SUCCESS,
            detail,
            phy_payload=crypto.encrypt_join_accept(accept_key, fields, mic),
            session_keys=keys,
            session_key_id=session_key_id(record.dev_eui, record.join_eui, join_nonce),
            join_nonce=join_nonce,
            dev_nonce=nonce,
        ),
        record=replace(
            record,
            next_join_nonce=join_nonce + 1,
            last_join_at_us=now_us,
            sessions=(session, *record.sessions),
        ),
        session=session,
        proven=proven,
    )


def _fields(record: JoinRecord, request: JoinReq, join_nonce: int) -> bytes:
    return JoinAccept(
        join_nonce=join_nonce,
        net_id=request.net_id,
        dev_addr=request.dev_addr,
        opt_neg=bool(request.dl_settings & _OPT_NEG),
        rx1_dr_offset=request.dl_settings >> 4 & 0x07,
        rx2_dr=request.dl_settings & 0x0F,
        rx_delay=request.rx_delay,
        cflist=request.cflist,
    ).encode()


def _check_1_1(record: JoinRecord, request: JoinReq) -> None:
    """OptNeg promises 1.1 keys: both sides must be able to make them."""
    if parse_mac_version(request.mac_version) < (1, 1, 0):
        raise _malformed(request, f"OptNeg is set with MACVersion {request.mac_version}; it is for 1.1")
    missing = [name for name, key in (("NwkKey", record.nwk_key), ("AppKey", record.app_key)) if key is None]
    if missing:
        raise Refused(
            ResultCode.JOIN_REQ_FAILED,
            f"DevEUI {record.dev_eui}: LoRaWAN 1.1 needs NwkKey and AppKey, {' and '.join(missing)} missing; add it",
        )


def _signed(mic: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(mic, expected)


def damaged(error: StateError) -> JoinAns:
    """The refusal when a device's own row cannot be read: the others in its batch go on."""
    return JoinAns(ResultCode.OTHER, str(error))


def refuse_all(requests: Iterable[JoinReq], reason: str) -> list[JoinAns]:
    """One refusal for each request, when nothing can be made durable."""
    return [JoinAns(ResultCode.OTHER, f"DevEUI {request.dev_eui}: {reason}") for request in requests]
