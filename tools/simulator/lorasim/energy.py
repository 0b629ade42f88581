"""What a frame costs the battery: a radio of the SX1272's kind."""

from __future__ import annotations

from bisect import bisect_left

from lorasim.radio import parse_datr

VOLT = 3.3
SUPPLY_MA = {2: 24, 4: 24, 6: 25, 8: 25, 10: 31, 12: 34, 14: 44, 16: 85}
"""Supply current by transmit power in dBm, as LoRaSim (Bor et al., "Do LoRa low-power wide-area networks scale?", MSWiM 2016)
has it for the SX1272."""
RX_MA = 11.0
WINDOW_SYMBOLS = 8
"""How long a receive window is open when nothing comes."""
_POWERS = sorted(SUPPLY_MA)


def transmit_mj(airtime_us: int, power_dbm: float) -> float:
    """Energy of one transmission, millijoule; between two powers of the table the higher one counts."""
    power = _POWERS[min(bisect_left(_POWERS, power_dbm), len(_POWERS) - 1)]
    return VOLT * SUPPLY_MA[power] * airtime_us / 1e6


def windows_mj(*datrs: str) -> float:
    """Energy of receive windows that stay empty, millijoule."""
    shapes = [shape for datr in datrs if (shape := parse_datr(datr)) is not None]
    return sum(VOLT * RX_MA * WINDOW_SYMBOLS * 2**sf / bandwidth_hz for sf, bandwidth_hz in shapes)
