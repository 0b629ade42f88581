"""Random frames of both versions and directions, compared with the independent npm package lora-packet."""

from __future__ import annotations

import random
from typing import Any

import pytest

from lorawan import crypto, frames
from lorawan.crypto import SessionCipher, SessionKeys
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.lora_packet import ask

COUNT = 150
Question = dict[str, Any]


def sample(chance: random.Random, uplink: bool, v1_1: bool) -> tuple[frames.DataFrame, Question]:
    """A random authentic frame and the question about it, with what must come back under ``expected``."""
    keys = [chance.randbytes(16) for _ in range(4)]
    session = SessionKeys(*keys, lorawan_1_1=True) if v1_1 else SessionKeys.for_1_0(keys[0], keys[3])
    f_cnt = chance.choice((chance.randrange(1 << 32), chance.randrange(1 << 16), 0, 65_535, 65_536, 0xFFFFFFFF))
    # lora-packet does not know the relay's port 226, which belongs to the network.
    f_port = chance.choice((None, 0, chance.randrange(1, 226), chance.randrange(227, 256)))
    ack = chance.random() < 0.5
    conf_f_cnt = chance.randrange(1 << 16) if ack else 0
    tx_dr, tx_ch = chance.randrange(16), chance.randrange(72)
    plain = b"" if f_port is None else chance.randbytes(chance.choice((0, 1, 15, 16, 17, 51, 242 - 15)))
    plain_f_opts = b"" if f_port == 0 else chance.randbytes(chance.randrange(16))

    frame = frames.DataFrame(
        uplink=uplink,
        confirmed=chance.random() < 0.5,
        dev_addr=DevAddr(chance.randrange(1 << 32)),
        adr=chance.random() < 0.5,
        adr_ack_req=uplink and chance.random() < 0.5,
        ack=ack,
        f_pending=not uplink and chance.random() < 0.5,
        class_b=uplink and chance.random() < 0.5,
        f_cnt=f_cnt & 0xFFFF,
        f_port=f_port,
    )
    cipher = SessionCipher(session, frame.dev_addr)
    a_f_cnt = not uplink and bool(f_port)
    frame.f_opts = cipher.f_opts(plain_f_opts, f_cnt, uplink, a_f_cnt) if v1_1 else plain_f_opts
    if f_port is not None:
        frame.frm_payload = cipher.payload(f_port, plain, f_cnt, uplink)
    message = frame.encode_without_mic()
    if uplink:
        frame.mic = cipher.uplink_mic(message, f_cnt, conf_f_cnt, tx_dr, tx_ch)
    else:
        frame.mic = cipher.downlink_mic(message, f_cnt, conf_f_cnt)

    question = {
        "op": "read_data",
        "phy": frame.encode().hex(),
        "v1_1": v1_1,
        "f_cnt": f_cnt,
        "conf_f_cnt": conf_f_cnt,
        "tx_dr": tx_dr,
        "tx_ch": tx_ch,
        "f_nwk_s_int_key": session.f_nwk_s_int_key.hex(),
        "s_nwk_s_int_key": session.s_nwk_s_int_key.hex(),
        "nwk_s_enc_key": session.nwk_s_enc_key.hex(),
        "app_s_key": session.app_s_key.hex(),
        "expected": {
            "uplink": uplink,
            "confirmed": frame.confirmed,
            "dev_addr": str(frame.dev_addr),
            "adr": frame.adr,
            "adr_ack_req": frame.adr_ack_req,
            "ack": ack,
            "bit_4": frame.class_b or frame.f_pending,
            "f_cnt": frame.f_cnt,
            "f_port": f_port,
            "mic": frame.mic.hex(),
            "payload": plain.hex(),
            "f_opts": plain_f_opts.hex(),
        },
    }
    return frame, question


@pytest.mark.parametrize("v1_1", [False, True], ids=["1.0", "1.1"])
@pytest.mark.parametrize("uplink", [True, False], ids=["up", "down"])
def test_our_data_frames_are_read_by_lora_packet(uplink: bool, v1_1: bool) -> None:
    chance = random.Random(f"data {uplink} {v1_1}")
    questions = [sample(chance, uplink, v1_1)[1] for _ in range(COUNT)]
    for question, answer in zip(questions, ask(questions), strict=True):
        assert answer == question["expected"]


