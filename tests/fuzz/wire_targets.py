"""What must hold for any bytes that reach a parser of the wire: a value that encodes to itself, or a FrameError.

Each target takes bytes and returns None; anything else it raises is a finding. The first byte of an input of
:func:`check` chooses the target.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from lns.gateways.basicstation import codec
from lns.gateways.basicstation.cups import Cups
from lorawan import class_b, commands, crypto, frames, hot, relay
from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.station import fields_of
from tests.support.vectors import load

KEYS = crypto.SessionKeys(b"f" * 16, b"s" * 16, b"n" * 16, b"a" * 16, lorawan_1_1=True)


def frame(data: bytes) -> None:
    """frames.parse, and the hot path beside it."""
    try:
        parsed = frames.parse(data)
    except FrameError as error:
        assert error.reason
        assert error.offset is not None
        assert 0 <= error.offset <= 255
        parsed = None
    else:
        again = parsed.encode()
        assert len(again) == len(data)
        assert frames.parse(again) == parsed
    try:
        header = hot.data_header(data)
    except FrameError:
        assert not isinstance(parsed, frames.DataFrame)
    else:
        assert isinstance(parsed, frames.DataFrame)
        assert header[1] == parsed.dev_addr
        assert hot.data_payload(data, header[2]) == (parsed.f_opts, parsed.f_port, parsed.frm_payload)


def uplink(data: bytes) -> None:
    """The way of an uplink: header, MIC, decryption, commands."""
    try:
        _, dev_addr, f_ctrl, f_cnt = hot.data_header(data)
    except FrameError:
        return
    cipher = crypto.SessionCipher(KEYS, dev_addr)
    assert len(cipher.uplink_mic(data[:-4], f_cnt)) == 4
    f_opts, f_port, payload = hot.data_payload(data, f_ctrl)
    block(cipher.f_opts(f_opts, f_cnt, True), True, True)
    if f_port is not None:
        plain = cipher.payload(f_port, payload, f_cnt, True)
        assert cipher.payload(f_port, plain, f_cnt, True) == payload
        if f_port == 0:
            block(plain, True, True)


def block(data: bytes, up: bool, lorawan_1_1: bool) -> None:
    """A block of MAC commands: no byte lost, every command in words."""
    parsed = commands.parse_commands(data, up, lorawan_1_1)
    again = commands.encode_commands(parsed)
    assert len(again) == len(data)
    assert commands.parse_commands(again, up, lorawan_1_1) == parsed
    for command in parsed:
        assert commands.describe(command)


def join_accept(data: bytes) -> None:
    """A join-accept as a device decrypts it."""
    try:
        fields, _ = crypto.decrypt_join_accept(KEYS.app_s_key, data)
    except FrameError:
        return
    accept = frames.JoinAccept.parse(fields)
    assert frames.JoinAccept.parse(accept.encode()) == accept


def join_accept_fields(data: bytes) -> None:
    """The plain fields of a join-accept."""
    try:
        accept = frames.JoinAccept.parse(data)
    except FrameError:
        return
    assert frames.JoinAccept.parse(accept.encode()) == accept


def beacon(data: bytes) -> None:
    """A beacon of each length."""
    for sf in (8, 9, 10, 12):
        try:
            parsed = class_b.Beacon.parse(data, sf)
        except FrameError:
            continue
        assert class_b.Beacon.parse(parsed.encode(), sf) == parsed
        class_b.parse_gateway_position(parsed.gw_specific)


def relayed(data: bytes) -> None:
    """FPort 226."""
    try:
        parsed = relay.ForwardUplinkReq.parse(data)
    except FrameError:
        return
    assert relay.ForwardUplinkReq.parse(parsed.encode()) == parsed


def identifiers(data: bytes) -> None:
    """Identifiers from the wire and from text."""
    text = data.decode("utf-8", "replace")
    for kind in (EUI64, DevAddr, NetID):
        for read, source in ((kind.from_wire, data), (kind.parse, text)):
            try:
                value = read(source)  # type: ignore[arg-type]
            except FrameError:
                continue
            assert kind.parse(str(value)) == value
            assert kind.from_wire(value.to_wire()) == value


def envelope(data: bytes) -> None:
    """A wrapped key from outside."""
    try:
        crypto.unwrap_key(KEYS.app_s_key, data)
    except FrameError as error:
        assert error.reason


def station(data: bytes) -> None:
    """Messages of a Basics Station: garbage as it is, and frames in the form in which a station sends them."""
    for text in (data, station_message(data)):
        try:
            message = codec.parse(text)
            phy = codec.phy(message) if isinstance(message, codec.Uplink) else b""
        except FrameError as error:
            assert error.reason
        else:
            assert text is data or phy == data
    for read in (codec.discovery, Cups.read):
        try:
            read(data)
        except FrameError as error:
            assert error.reason


def station_message(phy: bytes) -> bytes:
    """What a station makes of a frame; nothing of one that it would not forward."""
    fields = fields_of(phy) if phy else {}
    return json.dumps(fields | {"DR": 5, "Freq": 868_900_000, "upinfo": {"xtime": 1}}).encode() if fields else b""


TARGETS: tuple[Callable[[bytes], None], ...] = (
    frame,
    uplink,
    lambda data: block(data, True, False),
    lambda data: block(data, True, True),
    lambda data: block(data, False, False),
    lambda data: block(data, False, True),
    join_accept,
    join_accept_fields,
    beacon,
    relayed,
    identifiers,
    envelope,
    station,
)


def check(data: bytes) -> None:
    """One execution: the first byte chooses the target, the rest is its input."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> Iterator[bytes]:
    """Inputs to start from: the bytes of the vectors, for every target."""
    frame_rows, crypto_rows = load("wire_codec.json")["codec"], load("crypto.json")["vectors"]
    found = [row["hex"] for part in frame_rows.values() for row in part if "hex" in row]
    found += [row["inputs"]["phy_payload"] for row in crypto_rows if "phy_payload" in row["inputs"]]
    found += [row["expected"] for row in crypto_rows if row["category"] == "aes_key_wrap_rfc3394"]
    found += ["0000000002cca27e00012000008103de55", "000000000002cca27e0001200000810300" + "50d4"]
    for hexed in found:
        for target in range(len(TARGETS)):
            yield bytes((target,)) + bytes.fromhex(hexed)
