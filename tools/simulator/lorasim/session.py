"""A device's session: keys, counters, and the frames made and opened with them."""

from __future__ import annotations

from dataclasses import dataclass

from lorasim import crypto
from lorasim.crypto import SessionKeys
from lorawan.frames import DataFrame
from lorawan.identifiers import DevAddr, NetID

MAX_F_CNT_GAP = 16_384
"""Up to 1.0.3 a device throws away a downlink that skips more (1.0.3 §4.3.1.5)."""


class Refused(Exception):
    """A downlink that the device must not accept; the text says why."""


@dataclass(slots=True)
class Opened:
    """An accepted downlink in the clear."""

    f_cnt: int
    """Full 32-bit counter."""
    counter: str
    """``n`` (1.0.x: the only one; 1.1: NFCntDown) or ``a`` (AFCntDown)."""
    f_opts: bytes
    payload: bytes
    frame: DataFrame


@dataclass(slots=True)
class Session:
    """See the module. Counters are 32-bit; ``None`` down means that nothing was received yet."""

    dev_addr: DevAddr
    net_id: NetID
    keys: SessionKeys
    strict_gap: bool = True
    """Refuse gaps of MAX_FCNT_GAP and more: up to 1.0.3."""
    f_cnt_up: int = 0
    """Of the next new uplink."""
    n_f_cnt_down: int | None = None
    a_f_cnt_down: int | None = None
    confirmed_down: int | None = None
    """Counter of the confirmed downlink that waits for its ACK."""
    rekeyed: bool = True
    """False in a 1.1 session until RekeyConf came."""
    last_down: bytes = b""
    """The last accepted downlink, to name a repeated one."""

    def forget_counters(self) -> None:
        """As after a restart of a device that keeps its keys only."""
        self.f_cnt_up = 0
        self.n_f_cnt_down = self.a_f_cnt_down = self.confirmed_down = None

    def seal(self, frame: DataFrame, f_opts: bytes, payload: bytes, conf_f_cnt: int, tx_dr: int, tx_ch: int) -> bytes:
        """PHYPayload of an uplink whose counter is ``f_cnt_up``; ``conf_f_cnt`` is what its ACK acknowledges, or 0."""
        keys, f_cnt = self.keys, self.f_cnt_up
        frame.f_cnt = f_cnt & 0xFFFF
        if keys.lorawan_1_1 and f_opts:
            f_opts = crypto.crypt_f_opts(keys.nwk_s_enc_key, True, self.dev_addr, f_cnt, f_opts, a_f_cnt=False)
        frame.f_opts = f_opts
        key = keys.nwk_s_enc_key if frame.f_port == 0 else keys.app_s_key
        frame.frm_payload = crypto.crypt_payload(key, True, self.dev_addr, f_cnt, payload)
        message = frame.encode_without_mic()
        return message + crypto.uplink_mic(keys, self.dev_addr, f_cnt, message, conf_f_cnt, tx_dr, tx_ch)

    def open(self, phy: bytes, frame: DataFrame, confirmed_up: int) -> Opened:
        """Check and decrypt a downlink for this address and move the counter. Raises :class:`Refused`.

        ``confirmed_up``: counter of the last confirmed uplink, which a 1.1 MIC with ACK covers.
        """
        keys = self.keys
        counter = "a" if keys.lorawan_1_1 and frame.f_port else "n"
        last = self.a_f_cnt_down if counter == "a" else self.n_f_cnt_down
        f_cnt = frame.f_cnt if last is None else (last & ~0xFFFF) | frame.f_cnt
        if last is not None and f_cnt <= last:
            if self._mic_fits(phy, frame, f_cnt, confirmed_up):
                repeated = "the same frame again" if phy == self.last_down else "other bytes"
                raise Refused(f"FCntDown {f_cnt} is not above {last}: {repeated}")
            f_cnt += 0x10000
        if not self._mic_fits(phy, frame, f_cnt, confirmed_up):
            raise Refused("MIC")
        if self.strict_gap and last is not None and f_cnt - last >= MAX_F_CNT_GAP:
            raise Refused(f"FCntDown {f_cnt} skips {f_cnt - last} from {last}: {MAX_F_CNT_GAP} is too many")
        if counter == "a":
            self.a_f_cnt_down = f_cnt
        else:
            self.n_f_cnt_down = f_cnt
        self.last_down = phy
        f_opts = frame.f_opts
        if keys.lorawan_1_1 and f_opts:
            f_opts = crypto.crypt_f_opts(keys.nwk_s_enc_key, False, self.dev_addr, f_cnt, f_opts, counter == "a")
        key = keys.nwk_s_enc_key if frame.f_port == 0 else keys.app_s_key
        payload = crypto.crypt_payload(key, False, self.dev_addr, f_cnt, frame.frm_payload)
        return Opened(f_cnt, counter, f_opts, payload, frame)

    def _mic_fits(self, phy: bytes, frame: DataFrame, f_cnt: int, confirmed_up: int) -> bool:
        conf_f_cnt = confirmed_up if frame.ack else 0
        return crypto.downlink_mic(self.keys, self.dev_addr, f_cnt, phy[:-4], conf_f_cnt) == phy[-4:]