@pytest.mark.parametrize("uplink", [True, False], ids=["up", "down"])
def test_data_frames_of_lora_packet_are_ours(uplink: bool) -> None:
    chance = random.Random(f"built data {uplink}")
    samples = []
    while len(samples) < COUNT:
        frame, question = sample(chance, uplink, False)
        if frame.f_port is not None:  # without a port lora-packet builds no MIC
            samples.append((frame, question))
    questions = [
        {
            "op": "build_data",
            "m_type": int(frame.m_type),
            "dev_addr": str(frame.dev_addr),
            "adr": frame.adr,
            "bit_6": frame.adr_ack_req,
            "ack": frame.ack,
            "bit_4": frame.class_b or frame.f_pending,
            "f_cnt": question["f_cnt"],
            "f_opts": frame.f_opts.hex(),
            "f_port": frame.f_port,
            "payload": question["expected"]["payload"],
            "app_s_key": question["app_s_key"],
            "f_nwk_s_int_key": question["f_nwk_s_int_key"],
        }
        for frame, question in samples
    ]
    for (frame, _), answer in zip(samples, ask(questions), strict=True):
        phy = bytes.fromhex(answer["phy"])
        assert phy == frame.encode()
        assert frames.parse(phy) == frame


def test_join_requests() -> None:
    chance = random.Random("join-requests")
    requests, keys = [], []
    for _ in range(COUNT):
        key = chance.randbytes(16)
        request = frames.JoinRequest(
            EUI64(chance.randrange(1 << 64)), EUI64(chance.randrange(1 << 64)), chance.randrange(1 << 16)
        )
        request.mic = crypto.join_request_mic(key, request.encode_without_mic())
        requests.append(request)
        keys.append(key.hex())
    questions: list[Question] = []
    for request, key_hex in zip(requests, keys, strict=True):
        fields = {
            "join_eui": str(request.join_eui),
            "dev_eui": str(request.dev_eui),
            "dev_nonce": f"{request.dev_nonce:04x}",
        }
        questions.append({"op": "read_join_request", "phy": request.encode().hex(), "key": key_hex, "fields": fields})
        questions.append({"op": "build_join_request", "key": key_hex, **fields})
    answers = ask(questions)
    for request, question, read, built in zip(requests, questions[::2], answers[::2], answers[1::2], strict=True):
        assert read == {**question["fields"], "rejoin_type": None, "mic": request.mic.hex()}
        assert frames.parse(bytes.fromhex(built["phy"])) == request


def test_rejoin_requests() -> None:
    chance = random.Random("rejoin-requests")
    questions, expected = [], []
    for number in range(COUNT):
        dev_eui, count, key = EUI64(chance.randrange(1 << 64)), chance.randrange(1 << 16), chance.randbytes(16)
        request: frames.RejoinRequest0_2 | frames.RejoinRequest1
        if number % 3 == 1:
            request = frames.RejoinRequest1(EUI64(chance.randrange(1 << 64)), dev_eui, count)
        else:
            request = frames.RejoinRequest0_2(number % 3, NetID(chance.randrange(1 << 24)), dev_eui, count)
        request.mic = crypto.rejoin_request_mic(key, request.encode_without_mic())
        questions.append({"op": "read_join_request", "phy": request.encode().hex(), "key": key.hex()})
        expected.append((request.rejoin_type, request.mic.hex()))
    answers = ask(questions)
    assert [(answer["rejoin_type"], answer["mic"]) for answer in answers] == expected


