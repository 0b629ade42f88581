"""What must be ignored, and where MAC commands may stand."""

from __future__ import annotations

from lorasim import crypto
from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import expect
from lorawan import commands


async def _ignored(lab: Lab, probe: Probe, phy: bytes, what: str) -> None:
    await probe.put_on_air(phy).silence(what)


def _signed(probe: Probe, message: bytes, f_cnt: int) -> bytes:
    """A message with a MIC of this session, whatever is in it."""
    session = probe.session
    assert session is not None
    return message + crypto.uplink_mic(session.keys, session.dev_addr, f_cnt, message)


def _head(probe: Probe, f_cnt: int, m_hdr: int = 0x80, f_ctrl: int = 0) -> bytes:
    assert probe.session is not None
    address = int(probe.session.dev_addr).to_bytes(4, "little")
    return bytes([m_hdr]) + address + bytes([f_ctrl]) + (f_cnt & 0xFFFF).to_bytes(2, "little")


@case("a wrong MIC is ignored", "TS001-1.0.4 §4.4", short=True)
async def wrong_mic(lab: Lab) -> None:
    probe = await lab.device()
    phy = probe.seal(confirmed=True)
    await _ignored(lab, probe, phy[:-2] + bytes([phy[-2] ^ 0x10, phy[-1]]), "the MIC was wrong")
    await probe.put_on_air(phy).down("the ACK of the true frame after a forged one")
    await lab.expect_uplinks(probe, [0], "after a forged frame")


@case("an unknown DevAddr is ignored", "TS001-1.0.4 §4.3.1.1")
async def unknown_address(lab: Lab) -> None:
    probe = lab.unknown()
    await probe.send(confirmed=True).silence("nobody has this DevAddr")


@case("keys of another device are not accepted under its DevAddr", "TS001-1.0.4 §4.4")
async def borrowed_address(lab: Lab) -> None:
    """Two sessions may share a DevAddr; the MIC tells them apart."""
    probe = await lab.device()
    thief = lab.unknown()
    assert thief.session is not None and probe.session is not None
    thief.session.dev_addr = probe.session.dev_addr
    await thief.send(confirmed=True).silence("the MIC was made with other keys")


@case("frames too short, of another major version, or of RFU type are ignored", "TS001-1.0.4 §4.1, §4.2", short=True)
async def bad_frames(lab: Lab) -> None:
    probe = await lab.device()
    good = probe.seal(confirmed=True)
    bad = {
        "one byte": good[:1],
        "a frame of 11 bytes": good[:11],
        "an FOptsLen beyond the frame": _signed(probe, _head(probe, 0, f_ctrl=15), 0),
        "major version 1": _signed(probe, _head(probe, 0, m_hdr=0x81) + b"\x0a\x01", 0),
        "a downlink heard by a gateway": _signed(probe, _head(probe, 0, m_hdr=0xA0) + b"\x0a\x01", 0),
        "a join-request of 22 bytes": bytes(22),
        "a proprietary frame": b"\xe0" + good[1:],
    }
    for what, phy in bad.items():
        exchange = probe.put_on_air(phy)
        await lab.wait(0.3)
        expect(not exchange.radios, f"{what} was answered")
    await lab.wait(2.2, probe)
    expect(not probe.exchange.radios, "a frame that must be ignored was answered")  # type: ignore[union-attr]
    await probe.put_on_air(good).down("the ACK of a good frame after bad ones")


@case("MAC commands in FRMPayload on FPort 0 are understood", "TS001-1.0.4 §4.3.2", short=True)
async def commands_on_port_0(lab: Lab) -> None:
    probe = await lab.device()
    down = await probe.send(f_port=0, says=[commands.LinkCheckReq()]).down("LinkCheckAns")
    expect(down.get(commands.LinkCheckAns), "LinkCheckReq on FPort 0 was not answered")
    found = await lab.uplinks(probe, 0)
    expect(not found or all(one.f_port or not one.data for one in found), "the application got MAC commands as data")


@case("a frame with FPort 0 and FOpts is ignored", "TS001-1.0.4 §4.3.1.6")
async def port_0_and_f_opts(lab: Lab) -> None:
    probe = await lab.device()
    session = probe.session
    assert session is not None
    payload = crypto.crypt_payload(session.keys.nwk_s_enc_key, True, session.dev_addr, 0, b"\x02")
    message = _head(probe, 0, f_ctrl=1) + b"\x02" + b"\x00" + payload
    await _ignored(lab, probe, _signed(probe, message, 0), "FOpts and FPort 0 are never together")
    await probe.accepted("the next frame", f_cnt=1)


@case("a frame without FPort is good", "TS001-1.0.4 §4.3.2", short=True)
async def no_port(lab: Lab) -> None:
    probe = await lab.device()
    down = await probe.accepted("a frame without FPort", f_port=None)
    expect(down.frame.f_port is None or down.frame.f_port > 0 or down.commands, "an empty answer on FPort 0")


@case("RFU bits of a frame are ignored", "TS001-1.0.4 §1.1")
async def rfu_bits(lab: Lab) -> None:
    """Bits 4 to 2 of MHDR."""
    probe = await lab.device()
    session = probe.session
    assert session is not None
    payload = crypto.crypt_payload(session.keys.app_s_key, True, session.dev_addr, 0, b"rfu")
    phy = _signed(probe, _head(probe, 0, m_hdr=0x9C) + b"\x0a" + payload, 0)
    lab.needs_forwarding(phy)
    session.f_cnt_up = 1
    probe.exchange = None
    exchange = probe.put_on_air(phy)
    down = await exchange.down("the ACK of a frame with RFU bits set in MHDR")
    expect(down.frame.ack, "no ACK")


@case("an unknown or proprietary command ends the block, and no more", "TS001-1.0.4 §5", short=True)
async def unknown_command(lab: Lab) -> None:
    probe = await lab.device()
    session = probe.session
    assert session is not None
    block = commands.LinkCheckReq().encode() + b"\xf0\x01\x02"
    payload = crypto.crypt_payload(session.keys.app_s_key, True, session.dev_addr, 0, b"x")
    phy = _signed(probe, _head(probe, 0, m_hdr=0x40, f_ctrl=len(block)) + block + b"\x0a" + payload, 0)
    session.f_cnt_up = 1
    down = await probe.put_on_air(phy).down("LinkCheckAns")
    expect(down.get(commands.LinkCheckAns), "LinkCheckReq before an unknown command was not answered")
    await probe.accepted("a frame after an unknown command")


@case("a command that is cut short harms nobody", "TS001-1.0.4 §5")
async def cut_command(lab: Lab) -> None:
    probe = await lab.device()
    session = probe.session
    assert session is not None
    phy = _signed(probe, _head(probe, 0, m_hdr=0x80, f_ctrl=2) + b"\x06\x55", 0)  # DevStatusAns wants two bytes
    session.f_cnt_up = 1
    await probe.put_on_air(phy).down("the ACK of a frame with a cut command")
    await probe.accepted("the next frame")
