"""Values between a network server and a join server, with the names of TS002 (1.1.0 §23).

One process passes them as they are; over HTTP they become Backend Interfaces JSON, which is not this module's matter.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self

from lorawan.crypto import SessionKeys
from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, DevAddr, NetID


class ResultCode(enum.Enum):
    """Outcome of a request; the value is the text of TS002 (1.1.0 §23.5)."""

    SUCCESS = "Success"
    NO_ACTION = "NoAction"
    MIC_FAILED = "MICFailed"
    FRAME_REPLAYED = "FrameReplayed"
    JOIN_REQ_FAILED = "JoinReqFailed"
    NO_ROAMING_AGREEMENT = "NoRoamingAgreement"
    DEV_ROAMING_DISALLOWED = "DevRoamingDisallowed"
    ROAMING_ACT_DISALLOWED = "RoamingActDisallowed"
    ACTIVATION_DISALLOWED = "ActivationDisallowed"
    UNKNOWN_DEV_EUI = "UnknownDevEUI"
    UNKNOWN_DEV_ADDR = "UnknownDevAddr"
    UNKNOWN_SENDER = "UnknownSender"
    UNKNOWN_RECEIVER = "UnkownReceiver"  # the specification's own spelling
    DEFERRED = "Deferred"
    XMIT_FAILED = "XmitFailed"
    INVALID_F_PORT = "InvalidFPort"
    INVALID_PROTOCOL_VERSION = "InvalidProtocolVersion"
    STALE_DEVICE_PROFILE = "StaleDeviceProfile"
    MALFORMED_REQUEST = "MalformedRequest"
    MALFORMED_MESSAGE = "MalformedMessage"
    FRAME_SIZE_ERROR = "FrameSizeError"
    OTHER = "Other"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a result code in any case, also in the misspellings that are about; FrameError when unknown."""
        try:
            return cls(_RESULT_CODES[text.strip().lower()])
        except KeyError:
            raise FrameError(f"result code {text!r} is none of TS002") from None


_RESULT_CODES = {code.value.lower(): code for code in ResultCode} | {
    "unknownreceiver": ResultCode.UNKNOWN_RECEIVER,
    "roamingactdisalloweda": ResultCode.ROAMING_ACT_DISALLOWED,  # brocaar/lorawan writes this
}


@dataclass(slots=True)
class JoinReq:
    """JoinReq, and RejoinReq when ``rejoin_type`` is set: the network server asks for a join-accept."""

    phy_payload: bytes
    """The complete join-request or rejoin-request, with its MIC."""
    mac_version: str
    """Of the network server, such as ``"1.0.4"``."""
    dev_eui: EUI64
    net_id: NetID
    """The network's own, SenderID on the wire."""
    dev_addr: DevAddr
    """Assigned by the network server."""
    dl_settings: int
    """OptNeg | RX1DROffset | RX2DataRate."""
    rx_delay: int
    cflist: bytes = b""
    """16 bytes or none."""
    rejoin_type: int | None = None
    """0, 1 or 2; None for a join-request."""
    join_eui: EUI64 | None = None
    """The device's, ReceiverID on the wire: names the join server where the frame does not (rejoin types 0 and 2)."""


@dataclass(slots=True)
class JoinAns:
    """JoinAns and RejoinAns. The fields after ``detail`` have meaning on success only."""

    result: ResultCode
    detail: str = ""
    """For people: what was wrong, with which device, what to do."""
    phy_payload: bytes = b""
    """The complete encrypted join-accept."""
    session_keys: SessionKeys | None = None
    session_key_id: bytes = b""
    """Names the AppSKey of this session; opaque."""
    join_nonce: int = 0
    dev_nonce: int = 0
    """DevNonce, or the RJcount of a rejoin-request."""
