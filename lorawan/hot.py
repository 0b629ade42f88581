"""The fast path of data frames: header and slices without making an object.

``data_header`` is all that is needed to find the session and check the MIC; ``data_payload`` cuts the rest once the
MIC holds. Together they accept exactly the data frames that :func:`lorawan.frames.parse` accepts (a test compares them).
"""

from __future__ import annotations

import struct

from lorawan.errors import FrameError

_unpack_fhdr = struct.Struct("<BIBH").unpack_from
_SHORTEST = 12
_LONGEST = 255


def data_header(phy: bytes) -> tuple[int, int, int, int]:
    """MHDR, DevAddr, FCtrl and the 16-bit FCnt of a data frame, up or down.

    FrameError when it is another kind of frame, has a wrong length, or its FOptsLen does not fit.
    """
    if not _SHORTEST <= len(phy) <= _LONGEST:
        raise FrameError(f"data frame of {len(phy)} bytes, not {_SHORTEST}..{_LONGEST}", min(len(phy), _LONGEST))
    header: tuple[int, int, int, int] = _unpack_fhdr(phy)
    m_hdr = header[0]
    if not 0x40 <= m_hdr < 0xC0 or m_hdr & 0x03:
        raise FrameError(f"MHDR {m_hdr:#04x} is not a data frame of LoRaWAN R1", 0)
    f_opts_len = header[2] & 0x0F
    if f_opts_len:
        body_at, mic_at = 8 + f_opts_len, len(phy) - 4
        if body_at > mic_at:
            raise FrameError(f"FOptsLen {f_opts_len} reaches into the MIC", 5)
        if body_at < mic_at and not phy[body_at]:
            raise FrameError("FPort 0 together with FOpts", body_at)
    return header


def data_payload(phy: bytes, f_ctrl: int) -> tuple[bytes, int | None, bytes]:
    """FOpts, FPort (None when absent) and FRMPayload of a frame that :func:`data_header` has accepted."""
    body_at = 8 + (f_ctrl & 0x0F)
    if body_at == len(phy) - 4:
        return phy[8:body_at], None, b""
    return phy[8:body_at], phy[body_at], phy[body_at + 1 : -4]
