"""Facts that all regions share (LoRa Alliance RP002-1.0.5 unless a line says otherwise)."""

from __future__ import annotations

from typing import Final

# Regional Parameters by date of issue, oldest first.
REVISIONS: Final = (
    "RP001-1.0.2A",
    "RP001-1.0.2B",
    "RP001-1.1A",
    "RP001-1.1B",
    "RP001-1.0.3A",
    "RP002-1.0.0",
    "RP002-1.0.1",
    "RP002-1.0.2",
    "RP002-1.0.3",
    "RP002-1.0.4",
    "RP002-1.0.5",
)

# What a device of a LoRaWAN version follows when its profile does not say.
REVISION_OF_LORAWAN: Final = {
    "1.0.0": "RP001-1.0.2A",
    "1.0.1": "RP001-1.0.2A",
    "1.0.2": "RP001-1.0.2B",
    "1.0.3": "RP001-1.0.3A",
    "1.0.4": "RP002-1.0.1",
    "1.1": "RP001-1.1B",
}

MAC_PAYLOAD_OVERHEAD: Final = 8  # FHDR without FOpts (7) and FPort (1): MACPayload M = FRMPayload N + 8
REPEATER_MAX_MAC_PAYLOAD: Final = 230  # a repeater wraps the frame, so no MACPayload may be longer

RECEIVE_DELAY1_S: Final = 1
RECEIVE_DELAY2_S: Final = 2
JOIN_ACCEPT_DELAY1_S: Final = 5
JOIN_ACCEPT_DELAY2_S: Final = 6
ADR_ACK_LIMIT: Final = 64
ADR_ACK_DELAY: Final = 32
MAX_FCNT_GAP: Final = 16_384
BEACON_PERIOD_S: Final = 128

ERP_TO_EIRP_DB: Final = 2.15

# TxParamSetupReq: the MaxEIRP codes 0 to 15, dBm.
MAX_EIRP_CODES_DBM: Final = (8, 10, 12, 13, 14, 16, 18, 20, 21, 24, 26, 27, 29, 30, 33, 36)

# Demodulation floor in 125 kHz, dB (Semtech SX1276/SX1262 data sheets; SF5 is the linear continuation).
REQUIRED_SNR_DB: Final = {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}

# RP002-1.0.5, fixed channel lists: what the bits of a CFList of type 1 mean to a device of a dynamic plan.
FIXED_CHANNEL_LISTS_HZ: Final = {
    "800 MHz": (
        *(863_100_000 + 200_000 * n for n in range(35)),
        *(865_062_500, 865_402_500, 865_602_500, 865_785_000, 865_985_000),
    ),
    "900 MHz": tuple(915_100_000 + 100_000 * n for n in range(96)),
}
