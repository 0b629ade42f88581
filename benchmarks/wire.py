"""What one data frame costs: header, MIC, decryption of a 24-byte payload, with the session's ciphers cached.

``python benchmarks/wire.py`` prints a table; :func:`measure` gives the same figures. Beside them, measured in the same
run, stands the textbook way: objects for everything and fresh pycryptodome ciphers for every frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from Crypto.Cipher import AES
from Crypto.Hash import CMAC

from lorawan.crypto import SessionCipher, SessionKeys
from lorawan.frames import DataFrame, parse
from lorawan.hot import data_header, data_payload
from lorawan.identifiers import DevAddr

LIMITS_US = {"mic_decrypt": 2.0, "parse_mic_decrypt": 6.0}
"""What a release must not exceed."""

KEYS = SessionKeys.for_1_0(bytes(range(16)), bytes(range(16, 32)))
DEV_ADDR = DevAddr(0x01020304)
F_CNT = 70_000
F_PORT = 10
PLAIN = bytes(range(24))


def uplink() -> bytes:
    """A confirmed uplink of this session with a 24-byte payload."""
    cipher = SessionCipher(KEYS, DEV_ADDR)
    frame = DataFrame(
        uplink=True,
        confirmed=True,
        dev_addr=DEV_ADDR,
        adr=True,
        f_cnt=F_CNT & 0xFFFF,
        f_port=F_PORT,
        frm_payload=cipher.payload(F_PORT, PLAIN, F_CNT, True),
    )
    frame.mic = cipher.uplink_mic(frame.encode_without_mic(), F_CNT)
    return frame.encode()


def time_us(work: Callable[[], object], rounds: int, repeats: int) -> float:
    """Mean cost of one call in the least disturbed round, µs: whatever else the machine does only adds."""
    costs = []
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(repeats):
            work()
        costs.append((perf_counter() - start) / repeats * 1e6)
    return min(costs)


def naive(phy: bytes) -> bytes:
    """The textbook way with pycryptodome; returns the payload of an authentic frame."""
    frame = parse(phy)
    assert isinstance(frame, DataFrame)
    f_cnt, length = F_CNT.to_bytes(4, "little"), len(phy) - 4
    b0 = b"\x49" + bytes(5) + frame.dev_addr.to_wire() + f_cnt + bytes((0, length))
    mic = CMAC.new(KEYS.f_nwk_s_int_key, ciphermod=AES).update(b0 + phy[:-4]).digest()[:4]
    assert mic == frame.mic
    data, result = frame.frm_payload, bytearray()
    for block in range(0, len(data), 16):
        a = b"\x01" + bytes(5) + frame.dev_addr.to_wire() + f_cnt + bytes((0, block // 16 + 1))
        stream = AES.new(KEYS.app_s_key, AES.MODE_ECB).encrypt(a)
        result += bytes(x ^ y for x, y in zip(data[block : block + 16], stream, strict=False))
    return bytes(result)


def measure(rounds: int = 40, repeats: int = 1_500) -> dict[str, float]:
    """Costs in µs and the ratio of the textbook way to ours."""
    phy = uplink()
    cipher = SessionCipher(KEYS, DEV_ADDR)
    message, mic, encrypted = phy[:-4], phy[-4:], phy[9:-4]

    def mic_decrypt() -> bytes:
        assert cipher.uplink_mic(message, F_CNT) == mic
        return cipher.payload(F_PORT, encrypted, F_CNT, True)

    def parse_mic_decrypt() -> bytes:
        _, _, f_ctrl, _ = data_header(phy)
        assert cipher.uplink_mic(phy[:-4], F_CNT) == phy[-4:]
        _, f_port, payload = data_payload(phy, f_ctrl)
        assert f_port is not None
        return cipher.payload(f_port, payload, F_CNT, True)

    for path in (mic_decrypt, parse_mic_decrypt, lambda: naive(phy)):
        if path() != PLAIN:
            raise AssertionError("a path that is measured does not decrypt the frame")

    naive_us = time_us(lambda: naive(phy), rounds, max(repeats // 20, 1))
    ours_us = time_us(parse_mic_decrypt, rounds, repeats)
    return {
        "header": time_us(lambda: data_header(phy), rounds, repeats),
        "mic_decrypt": time_us(mic_decrypt, rounds, repeats),
        "parse_mic_decrypt": ours_us,
        "frame_object": time_us(lambda: parse(phy), rounds, repeats),
        "naive_pycryptodome": naive_us,
        "ratio": naive_us / ours_us,
    }


WORDS = {
    "header": "parse header (hot path)",
    "mic_decrypt": "MIC + decryption, ciphers cached",
    "parse_mic_decrypt": "parse + MIC + decryption",
    "frame_object": "parse into a DataFrame (not on the hot path)",
    "naive_pycryptodome": "textbook: DataFrame, fresh pycryptodome ciphers",
}


def main() -> int:
    """Print the table; 1 when a limit is exceeded."""
    figures = measure()
    print(f"{'one uplink with 24 bytes of payload':<50}{'µs':>8}{'limit':>8}")
    for name, words in WORDS.items():
        limit = f"{LIMITS_US[name]:.1f}" if name in LIMITS_US else ""
        print(f"{words:<50}{figures[name]:>8.2f}{limit:>8}")
    print(f"{'textbook / ours':<50}{figures['ratio']:>7.0f}x")
    return any(figures[name] > limit for name, limit in LIMITS_US.items())


if __name__ == "__main__":
    sys.exit(main())
