"""Cryptography against pycryptodome, and the rules around it."""

from __future__ import annotations

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from lorawan import crypto
from lorawan.crypto import SessionCipher, SessionKeys
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.wire_strategies import counters_16, counters_32, dev_addrs, euis, keys, net_ids

messages = st.binary(min_size=8, max_size=251)
payloads = st.binary(max_size=242)


def oracle_cmac(key: bytes, data: bytes) -> bytes:
    return CMAC.new(key, ciphermod=AES).update(data).digest()


def oracle_aes(key: bytes, block: bytes) -> bytes:
    return AES.new(key, AES.MODE_ECB).encrypt(block)


def oracle_b(first: bytes, uplink: bool, dev_addr: int, f_cnt: int, length: int) -> bytes:
    address, counter = dev_addr.to_bytes(4, "little"), f_cnt.to_bytes(4, "little")
    return b"\x49" + first + bytes((not uplink,)) + address + counter + bytes((0, length))


def oracle_stream(key: bytes, head: bytes, uplink: bool, dev_addr: int, f_cnt: int, data: bytes) -> bytes:
    """Textbook FRMPayload encryption: one AES block per 16 bytes, counted from 1."""
    result = bytearray()
    for start in range(0, len(data), 16):
        address, counter = dev_addr.to_bytes(4, "little"), f_cnt.to_bytes(4, "little")
        a = head + bytes((not uplink,)) + address + counter + bytes((0, start // 16 + 1))
        result += bytes(x ^ y for x, y in zip(data[start : start + 16], oracle_aes(key, a), strict=False))
    return bytes(result)


session_keys = st.builds(SessionKeys, keys, keys, keys, keys, st.booleans())


@given(session_keys, dev_addrs, messages, counters_32, counters_16, st.integers(0, 15), st.integers(0, 95))
def test_uplink_mic(
    k: SessionKeys, dev_addr: DevAddr, message: bytes, f_cnt: int, conf_f_cnt: int, tx_dr: int, tx_ch: int
) -> None:
    mic = SessionCipher(k, dev_addr).uplink_mic(message, f_cnt, conf_f_cnt, tx_dr, tx_ch)
    b0 = oracle_b(bytes(4), True, dev_addr, f_cnt, len(message))
    forwarding = oracle_cmac(k.f_nwk_s_int_key, b0 + message)
    if k.lorawan_1_1:
        b1 = oracle_b(conf_f_cnt.to_bytes(2, "little") + bytes((tx_dr, tx_ch)), True, dev_addr, f_cnt, len(message))
        assert mic == oracle_cmac(k.s_nwk_s_int_key, b1 + message)[:2] + forwarding[:2]
    else:
        assert mic == forwarding[:4]


@given(session_keys, dev_addrs, messages, counters_32, counters_16)
def test_downlink_mic(k: SessionKeys, dev_addr: DevAddr, message: bytes, f_cnt: int, conf_f_cnt: int) -> None:
    confirmed = conf_f_cnt if k.lorawan_1_1 else 0
    b0 = oracle_b(confirmed.to_bytes(2, "little") + bytes(2), False, dev_addr, f_cnt, len(message))
    expected = oracle_cmac(k.s_nwk_s_int_key, b0 + message)[:4]
    assert SessionCipher(k, dev_addr).downlink_mic(message, f_cnt, conf_f_cnt) == expected


@given(session_keys, dev_addrs, payloads, counters_32, st.integers(0, 255), st.booleans())
def test_payload(k: SessionKeys, dev_addr: DevAddr, data: bytes, f_cnt: int, f_port: int, uplink: bool) -> None:
    cipher = SessionCipher(k, dev_addr)
    key = k.nwk_s_enc_key if f_port in (0, 226) else k.app_s_key
    encrypted = cipher.payload(f_port, data, f_cnt, uplink)
    assert encrypted == oracle_stream(key, b"\x01" + bytes(4), uplink, dev_addr, f_cnt, data)
    assert cipher.payload(f_port, encrypted, f_cnt, uplink) == data


@pytest.mark.parametrize("f_port", [1, 223, 224, 225, 227, 255])
def test_only_ports_0_and_226_are_the_network_s(f_port: int) -> None:
    cipher = SessionCipher(SessionKeys(b"f" * 16, b"s" * 16, b"n" * 16, b"a" * 16), 1)
    assert cipher.payload(f_port, bytes(5), 0, True) != cipher.payload(0, bytes(5), 0, True)
    assert cipher.payload(226, bytes(5), 0, True) == cipher.payload(0, bytes(5), 0, True)


@given(keys, dev_addrs, st.binary(max_size=15), counters_32, st.booleans(), st.booleans())
def test_f_opts(key: bytes, dev_addr: DevAddr, data: bytes, f_cnt: int, uplink: bool, a_f_cnt: bool) -> None:
    cipher = SessionCipher(SessionKeys(b"", b"", key, b"", lorawan_1_1=True), dev_addr)
    head = b"\x01\x00\x00\x00" + bytes((2 if a_f_cnt else 1,))
    assert cipher.f_opts(data, f_cnt, uplink, a_f_cnt) == oracle_stream(key, head, uplink, dev_addr, f_cnt, data)


def test_a_cipher_keeps_no_trace_of_earlier_frames() -> None:
    """Interleaved uses of one cached cipher give what fresh ciphers give."""
    k = SessionKeys(b"f" * 16, b"s" * 16, b"n" * 16, b"a" * 16, lorawan_1_1=True)
    cached = SessionCipher(k, 0x01020304)
    for f_cnt in (0, 1, 1, 0, 70_000, 0xFFFFFFFF):
        message, data = b"m" * (8 + f_cnt % 40), b"d" * (f_cnt % 50)
        fresh = SessionCipher(k, 0x01020304)
        assert cached.uplink_mic(message, f_cnt, 3, 4, 5) == fresh.uplink_mic(message, f_cnt, 3, 4, 5)
        assert cached.payload(1, data, f_cnt, True) == SessionCipher(k, 0x01020304).payload(1, data, f_cnt, True)
        assert cached.f_opts(data[:15], f_cnt, True) == SessionCipher(k, 0x01020304).f_opts(data[:15], f_cnt, True)
        assert cached.payload(0, data, f_cnt, False) == SessionCipher(k, 0x01020304).payload(0, data, f_cnt, False)
        assert cached.downlink_mic(message, f_cnt) == SessionCipher(k, 0x01020304).downlink_mic(message, f_cnt)


@given(keys, st.binary(max_size=100))
def test_cmac(key: bytes, data: bytes) -> None:
    assert crypto.cmac(key, data) == oracle_cmac(key, data)


@given(keys, st.binary(min_size=16, max_size=16))
def test_aes(key: bytes, block: bytes) -> None:
    assert crypto.aes_encrypt(key, block) == oracle_aes(key, block)
    assert crypto.aes_decrypt(key, crypto.aes_encrypt(key, block)) == block


@given(keys, keys, st.integers(0, 2**24 - 1), net_ids, euis, counters_16)
def test_session_keys(
    nwk_key: bytes, app_key: bytes, join_nonce: int, net_id: NetID, join_eui: EUI64, dev_nonce: int
) -> None:
    def derive(key: bytes, kind: int, middle: bytes) -> bytes:
        block = bytes((kind,)) + join_nonce.to_bytes(3, "little") + middle + dev_nonce.to_bytes(2, "little")
        return oracle_aes(key, block.ljust(16, b"\0"))

    old = crypto.derive_session_keys_1_0(app_key, join_nonce, net_id, dev_nonce)
    assert old == SessionKeys.for_1_0(derive(app_key, 1, net_id.to_wire()), derive(app_key, 2, net_id.to_wire()))
    new = crypto.derive_session_keys_1_1(nwk_key, app_key, join_nonce, join_eui, dev_nonce)
    assert new == SessionKeys(
        f_nwk_s_int_key=derive(nwk_key, 1, join_eui.to_wire()),
        s_nwk_s_int_key=derive(nwk_key, 3, join_eui.to_wire()),
        nwk_s_enc_key=derive(nwk_key, 4, join_eui.to_wire()),
        app_s_key=derive(app_key, 2, join_eui.to_wire()),
        lorawan_1_1=True,
    )


@given(keys, st.binary(min_size=12, max_size=12) | st.binary(min_size=28, max_size=28))
def test_join_accept(key: bytes, fields: bytes) -> None:
    mic = crypto.join_accept_mic(key, fields)
    assert mic == oracle_cmac(key, b"\x20" + fields)[:4]
    phy = crypto.encrypt_join_accept(key, fields, mic)
    # The device's half: it only ever encrypts.
    assert oracle_aes(key, phy[1:]) == fields + mic


@given(keys, st.binary(min_size=12, max_size=12), euis, counters_16, st.sampled_from((0xFF, 0, 1, 2)))
def test_join_accept_mic_1_1(key: bytes, fields: bytes, join_eui: EUI64, nonce: int, join_req_type: int) -> None:
    head = bytes((join_req_type,)) + join_eui.to_wire() + nonce.to_bytes(2, "little") + b"\x20"
    mic = crypto.join_accept_mic_1_1(key, fields, join_eui, nonce, join_req_type)
    assert mic == oracle_cmac(key, head + fields)[:4]


@given(st.binary(min_size=16, max_size=16), keys)
def test_a_damaged_envelope_does_not_open(kek: bytes, key: bytes) -> None:
    wrapped = crypto.wrap_key(kek, key)
    assert len(wrapped) == 24
    for damaged in (wrapped[:-1] + bytes((wrapped[-1] ^ 1,)), wrapped[:16], b"", wrapped + bytes(3)):
        with pytest.raises(FrameError, match="do not open"):
            crypto.unwrap_key(kek, damaged)


def test_misuse_is_a_state_error() -> None:
    k = SessionKeys.for_1_0(bytes(16), bytes(16))
    cipher = SessionCipher(k, 1)
    for misuse in (
        lambda: cipher.uplink_mic(bytes(12), 1 << 32),
        lambda: cipher.uplink_mic(bytes(256), 0),
        lambda: cipher.downlink_mic(bytes(12), -1),
        lambda: cipher.payload(1, b"x", 1 << 32, True),
        lambda: cipher.f_opts(b"x", -1, True),
        lambda: SessionCipher(k, 1 << 32).uplink_mic(bytes(12), 0),
        lambda: SessionCipher(SessionKeys.for_1_0(bytes(15), b""), 1).uplink_mic(bytes(12), 0),
        lambda: SessionCipher(SessionKeys.for_1_0(bytes(16), b""), 1).payload(1, b"x", 0, True),
        lambda: crypto.cmac(bytes(24), b""),
        lambda: crypto.aes_encrypt(bytes(16), bytes(15)),
        lambda: crypto.wrap_key(bytes(15), bytes(16)),
        lambda: crypto.wrap_key(bytes(16), bytes(7)),
        lambda: crypto.unwrap_key(bytes(15), bytes(24)),
        lambda: crypto.encrypt_join_accept(bytes(16), bytes(13), bytes(4)),
        lambda: crypto.encrypt_join_accept(bytes(16), bytes(12), bytes(3)),
        lambda: crypto.derive_session_keys_1_0(bytes(16), 1 << 24, 0, 0),
        lambda: crypto.derive_session_keys_1_1(bytes(16), bytes(16), 0, 0, 65536),
        lambda: SessionKeys(b"", b"", b"", b"", lorawan_1_1=True).nwk_s_key,
    ):
        with pytest.raises(StateError):
            misuse()


def test_what_is_no_join_accept_is_a_frame_error() -> None:
    for phy in (b"", bytes(17), b"\x20" + bytes(15), b"\x20" + bytes(33)):
        with pytest.raises(FrameError, match="not a join-accept"):
            crypto.decrypt_join_accept(bytes(16), phy)


def test_keys_never_show_themselves() -> None:
    k = SessionKeys(b"\xaa" * 16, b"\xbb" * 16, b"\xcc" * 16, b"secret app s key", lorawan_1_1=True)
    for shown in (repr(k), str(k), f"{k}", repr([k])):
        assert "LoRaWAN 1.1" in shown
        assert not any(key.hex() in shown or repr(key)[2:-1] in shown for key in (k.app_s_key, k.nwk_s_enc_key))