@pytest.mark.parametrize("opt_neg", [False, True], ids=["1.0", "1.1"])
def test_join_accepts(opt_neg: bool) -> None:
    chance = random.Random(f"join-accepts {opt_neg}")
    questions: list[Question] = []
    expected, built = [], []
    for _ in range(COUNT):
        nwk_key, app_key, js_int_key = (chance.randbytes(16) for _ in range(3))
        join_eui, dev_nonce = EUI64(chance.randrange(1 << 64)), chance.randrange(1 << 16)
        accept = frames.JoinAccept(
            join_nonce=chance.randrange(1 << 24),
            net_id=NetID(chance.randrange(1 << 24)),
            dev_addr=DevAddr(chance.randrange(1 << 32)),
            opt_neg=opt_neg,
            rx1_dr_offset=chance.randrange(8),
            rx2_dr=chance.randrange(16),
            rx_delay=chance.randrange(16),
            cflist=chance.choice((b"", chance.randbytes(16))),
        )
        fields = accept.encode()
        if opt_neg:
            join_req_type = chance.choice((0xFF, 0, 1, 2))
            mic = crypto.join_accept_mic_1_1(js_int_key, fields, join_eui, dev_nonce, join_req_type)
            session = crypto.derive_session_keys_1_1(nwk_key, app_key, accept.join_nonce, join_eui, dev_nonce)
            named = {
                "FNwkSIntKey": session.f_nwk_s_int_key.hex(),
                "SNwkSIntKey": session.s_nwk_s_int_key.hex(),
                "NwkSEncKey": session.nwk_s_enc_key.hex(),
                "AppSKey": session.app_s_key.hex(),
            }
        else:
            join_req_type = 0xFF
            mic = crypto.join_accept_mic(nwk_key, fields)
            session = crypto.derive_session_keys_1_0(nwk_key, accept.join_nonce, accept.net_id, dev_nonce)
            named = {"NwkSKey": session.nwk_s_key.hex(), "AppSKey": session.app_s_key.hex()}
        phy = crypto.encrypt_join_accept(nwk_key, fields, mic)
        common = {
            "key": nwk_key.hex(),
            "mic_key": (js_int_key if opt_neg else nwk_key).hex(),
            "join_eui": str(join_eui),
            "dev_nonce": f"{dev_nonce:04x}",
        }
        told = {
            "join_nonce": f"{accept.join_nonce:06x}",
            "net_id": str(accept.net_id),
            "dev_addr": str(accept.dev_addr),
            "rx_delay": accept.rx_delay,
            "cflist": accept.cflist.hex(),
        }
        questions.append(
            {
                "op": "read_join_accept",
                "phy": phy.hex(),
                "app_key": app_key.hex(),
                "nwk_key": nwk_key.hex(),
                "join_req_type": f"{join_req_type:02x}",
                **common,
            }
        )
        expected.append(
            {
                **told,
                "opt_neg": opt_neg,
                "rx1_dr_offset": accept.rx1_dr_offset,
                "rx2_dr": accept.rx2_dr,
                "mic": mic.hex(),
                "expected_mic": mic.hex(),
                "session": named,
            }
        )
        if join_req_type == 0xFF:  # lora-packet builds answers to join-requests only
            built.append(
                ({"op": "build_join_accept", "dl_settings": f"{accept.dl_settings:02x}", **told, **common}, phy)
            )
    assert ask(questions) == expected
    answers = ask([question for question, _ in built])
    assert [answer["phy"] for answer in answers] == [phy.hex() for _, phy in built]


def test_keys_of_the_join_server_and_of_relays() -> None:
    chance = random.Random("keys")
    questions, expected = [], []
    for _ in range(COUNT):
        key, dev_eui, dev_addr = (
            chance.randbytes(16),
            EUI64(chance.randrange(1 << 64)),
            DevAddr(chance.randrange(1 << 32)),
        )
        questions.append(
            {"op": "join_server_keys", "nwk_key": key.hex(), "dev_eui": str(dev_eui), "dev_addr": str(dev_addr)}
        )
        root = crypto.derive_root_wor_s_key(key)
        wor_int, wor_enc = crypto.derive_wor_session_keys(root, dev_addr)
        expected.append(
            {
                "js_int_key": crypto.derive_js_int_key(key, dev_eui).hex(),
                "js_enc_key": crypto.derive_js_enc_key(key, dev_eui).hex(),
                "root_wor_s_key": root.hex(),
                "wor_s_int_key": wor_int.hex(),
                "wor_s_enc_key": wor_enc.hex(),
            }
        )
    assert ask(questions) == expected
