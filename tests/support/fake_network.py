"""A tiny network server for testing the simulator: joins, ACKs, queued downlinks; one gateway answers, in RX1 or RX2.

Sans-I/O: ``receive(datagram, address, now)`` gives datagrams to send. Its cryptography is lorasim.crypto, which
test_sim_crypto.py holds against published vectors.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from lorasim import crypto
from lorasim.crypto import SessionKeys

NET_ID = 0x000013
SAME_FRAME_US = 500_000
"""Copies through several gateways come within this time; later ones are repetitions."""


@dataclass
class FakeSession:
    dev_eui: int
    dev_addr: int
    keys: SessionKeys
    f_cnt_up: int = -1
    n_f_cnt_down: int = 0
    a_f_cnt_down: int = 0
    uplinks: list[tuple[int, int | None, bytes]] = field(default_factory=list)
    """(FCntUp, FPort, payload)."""
    f_opts: list[bytes] = field(default_factory=list)
    """What the device sent in FOpts or on port 0, in the clear."""
    retransmissions: int = 0
    confirmed_down: int = 0


@dataclass
class FakeNetwork:
    """``devices``: DevEUI → (JoinEUI, AppKey, NwkKey or None)."""

    devices: dict[int, tuple[int, bytes, bytes | None]]
    cflist: bytes = b""
    rx_window: int = 1
    rx1_delay_s: int = 1
    opt_neg: bool = True
    silent: bool = False
    """Hears everything and answers nothing."""
    mute_data: bool = False
    """Answers joins only."""
    delay_shift_us: int = 0
    """Downlinks are this much off."""
    sessions: dict[int, FakeSession] = field(default_factory=dict)
    """By DevAddr."""
    queue: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """By DevEUI: dicts with f_port, data, f_opts, confirmed, f_cnt (override)."""
    accepts: dict[tuple[int, int, int], bytes] = field(default_factory=dict)
    tx_acks: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[dict[str, Any]] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    _pull: dict[bytes, Any] = field(default_factory=dict)
    _seen: dict[bytes, int] = field(default_factory=dict)
    _join_nonce: int = 0
    _token: int = 0

    def receive(self, datagram: bytes, address: Any, now: int) -> list[tuple[Any, bytes]]:
        assert datagram[0] == 2
        kind, eui = datagram[3], datagram[4:12]
        if kind == 2:
            self._pull[eui] = address
            return [(address, datagram[:3] + b"\x04")]
        if kind == 5:
            self.tx_acks.append(json.loads(datagram[12:])["txpk_ack"] if datagram[12:] else {"error": "NONE"})
            return []
        assert kind == 0
        out = [(address, datagram[:3] + b"\x01")]
        body = json.loads(datagram[12:])
        if "stat" in body:
            self.stats.append(body["stat"])
        for rxpk in body.get("rxpk", ()):
            self.pushed.append(rxpk)
            phy = base64.b64decode(rxpk["data"])
            assert len(phy) == rxpk["size"]
            if eui not in self._pull or now - self._seen.get(phy, -SAME_FRAME_US) < SAME_FRAME_US:
                continue
            self._seen[phy] = now
            answer = self.uplink(phy, rxpk)
            mute = self.silent or (self.mute_data and phy[0] >> 5 in (2, 4))
            if answer is not None and not mute:
                out.append((self._pull[eui], self._pull_resp(answer, rxpk)))
        return out

    def uplink(self, phy: bytes, rxpk: dict[str, Any]) -> tuple[bytes, int] | None:
        """(PHYPayload of the answer, delay of RX1 in s)."""
        m_type = phy[0] >> 5
        if m_type == 0:
            join_eui, dev_eui, nonce = (int.from_bytes(phy[a:b], "little") for a, b in ((1, 9), (9, 17), (17, 19)))
            return self._join(dev_eui, join_eui, nonce, 0xFF, phy)
        if m_type == 6:
            kind = phy[1]
            at = 10 if kind == 1 else 5
            dev_eui = int.from_bytes(phy[at : at + 8], "little")
            return self._join(
                dev_eui, self.devices[dev_eui][0], int.from_bytes(phy[at + 8 : at + 10], "little"), kind, phy
            )
        return self._data(phy, rxpk)

    def _join(self, dev_eui: int, join_eui: int, nonce: int, kind: int, phy: bytes) -> tuple[bytes, int] | None:
        if dev_eui not in self.devices or self.devices[dev_eui][0] != join_eui:
            return None
        _, app_key, nwk_key = self.devices[dev_eui]
        root = nwk_key or app_key
        if kind == 0xFF:
            assert crypto.join_request_mic(root, phy[:-4]) == phy[-4:]
        elif kind == 1:
            assert crypto.rejoin_request_mic(crypto.js_int_key(root, dev_eui), phy[:-4]) == phy[-4:]
        else:
            [old] = [s for s in self.sessions.values() if s.dev_eui == dev_eui][-1:]
            assert crypto.rejoin_request_mic(old.keys.s_nwk_s_int_key, phy[:-4]) == phy[-4:]
        self._join_nonce += 1
        dev_addr = 0x26000000 + self._join_nonce
        new = nwk_key is not None and self.opt_neg
        plain = (
            b"\x20"
            + self._join_nonce.to_bytes(3, "little")
            + NET_ID.to_bytes(3, "little")
            + dev_addr.to_bytes(4, "little")
            + bytes([0x80 * new, self.rx1_delay_s])
            + self.cflist
        )
        if new:
            mic = crypto.join_accept_mic_1_1(crypto.js_int_key(root, dev_eui), kind, join_eui, nonce, plain)
            keys = crypto.session_keys_1_1(root, app_key, self._join_nonce, join_eui, nonce)
        else:
            mic = crypto.join_accept_mic_1_0(root, plain)
            keys = crypto.session_keys_1_0(root, self._join_nonce, NET_ID, nonce)
        seal = root if kind == 0xFF else crypto.js_enc_key(root, dev_eui)
        self.sessions[dev_addr] = FakeSession(dev_eui, dev_addr, keys)
        return crypto.seal_join_accept(seal, plain + mic), 5

    def _data(self, phy: bytes, rxpk: dict[str, Any]) -> tuple[bytes, int] | None:
        session = self.sessions[int.from_bytes(phy[1:5], "little")]
        f_ctrl, f_cnt = phy[5], int.from_bytes(phy[6:8], "little")
        ack = bool(f_ctrl & 0x20)
        dr = 12 - int(rxpk["datr"][2:].split("BW")[0])
        conf = session.confirmed_down if ack else 0
        mic = crypto.uplink_mic(session.keys, session.dev_addr, f_cnt, phy[:-4], conf, dr, rxpk["chan"])
        assert mic == phy[-4:], "MIC"
        options, rest = phy[8 : 8 + (f_ctrl & 15)], phy[8 + (f_ctrl & 15) : -4]
        if session.keys.lorawan_1_1 and options:
            options = crypto.crypt_f_opts(session.keys.nwk_s_enc_key, True, session.dev_addr, f_cnt, options, False)
        port = rest[0] if rest else None
        key = session.keys.nwk_s_enc_key if port == 0 else session.keys.app_s_key
        payload = crypto.crypt_payload(key, True, session.dev_addr, f_cnt, rest[1:])
        if f_cnt > session.f_cnt_up:
            session.f_cnt_up = f_cnt
            session.uplinks.append((f_cnt, port, payload))
            if options or port == 0:
                session.f_opts.append(options or payload)
        else:
            session.retransmissions += 1
        item = self.queue.get(session.dev_eui) or []
        confirmed_up = phy[0] >> 5 == 4
        rekey = options[:1] == b"\x0b"
        if not item and not confirmed_up and not rekey:
            return None
        parts = item.pop(0) if item else {}
        if rekey:
            parts = {"f_opts": b"\x0b\x01"} | parts
        return self._downlink(session, parts, confirmed_up, f_cnt), self.rx1_delay_s

    def _downlink(self, session: FakeSession, parts: dict[str, Any], ack: bool, f_cnt_up: int) -> bytes:
        keys, addr, port = session.keys, session.dev_addr, parts.get("f_port")
        application = keys.lorawan_1_1 and bool(port)
        f_cnt = parts.get("f_cnt", session.a_f_cnt_down if application else session.n_f_cnt_down)
        if application:
            session.a_f_cnt_down = max(session.a_f_cnt_down, f_cnt + 1)
        else:
            session.n_f_cnt_down = max(session.n_f_cnt_down, f_cnt + 1)
        options = parts.get("f_opts", b"")
        if keys.lorawan_1_1 and options:
            options = crypto.crypt_f_opts(keys.nwk_s_enc_key, False, addr, f_cnt, options, application)
        if parts.get("confirmed"):
            session.confirmed_down = f_cnt
        head = bytes([0xA0 if parts.get("confirmed") else 0x60]) + addr.to_bytes(4, "little")
        f_ctrl = 0x20 * ack | 0x10 * bool(parts.get("f_pending")) | len(options)
        message = head + bytes([f_ctrl]) + (f_cnt & 0xFFFF).to_bytes(2, "little") + options
        if port is not None:
            key = keys.nwk_s_enc_key if port == 0 else keys.app_s_key
            message += bytes([port]) + crypto.crypt_payload(key, False, addr, f_cnt, parts.get("data", b""))
        return message + crypto.downlink_mic(keys, addr, f_cnt, message, f_cnt_up if ack else 0)

    def _pull_resp(self, answer: tuple[bytes, int], rxpk: dict[str, Any]) -> bytes:
        phy, delay_s = answer
        self._token = (self._token + 1) & 0xFFFF
        delay_us = (delay_s + self.rx_window - 1) * 1_000_000 + self.delay_shift_us
        txpk = {
            "imme": False,
            "tmst": (rxpk["tmst"] + delay_us) & 0xFFFFFFFF,
            "freq": rxpk["freq"] if self.rx_window == 1 else 869.1,
            "rfch": 0,
            "powe": 14,
            "modu": "LORA",
            "datr": rxpk["datr"] if self.rx_window == 1 else "SF12BW125",
            "codr": "4/5",
            "ipol": True,
            "ncrc": True,
            "size": len(phy),
            "data": base64.b64encode(phy).decode(),
        }
        body = json.dumps({"txpk": txpk}).encode()
        return bytes([2]) + self._token.to_bytes(2, "little") + b"\x03" + body


def drive(world: Any, network: FakeNetwork, until_us: int, step_us: int = 10_000_000) -> None:
    """Run a world and the fake network against each other in counted time."""
    while True:
        due = world.timer()
        now = until_us if due is None or due > until_us else due
        world.handle_timer(now)
        while (outgoing := world.next_datagram()) is not None:
            address = (outgoing.gateway_eui, outgoing.pull)
            for (eui, _), data in network.receive(outgoing.data, address, now):
                world.receive(eui, data, now)
        if due is None or due > until_us:
            return


def network_of(world: Any, **more: Any) -> FakeNetwork:
    """A network that knows all devices of a world."""
    devices = {
        eui: (d.config.join_eui, d.config.app_key, d.config.nwk_key if d.config.lorawan_1_1 else None)
        for eui, d in world.devices.items()
    }
    return FakeNetwork(devices, **more)
