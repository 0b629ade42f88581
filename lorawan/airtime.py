"""Time on air of LoRa, FSK and LR-FHSS packets, in whole microseconds, and the floor they are heard at.

Formulas: Semtech AN1200.13 and the SX126x/SX1302 data sheets (SF5 and SF6); RP002-1.0.4 §2.1 for LR-FHSS. Integer
arithmetic throughout. ``payload_len`` is the length of the PHYPayload in bytes.
"""

from __future__ import annotations

from functools import lru_cache

from lorawan.errors import StateError

# Demodulation floor at any bandwidth, dB (SX1276 data sheet table 13; SF5 by continuation, as the SX126x sheet gives).
_REQUIRED_SNR_DB = {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}


@lru_cache(4096)
def lora_airtime_us(
    payload_len: int, sf: int, bw_hz: int, crc: bool = True, implicit: bool = False, cr: int = 1, preamble: int = 8
) -> int:
    """Time on air of a LoRa packet, rounded to the nearest microsecond.

    ``crc``: uplinks carry one, downlinks do not. ``cr`` 1..4 stands for 4/5..4/8, ``preamble`` is in symbols.
    StateError for a spreading factor outside 5..12 or a coding rate outside 1..4.
    """
    if not (5 <= sf <= 12 and 1 <= cr <= 4 and payload_len >= 0 and bw_hz > 0 and preamble > 0):
        raise StateError(f"no such LoRa packet: {payload_len} bytes, SF{sf}, {bw_hz} Hz, CR {cr}, preamble {preamble}")
    if sf < 7:
        # A wider preamble and no reduced rate: SX126x data sheet §6.1.4.
        bits = 8 * payload_len + 16 * crc - 4 * sf + (0 if implicit else 20)
        quarter_symbols, per_block = 4 * preamble + 25, 4 * sf
    else:
        # Low data rate optimisation where a symbol lasts 16 ms or more: SF11 and SF12 at 125 kHz, SF12 at 250 kHz.
        low_rate = (1000 << sf) >= 16 * bw_hz
        bits = 8 * payload_len - 4 * sf + 28 + 16 * crc - (20 if implicit else 0)
        quarter_symbols, per_block = 4 * preamble + 17, 4 * (sf - 2 * low_rate)
    blocks = max(-(-bits // per_block), 0)
    quarter_symbols += 4 * (8 + blocks * (cr + 4))
    return (quarter_symbols * (250_000 << sf) + bw_hz // 2) // bw_hz


def fsk_airtime_us(payload_len: int, bitrate: int = 50_000, preamble: int = 5, crc: bool = True) -> int:
    """Time on air of a GFSK packet: preamble, 3 bytes sync word, 1 length, payload, 2 CRC (RP002-1.0.4 §2.1.2)."""
    if payload_len < 0 or bitrate <= 0:
        raise StateError(f"no such FSK packet: {payload_len} bytes at {bitrate} bit/s")
    bits = 8 * (preamble + 3 + 1 + payload_len + 2 * crc)
    return (bits * 1_000_000 + bitrate // 2) // bitrate


# Headers sent per code rate, and the rate itself as (numerator, denominator) (RP002-1.0.4 §2.1.3).
_LR_FHSS_CODE_RATES = {"1/3": (3, 3, 1), "2/6": (3, 3, 1), "2/3": (2, 3, 2), "4/6": (2, 3, 2)}


def lr_fhss_airtime_us(payload_len: int, code_rate: str = "1/3") -> int:
    """Time on air of an LR-FHSS packet at 488.28125 bit/s, rounded up to the millisecond as Semtech's modem does.

    ``code_rate``: ``"1/3"`` (three headers) or ``"2/3"`` (two); gateways also write ``"2/6"`` and ``"4/6"``.
    """
    try:
        headers, numerator, denominator = _LR_FHSS_CODE_RATES[code_rate]
    except KeyError:
        raise StateError(f"LR-FHSS code rate {code_rate!r}; use 1/3 or 2/3") from None
    if payload_len < 0:
        raise StateError(f"no such LR-FHSS packet: {payload_len} bytes")
    coded = ((payload_len + 2) * 8 + 6) * numerator // denominator
    bits = 114 * headers + coded + 2 * -(-coded // 48)
    return -(-bits * 256 // 125) * 1000


def required_snr_db(sf: int) -> float:
    """Lowest SNR at which a LoRa packet is still demodulated, dB; StateError outside SF5..SF12."""
    try:
        return _REQUIRED_SNR_DB[sf]
    except KeyError:
        raise StateError(f"no LoRa spreading factor {sf}") from None
